"""Keys of what a build was made from."""

from pathlib import Path

import pytest
from clew_lab.keys import files_below, key_of


def test_files_and_folders_of_a_checkout(tmp_path: Path) -> None:
    for name in ("one.txt", "folder/two.py", "folder/below/three.c", "folder/__pycache__/two.pyc", "other/four"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = files_below(tmp_path, ["one.txt", "folder"])
    assert list(found) == ["one.txt", "folder/below/three.c", "folder/two.py"]
    assert found["one.txt"] == tmp_path / "one.txt"


def test_what_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        key_of(files_below(tmp_path, ["gone"]))


def test_a_key_follows_names_and_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    keys = [key_of({"file": file}), key_of({"other": file})]
    file.write_text("b")
    keys.append(key_of({"file": file}))
    assert len(set(keys)) == 3
    assert all(len(key) == 16 for key in keys)

"""Images: keyed by their recipe, whole or absent, built once, and never removed from under a guest."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clew_lab import image as images
from clew_lab import rootfs
from clew_lab.config import KERNELS, kernel_named

RELEASES = {"6.1": "6.1.0-50-amd64", "6.12": "6.12.107+deb13-amd64"}


def stub_build(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> list[Path]:
    built: list[Path] = []

    def build(root: Path, debs: Path, requirements: Path) -> dict[str, str]:
        assert requirements.name == "dev.txt"
        built.append(root)
        (root / "boot").mkdir(parents=True)
        if fails:
            raise RuntimeError("no network")
        return RELEASES

    monkeypatch.setattr(rootfs, "build", build)
    return built


def test_every_kernel_of_the_lab_is_found_by_its_series() -> None:
    assert [kernel_named(kernel.name) for kernel in KERNELS] == list(KERNELS)


def test_an_unknown_kernel_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^no kernel '5.4' in the lab; there are: 6.1, 6.12$"):
        kernel_named("5.4")


def test_without_an_image_the_message_says_what_to_do(cache: Path) -> None:
    with pytest.raises(images.ImageMissing, match="run `clew-lab setup`"):
        images.find_image()


def test_a_built_image_is_found_with_its_kernels(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_build(monkeypatch)
    image = images.build_image()
    assert image == images.find_image()
    assert image.path == cache / "images" / images.recipe_key()
    assert image.boot_file("6.1") == image.path / "root/boot/vmlinuz-6.1.0-50-amd64"


def test_a_build_that_fails_leaves_no_image_and_the_next_starts_afresh(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_build(monkeypatch, fails=True)
    with pytest.raises(RuntimeError, match="no network"):
        images.build_image()
    with pytest.raises(images.ImageMissing):
        images.find_image()
    stub_build(monkeypatch)
    assert images.build_image().kernels == RELEASES


def test_two_runs_at_once_build_one_image(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = stub_build(monkeypatch)
    together = threading.Barrier(2)

    def build() -> images.Image:
        together.wait()
        return images.build_image()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(build), pool.submit(build)
        assert first.result() == second.result()
    assert len(built) == 1


def test_the_key_follows_the_recipe_and_nothing_else(tmp_path: Path) -> None:
    for name in ("lab/clew_lab/chroot.py", "lab/clew_lab/config.py", "lab/clew_lab/rootfs.py", "requirements/dev.txt", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    key = images.recipe_key(tmp_path)
    (tmp_path / "README.md").write_text("other")
    assert images.recipe_key(tmp_path) == key
    (tmp_path / "requirements/dev.txt").write_text("other")
    assert images.recipe_key(tmp_path) != key


def test_clean_removes_earlier_recipes_and_keeps_what_a_guest_runs_from(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_build(monkeypatch)
    present = images.build_image()
    old, used = cache / "images" / "0ld", cache / "images" / "5ed"
    for path in (old, used):
        (path / "root").mkdir(parents=True)
    with images.in_use(images.Image(used, {})):
        assert images.clean() == [f"removed {old}", f"kept {used}: a guest runs from it"]
    assert images.find_image() == present
    assert sorted(images.clean(everything=True)) == sorted([f"removed {used}", f"removed {present.path}"])
    assert list((cache / "images").iterdir()) == []

"""Where the C sources are: inside the installed package, or beside it in a checkout.

The same files are compiled by BCC and read by Python (the record layouts and the counters' names), so both go through here.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bpf_source(name: str, folders: tuple[Path, ...] = (_PACKAGE / "bpf", _PACKAGE.parent.parent / "bpf")) -> Path:
    """The path of a file of ``bpf/``, such as ``records.h``.

    Raises ``FileNotFoundError``, which names every folder that was searched.
    """
    for folder in folders:
        path = folder / name
        if path.is_file():
            return path
    searched = " or ".join(str(folder) for folder in folders)
    raise FileNotFoundError(f"{name} is not in {searched}: is the package installed whole?")

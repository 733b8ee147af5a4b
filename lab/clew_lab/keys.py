"""What a build was made from, as a short key: the same content has the same key, and nothing built is ever stale."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["files_below", "key_of"]


def key_of(files: Mapping[str, Path]) -> str:
    """Return the hash of files under the names they are known by, in this order: 16 hex digits."""
    digest = hashlib.sha256()
    for name, path in files.items():
        text = path.read_bytes()
        digest.update(f"{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:16]


def files_below(checkout: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return these files of a checkout, and all in these folders of it but what Python compiled, by their names there."""
    tops = [checkout / name for name in names]
    files = [path for top in tops for path in (sorted(top.rglob("*")) if top.is_dir() else [top])]
    return {path.relative_to(checkout).as_posix(): path for path in files if not path.is_dir() and path.parent.name != "__pycache__"}

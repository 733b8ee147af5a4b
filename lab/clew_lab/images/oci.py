"""Writes an OCI image as one tar, from folders that hold its layers; often a single one, its whole root file system.

The same folders and configuration give the same bytes, and so the same digest, whoever builds and when: names are sorted, times are
zero, everything belongs to root. What a container gets from its runtime (devices, sockets) is left out, as are setuid and setgid bits.

The tar is an OCI image layout, which `ctr images import` and skopeo's `oci-archive:` read, with the `manifest.json` beside it that
`docker load` and `crane push` want. Layers are not compressed: nodes of the lab unpack them faster, and a registry's client
compresses what it pushes.
"""

import hashlib
import io
import json
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ImageConfig", "digest_of", "full_name", "write_image"]

_OCI = "application/vnd.oci.image"
_KEPT_MODE = 0o1777


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a container of an image runs, and as whom, unless its pod says otherwise."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "amd64"
    """As Go names it: amd64, arm64."""


def write_image(out: Path, name: str, *layers: Path, config: ImageConfig) -> str:
    """Write the image `name` (such as clew/operator:0.1.0) to the file `out`; return its manifest's digest.

    Each of `layers` is a folder, whose content lies over that of those before it. `out` appears whole or not at all.
    Raises ``ValueError`` when the name has no tag.
    """
    full = full_name(name)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        files = [Path(folder, f"layer-{number}") for number in range(len(layers))]
        digests = [_write_layer(file, root) for file, root in zip(files, layers, strict=True)]
        configuration = _json(_configuration(config, digests))
        manifest = _json(_manifest(configuration, {digest: file.stat().st_size for digest, file in zip(digests, files, strict=True)}))
        archive = [{"Config": _blob(configuration), "RepoTags": [full], "Layers": [_blob_path(digest) for digest in digests]}]
        documents = {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json(_index(full, config.architecture, manifest)),
            "manifest.json": _json(archive),
            _blob(configuration): configuration,
            _blob(manifest): manifest,
        }
        whole = Path(folder, "image")
        with tarfile.open(whole, mode="w") as tar:
            for path, text in documents.items():
                tar.addfile(_entry(path, len(text)), io.BytesIO(text))
            for digest, file in zip(digests, files, strict=True):
                with file.open("rb") as content:
                    tar.addfile(_entry(_blob_path(digest), file.stat().st_size), content)
        whole.rename(out)
    return _digest(manifest)


def digest_of(image: Path) -> str:
    """Return the manifest's digest of an image that was written."""
    with tarfile.open(image) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        return str(json.load(index)["manifests"][0]["digest"])


def full_name(name: str) -> str:
    """Return the name as a container runtime completes it, such as docker.io/clew/operator:0.1.0; ``ValueError`` if it has no tag."""
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        raise ValueError(f"image {name!r} has no tag: write {name}:TAG")
    first, slash, _ = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _write_layer(out: Path, root: Path) -> str:
    """Write the content of `root` to the tar file `out`; return its digest."""
    with tarfile.open(out, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for path in _content(root):
            entry = tar.gettarinfo(path, path.relative_to(root).as_posix())
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o777 if entry.issym() else entry.mode & _KEPT_MODE
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    with out.open("rb") as written:
        return "sha256:" + hashlib.file_digest(written, "sha256").hexdigest()


def _content(root: Path) -> Iterator[Path]:
    """Files, folders and links below `root`, each folder before what is in it."""
    for path in sorted(root.rglob("*"), key=lambda path: os.fsencode(path.relative_to(root))):
        kind = path.lstat().st_mode
        if stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind):
            yield path


def _configuration(config: ImageConfig, layers: Sequence[str]) -> dict[str, Any]:
    said = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.command),
        "User": config.user,
        "Env": [f"{name}={value}" for name, value in sorted(config.environment.items())],
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
    }
    return {
        "architecture": config.architecture,
        "os": "linux",
        "config": {name: value for name, value in said.items() if value},
        "rootfs": {"type": "layers", "diff_ids": list(layers)},
    }


def _manifest(configuration: bytes, layers: Mapping[str, int]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _descriptor("config", configuration),
        "layers": [{"mediaType": f"{_OCI}.layer.v1.tar", "digest": digest, "size": size} for digest, size in layers.items()],
    }


def _index(name: str, architecture: str, manifest: bytes) -> dict[str, Any]:
    described = _descriptor("manifest", manifest) | {
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]},
    }
    return {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [described]}


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": f"{_OCI}.{kind}.v1+json", "digest": _digest(content), "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _blob(content: bytes) -> str:
    return _blob_path(_digest(content))


def _blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _entry(path: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.size = size
    return entry

"""Authorities of TLS, and what they sign, made by openssl for one test."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority(Pair):
    """One that signs others."""

    def signed(self, name: str, *extensions: str) -> Pair:
        """What belongs to whoever is called that, such as ``subjectAltName=IP:127.0.0.1`` for a server."""
        return _made(self.certificate.parent, name, "-CA", str(self.certificate), "-CAkey", str(self.key), *_added(extensions))


def authority(folder: Path, name: str) -> Authority:
    """A new authority; its files and those of what it signs lie in the folder."""
    pair = _made(folder, name)
    return Authority(pair.certificate, pair.key)


def _added(extensions: tuple[str, ...]) -> list[str]:
    return [part for extension in ("basicConstraints=critical,CA:FALSE", *extensions) for part in ("-addext", extension)]


def _made(folder: Path, name: str, *more: str) -> Pair:
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    files = ("-keyout", str(pair.key), "-out", str(pair.certificate))
    command = ("openssl", "req", "-x509", "-days", "2", *_EC_KEY, "-subj", f"/CN={name}", *files, *more)
    subprocess.run(command, check=True, capture_output=True)
    return pair

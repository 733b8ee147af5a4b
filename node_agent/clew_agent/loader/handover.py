"""The loader: starts the child, and keeps what it hands over."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clew_agent.loader.protocol import HandoverError, Reply, Request, receive_reply, send

_TIMEOUT = 600.0  # seconds; under emulation a load takes a minute


class LoadError(RuntimeError):
    """The programs could not be compiled, loaded or attached; the message holds what the compiler or the verifier said."""


@dataclass(slots=True)
class Programs:
    """What is in the kernel, held by descriptors: when they are closed, or this process ends, all of it goes."""

    maps: dict[str, int]
    programs: dict[str, int]
    links: dict[str, int]
    compile_seconds: float = 0.0
    attach_seconds: float = 0.0
    peak_kib: int = 0

    def detach(self) -> None:
        """Take the programs off; what they counted stays readable."""
        close_all(self.links.values())
        self.links.clear()

    def close(self) -> None:
        """Let go of everything. Sockets leave the sockhash with it."""
        for held in (self.links, self.programs, self.maps):
            close_all(held.values())
            held.clear()


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


def load(request: Request, shared: Mapping[str, int] | None = None) -> Programs:
    """Have a child compile, load and attach. ``shared`` has the maps that ``request.shared`` names. Raises :class:`LoadError`."""
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as words:
        child = subprocess.Popen(
            [sys.executable, "-m", "clew_agent.loader.child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=words,
        )
        theirs.close()
        ours.settimeout(_TIMEOUT)
        try:
            send(ours, request, [(shared or {})[name] for name in request.shared])
            reply, descriptors = receive_reply(ours)
        except (HandoverError, OSError) as error:
            child.kill()
            child.wait()
            words.seek(0)
            said = words.read().decode(errors="replace").strip()
            raise LoadError(f"the programs could not be loaded: {said or error}") from error
        child.wait()
    if reply.error:
        raise LoadError(f"the programs could not be loaded: {reply.error}")
    return _sort(reply, descriptors)


def _sort(reply: Reply, descriptors: list[int]) -> Programs:
    found = Programs({}, {}, {}, reply.compile_seconds, reply.attach_seconds, reply.peak_kib)
    for name, descriptor in zip(reply.names, descriptors, strict=True):
        kind, _, label = name.partition(":")
        if kind == "map":
            found.maps[label] = descriptor
        elif kind == "program":
            found.programs[label] = descriptor
        else:
            found.links[label] = descriptor
    return found

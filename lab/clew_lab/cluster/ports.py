"""Ports for one cluster, kept for as long as it lives.

They lie below the range from which the kernel takes ports for outgoing connections, and a lock that ends with its process keeps
them from other clusters: so a component that is restarted finds its port free again, and two clusters that start at once never
choose the same one.
"""

import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from clew_lab.nodes.places import MOST_NODES

__all__ = ["NoPorts", "Ports", "reserved"]

_FIRST, _SLOTS = 23000, 400


class NoPorts(RuntimeError):
    """Every slot of ports is in use."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports on 127.0.0.1 that a cluster listens on: one for each component and etcd's second one, then those of Flux, which
    serves what it fetched on `artifacts`, those of what traces arrive in, and one for each node that is a guest, by which the host
    reaches it."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int
    source_controller: int
    artifacts: int
    kustomize_controller: int
    jaeger_grpc: int
    jaeger_http: int
    jaeger_query: int
    collector_grpc: int
    collector_http: int
    nodes: tuple[int, ...]

    @classmethod
    def of(cls, ports: Sequence[int]) -> "Ports":
        """Return so many ports by their names."""
        names = [field.name for field in fields(cls) if field.name != "nodes"]
        one_each = dict(zip(names, ports, strict=False))
        return cls(**one_each, nodes=tuple(ports[len(names) :]))


@contextmanager
def reserved(locks: Path) -> Iterator[Ports]:
    """Yield ports that nobody else has; `locks` is the folder in which all clusters of this machine lock theirs."""
    locks.mkdir(parents=True, exist_ok=True)
    for slot in range(_SLOTS):
        fd = os.open(locks / f"ports-{slot}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ports = _ports_of(slot)
            if all(_is_free(port) for port in ports):
                yield Ports.of(ports)
                return
        except BlockingIOError:
            continue
        finally:
            os.close(fd)
    raise NoPorts(f"no free ports for a cluster between {_FIRST} and {_ports_of(_SLOTS)[0] - 1} on 127.0.0.1")


def _ports_of(slot: int) -> list[int]:
    count = len(fields(Ports)) - 1 + MOST_NODES
    return [_FIRST + slot * count + n for n in range(count)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

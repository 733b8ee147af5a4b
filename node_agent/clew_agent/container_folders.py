"""Whose a cgroup below a pod's is: asked when a record names one for the first time.

A container's processes may sit in cgroups of their own below the container's (CRI-O puts them there, and so does systemd in a container):
these are the container's, too. What is found once holds as long as the kernel gives no ID twice.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from clew_agent.cluster.cgroups import container_id

_LOW_HALF = 0xFFFFFFFF
_REMEMBERED = 16_384
_LOOKED_AT = 1024  # cgroups of one pod in one look: a container may make as many as it likes


class ContainerFolders:
    """A ``FindRun`` over the folders below the cgroup v2 mount."""

    def __init__(self, mount: Path = Path("/sys/fs/cgroup")) -> None:
        """Nothing is looked at yet."""
        self._mount = mount
        self._known: dict[tuple[str, int], str] = {}

    def find(self, pod: str, cgroup: int) -> str:
        """The ID of the container; empty where the cgroup has gone, or is no container's."""
        known = self._known.get((pod, cgroup))
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            # A miss is remembered as well: a cgroup that is not there now will not come back.
            self._known[pod, cgroup] = ""
            below = islice(_below(self._mount / pod.lstrip("/")), _LOOKED_AT)
            self._known.update(((pod, number), found) for number, found in below)
            known = self._known[pod, cgroup]
        return known


def _below(pod: Path) -> Iterator[tuple[int, str]]:
    """The cgroups below a pod's, level by level: the low half of each one's ID, and its container; those that go meanwhile are left out."""
    waiting: deque[tuple[Path | str, str]] = deque([(pod, "")])
    while waiting:
        folder, container = waiting.popleft()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and (own := container or container_id(entry.name)):
                    yield entry.inode() & _LOW_HALF, own
                    waiting.append((entry.path, own))

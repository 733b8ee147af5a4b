"""Pods from a file: what stands in standalone mode where the Kubernetes watch stands in a cluster.

The file is read again when it changes, so pods may come and go. A bad edit keeps the last good inventory and is told once.
``docs/spans.md`` describes the file.
"""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Mapping
from pathlib import Path

import yaml

from clew_agent.inventory.parse import PodsFile, PodsFileError, parse_pods
from clew_agent.model import Inventory

_LOG = logging.getLogger("clew.inventory")
_LARGEST = 16 * 1024 * 1024


class StaticInventory:
    """An ``InventorySource`` over a file, YAML or JSON. Raises ``PodsFileError`` when the file is bad at the start."""

    def __init__(self, path: Path, node: str = "") -> None:
        """``node`` is the node of pods that name none."""
        self._path = path
        self._node = node
        self._seen = fingerprint(path)
        self._known = read_pods(path, node)

    def current(self) -> Inventory:
        """The latest good inventory. Costs one ``stat`` while the file stays as it is; never raises."""
        self._refresh()
        return self._known.inventory

    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels of the namespaces that the file describes."""
        self._refresh()
        return self._known.namespaces

    def _refresh(self) -> None:
        seen = fingerprint(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._known = read_pods(self._path, self._node)
        except PodsFileError as error:
            _LOG.error("%s; the %d pods known before stay", error, len(self._known.inventory.pods))


def read_pods(path: Path, node: str = "") -> PodsFile:
    """Read and check a pods file. Raises ``PodsFileError``, which names the file and the field."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise PodsFileError(f"{path.name}: not a regular file of at most {_LARGEST} bytes")
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
    except OSError as error:
        raise PodsFileError(f"{path.name}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PodsFileError(f"{path.name}: cannot be read: {' '.join(str(error).split())}") from error
    try:
        return parse_pods(document, node)
    except PodsFileError as error:
        raise PodsFileError(f"{path.name}: {error}") from error


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases: a small file cannot grow into a huge one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def fingerprint(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

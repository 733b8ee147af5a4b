"""Live views: several watches, each in its thread, become one stream of what is seen of the cluster.

Changes that arrive together are taken together, so a rollout over thousands of nodes is drawn as often as it can be read, not as often
as a node answers. The threads are daemons: they wait for the API server, and end with the process.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clew_crds.node import NodeTracing

from clew_cli.errors import CommandError
from clew_cli.seen import Resource, Seen, SeenPolicy, read

if TYPE_CHECKING:
    from clew_cli.cluster import Changed, Cluster, Listed, Lost

    _Message = tuple[Resource, Listed | Changed | Lost] | CommandError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource to follow: all of its objects, or the one called ``name``."""

    resource: Resource
    name: str | None = None


def look(cluster: Cluster, wanted: tuple[Wanted, ...]) -> Seen:
    """What is there now. Raises ``NotThereError`` where an object that is wanted by name is not."""
    found = _Collected()
    for one in wanted:
        objects = cluster.list(one.resource) if one.name is None else (cluster.get(one.resource, one.name),)
        found.put(one.resource, objects)
    return found.seen()


def follow(cluster: Cluster, wanted: tuple[Wanted, ...]) -> Iterator[Seen | str]:
    """What is there, then again after every change; between them a sentence whenever the connection was lost."""
    from clew_cli.cluster import Listed, Lost

    messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
    for one in wanted:
        threading.Thread(target=_pass_on, args=(cluster, one, messages), daemon=True).start()
    found = _Collected()
    missing = {one.resource for one in wanted}
    for batch in _batches(messages):
        lost = ""
        for message in batch:
            if isinstance(message, CommandError):
                raise message
            resource, change = message
            if isinstance(change, Lost):
                lost = change.sentence
            elif isinstance(change, Listed):
                missing.discard(resource)
                found.put(resource, change.objects)
            else:
                found.change(resource, change.object, change.gone)
        if lost:
            yield lost
        if not missing:
            yield found.seen()


class _Collected:
    """The objects of the resources, kept by name as they change."""

    def __init__(self) -> None:
        self._policies: dict[str, SeenPolicy] = {}
        self._nodes: dict[str, NodeTracing] = {}

    def put(self, resource: Resource, objects: tuple[Mapping[str, Any], ...]) -> None:
        """These are all objects of the resource."""
        (self._policies if resource is Resource.POLICIES else self._nodes).clear()
        for one in objects:
            self.change(resource, one, gone=False)

    def change(self, resource: Resource, document: Mapping[str, Any], gone: bool) -> None:
        """One object was made, changed or deleted."""
        name = document["metadata"]["name"]
        if gone:
            (self._policies if resource is Resource.POLICIES else self._nodes).pop(name, None)
        elif resource is Resource.POLICIES:
            self._policies[name] = read(SeenPolicy, document)
        else:
            self._nodes[name] = read(NodeTracing, document)

    def seen(self) -> Seen:
        """A copy of what there is, by name."""
        return Seen(dict(sorted(self._policies.items())), dict(sorted(self._nodes.items())))


def _pass_on(cluster: Cluster, wanted: Wanted, messages: queue.SimpleQueue[_Message]) -> None:
    try:
        for change in cluster.follow(wanted.resource, wanted.name):
            messages.put((wanted.resource, change))
    except CommandError as error:
        messages.put(error)


def _batches(messages: queue.SimpleQueue[_Message]) -> Iterator[list[_Message]]:
    while True:
        batch = [messages.get()]
        while not messages.empty():
            batch.append(messages.get())
        yield batch

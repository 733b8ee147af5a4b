"""What the API server's audit log tells of a rollout: who wrote what, and how many nodes were changing at one time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_READS = ("get", "list", "watch")


@dataclass(frozen=True)
class Write:
    """A write that the API server carried out, so none for a dry run. ``manager`` is the field manager, where the request names one."""

    received: str
    verb: str
    resource: str
    name: str
    manager: str
    body: dict[str, Any]


def writes(log: Path, start: int = 0) -> list[Write]:
    """All that succeeded, in the order in which they arrived: an answer that a write depends on arrived before it.

    ``start``: how long the log was when what is asked for began.
    """
    return sorted(_read(log, start), key=lambda one: one.received)


def _read(log: Path, start: int) -> Iterator[Write]:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.readlines()
    for line in lines:
        if not line.endswith(b"\n"):
            return  # it is being written
        event = json.loads(line)
        if event["verb"] in _READS or event["stage"] != "ResponseComplete" or event["responseStatus"]["code"] >= 300:
            continue
        reference = event["objectRef"]
        resource = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
        asked = parse_qs(urlsplit(event["requestURI"]).query)
        if "dryRun" in asked:
            continue
        manager = asked.get("fieldManager", [""])[0]
        yield Write(
            event["requestReceivedTimestamp"], event["verb"], resource, reference.get("name", ""), manager, event.get("requestObject") or {}
        )


def per_object(found: list[Write], resource: str, manager: str) -> Counter[str]:
    """How often each object was written."""
    return Counter(one.name for one in found if one.resource == resource and one.manager == manager)


def most_changing(found: list[Write], policy: str) -> int:
    """The most nodes that were, at one time, told a revision of the policy and had not answered for it."""
    told: dict[str, str] = {}
    ever: set[tuple[str, str]] = set()
    changing: set[str] = set()
    most = 0
    for one in found:
        if one.resource == "nodetracings" and one.manager == "clew-operator":
            entries = {entry["name"]: entry["revision"] for entry in one.body["spec"]["policies"]}
            if entries.get(policy) != told.get(one.name):
                told[one.name] = entries.get(policy, "")
                ever.add((one.name, told[one.name]))
                changing.add(one.name)
                most = max(most, len(changing))
        elif one.resource == "nodetracings/status":
            report = next((report for report in one.body["status"]["policies"] if report["name"] == policy), None)
            revision = report["revision"] if report is not None else ""
            if report is not None and (one.name, revision) not in ever:
                # The API server ended, or its client did, before the log had that the node was told.
                told[one.name] = revision
                ever.add((one.name, revision))
                most = max(most, len(changing | {one.name}))
            if revision == (told.get(one.name) or "") and (report is None or report["state"] in ("Ready", "Unsupported")):
                changing.discard(one.name)
    return most


def twice(found: list[Write]) -> list[Write]:
    """Writes of the operator that say of an object what its last write said already."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    repeated = []
    for one in found:
        if one.manager == "clew-operator" and one.verb == "patch":
            if last.get((one.resource, one.name)) == one.body:
                repeated.append(one)
            last[one.resource, one.name] = one.body
    return repeated

"""What the API server's audit log tells of a rollout: who wrote what, and how many nodes were changing at one time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Write:
    """A write that the API server carried out, so none for a dry run. ``manager`` is the field manager, where the request names one."""

    received: str
    verb: str
    resource: str
    name: str
    manager: str
    body: dict[str, Any]


def writes(log: Path) -> list[Write]:
    """All that succeeded, in the order in which they arrived: an answer that a write depends on arrived before it."""
    return sorted(_read(log), key=lambda one: one.received)


def _read(log: Path) -> Iterator[Write]:
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["stage"] != "ResponseComplete" or event["responseStatus"]["code"] >= 300:
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
    changing: set[str] = set()
    most = 0
    for one in found:
        if one.resource == "nodetracings" and one.manager == "clew-operator":
            entries = {entry["name"]: entry["revision"] for entry in one.body["spec"]["policies"]}
            if entries.get(policy) != told.get(one.name):
                told[one.name] = entries.get(policy, "")
                changing.add(one.name)
                most = max(most, len(changing))
        elif one.resource == "nodetracings/status":
            reports = {report["name"]: report for report in one.body["status"]["policies"]}
            report = reports.get(policy)
            if report is None:
                if not told.get(one.name):
                    changing.discard(one.name)
            elif report["revision"] == told.get(one.name) and report["state"] in ("Ready", "Unsupported"):
                changing.discard(one.name)
    return most

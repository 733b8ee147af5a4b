"""Many requests at once through two services: every call below its own request, by the identity in the URL."""

import time
from collections import Counter

import pytest
from clew_lab.load import closed_loop, get

from tests.figures import Record
from tests.kernel.rig import PORT, Rig
from tests.kernel.spans import CLIENT, SERVER, Seen

pytestmark = pytest.mark.limit(900)

CONNECTIONS = 64
REQUESTS = 2_500
WHOLE = 0.99
SILENCE = 15.0


def judge(spans: list[Seen], owners: dict[str, str], identity: str) -> str:
    """`wrong` if a span's parent belongs to another request; `whole` if both services' three spans hang together; else `cut`."""
    if any(span.parent and owners.get(span.parent, identity) != identity for span in spans):
        return "wrong"
    by_parent = {span.parent: span for span in spans}
    first = by_parent.get("")
    second = by_parent.get(first.span) if first else None
    third = by_parent.get(second.span) if second else None
    if not (first and second and third) or len(spans) != 3:
        return "cut"
    whole = [span.kind for span in (first, second, third)] == [SERVER, CLIENT, SERVER] and first.pod == second.pod != third.pod
    return "whole" if whole and len({span.trace for span in spans}) == 1 else "wrong"


def test_parents_under_load(rig: Rig, record_property: Record) -> None:
    behind = rig.service("plain")
    front = rig.service("plain", upstream=behind)
    names = [f"load-{number}" for number in range(REQUESTS)]
    result = closed_loop(
        (str(front.address), PORT),
        lambda number: get("front", f"/call/{names[number]}", close=True),
        connections=CONNECTIONS,
        count=REQUESTS,
    )
    assert (result.requests, result.failed) == (REQUESTS, {})
    found = settled(rig, names)
    owners = {span.span: identity for identity, spans in found.items() for span in spans}
    verdicts = Counter(judge(found.get(name, []), owners, name) for name in names)
    share = verdicts["whole"] / REQUESTS
    record_property(
        "parents",
        f"{REQUESTS} requests over {CONNECTIONS} connections in {result.seconds:.0f} s: {share:.2%} of the traces are whole, "
        f"{verdicts['wrong']} have a wrong parent",
    )
    assert verdicts["wrong"] == 0
    assert share > WHOLE


def settled(rig: Rig, names: list[str]) -> dict[str, list[Seen]]:
    """The spans, when all are there, or when for a while there have been no more."""
    found = rig.spans.of(names)
    count, since = 0, time.monotonic()
    while sum(map(len, found.values())) < 3 * len(names) and time.monotonic() - since < SILENCE:
        time.sleep(0.5)
        found = rig.spans.of(names)
        if sum(map(len, found.values())) > count:
            count, since = sum(map(len, found.values())), time.monotonic()
    return found

"""Which request a call belongs to, in every way in which plain services serve: the right one, or none, and never a wrong one.

The truth is an identity in the path, which the service hands on with each call.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from clew_lab.load import closed_loop, get
from clew_lab.pods import LabPod

from tests.figures import Record
from tests.kernel.recorder import TRACEPARENT
from tests.kernel.rig import PORT, Rig
from tests.kernel.spans import CLIENT, SERVER, Seen

pytestmark = pytest.mark.limit(600)

RIGHT, ALONE, WRONG = "right", "alone", "wrong"
TOGETHER = 8
REQUESTS = 96
HELPERS = 50


@pytest.fixture
def slow_upstream(rig: Rig) -> Iterator[None]:
    """Answers of the upstream take a while, and never the same: requests overlap, and end in another order."""
    rig.upstream.delay = lambda identity: 0.02 * (hash(identity) % 5)
    yield
    rig.upstream.delay = lambda _: 0.0


def drive(rig: Rig, pod: LabPod, label: str, count: int, connections: int) -> list[str]:
    """Send requests, a connection each, so many at once; return their identities."""
    names = [f"{label}-{number}" for number in range(count)]
    result = closed_loop(
        (str(pod.address), PORT), lambda number: get("pod", f"/call/{names[number]}", close=True), connections=connections, count=count
    )
    assert (result.requests, result.failed) == (count, {})
    return names


def judge(rig: Rig, names: Sequence[str]) -> list[str]:
    """Of each request: is its call's parent itself, nobody, or another one? What went over the wire must say the same."""
    found = rig.spans.wait(names, 2)
    servers = {span.span: name for name in names for span in found[name] if span.kind == SERVER}
    return [verdict(name, found[name], servers, rig.upstream.wait(name)) for name in names]


def verdict(name: str, spans: Sequence[Seen], servers: dict[str, str], message: bytes) -> str:
    """One request's verdict."""
    server, client = sorted(spans, key=lambda span: span.kind)
    assert (server.kind, client.kind) == (SERVER, CLIENT), name
    sent = TRACEPARENT.search(message)
    assert sent
    assert (sent[1].decode(), sent[2].decode(), sent[3]) == (client.trace, client.span, b"01")
    if not client.parent:
        return ALONE if client.trace != server.trace else WRONG
    return RIGHT if (client.parent, client.trace) == (server.span, server.trace) and servers[client.parent] == name else WRONG


@pytest.mark.parametrize("mode", ["single", "fork", "thread"])
def test_one_after_the_other(rig: Rig, mode: str) -> None:
    assert judge(rig, drive(rig, rig.service("plain", mode), f"{mode}-1", 10, 1)) == [RIGHT] * 10


@pytest.mark.parametrize("mode", ["handoff", "helper"])
def test_helpers_are_trusted_once_one_has_ended(rig: Rig, mode: str) -> None:
    """The first call stands alone. When a helper's end is seen is the scheduler's business; from then on each call has its parent."""
    service = rig.service("plain", mode)
    verdicts: list[str] = []
    while RIGHT not in verdicts and len(verdicts) < HELPERS:
        verdicts += judge(rig, drive(rig, service, f"{mode}-{len(verdicts)}", 1, 1))
    assert verdicts == [*[ALONE] * (len(verdicts) - 1), RIGHT]
    assert len(verdicts) > 1
    assert judge(rig, drive(rig, service, f"{mode}-trusted", 10, 1)) == [RIGHT] * 10


@pytest.mark.usefixtures("slow_upstream")
@pytest.mark.parametrize("mode", ["fork", "thread"])
def test_many_at_once(rig: Rig, mode: str) -> None:
    assert judge(rig, drive(rig, rig.service("plain", mode), f"{mode}-n", REQUESTS, TOGETHER)) == [RIGHT] * REQUESTS


@pytest.mark.usefixtures("slow_upstream")
@pytest.mark.parametrize("mode", ["handoff", "helper"])
def test_many_helpers_at_once(rig: Rig, record_property: Record, mode: str) -> None:
    found = Counter(judge(rig, drive(rig, rig.service("plain", mode), f"{mode}-n", REQUESTS, TOGETHER)))
    record_property("parents", f"{mode}: {dict(found)}")
    assert found[WRONG] == 0
    assert found[ALONE] <= TOGETHER


@pytest.mark.usefixtures("slow_upstream")
@pytest.mark.parametrize("mode", ["pool", "lazypool", "borrow", "mixed", "asyncio"])
def test_never_a_wrong_parent(rig: Rig, mode: str) -> None:
    """Not even a right one: the first work of a pool's new thread may be that of any request."""
    assert judge(rig, drive(rig, rig.service("plain", mode), f"{mode}-n", REQUESTS, TOGETHER)) == [ALONE] * REQUESTS


@pytest.mark.parametrize("verb", ["later", "leave"])
def test_a_context_ends_with_its_request(rig: Rig, verb: str) -> None:
    """What a thread does after the answer, on its own account or as a helper that was left behind, belongs to no request."""
    name = f"ended-{verb}"
    rig.ask(rig.service("plain", "thread", options=["--read", "4096"]), f"/{verb}/{name}")
    rig.upstream.wait(name)
    found = rig.spans.wait([name], 2)[name]
    assert verdict(name, found, {}, rig.upstream.wait(name)) == ALONE

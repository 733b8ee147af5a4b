"""Which requests are traced, and what the flags say that are sent on."""

import math

import pytest
from clew_lab.load import closed_loop, get

from tests.figures import Record
from tests.kernel.rig import PORT, Rig
from tests.kernel.wire import GIVEN, Added, added, call_of, traceparent

pytestmark = pytest.mark.limit(600)

REQUESTS = 800
DEVIATIONS = 5


def drive(rig: Rig, namespace: str, count: int, flags: str = "") -> dict[str, Added]:
    """Send requests to a service of that namespace; return what it sent on, by identity."""
    names = [f"{namespace}-{flags or 'new'}-{number}" for number in range(count)]
    service = rig.service(namespace)

    def request(number: int) -> bytes:
        plain = get("pod", f"/call/{names[number]}")
        return plain[:-2] + f"traceparent: {traceparent(flags)}\r\n\r\n".encode() if flags else plain

    result = closed_loop((str(service.address), PORT), request, connections=4, count=count)
    assert (result.requests, result.failed) == (count, {})
    return {name: added(call_of(name), rig.upstream.wait(name)) for name in names}


def assert_spans(rig: Rig, sent: dict[str, Added]) -> None:
    """The requests that were sent on as sampled have spans, and no others."""
    sampled = [name for name, one in sent.items() if one.flags & 1]
    rig.spans.wait(sampled, 2)
    rig.ask(rig.service("plain"), f"/call/behind-{next(iter(sent))}")
    rig.spans.wait([f"behind-{next(iter(sent))}"], 2)
    assert rig.spans.of(sent).keys() == set(sampled)


def test_nothing_by_ratio_0(rig: Rig) -> None:
    sent = drive(rig, "unsampled", 50)
    assert {one.flags for one in sent.values()} == {0}
    assert len({one.trace for one in sent.values()}) == 50
    assert_spans(rig, sent)


def test_a_quarter_by_ratio(rig: Rig, record_property: Record) -> None:
    sent = drive(rig, "ratio", REQUESTS)
    sampled = sum(one.flags for one in sent.values())
    record_property("sampled", f"{sampled} of {REQUESTS}")
    assert abs(sampled - REQUESTS / 4) < DEVIATIONS * math.sqrt(REQUESTS * 0.25 * 0.75)
    assert_spans(rig, sent)


@pytest.mark.parametrize("namespace", ["unsampled", "ratio"])
@pytest.mark.parametrize(("given", "passed_on"), [("00", 0), ("01", 1), ("03", 3)])
def test_the_parent_decides(rig: Rig, namespace: str, given: str, passed_on: int) -> None:
    sent = drive(rig, namespace, 20, given)
    assert {(one.trace, one.flags) for one in sent.values()} == {(GIVEN, passed_on)}
    assert_spans(rig, sent)


def test_the_parent_is_not_asked(rig: Rig) -> None:
    sent = drive(rig, "ignoreparent", 20, "01")
    assert {(one.trace, one.flags) for one in sent.values()} == {(GIVEN, 0)}
    assert_spans(rig, sent)


def test_so_many_per_second(rig: Rig) -> None:
    rig.service("limited")
    before = rig.counters()
    service = rig.service("limited")
    names = [f"limited-{number}" for number in range(300)]
    result = closed_loop((str(service.address), PORT), lambda number: get("pod", f"/call/{names[number]}"), connections=4, count=300)
    sent = {name: added(call_of(name), rig.upstream.wait(name)) for name in names}
    sampled = sum(one.flags for one in sent.values())
    assert 5 <= sampled <= 5 * (result.seconds + 2)
    rig.await_counters(before, lambda counted: counted.get("kernel_rate_limited") == 300 - sampled)
    assert_spans(rig, sent)

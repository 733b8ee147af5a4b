"""Trace fields on the wire of a real kernel: what arrives at a traced service, and what it sends on."""

from collections.abc import Mapping

import pytest

from tests.kernel.recorder import ANSWER
from tests.kernel.rig import PORT, Rig
from tests.kernel.spans import CLIENT, SERVER
from tests.kernel.wire import GIVEN, GIVEN_PARENT, Added, added, call_of, order, traceparent
from tests.truth.http1_twin import HEAD_MAX, Head, HeadFlag, Result, parse_head
from tests.truth.http1_vectors import REQUEST_LINE, head_cases

pytestmark = pytest.mark.limit(600)

# What a plain server reads without another thought: bodies, upgrades and bare line feeds have tests of their own.
UNFIT = HeadFlag.BARE_LF | HeadFlag.CHUNKED | HeadFlag.HAS_LENGTH | HeadFlag.BAD_LENGTH | HeadFlag.BAD_ENCODING | HeadFlag.UPGRADE
FIELD = f"traceparent: {traceparent()}\r\n".encode()


def vectors() -> dict[str, bytes]:
    """The vectors that are requests a server answers, with an identity in their path."""
    found = {}
    for case in head_cases():
        head = case.expect
        whole = head.result is Result.COMPLETE and head.end == len(case.data) and not head.flags & UNFIT
        if not case.response and whole and case.data.startswith(REQUEST_LINE) and len(case.data) < HEAD_MAX - 100:
            found[case.name] = b"GET /call/" + case.name.encode() + b" HTTP/1.1\r\n" + case.data[len(REQUEST_LINE) :]
    return found


VECTORS = vectors()


@pytest.fixture(scope="module")
def passed_on(rig: Rig) -> Mapping[str, Added]:
    """What the service sent on for each vector."""
    service = rig.service("plain")
    for data in VECTORS.values():
        rig.exchange((str(service.address), PORT), [data])
    return {name: added(call_of(name), rig.upstream.wait(name)) for name in VECTORS}


def reading(name: str) -> Head:
    """How the twin reads a vector."""
    return parse_head(VECTORS[name], response=False)


@pytest.mark.parametrize("name", VECTORS)
def test_vector(passed_on: Mapping[str, Added], name: str) -> None:
    sent, given = passed_on[name], reading(name)
    if given.traceparent is None:
        assert sent.new
        assert (sent.flags, sent.tracestate) == (1, None)
    else:
        assert sent.trace == given.traceparent.trace_id.hex()
        assert sent.parent != given.traceparent.parent_id.hex()
        assert sent.flags == given.traceparent.flags
        assert sent.tracestate == (given.tracestate or None)


def test_spans_of_all_vectors(rig: Rig, passed_on: Mapping[str, Added]) -> None:
    sampled = [name for name, sent in passed_on.items() if sent.flags & 1]
    assert 40 < len(sampled) < len(VECTORS)
    for name, spans in rig.spans.wait(sampled, 2).items():
        server, client = spans
        given = reading(name).traceparent
        assert (server.kind, client.kind) == (SERVER, CLIENT)
        assert server.parent == (given.parent_id.hex() if given else "")
        assert client.parent == server.span
        assert (server.trace, client.trace) == (passed_on[name].trace,) * 2
        assert client.span == passed_on[name].parent
        assert server.start <= client.start <= client.end <= server.end


def test_requests_that_are_not_sampled_have_no_spans(rig: Rig, passed_on: Mapping[str, Added]) -> None:
    silent = [name for name, sent in passed_on.items() if not sent.flags & 1]
    assert silent
    rig.ask(rig.service("plain"), "/call/behind-the-silent")
    rig.spans.wait(["behind-the-silent"], 2)
    assert rig.spans.of(silent) == {}


def test_field_in_two_segments(rig: Rig) -> None:
    service = rig.service("plain")
    for cut in range(len(FIELD) + 1):
        head = b"GET /call/cut-%d HTTP/1.1\r\nHost: a\r\n" % cut
        rig.exchange((str(service.address), PORT), [head + FIELD[:cut], FIELD[cut:] + b"\r\n"])
        sent = added(call_of(f"cut-{cut}"), rig.upstream.wait(f"cut-{cut}"))
        assert (sent.trace, sent.flags) == (GIVEN, 1)


@pytest.mark.parametrize("size", [1, 7])
def test_read_in_small_pieces(rig: Rig, size: int) -> None:
    service = rig.service("plain", options=["--read", str(size)])
    rig.ask(service, f"/call/pieces-{size}", [f"traceparent: {traceparent()}", "tracestate: a=1", "TRACESTATE: b=2"])
    sent = added(call_of(f"pieces-{size}"), rig.upstream.wait(f"pieces-{size}"))
    assert (sent.trace, sent.flags, sent.tracestate) == (GIVEN, 1, b"a=1,b=2")
    server, client = rig.spans.wait([f"pieces-{size}"], 2)[f"pieces-{size}"]
    assert (server.parent, client.parent) == (GIVEN_PARENT, server.span)


@pytest.mark.parametrize("before", [900, 1000, 1023, 1024, 4000, 8000])
def test_far_into_the_head(rig: Rig, before: int) -> None:
    cookie = "Cookie: " + "c" * (before - 60)
    rig.ask(rig.service("plain"), f"/call/far-{before}", [cookie, f"traceparent: {traceparent()}"])
    assert added(call_of(f"far-{before}"), rig.upstream.wait(f"far-{before}")).trace == GIVEN


def test_head_that_is_too_long(rig: Rig) -> None:
    before = rig.counters()
    rig.ask(rig.service("plain"), "/call/long", [f"traceparent: {traceparent()}", "Cookie: " + "c" * HEAD_MAX])
    assert added(call_of("long"), rig.upstream.wait("long")).new
    rig.await_counters(before, lambda counted: counted.get("kernel_head_too_long") == 1 and counted.get("kernel_injected") == 1)


def test_long_head_is_sent_as_it_is(rig: Rig) -> None:
    before = rig.counters()
    head = b"GET /up/long-out HTTP/1.1\r\nCookie: " + b"c" * HEAD_MAX + b"\r\n\r\n"
    rig.ask(rig.service("plain"), "/raw/send-long", body=order(rig.upstream.address, head))
    assert rig.upstream.wait("long-out") == head
    rig.await_counters(before, lambda counted: counted.get("kernel_head_too_long") == 1)


def test_head_in_two_sends(rig: Rig) -> None:
    service = rig.service("plain")
    for cut in range(1, len(call_of("out-00"))):
        whole = call_of(f"out-{cut:02}")
        rig.ask(service, f"/raw/in-{cut:02}", [f"traceparent: {traceparent()}"], order(rig.upstream.address, whole[:cut], whole[cut:]))
        sent = added(whole, rig.upstream.wait(f"out-{cut:02}"))
        assert (sent.trace, sent.flags) == (GIVEN, 1)


def test_one_send_stays_one_segment(rig: Rig) -> None:
    body = bytes(range(250)) * 4
    for number, whole in enumerate([call_of("one-0"), b"POST /up/one-1 HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + body]):
        rig.ask(rig.service("plain"), f"/raw/as-{number}", body=order(rig.upstream.address, whole))
        assert added(whole, rig.upstream.wait(f"one-{number}")).new
        assert rig.upstream.segments[f"one-{number}"] == 1


@pytest.mark.parametrize("how", ["send", "more", "writev", "sendfile"])
def test_ways_to_send(rig: Rig, how: str) -> None:
    head = b"POST /up/way-" + how.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n"
    whole = head + bytes(range(250)) * 12
    pieces = [whole[:20], whole[20:70], whole[70:400], whole[400:]]
    told = order(rig.upstream.address, *pieces, how=how)
    answered = rig.ask(rig.service("plain"), f"/raw/by-{how}", [f"traceparent: {traceparent('00')}"], told)
    assert answered == ANSWER
    sent = added(whole, rig.upstream.wait(f"way-{how}"))
    assert (sent.trace, sent.flags) == (GIVEN, 0)


@pytest.mark.parametrize(("name", "start"), [("plain", "traceparent: "), ("upper", "TRACEPARENT:"), ("tab", "Traceparent:\t")])
def test_own_field_is_adopted(rig: Rig, name: str, start: str) -> None:
    field = f"{start}{traceparent()}\r\n".encode()
    before = rig.counters()
    whole = call_of(f"own-{name}", field)
    rig.ask(rig.service("plain"), f"/raw/adopting-{name}", body=order(rig.upstream.address, whole))
    assert rig.upstream.wait(f"own-{name}") == whole
    rig.await_counters(before, lambda counted: counted.get("kernel_adopted") == 1 and "kernel_injected" not in counted)
    (client,) = rig.spans.wait([f"own-{name}"], 1)[f"own-{name}"]
    assert (client.trace, client.parent, client.attributes["clew.context.adopted"]) == (GIVEN, GIVEN_PARENT, True)


@pytest.mark.parametrize("name", ["traceparent", "TRACEPARENT", "TraceParent"])
def test_forwarded_field_is_adopted(rig: Rig, name: str) -> None:
    identity = f"forwarded-{name}"
    field = f"{name}: {traceparent()}"
    rig.ask(rig.service("plain"), f"/forward/{identity}", [field, "Tracestate: x=y"])
    assert rig.upstream.wait(identity) == call_of(identity, f"{field}\r\nTracestate: x=y\r\n".encode())
    server, client = rig.spans.wait([identity], 2)[identity]
    assert (server.parent, client.parent, client.trace) == (GIVEN_PARENT, server.span, GIVEN)


def test_own_bad_field_is_not_doubled(rig: Rig) -> None:
    whole = call_of("own-bad", b"traceparent: not-one\r\n")
    rig.ask(rig.service("plain"), "/raw/sends-bad", body=order(rig.upstream.address, whole))
    assert rig.upstream.wait("own-bad") == whole


def test_bare_line_feeds_are_left_alone(rig: Rig) -> None:
    before = rig.counters()
    whole = b"GET /up/bare HTTP/1.1\nHost: a\n\n"
    rig.ask(rig.service("plain"), "/raw/sends-bare", body=order(rig.upstream.address, whole))
    assert rig.upstream.wait("bare") == whole
    rig.await_counters(before, lambda counted: counted.get("kernel_not_injected_form") == 1)


def test_policy_without_injection(rig: Rig) -> None:
    before = rig.counters()
    rig.ask(rig.service("noinject"), "/call/noinject")
    assert rig.upstream.wait("noinject") == call_of("noinject")
    rig.await_counters(before, lambda counted: counted.get("kernel_not_injected_policy") == 1)
    server, client = rig.spans.wait(["noinject"], 2)["noinject"]
    assert client.parent == server.span


def test_policy_without_extraction(rig: Rig) -> None:
    rig.ask(rig.service("noextract"), "/call/noextract", [f"traceparent: {traceparent()}", "tracestate: a=b"])
    sent = added(call_of("noextract"), rig.upstream.wait("noextract"))
    assert (sent.new, sent.tracestate) == (True, None)


def test_random_identifiers_and_http_names(rig: Rig) -> None:
    rig.ask(rig.service("http"), "/call/http")
    sent = added(call_of("http"), rig.upstream.wait("http"))
    assert sent.flags == 3
    server, client = rig.spans.wait(["http"], 2)["http"]
    assert (server.name, client.name, server.flags, client.flags) == ("GET", "GET", 3, 3)
    assert server.trace == sent.trace

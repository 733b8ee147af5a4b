"""Kernel functions inside requests: which calls become spans, where they hang, and what they say.

A pod of "functions" has the functions of the policy of that name. tcp_sendmsg goes by kprobe and kretprobe, since the request path
has a program of its own there; all others go by fentry and fexit. Its call is the last of every request: it sends the answer.
"""

import errno

import pytest
from clew_lab.load import closed_loop, get

from tests.kernel.recorder import ANSWER
from tests.kernel.rig import PORT, Rig, bpftool
from tests.kernel.spans import CLIENT, INTERNAL, SERVER, Seen
from tests.kernel.wire import traceparent

pytestmark = pytest.mark.limit(600)

AT_FDCWD = -100
HRTIMER_MODE_REL = 1
CLOCK_REALTIME = 0
SECOND = 1_000_000_000
KERNEL = range(0xFF00_0000_0000_0000, 2**64 - 4095)  # addresses of the kernel's own (five levels of pages) that are no errors (IS_ERR)
TEXT = 127  # bytes of a string that are recorded
READ = 65536  # bytes that the relay reads at once
REQUESTS = 200
TOGETHER = 8
HELPED = 50

OPEN, INNER, SEND, RECEIVE, SLEEP, RENAME = (
    "do_sys_openat2",
    "do_filp_open",
    "tcp_sendmsg",
    "tcp_recvmsg",
    "hrtimer_nanosleep",
    "__set_task_comm",
)
WHO = ("process.pid", "thread.id")


def request(rig: Rig, namespace: str, target: str, *fields: str, mode: str = "thread", spans: int = 1) -> list[Seen]:
    """Send a request to a service of that namespace; return its spans, by their start."""
    rig.ask(rig.service(namespace, mode), target, fields)
    identity = target.rpartition("/")[2]
    return rig.spans.wait([identity], spans)[identity]


def calls(rig: Rig, outer: Seen, *names: str, prefix: str = "") -> list[Seen]:
    """The calls right inside a request or a call: these and no others, of functions with that prefix, one after the other."""
    inside = sorted(rig.spans.below(outer.span, len(names)), key=lambda span: span.start)
    found = [span for span in inside if span.kind == INTERNAL and span.name.startswith(prefix)]
    assert [span.name for span in found] == list(names)
    edges = [outer.start, *(edge for span in found for edge in (span.start, span.end)), outer.end]
    assert edges == sorted(edges)
    for span in found:
        assert (span.trace, span.flags, span.resource) == (outer.trace, 1, outer.resource)
        assert [span.attributes[name] for name in WHO] == [outer.attributes[name] for name in WHO]
    return found


def said(call: Seen) -> dict[str, object]:
    """What a call's span says, besides who made the call."""
    return {name.removeprefix("clew.function."): value for name, value in call.attributes.items() if name not in WHO}


def address(value: object) -> int:
    """An address as spans write it."""
    assert isinstance(value, str)
    assert value.startswith("0x")
    return int(value, 16)


def test_ways_of_hooking(rig: Rig) -> None:
    """fentry and fexit are no perf events: what is recorded, and not listed here, goes by them."""
    events = [event for event in bpftool("perf", "show") if event["pid"] == rig.agent.pid]
    probes = {(event["fd_type"], event["func"]) for event in events if "func" in event}
    assert probes == {("kprobe", SEND), ("kretprobe", SEND)}


def test_calls_one_after_the_other(rig: Rig) -> None:
    (server,) = request(rig, "functions", "/open/3/opened")
    *opened, sent = calls(rig, server, OPEN, OPEN, OPEN, SEND)
    for call in opened:
        fd = call.attributes["clew.function.return"]
        assert fd in range(3, 1024)
        assert said(call) == {"argument.dfd": AT_FDCWD, "argument.filename": "/etc/hostname", "return": fd}
    assert said(sent) == {"argument.size": len(ANSWER), "return": len(ANSWER)}


def test_calls_inside_calls(rig: Rig) -> None:
    (server,) = request(rig, "functions", "/open/3/nested")
    *opened, sent = calls(rig, server, OPEN, OPEN, OPEN, SEND)
    for call in opened:
        (inner,) = calls(rig, call, INNER)
        file = inner.attributes["clew.function.return"]
        assert said(inner) == {"argument.dfd": AT_FDCWD, "return": file}
        assert address(file) in KERNEL
        assert calls(rig, inner) == []
    assert calls(rig, sent) == []


@pytest.mark.parametrize("beyond", [0, 1])
def test_call_that_fails(rig: Rig, beyond: int) -> None:
    """The file's name is as long as can be recorded, or one longer."""
    identity = "m" * (TEXT - len("/nowhere/") + beyond)
    (server,) = request(rig, "functions", f"/missing/{identity}")
    opened, _ = calls(rig, server, OPEN, SEND)
    (inner,) = calls(rig, opened, INNER)
    name = f"/nowhere/{identity}"[:TEXT]
    assert said(opened) == {"argument.dfd": AT_FDCWD, "argument.filename": name, "return": -errno.ENOENT}
    assert said(inner) == {"argument.dfd": AT_FDCWD, "return": hex(2**64 - errno.ENOENT)}


def test_text_of_the_kernel_and_boolean(rig: Rig) -> None:
    """The function returns nothing, so nothing is said of that, though the policy asks for it."""
    (server,) = request(rig, "functions", "/rename/renamed")
    renamed, _ = calls(rig, server, RENAME, SEND)
    assert said(renamed) == {"argument.buf": "renamed", "argument.exec": False}


def test_calls_while_a_request_is_sent(rig: Rig) -> None:
    """They belong to the request that is served, as all that its thread does; a client span has no calls."""
    server, client = request(rig, "functions", "/call/asking", spans=2)
    assert (server.kind, client.kind, client.parent) == (SERVER, CLIENT, server.span)
    # Not told here: files that Python opens when it asks for the first time.
    received, _ = calls(rig, server, RECEIVE, SEND, prefix="tcp_")
    assert said(received) == {"argument.len": READ, "return": len(ANSWER)}
    assert client.start <= received.start <= received.end <= client.end
    assert rig.spans.below(client.span, 0) == []


def test_many_requests_at_once(rig: Rig) -> None:
    """Each call hangs below its own request, by the file's name; threads serve one request after another."""
    service, before = rig.service("functions"), rig.counters()
    names = [f"many-{number}" for number in range(REQUESTS)]
    result = closed_loop(
        (str(service.address), PORT), lambda number: get("pod", f"/missing/{names[number]}"), connections=TOGETHER, count=REQUESTS
    )
    assert (result.requests, result.failed) == (REQUESTS, {})
    for name, (server,) in rig.spans.wait(names, 1).items():
        opened, _ = calls(rig, server, OPEN, SEND)
        assert opened.attributes["clew.function.argument.filename"] == f"/nowhere/{name}"
        calls(rig, opened, INNER)
    counted = rig.await_counters(before, lambda counted: counted.get("kernel_server_requests") == REQUESTS)
    assert "kernel_function_unwound" not in counted


def test_helper_threads(rig: Rig) -> None:
    """What a helper calls belongs to the request when what it sends does: not before helpers have earned trust (test_units.py)."""
    received: list[Seen] = []
    number = 0
    while not received and number < HELPED:
        number += 1
        server, client = request(rig, "functions", f"/call/helped-{number}", mode="helper", spans=2)
        received = [span for span in rig.spans.below(server.span, 0) if span.name == RECEIVE]
        assert len(received) == (client.parent == server.span)
    (last,) = received
    assert [last.attributes[name] for name in WHO] == [client.attributes[name] for name in WHO]
    assert last.attributes["thread.id"] != server.attributes["thread.id"]


def test_helper_processes(rig: Rig) -> None:
    """What a program calls that a request has run belongs to the request, once such a process was seen to end with its request."""
    for identity in ("run-before", "run-known"):
        (server,) = request(rig, "functions", f"/run/{identity}")
        calls_of_child = [
            span for span in rig.spans.below(server.span, 1) if span.attributes["process.pid"] != server.attributes["process.pid"]
        ]
        opened = [span.attributes.get("clew.function.argument.filename") for span in calls_of_child]
        assert opened.count(f"/nowhere/{identity}") == (identity == "run-known")


def test_request_that_is_not_sampled(rig: Rig) -> None:
    rig.ask(rig.service("functions"), "/missing/unsampled", [f"traceparent: {traceparent('00')}"])
    (server,) = request(rig, "functions", "/missing/sampled", f"traceparent: {traceparent('01')}")
    calls(rig, server, OPEN, SEND)
    names = [span.attributes.get("clew.function.argument.filename") for span in rig.spans.all]
    assert (names.count("/nowhere/unsampled"), names.count("/nowhere/sampled")) == (0, 1)


def test_outside_of_requests(rig: Rig) -> None:
    """A process opens many files when it starts, and this one calls another after its answer: not the request's business."""
    service = rig.service("functions", options=["--read", "4096"])
    rig.ask(service, "/later/afterwards")
    server, client = rig.spans.wait(["afterwards"], 2)["afterwards"]
    assert (server.kind, client.kind, client.parent) == (SERVER, CLIENT, "")
    calls(rig, server, SEND)
    rig.ask(service, "/missing/behind-afterwards")
    (behind,) = rig.spans.wait(["behind-afterwards"], 1)["behind-afterwards"]
    calls(rig, behind, OPEN, SEND)
    ours = [span.name for span in rig.spans.all if span.pod == service.name and span.kind == INTERNAL]
    assert sorted(ours) == sorted([SEND, OPEN, INNER, SEND])


@pytest.mark.parametrize(
    ("namespace", "recorded", "asked"),
    [
        ("traced", [OPEN], {"argument.filename": "/nowhere/from-traced", "return": -errno.ENOENT}),
        ("functions", [OPEN, SEND], {"argument.dfd": AT_FDCWD, "argument.filename": "/nowhere/from-functions", "return": -errno.ENOENT}),
        ("few", [OPEN, SEND], {"argument.path": "/nowhere/from-few"}),
    ],
)
def test_policies_that_ask_differently(rig: Rig, namespace: str, recorded: list[str], asked: dict[str, object]) -> None:
    """Of two policies for one pod ("few"), the first says how a function is recorded that both ask for."""
    (server,) = request(rig, namespace, f"/missing/from-{namespace}")
    assert said(calls(rig, server, *recorded)[0]) == asked


def test_spans_per_request(rig: Rig) -> None:
    """Four of "few": two calls, which are far below the minimumDuration and kept for what is inside them, and what is inside them.

    What is left out: two functions for each of the other three files, and the answer.
    """
    service, before = rig.service("few"), rig.counters()
    rig.ask(service, "/open/5/limited")
    (server,) = rig.spans.wait(["limited"], 1)["limited"]
    for call in calls(rig, server, OPEN, OPEN):
        assert said(call) == {"argument.path": "/etc/hostname"}
        calls(rig, call, INNER)
    counted = rig.await_counters(before, lambda counted: counted.get("kernel_server_requests") == 1)
    assert counted["kernel_function_limit"] == 3 * 2 + 1


def test_minimum_duration(rig: Rig) -> None:
    """Short calls are left out, and take nothing of the four spans that a request of "few" may have."""
    service, before = rig.service("few"), rig.counters()
    rig.ask(service, "/sleep/1000,1000,1000,1000,1000,1000000/slept")
    (server,) = rig.spans.wait(["slept"], 1)["slept"]
    slept, _ = calls(rig, server, SLEEP, SEND)
    assert said(slept) == {"argument.rqtp": SECOND, "argument.mode": HRTIMER_MODE_REL, "argument.clockid": CLOCK_REALTIME, "return": 0}
    assert slept.end - slept.start >= SECOND
    counted = rig.await_counters(before, lambda counted: counted.get("kernel_server_requests") == 1)
    assert "kernel_function_limit" not in counted

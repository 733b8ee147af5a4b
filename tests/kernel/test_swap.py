"""Policies that change while the agent runs: requests that are under way keep their trace, and calls that are open their span.

The policy "swapped" is edited. Other policies' functions are hooked all the while, and are not to be touched.
"""

import threading
from collections.abc import Iterator

import pytest

from tests.kernel.recorder import ANSWER, TRACEPARENT
from tests.kernel.rig import Rig, bpftool, read_answer
from tests.kernel.spans import CLIENT, INTERNAL, SERVER, Seen
from tests.kernel.until import until

pytestmark = pytest.mark.limit(900)

# wait_woken is where a thread sleeps that waits for an answer. It goes by fentry, tcp_bpf_recvmsg by kprobe, since the request path
# has a trampoline there. tcp_sendmsg is recorded in the same way as the policy "functions" asks for, so its hook is there already.
WAIT = {"function": "wait_woken", "arguments": [{"name": "mode"}], "returns": True}
RECEIVE = {"function": "tcp_bpf_recvmsg", "arguments": [{"name": "len"}], "returns": True}
SEND = {"function": "tcp_sendmsg", "arguments": [{"name": "size"}], "returns": True}
OPEN = {"function": "vfs_open", "returns": True}


@pytest.fixture
def swapped(rig: Rig) -> Iterator[Rig]:
    """The rig; when the test is over the policy is as it was, and so are the programs."""
    before = programs()
    yield rig
    rig.upstream.delay = lambda _: 0.0
    rig.edit("swapped", {})
    until(programs, lambda now: now == before, lambda: f"programs have come and stayed: {programs() ^ before}")


def programs() -> set[int]:
    return {int(program["id"]) for program in bpftool("prog", "show")}


def below(rig: Rig, outer: Seen, *names: str) -> list[Seen]:
    """The calls of these functions right inside a request or a call, one of each."""
    found = {span.name: span for span in rig.spans.below(outer.span, len(names)) if span.kind == INTERNAL}
    assert found.keys() >= set(names), [span.name for span in rig.spans.below(outer.span, 0)]
    return [found[name] for name in names]


def test_a_request_under_way_keeps_its_trace(swapped: Rig) -> None:
    rig, asked, answered = swapped, threading.Event(), threading.Event()
    rig.edit("swapped", {"kernelFunctions": [WAIT, RECEIVE]})
    service, before, there = rig.service("swapped"), rig.counters(), programs()
    rig.upstream.delay = lambda identity: float(identity == "swap-held" and not asked.wait(600))

    def ask() -> None:
        rig.ask(service, "/call/swap-held")
        answered.set()

    threading.Thread(target=ask, daemon=True).start()
    rig.upstream.wait("swap-held")
    rig.edit("swapped", {"kernelFunctions": [OPEN, SEND]})

    # What begins now is recorded by the new list, while the other request is still open.
    rig.ask(service, "/open/1/swap-fresh")
    (fresh,) = rig.spans.wait(["swap-fresh"], 1)["swap-fresh"]
    assert [span.name for span in sorted(rig.spans.below(fresh.span, 2), key=lambda span: span.start)] == ["vfs_open", "tcp_sendmsg"]
    assert not answered.is_set()

    asked.set()
    assert answered.wait(60)
    server, client = rig.spans.wait(["swap-held"], 2)["swap-held"]
    assert (server.kind, client.kind, client.trace, client.parent) == (SERVER, CLIENT, server.trace, server.span)
    found = TRACEPARENT.search(rig.upstream.messages["swap-held"])
    assert found is not None
    assert (found[1].decode(), found[2].decode()) == (client.trace, client.span)

    # Calls that were open at the change are ended by the programs that saw them begin; the answer is sent under the new list.
    received, sent = below(rig, server, "tcp_bpf_recvmsg", "tcp_sendmsg")
    (waited,) = below(rig, received, "wait_woken")
    assert waited.start < fresh.start < waited.end <= received.end <= sent.start
    assert received.attributes["clew.function.return"] == len(ANSWER)
    assert sent.attributes["clew.function.argument.size"] == len(ANSWER)
    assert all(span.trace == server.trace for span in (received, waited, sent))

    # Those of wait_woken and tcp_bpf_recvmsg go, two each, and those of vfs_open have come; all others are the same as before.
    until(lambda: len(there - programs()), lambda gone: gone == 4, lambda: f"{len(there - programs())} programs have gone")
    assert len(programs() - there) == 2
    counted = rig.counters()
    assert counted["function_calls_cut"] == before["function_calls_cut"]
    assert counted["spans_of_unknown_functions"] == before["spans_of_unknown_functions"]


def test_settings_reach_open_connections(swapped: Rig) -> None:
    """Sampling is a setting: no program changes. A pod that no policy selects any more is left alone, its open connections, too."""
    rig = swapped
    service, there = rig.service("swapped"), programs()
    with rig.connect(service) as connection:

        def ask(identity: str) -> bytes:
            connection.sendall(f"GET /call/{identity} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())
            read_answer(connection)
            return rig.upstream.wait(identity)

        found = TRACEPARENT.search(ask("swap-sampled"))
        assert found is not None
        assert found[3] == b"01"
        rig.edit("swapped", {"sampling": {"ratio": "0"}})
        found = TRACEPARENT.search(ask("swap-unsampled"))
        assert found is not None
        assert found[3] == b"00"
        rig.edit("swapped", {"namespaces": ["elsewhere"]})
        assert TRACEPARENT.search(ask("swap-left")) is None
        rig.edit("swapped", {})
        found = TRACEPARENT.search(ask("swap-again"))
        assert found is not None
        assert found[3] == b"01"
    assert programs() == there
    spans = rig.spans.wait(["swap-sampled", "swap-again"], 2)
    assert [span.kind for span in spans["swap-again"]] == [SERVER, CLIENT]
    assert rig.spans.of(["swap-unsampled", "swap-left"]) == {}


def test_a_list_that_cannot_be_taken_leaves_the_old_one(swapped: Rig) -> None:
    """A misspelt function is a problem of its own; a bad file keeps what was in force."""
    rig = swapped
    service = rig.service("swapped")
    rig.edit("swapped", {"kernelFunctions": [SEND, {"function": "tcp_sendmesg"}]})
    rig.await_said("this kernel has no function tcp_sendmesg; did you mean tcp_sendmsg")
    (rig.folder / "swapped.yaml").write_text("no: policy\n")
    rig.await_said("policies known before stay")
    rig.ask(service, "/anything/swap-kept")
    (server,) = rig.spans.wait(["swap-kept"], 1)["swap-kept"]
    assert [span.name for span in rig.spans.below(server.span, 1)] == ["tcp_sendmsg"]

"""What a service receives is what was sent, plus the fields, to the byte."""

import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from clew_lab.pods import LabPod

from tests.figures import Record
from tests.kernel.recorder import ANSWER, CONTINUE
from tests.kernel.rig import PORT, SERVICES, Rig
from tests.kernel.spans import CLIENT, SERVER
from tests.kernel.wire import added, call_of, order, traceparent

pytestmark = pytest.mark.limit(600)

REQUESTS = 10_000
REQUESTS_BESIDE = 500
REQUESTS_IN_PART = 1000
PEER = SERVICES / "peer.py"
ANSWER_BODY = ANSWER.partition(b"\r\n\r\n")[2]


def converse(rig: Rig, record: Record, pods: tuple[LabPod, LabPod], requests: int, *options: str) -> tuple[Counter[str], dict[str, int]]:
    """Have random conversations between two pods; return what they counted (``again``: EAGAIN), and what the agent counted meanwhile."""
    client, server = pods
    seed = random.randrange(1 << 32)
    begun = time.monotonic()
    before = rig.counters()
    common = [str(seed), str(requests), str(PORT)]
    addresses = [str(server.address), str(server.address6)]
    serving = rig.start(server, PEER.name, "serve", *common, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    server.wait_listening(PORT)
    sending = rig.start(client, PEER.name, "send", *common, *addresses, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    again, client_said = sending.communicate()
    server_said, server_failed = serving.communicate()
    assert (sending.returncode, serving.returncode) == (0, 0), f"{server_failed}\n{client_said}"
    counts = Counter[str](json.loads(server_said), again=int(again))
    counted = rig.await_counters(before, lambda counted: counted.get("kernel_injected", 0) >= counts["added"])
    kernel = {name: counted[name] for name in counted if name.startswith("kernel_")}
    record("conversations", f"seed {seed}: {dict(counts)}, {kernel} in {time.monotonic() - begun:.0f} s")
    return counts, counted


def test_random_conversations(rig: Rig, record_property: Record) -> None:
    counts, counted = converse(rig, record_property, (rig.pod("unsampled"), rig.pod("elsewhere")), REQUESTS)
    assert counts["requests"] >= REQUESTS
    assert counted["kernel_client_requests"] == counts["requests"]
    assert (counted["kernel_injected"], counted["kernel_adopted"]) == (counts["added"], counts["own"])
    assert counted.get("kernel_not_injected_space", 0) == counts["bare"]
    assert counts["bare"] < counts["requests"] / 50
    assert "kernel_framing_lost" not in counted


def test_random_conversations_between_traced_pods(rig: Rig, record_property: Record) -> None:
    counts, counted = converse(rig, record_property, (rig.pod("unsampled"), rig.pod("unsampled")), REQUESTS_BESIDE)
    assert counted["kernel_client_requests"] == counted["kernel_server_requests"] == counts["requests"]
    assert counted.get("kernel_not_injected_space", 0) == counts["bare"]
    assert "kernel_framing_lost" not in counted


@pytest.mark.parametrize("options", [("--no-files",), ("--impatient",)], ids=["whole", "in-part"])
def test_random_conversations_that_are_only_observed(rig: Rig, record_property: Record, options: tuple[str, ...]) -> None:
    counts, counted = converse(rig, record_property, (rig.pod("observed"), rig.pod("elsewhere")), REQUESTS_IN_PART, *options)
    assert (counts["added"], counts["again"]) == (0, 0)
    if options == ("--impatient",):
        assert counted["kernel_send_cut"] > 0
    else:  # what sendfile sends is not seen, and ends recognition where it has a head
        assert counted["kernel_client_requests"] == counts["requests"]
        assert (counted["kernel_not_injected_policy"], counted["kernel_adopted"]) == (counts["bare"], counts["own"])
        assert "kernel_framing_lost" not in counted


def test_sends_that_the_kernel_takes_in_part(rig: Rig, record_property: Record) -> None:
    counts, counted = converse(rig, record_property, (rig.pod("unsampled"), rig.pod("elsewhere")), REQUESTS_IN_PART, "--impatient")
    assert counted["kernel_send_cut"] > 0
    assert counts["added"] > counts["requests"] / 2


def test_by_ipv6(rig: Rig) -> None:
    service = rig.service("plain")
    whole = call_of("six")
    request = b"POST /raw/to-six HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
    told = order(rig.upstream.address6, whole)
    rig.exchange((str(service.address6), PORT), [request % (len(told), told)])
    sent = added(whole, rig.upstream.wait("six"))
    (server,) = rig.spans.wait(["to-six"], 1)["to-six"]
    (client,) = rig.spans.wait(["six"], 1)["six"]
    assert (sent.trace, sent.parent, client.parent) == (server.trace, client.span, server.span)
    assert server.attributes["server.address"] == str(service.address6)
    assert client.attributes["network.peer.address"] == rig.upstream.address6[0]


def test_unix_sockets_are_not_touched(rig: Rig) -> None:
    before = rig.counters()
    whole = call_of("unix")
    assert rig.ask(rig.service("plain"), "/raw/to-unix", body=order(rig.upstream.path, whole)) == ANSWER
    assert rig.upstream.wait("unix") == whole
    rig.ask(rig.service("plain"), "/call/after-unix")
    rig.spans.wait(["after-unix"], 2)
    assert rig.spans.of(["unix"]) == {}
    rig.await_counters(before, lambda counted: counted.get("kernel_client_requests") == 1)


def test_connections_used_again(rig: Rig) -> None:
    service = rig.service("plain")
    names = [f"again-{number}" for number in range(5)]
    for name in names:
        rig.ask(service, f"/raw/by-{name}", body=order(rig.upstream.address, call_of(name), keep="again"))
    found = rig.spans.wait([*names, *(f"by-{name}" for name in names)], 1)
    for name in names:
        sent = added(call_of(name), rig.upstream.wait(name))
        (server,), (client,) = found[f"by-{name}"], found[name]
        assert (sent.trace, sent.parent, client.parent) == (server.trace, client.span, server.span)


def test_connections_older_than_tracing(rig: Rig) -> None:
    pod = rig.pod("plain", listed=False)
    rig.start(pod, "relay.py", "thread", str(PORT), "{}:{}".format(*rig.upstream.address))
    pod.wait_listening(PORT)

    def ask(name: str) -> None:
        rig.ask(pod, f"/raw/by-{name}", body=order(rig.upstream.address, call_of(name), keep="old"))

    ask("old-0")
    rig.list(pod)
    assert "1 connections are older" in rig.await_said(f"pod plain/{pod.name} is traced")
    for number in range(1, 4):
        ask(f"old-{number}")
    assert [rig.upstream.wait(f"old-{number}") == call_of(f"old-{number}") for number in range(4)] == [True, True, False, False]
    for number in (2, 3):
        sent = added(call_of(f"old-{number}"), rig.upstream.wait(f"old-{number}"))
        (server,) = rig.spans.wait([f"by-old-{number}"], 1)[f"by-old-{number}"]
        assert sent.trace == server.trace


def test_continue_is_passed_through(rig: Rig) -> None:
    head = b"POST /up/expecting HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    service = rig.service("plain")
    rig.ask(service, "/raw/expects", body=order(rig.upstream.address, head, keep="expecting", silent=True))
    answered = rig.ask(service, "/raw/continues", body=order(rig.upstream.address, b"body", keep="expecting"))
    assert answered.startswith(CONTINUE)
    added(head + b"body", rig.upstream.wait("expecting"))


def test_span_covers_a_large_answer(rig: Rig) -> None:
    service = rig.service("plain")
    name = "large"
    head = b"POST /up/large HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n"
    body = random.randbytes(400_000)
    rig.ask(service, "/raw/sends-large", [f"traceparent: {traceparent()}"], order(rig.upstream.address, head, body))
    added(head + body, rig.upstream.wait(name))
    (server,) = rig.spans.wait(["sends-large"], 1)["sends-large"]
    (client,) = rig.spans.wait([name], 1)[name]
    assert (server.kind, client.kind) == (SERVER, CLIENT)
    assert server.start < client.start < client.end < server.end


def test_bodies_that_are_spliced(rig: Rig) -> None:
    names = [f"spliced-{number}" for number in range(3)]
    asked = rig.pod("plain").run([sys.executable, str(SERVICES / "splicing.py"), *map(str, rig.upstream.address), *names])
    assert asked.stdout == ANSWER_BODY.decode() * len(names)
    for name, (client,) in rig.spans.wait(names, 1).items():
        assert added(call_of(name), rig.upstream.wait(name)).parent == client.span
        assert client.attributes["http.response.status_code"] == 200
        assert "clew.request.outcome" not in client.attributes


def test_many_chunks_in_one_send(rig: Rig) -> None:
    head = b"POST /up/hundred HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"1\r\nx\r\n" * 100 + b"0\r\n\r\n"
    service = rig.service("plain")
    rig.ask(service, "/raw/sends-hundred", body=order(rig.upstream.address, whole, keep="hundred"))
    rig.ask(service, "/raw/sends-next", body=order(rig.upstream.address, call_of("behind-hundred"), keep="hundred"))
    added(whole, rig.upstream.wait("hundred"))
    assert added(call_of("behind-hundred"), rig.upstream.wait("behind-hundred")).new


def test_more_in_one_send_than_is_followed(rig: Rig) -> None:
    """A body of hundreds of chunks: the connection is given up, counted, and nothing is touched behind it."""
    head = b"POST /up/chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"1\r\nx\r\n" * 2_000 + b"0\r\n\r\n"
    service = rig.service("plain")
    before = rig.counters()
    rig.ask(service, "/raw/sends-chunks", body=order(rig.upstream.address, whole, keep="chunks"))
    rig.ask(service, "/raw/sends-more", body=order(rig.upstream.address, call_of("behind-chunks"), keep="chunks"))
    added(whole, rig.upstream.wait("chunks"))
    assert rig.upstream.wait("behind-chunks") == call_of("behind-chunks")
    rig.await_counters(before, lambda counted: counted.get("kernel_framing_lost", 0) >= 1)

"""Whom the agent leaves alone, and what is counted when something is lost."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from clew_agent.fionread import has_fault
from clew_lab.load import closed_loop, get
from clew_lab.pods import NODE_ADDRESS, LabPod

from tests.kernel.recorder import ANSWER
from tests.kernel.rig import PORT, SERVICES, Rig, bpftool
from tests.kernel.until import until
from tests.kernel.wire import added, call_of, order, traceparent

pytestmark = pytest.mark.limit(600)

AWAY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
OPENED = 200
OVERFLOW = 120  # requests of that many: more than the ring holds
RING_SECONDS = 240.0  # what a full ring holds is read, made spans of and sent in a quarter of that on a machine that nobody else uses
MOST_WALKED = 600_000
SIGNALS = 5


def members(table: str) -> int:
    """How many elements a map of the agent has."""
    (found,) = [item for item in bpftool("map", "show") if item.get("name") == table]
    return len(bpftool("map", "dump", "id", str(found["id"])))


def open_files(pod: LabPod, requests: int) -> None:
    """Have a pod open files, which its policy looks at: OPENED spans a request and more."""
    result = closed_loop((str(pod.address), PORT), lambda number: get("pod", f"/open/{OPENED}/{number}"), connections=2, count=requests)
    assert (result.requests, result.failed) == (requests, {})


def test_pods_that_no_policy_selects(rig: Rig) -> None:
    service = rig.service("elsewhere")
    before, in_table = rig.counters(), members("sockets")
    whole = call_of("elsewhere", f"traceparent: {traceparent()}\r\n".encode())
    rig.ask(service, "/raw/bystander", [f"traceparent: {traceparent()}"], order(rig.upstream.address, whole, keep="yes"))
    rig.ask(service, "/call/bystander-call", [f"traceparent: {traceparent()}"])
    assert rig.upstream.wait("elsewhere") == whole
    assert rig.upstream.wait("bystander-call") == call_of("bystander-call")
    assert members("sockets") == in_table
    rig.ask(rig.service("plain"), "/call/after-bystander")
    rig.spans.wait(["after-bystander"], 2)
    assert rig.spans.of(["elsewhere", "bystander", "bystander-call"]) == {}
    counted = rig.await_counters(before, lambda counted: counted.get("kernel_client_requests") == 1)
    assert counted["kernel_server_requests"] == 1


def test_clients_of_traced_pods_are_in_the_table(rig: Rig) -> None:
    in_table = members("sockets")
    rig.ask(rig.service("plain"), "/raw/member", body=order(rig.upstream.address, call_of("member"), keep="member"))
    assert members("sockets") == in_table + 1


def test_the_agent_does_not_trace_itself(rig: Rig) -> None:
    rig.ask(rig.service("plain"), "/call/exported")
    rig.spans.wait(["exported"], 2)
    heads = until(lambda: list(rig.collector.heads), bool, lambda: "nothing was exported")
    assert all(head.startswith(b"POST /v1/traces ") for head in heads)
    assert not any(b"traceparent" in head.lower() for head in heads)
    rig.counters()
    assert [span for span in rig.spans.all if span.pod == "agent"] == []


def test_collector_that_is_away(rig: Rig) -> None:
    service = rig.service("traced")
    before = rig.counters()
    rig.collector.answer = AWAY
    try:
        open_files(service, 60)
        rig.await_counters(before, lambda counted: counted.get("export_retries", 0) > 0)
        rig.await_counters(before, lambda counted: counted.get("export_spans_dropped_queue_full", 0) > 0)
    finally:
        rig.collector.answer = ANSWER
    rig.await_said("export works again")
    until(rig.counters, lambda now: now["export_queue_length"] < 100, lambda: "the queue does not become shorter")


def test_ring_that_is_full(rig: Rig) -> None:
    service = rig.service("traced")
    before = rig.counters()
    os.kill(rig.agent.pid, signal.SIGSTOP)
    try:
        open_files(service, OVERFLOW)
        rig.ask(service, "/call/while-stopped")
    finally:
        os.kill(rig.agent.pid, signal.SIGCONT)
    assert added(call_of("while-stopped"), rig.upstream.wait("while-stopped")).flags == 1
    # Every record was read or is counted as lost.
    made = OVERFLOW * (OPENED + 1) + 2
    counted = rig.await_counters(
        before, lambda counted: counted.get("records", 0) + counted.get("kernel_ring_full", 0) >= made, RING_SECONDS
    )
    assert counted["kernel_ring_full"] > 0
    assert counted["kernel_server_requests"] == OVERFLOW + 1
    until(rig.counters, lambda now: now["export_queue_length"] == 0, lambda: "the queue does not become empty", RING_SECONDS)
    rig.ask(service, "/call/after-overflow")
    rig.spans.wait(["after-overflow"], 2)


def test_what_the_verifier_walks(rig: Rig) -> None:
    """A million instructions are what it walks; a kernel that is not in the lab may walk more than these."""
    said = rig.await_said("the verifier walked")
    assert int(said.split()[6]) < MOST_WALKED, said


def test_bytes_that_wait(rig: Rig) -> None:
    """FIONREAD of a traced client's socket, on kernels that answer 0 for those in a sockhash, too; a pod that gets no fields is in none."""
    before = rig.counters()
    for namespace in ("plain", "noinject"):
        asked = rig.pod(namespace).run([sys.executable, str(SERVICES / "waiting.py"), *map(str, rig.upstream.address)])
        assert asked.stdout == f"{len(ANSWER)}\n"
    corrected = rig.counters()["kernel_fionread_corrected"] - before["kernel_fionread_corrected"]
    assert corrected == has_fault()


def interrupted(rig: Rig, namespace: str) -> str:
    """What comes of a blocking wait for an answer, which signals interrupt, in a pod of that namespace."""
    with socket.create_server((str(NODE_ADDRESS), 0)) as server:
        host, port = server.getsockname()
        with (
            rig.start(rig.pod(namespace), "interrupted.py", host, str(port), stdout=subprocess.PIPE) as process,
            server.accept()[0] as connection,
        ):
            connection.recv(1 << 16)
            assert process.stdout is not None
            for number, line in enumerate(process.stdout, 1):
                if line != "signal\n":
                    return str(line.strip())
                if number == SIGNALS:
                    connection.sendall(ANSWER)
    raise AssertionError("it ended without a word")


def test_a_signal_ends_a_blocking_wait_on_a_socket_in_the_table(rig: Rig) -> None:
    """A flaw of kernels (``tcp_bpf_recvmsg``) that docs/safety.md tells of: where this fails, it has been mended."""
    came = {namespace: interrupted(rig, namespace) for namespace in ("elsewhere", "noinject", "plain")}
    assert came == {"elsewhere": "answered", "noinject": "answered", "plain": "EAGAIN"}


def test_what_stays_in_the_kernel(rig: Rig) -> None:
    """Of a message, only method, target and status come out: no other field, no body, and no query unless a policy asks for it."""
    secrets = ["of-the-body", "of-a-field", "of-the-query", "of-the-answer"]
    body, field, query, answer = secrets
    answered = b"HTTP/1.1 200 OK\r\nSet-Cookie: %s\r\nContent-Length: %d\r\n\r\n%s" % (answer.encode(), len(answer), answer.encode())
    whole = call_of("secretive", f"Cookie: {field}\r\n".encode()).replace(b"secretive HTTP", b"secretive?" + query.encode() + b" HTTP")
    rig.upstream.answer = answered
    try:
        told = order(rig.upstream.address, whole[:-2] + b"Content-Length: %d\r\n\r\n%s" % (len(body), body.encode()))
        assert rig.ask(rig.service("plain"), f"/raw/asks?{query}", [f"Cookie: {field}"], told) == answered
    finally:
        rig.upstream.answer = ANSWER
    (client,) = rig.spans.wait(["secretive"], 1)["secretive"]
    assert client.attributes["http.response.status_code"] == 200
    assert [secret for secret in secrets if secret in rig.spans.path.read_text()] == []

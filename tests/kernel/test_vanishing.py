"""An agent that is killed under load: nobody notices, and nothing of it stays. These tests come last: they end the rig's agent."""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from clew_agent.capabilities import NEEDED
from clew_agent.fionread import has_fault
from clew_lab.load import LoadResult, closed_loop, get

from tests.kernel.recorder import ANSWER
from tests.kernel.rig import PORT, SERVICES, Rig, kernel_objects
from tests.kernel.test_errors import refusal
from tests.kernel.until import until
from tests.kernel.wire import added, call_of

pytestmark = pytest.mark.limit(600)

REQUESTS = 600


@pytest.fixture(scope="module")
def under_load(rig: Rig) -> LoadResult:
    """What the clients saw while the agent was killed."""
    behind = rig.service("plain")
    front = rig.service("plain", upstream=behind)
    results: list[LoadResult] = []

    def load() -> None:
        results.append(
            closed_loop((str(front.address), PORT), lambda number: get("front", f"/call/kill-{number}"), connections=16, count=REQUESTS)
        )

    before = rig.counters()
    thread = threading.Thread(target=load)
    thread.start()
    rig.await_counters(before, lambda counted: counted.get("kernel_injected", 0) >= 50)
    os.kill(rig.agent.pid, signal.SIGKILL)
    assert thread.is_alive()
    thread.join()
    return results[0]


def test_no_request_fails(under_load: LoadResult) -> None:
    assert (under_load.requests, under_load.failed) == (REQUESTS, {})


@pytest.mark.usefixtures("under_load")
def test_nothing_stays_attached(rig: Rig) -> None:
    def left() -> Mapping[str, list[str]]:
        return {kind: [item for item in items if item not in rig.kernel_before[kind]] for kind, items in kernel_objects().items()}

    until(left, lambda found: not any(found.values()), lambda: f"there is still {left()}")


@pytest.mark.usefixtures("under_load")
def test_requests_go_on_untouched(rig: Rig) -> None:
    rig.ask(rig.service("plain"), "/call/without-agent")
    assert rig.upstream.wait("without-agent") == call_of("without-agent")


@pytest.mark.usefixtures("under_load")
def test_another_agent_may_start(rig: Rig, tmp_path: Path) -> None:
    """It gets past the lock of the one that was killed."""
    assert "/nonexistent" in refusal(tmp_path, "--btf", "/nonexistent")


@pytest.mark.usefixtures("under_load")
def test_where_propagation_is_off_sockets_are_as_ever(rig: Rig) -> None:
    """An agent without ``CAP_SYS_ADMIN`` cannot correct what some kernels answer to FIONREAD: it puts no socket into a sockhash there.
    Both ends' spans are made all the same."""
    rig.agent = rig.start_agent(NEEDED)
    waiting = rig.pod("plain").run([sys.executable, str(SERVICES / "waiting.py"), *map(str, rig.upstream.address)])
    assert waiting.stdout == f"{len(ANSWER)}\n"
    rig.ask(rig.service("plain"), "/call/no-admin")
    server, client = rig.spans.wait(["no-admin"], 2)["no-admin"]
    assert (client.trace, client.parent) == (server.trace, server.span)
    sent, counted = rig.upstream.wait("no-admin"), rig.counters()
    assert counted["kernel_fionread_corrected"] == 0
    if has_fault():
        assert (sent, counted["kernel_injected"]) == (call_of("no-admin"), 0)
    else:
        assert added(call_of("no-admin"), sent).parent == client.span

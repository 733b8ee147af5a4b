"""``kubectl clew`` live: what changes on a real API server is shown when it happens."""

import json
import os
import pty
import re
import select
import signal
import subprocess

from tests.api.cli_rig import LONGEST, REVISION, TREE, Rig


def test_wait_ends_when_the_operator_has_carried_it_out(soaking: Rig) -> None:
    waiting = soaking.start("promote", "shop", "--wait")
    asked = waiting.line("asked to end the soak of step 1 of shop")
    identifier = soaking.request()["id"]
    assert f"(request {identifier} on " in asked
    soaking.say(handledRequest="another")
    soaking.say("Step 2 of 2: 1 of 3 nodes are ready", step=2, handledRequest=identifier)
    assert waiting.line() == "done: Step 2 of 2: 1 of 3 nodes are ready"
    assert waiting.process.wait(LONGEST) == 0


def test_watch_prints_what_changes(soaking: Rig) -> None:
    watching = soaking.start("status", "shop", "--watch")
    for line in TREE.splitlines():
        assert watching.line() == line
    soaking.say("Step 2 of 2: 1 of 3 nodes are ready", step=2)
    assert watching.line() == "shop / why: Step 2 of 2: 1 of 3 nodes are ready"
    assert watching.line().startswith("shop / steps / 1: [########################] 1 of 1 node (1, soak 1h)  done")
    assert watching.line().startswith("shop / steps / 2: [########................] 1 of 3 nodes (100%)  under way; fails at ")
    soaking.assign("n2", [REVISION])
    assert watching.line() == "shop / nodes / Silent: 1 node: n2"
    soaking.cluster.kubectl("delete", "nodetracing", "n2")
    assert watching.line() == "shop / nodes / Silent: not there any more"
    assert watching.interrupt() == 130
    soaking.assign("n2", [])


def test_watch_for_programs_prints_a_document_a_change(soaking: Rig) -> None:
    watching = soaking.start("status", "--node", "n2", "--watch", "-o", "json")
    assert json.loads(watching.line())["nodes"][0]["policies"] == []
    soaking.assign("n2", [REVISION])
    assert json.loads(watching.line())["nodes"][0]["policies"] == [{"name": "shop", "revision": REVISION, "state": "Silent"}]
    soaking.cluster.kubectl("delete", "nodetracing", "n2")
    assert json.loads(watching.line()) == {"nodes": []}
    soaking.assign("n2", [])
    assert json.loads(watching.line())["nodes"][0]["policies"] == []


def test_watch_draws_on_a_terminal(soaking: Rig) -> None:
    ours, theirs = pty.openpty()
    more = {"COLUMNS": "100", "LINES": "40", "TERM": "xterm"}
    process = subprocess.Popen(["kubectl-clew", "status", "-w"], stdin=theirs, stdout=theirs, env=soaking.environment | more)
    os.close(theirs)
    try:
        assert "shop  \x1b[36mRolling out\x1b[0m\r\n" in read_until(ours, "near names")
        soaking.say("another message")
        assert "\x1b[10A\r\x1b[Jshop  " in read_until(ours, "another message")
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST) == 130
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, text: str) -> str:
    seen = ""
    while text not in seen:
        assert select.select([terminal], [], [], LONGEST)[0], seen
        seen += os.read(terminal, 65536).decode()
    return seen


def test_watch_goes_on_after_the_api_server_was_away(soaking: Rig) -> None:
    watching = soaking.start("status", "shop", "--watch")
    watching.line(TREE.splitlines()[-1])
    soaking.cluster.restart_apiserver()
    soaking.say("it is back")
    lost = f"clew status: the API server at {re.escape(soaking.cluster.url)} cannot (be reached|answer now).*; trying again"
    assert re.fullmatch(f"kubectl {lost}", watching.line("kubectl"))
    assert watching.line("shop / why") == "shop / why: it is back"


def test_watch_says_that_the_policy_was_deleted(soaking: Rig) -> None:
    # The last test: the policy is gone after it.
    watching = soaking.start("status", "shop", "--watch")
    watching.line(TREE.splitlines()[-1])
    waiting = soaking.start("abort", "shop", "--wait")
    waiting.line("asked to abort the rollout of shop")
    soaking.cluster.kubectl("delete", "ctp", "shop")
    assert watching.line() == "shop: was deleted"
    assert waiting.line() == "kubectl clew abort: shop was deleted meanwhile"
    assert waiting.process.wait(LONGEST) == 1

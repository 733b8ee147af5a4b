"""``kubectl clew`` against a real API server: real objects, real output. What operator and agents would write is written by the test."""

import json
import os
import pty
import queue
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clew_crds.policy import TracingPolicy
from clew_crds.revision import enforced, revision_name
from clew_lab.cluster import Cluster

from tests.api.definitions import install

ROOT = Path(__file__).parents[2]
API = "clew.dev/v1alpha1"
BEGAN = "2026-11-25T10:00:00Z"
SPEC = {
    "namespaces": ["shop"],
    "kernelFunctions": [{"function": "tcp_sendmsg"}, {"function": "tcp_sendmsgg"}],
    "rollout": {"steps": [{"nodes": "1", "soak": "1h"}, {"nodes": "100%"}]},
}
POLICY = {"apiVersion": API, "kind": "TracingPolicy", "metadata": {"name": "shop"}, "spec": SPEC}
REVISION = revision_name("shop", enforced(TracingPolicy.model_validate(POLICY).spec))
LONGEST = 60.0
"""Seconds after which an awaited output has failed to come."""


class Running:
    """The command as a process, whose output lines are awaited one after the other."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, env=environment)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._readers = [threading.Thread(target=self._read, args=[stream]) for stream in (self.process.stdout, self.process.stderr)]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))

    def line(self, beginning: str = "") -> str:
        """The next line that begins so."""
        while True:
            line = self._lines.get(timeout=LONGEST)
            if line.startswith(beginning):
                return line

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LONGEST)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with the plugin in it."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "kubectl-clew").write_text(f"#!{sys.executable}\nfrom clew_cli.main import main\nraise SystemExit(main())\n")
    (folder / "kubectl-clew").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def environment(cluster: Cluster, plugin: Path) -> dict[str, str]:
    inherited = cluster.environment
    code = os.pathsep.join([str(ROOT / "crds"), str(ROOT / "cli")])
    return inherited | {"PATH": f"{plugin}{os.pathsep}{inherited['PATH']}", "PYTHONPATH": code}


@pytest.fixture
def clew(environment: dict[str, str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str, **more: str) -> tuple[int, str, str]:
        done = subprocess.run(["kubectl", "clew", *arguments], capture_output=True, text=True, env=environment | more, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    running: list[Running] = []

    def begin(*arguments: str) -> Running:
        running.append(Running(["kubectl-clew", *arguments], environment))
        return running[-1]

    yield begin
    for one in running:
        one.end()


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """The cluster with Clew's kinds and the objects of a rollout in its first step."""
    install(cluster)
    cluster.kubectl("apply", "-f", "-", input=json.dumps(POLICY))
    spec = {"policy": "shop", "enforced": {name: value for name, value in SPEC.items() if name != "rollout"}}
    write(cluster, "TracingRevision", REVISION, spec=spec)
    for name in ("n1", "n2", "n3"):
        told = [{"name": "shop", "revision": REVISION}] if name == "n1" else []
        write(cluster, "NodeTracing", name, spec={"policies": told})
    lacking = {"function": "tcp_sendmsgg", "state": "Failed", "reason": "FunctionNotFound", "message": "near names: tcp_sendmsg"}
    report = {"name": "shop", "revision": REVISION, "state": "Ready", "reason": "Enforced", "pods": 2, "functions": [lacking]}
    kernel = {"release": "6.12.107+deb13-amd64", "propagation": "Off", "message": "FIONREAD cannot be corrected"}
    agent = {"observedGeneration": 1, "agentVersion": "0.2.0", "kernel": kernel, "policies": [report]}
    write(cluster, "NodeTracing", "n1", status=agent | {"overhead": {"cpuMillicores": 12, "memoryMiB": 38}})
    return cluster


@pytest.fixture
def soaking(installed: Cluster) -> Cluster:
    """The policy soaks in its first step."""
    say(installed)
    return installed


def write(cluster: Cluster, kind: str, name: str, **parts: Any) -> None:
    """As operator and agents write: by server-side apply."""
    document = {"apiVersion": API, "kind": kind, "metadata": {"name": name}, **parts}
    part = ["--subresource=status"] if "status" in parts else []
    cluster.kubectl("apply", "--server-side", "--field-manager=clew-operator", *part, "-f", "-", input=json.dumps(document))


def say(cluster: Cluster, message: str = "Step 1 of 2: 1 of 1 nodes are ready", holds: str = "Reconciling", **rollout: Any) -> None:
    """What the operator says of the policy."""
    generation = int(cluster.kubectl("get", "ctp", "shop", "-o", "jsonpath={.metadata.generation}").stdout)
    condition = {"type": holds, "status": "True", "observedGeneration": generation, "lastTransitionTime": BEGAN, "reason": "AsPlanned"}
    status = {
        "observedGeneration": generation,
        "revision": REVISION,
        "nodes": {"desired": 3, "updated": 1, "ready": 1},
        "message": message,
        "rollout": {"step": 1, "steps": 2, "lastProgressTime": BEGAN, **(rollout or {"soakStartedTime": BEGAN})},
        "conditions": [condition],
    }
    write(cluster, "TracingPolicy", "shop", status=status)


def request(cluster: Cluster) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(cluster.kubectl("get", "tracingrevision", REVISION, "-o", "json").stdout)["request"]
    return written


def user(cluster: Cluster, name: str, *rules: str) -> dict[str, str]:
    """The environment of a user who has only these rights, each as "verb resource"."""
    cluster.kubectl("create", "serviceaccount", name)
    for number, rule in enumerate(rules):
        verb, resource = rule.split()
        role = f"{name}-{number}"
        cluster.kubectl("create", "clusterrole", role, f"--verb={verb}", f"--resource={resource}.clew.dev")
        cluster.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", f"--serviceaccount=default:{name}")
    token = cluster.kubectl("create", "token", name).stdout.strip()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": cluster.url, "certificate-authority": str(cluster.ca)}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": name}}],
        "current-context": name,
    }
    file = cluster.folder / f"{name}.kubeconfig"
    file.write_text(json.dumps(config))
    return {"KUBECONFIG": str(file)}


Clew = Callable[..., tuple[int, str, str]]

TREE = f"""\
shop  Rolling out
├ why           Step 1 of 2: 1 of 1 nodes are ready
├ revision      {REVISION}; none is stable yet
├ steps
│ ├ 1  [########################] 1 of 1 node (1, soak 1h)  soaks until 2026-11-25T11:00:00Z
│ └ 2  [########................] 1 of 3 nodes (100%)  waiting
├ nodes         3 desired, 1 updated, 1 ready
│ └ Ready  1 node: n1
└ not recorded
  └ tcp_sendmsgg  Failed on 1 node (n1): FunctionNotFound: near names: tcp_sendmsg
"""


def test_a_cluster_without_clew(clew: Clew) -> None:
    # The first test: the fixture `installed` comes after it.
    said = "this cluster has no tracingpolicies.clew.dev: Clew is not installed there. Install its chart: helm install clew charts/clew"
    assert clew("status") == (2, "", f"kubectl clew status: {said}\n")


def test_no_policy(cluster: Cluster, clew: Clew) -> None:
    install(cluster)
    assert clew("status") == (0, "no TracingPolicy in this cluster: nothing is traced\n", "")
    assert clew("status", "shop") == (2, "", 'kubectl clew status: there is no TracingPolicy "shop", nor any other\n')


def test_status_of_policies(soaking: Cluster, clew: Clew) -> None:
    assert clew("status") == (0, TREE, "")
    assert clew("status", "shop") == (0, TREE, "")


def test_status_for_programs(soaking: Cluster, clew: Clew) -> None:
    [document] = json.loads(clew("status", "shop", "-o", "json")[1])["policies"]
    assert document["verdict"] == "Rolling out"
    assert document["status"]["nodes"]["desired"] == 3
    assert document["places"] == [{"revision": REVISION, "state": "Ready", "nodes": ["n1"]}]
    assert yaml.safe_load(clew("status", "-o", "yaml")[1]) == {"policies": [document]}


def test_status_of_a_node(soaking: Cluster, clew: Clew) -> None:
    assert clew("status", "--node", "n1") == (
        0,
        f"""\
n1  Policies: 1 Ready
├ policies
│ └ shop  Ready (Enforced) with {REVISION}, 2 pods
│   └ tcp_sendmsgg  not recorded: Failed (FunctionNotFound): near names: tcp_sendmsg
├ agent        0.2.0
├ kernel       6.12.107+deb13-amd64
├ propagation  Off: FIONREAD cannot be corrected
├ losses       none
└ overhead     12 millicores, 38 MiB
""",
        "",
    )


def test_names_that_are_not_there(soaking: Cluster, clew: Clew) -> None:
    assert clew("status", "shopp")[2] == 'kubectl clew status: there is no TracingPolicy "shopp"; did you mean "shop"?\n'
    assert clew("abort", "tills")[2] == 'kubectl clew abort: there is no TracingPolicy "tills"; there is shop\n'
    assert clew("status", "--node", "x")[2] == 'kubectl clew status: there is no NodeTracing "x"; there is n1, n2, n3\n'


def test_promote_is_written_on_the_revision_alone(soaking: Cluster, clew: Clew) -> None:
    before = soaking.kubectl("get", "ctp", "shop", "-o", "jsonpath={.metadata.resourceVersion}").stdout
    status, out, err = clew("promote", "shop")
    written = request(soaking)
    assert (status, out, err) == (0, f"asked to end the soak of step 1 of shop (request {written['id']} on {REVISION})\n", "")
    assert written == {"id": written["id"], "action": "Promote", "step": 1}
    assert soaking.kubectl("get", "ctp", "shop", "-o", "jsonpath={.metadata.resourceVersion}").stdout == before
    managers = json.loads(soaking.kubectl("get", "tracingrevision", REVISION, "-o", "json", "--show-managed-fields").stdout)
    [ours] = [one for one in managers["metadata"]["managedFields"] if one["manager"] == "kubectl-clew"]
    assert ours["operation"] == "Apply"
    assert set(ours["fieldsV1"]) == {"f:request"}


def test_each_request_has_an_id_of_its_own(soaking: Cluster, clew: Clew) -> None:
    clew("abort", "shop")
    first = request(soaking)
    clew("abort", "shop")
    second = request(soaking)
    assert [first["action"], second["action"], first["id"] == second["id"]] == ["Abort", "Abort", False]


def test_retry(soaking: Cluster, clew: Clew) -> None:
    refused = f"kubectl clew retry: nothing to retry: {REVISION} is being rolled out; it has neither failed nor been aborted\n"
    assert clew("retry", "shop") == (1, "", refused)
    say(soaking, holds="Stalled", failedRevision=REVISION)
    assert clew("retry", "shop")[0] == 0
    assert request(soaking)["action"] == "Retry"
    refused = f"kubectl clew promote: nothing to promote: {REVISION} failed, and is not rolled out any further\n"
    assert clew("promote", "shop") == (1, "", refused)


def test_wait_ends_when_the_operator_has_carried_it_out(soaking: Cluster, start: Start) -> None:
    waiting = start("promote", "shop", "--wait")
    asked = waiting.line("asked to end the soak of step 1 of shop")
    identifier = request(soaking)["id"]
    assert f"(request {identifier} on " in asked
    say(soaking, handledRequest="another")
    say(soaking, "Step 2 of 2: 1 of 3 nodes are ready", step=2, handledRequest=identifier)
    assert waiting.line() == "carried out: Step 2 of 2: 1 of 3 nodes are ready"
    assert waiting.process.wait(LONGEST) == 0


def test_watch_prints_what_changes(soaking: Cluster, start: Start) -> None:
    watching = start("status", "shop", "--watch")
    for line in TREE.splitlines():
        assert watching.line() == line
    say(soaking, "Step 2 of 2: 1 of 3 nodes are ready", step=2)
    assert watching.line() == "shop / why: Step 2 of 2: 1 of 3 nodes are ready"
    assert watching.line().startswith("shop / steps / 1: [########################] 1 of 1 node (1, soak 1h)  done")
    assert watching.line().startswith("shop / steps / 2: [########................] 1 of 3 nodes (100%)  under way; fails at ")
    write(soaking, "NodeTracing", "n2", spec={"policies": [{"name": "shop", "revision": REVISION}]})
    assert watching.line() == "shop / nodes / Silent: 1 node: n2"
    soaking.kubectl("delete", "nodetracing", "n2")
    assert watching.line() == "shop / nodes / Silent: not there any more"
    assert watching.interrupt() == 130
    write(soaking, "NodeTracing", "n2", spec={"policies": []})


def test_watch_for_programs_prints_a_document_a_change(soaking: Cluster, start: Start) -> None:
    watching = start("status", "--node", "n2", "--watch", "-o", "json")
    assert json.loads(watching.line())["nodes"][0]["policies"] == []
    write(soaking, "NodeTracing", "n2", spec={"policies": [{"name": "shop", "revision": REVISION}]})
    assert json.loads(watching.line())["nodes"][0]["policies"] == [{"name": "shop", "revision": REVISION, "state": "Silent"}]
    soaking.kubectl("delete", "nodetracing", "n2")
    assert json.loads(watching.line()) == {"nodes": []}
    write(soaking, "NodeTracing", "n2", spec={"policies": []})
    assert json.loads(watching.line())["nodes"][0]["policies"] == []


def test_watch_draws_on_a_terminal(soaking: Cluster, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    more = {"COLUMNS": "100", "LINES": "40", "TERM": "xterm"}
    process = subprocess.Popen(["kubectl-clew", "status", "-w"], stdin=theirs, stdout=theirs, env=environment | more)
    os.close(theirs)
    try:
        assert "shop  \x1b[36mRolling out\x1b[0m\r\n" in read_until(ours, "near names")
        say(soaking, "another message")
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


def test_watch_goes_on_after_the_api_server_was_away(soaking: Cluster, start: Start) -> None:
    watching = start("status", "shop", "--watch")
    watching.line(TREE.splitlines()[-1])
    soaking.restart_apiserver()
    say(soaking, "it is back")
    lost = f"clew status: the API server at {re.escape(soaking.url)} cannot (be reached|answer now).*; trying again"
    assert re.fullmatch(f"kubectl {lost}", watching.line("kubectl"))
    assert watching.line("shop / why") == "shop / why: it is back"


def test_a_user_who_may_only_get(soaking: Cluster, clew: Clew) -> None:
    rights = user(soaking, "reader", "get tracingpolicies", "get tracingrevisions", "get nodetracings")
    assert clew("promote", "shop", **rights) == (
        2,
        "",
        "kubectl clew promote: you may not patch tracingrevisions.clew.dev: a ClusterRole of yours must have the verb "
        '"patch" on the resource "tracingrevisions" in the API group "clew.dev". '
        f'tracingrevisions.clew.dev "{REVISION}" is forbidden: User "system:serviceaccount:default:reader" cannot patch '
        'resource "tracingrevisions" in API group "clew.dev" at the cluster scope\n',
    )
    assert clew("status", **rights)[2].startswith("kubectl clew status: you may not list tracingpolicies.clew.dev: ")
    assert clew("status", "shop", **rights)[2].startswith("kubectl clew status: you may not list nodetracings.clew.dev: ")
    assert clew("status", "--node", "n1", "--watch", **rights)[2].startswith(
        "kubectl clew status: you may not list nodetracings.clew.dev: "
    )
    assert clew("status", "--node", "n1", **rights)[0] == 0
    assert clew("status", "shopp", **rights)[2] == 'kubectl clew status: there is no TracingPolicy "shopp"\n'


def test_a_user_whom_nobody_knows(soaking: Cluster, clew: Clew) -> None:
    rights = user(soaking, "stranger")
    file = Path(rights["KUBECONFIG"])
    file.write_text(file.read_text().replace('"token": "', '"token": "x'))
    said = f"the API server at {soaking.url} does not know you (401): log in again, or choose another --context"
    assert clew("status", **rights) == (2, "", f"kubectl clew status: {said}\n")


def test_the_context_is_chosen_as_with_kubectl(soaking: Cluster, clew: Clew) -> None:
    rights = user(soaking, "weak", "get nodetracings")
    both = f"{rights['KUBECONFIG']}{os.pathsep}{soaking.kubeconfig}"
    admin = soaking.kubectl("config", "current-context").stdout.strip()
    assert clew("status", KUBECONFIG=both)[0] == 2
    assert clew("status", "--context", admin, KUBECONFIG=both) == (0, TREE, "")
    assert clew("status", "--kubeconfig", str(soaking.kubeconfig), **rights) == (0, TREE, "")


def test_check_against_a_node(soaking: Cluster, clew: Clew, tmp_path: Path) -> None:
    file = tmp_path / "till.yaml"
    functions = [{"function": name} for name in ("tcp_sendmsg", "tcp_sendmsgg", "vfs_read")]
    file.write_text(json.dumps(POLICY | {"metadata": {"name": "till"}, "spec": {"namespaces": ["till"], "kernelFunctions": functions}}))
    assert clew("check", str(file), "--node", "n1") == (
        1,
        f"""\
{file}: till is valid
till on n1
├ kernel        6.12.107+deb13-amd64, agent 0.2.0
├ propagation   no: off, so no headers are written there: FIONREAD cannot be corrected
├ tcp_sendmsg   yes: recorded there now for shop
├ tcp_sendmsgg  no: Failed as shop asks for it: FunctionNotFound: near names: tcp_sendmsg
└ vfs_read      not known: no policy has asked for it there; the agent says when one does
""",
        "",
    )
    status, out, _ = clew("check", str(file), "--node", "n2")
    assert (status, out.splitlines()[2]) == (0, "├ kernel        not known: no agent has spoken on this node yet")
    assert clew("check", str(file), "--node", "n9")[2] == 'kubectl clew check: there is no NodeTracing "n9"; there is n1, n2, n3\n'


def test_watch_says_that_the_policy_was_deleted(soaking: Cluster, start: Start) -> None:
    # The last test: the policy is gone after it.
    watching = start("status", "shop", "--watch")
    watching.line(TREE.splitlines()[-1])
    waiting = start("abort", "shop", "--wait")
    waiting.line("asked to abort the rollout of shop")
    soaking.kubectl("delete", "ctp", "shop")
    assert watching.line() == "shop: was deleted"
    assert waiting.line() == "kubectl clew abort: shop was deleted meanwhile"
    assert waiting.process.wait(LONGEST) == 1

"""What people see of the API by kubectl: columns, names, explanations, and the definitions of two makers side by side.

Every command that docs/api.md shows is run here, and must print what stands there.
"""

import shlex
from pathlib import Path

import pytest
from clew_lab.cluster import Cluster

from tests.api import definitions
from tests.api.console import masked, shown

TETRAGON = Path(__file__).parent / "data" / "tetragon-stand-in.yaml"
SHOWN = shown((definitions.CHECKOUT / "docs" / "api.md").read_text())

OBJECTS = """
apiVersion: clew.dev/v1alpha1
kind: TracingPolicy
metadata: {name: bookinfo}
spec: {namespaces: [bookinfo], rollout: {steps: [{nodes: "1"}, {nodes: 10%}, {nodes: 100%}]}}
---
apiVersion: clew.dev/v1alpha1
kind: TracingRevision
metadata: {name: bookinfo-6f9c2d41aa}
spec: {policy: bookinfo, policyUid: u1, enforced: {namespaces: [bookinfo]}}
request: {id: r1, action: Promote, step: 2}
---
apiVersion: clew.dev/v1alpha1
kind: NodeTracing
metadata: {name: node-1}
spec: {policies: [{name: bookinfo, uid: u1, revision: bookinfo-6f9c2d41aa}]}
"""
STATUS = """
apiVersion: clew.dev/v1alpha1
kind: NodeTracing
metadata: {name: node-1}
status:
  agentVersion: 0.2.0
  kernel: {release: 6.12.107-amd64, propagation: "Off", message: FIONREAD is wrong}
  overhead: {cpuMillicores: 12, memoryMiB: 84}
"""


@pytest.fixture(scope="module", autouse=True)
def _objects(cluster: Cluster) -> None:
    definitions.install(cluster, TETRAGON)
    definitions.await_explained(cluster, "tracingpolicies.clew.dev")
    cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=OBJECTS)
    cluster.kubectl("apply", "--server-side", "--subresource=status", "-f", "-", input=STATUS)


def printed(cluster: Cluster, *arguments: str) -> list[str]:
    return comparable(cluster.kubectl(*arguments).stdout)


def comparable(text: str) -> list[str]:
    """Lines, without what differs from run to run."""
    return [line.rstrip() for line in masked(text.rstrip()).splitlines()]


def test_the_page_shows_commands() -> None:
    assert [command.split()[1] for command, _ in SHOWN] == ["explain", "apply"]


@pytest.mark.parametrize(("command", "output"), [one for one in SHOWN if "apply" not in one[0]])
def test_kubectl_prints_what_the_page_shows(cluster: Cluster, command: str, output: str) -> None:
    assert printed(cluster, *shlex.split(command)[1:]) == comparable(output)


def test_kubectl_refuses_as_the_page_shows(cluster: Cluster) -> None:
    [(command, output)] = [one for one in SHOWN if "apply" in one[0]]
    policy = OBJECTS.split("---")[0].replace("bookinfo}", "p}").replace("spec: {", 'spec: {sampling: {ratio: "1.5"}, ')
    arguments = shlex.split(command.replace("ratio.yaml", "-"))[1:]
    refused = cluster.kubectl(*arguments, input=policy, check=False)
    assert comparable(refused.stderr) == comparable(output)


def test_names(cluster: Cluster) -> None:
    assert printed(cluster, "api-resources", "--api-group=clew.dev") == [
        "NAME  SHORTNAMES  APIVERSION  NAMESPACED  KIND",
        "nodetracings  cnt  clew.dev/v1alpha1  false  NodeTracing",
        "tracingpolicies  ctp  clew.dev/v1alpha1  false  TracingPolicy",
        "tracingrevisions  ctr  clew.dev/v1alpha1  false  TracingRevision",
    ]


def test_revisions_and_nodes(cluster: Cluster) -> None:
    assert printed(cluster, "get", "ctr") == [
        "NAME  POLICY  REQUEST  AGE",
        "bookinfo-<0>  bookinfo  Promote  <age>",
    ]
    assert printed(cluster, "get", "cnt", "-o", "wide") == [
        "NAME  AGENT  KERNEL  PROPAGATION  MILLICORES  MIB  AGE  MESSAGE",
        "node-1  0.2.0  6.12.107-amd64  Off  12  84  <age>  FIONREAD is wrong",
    ]


def test_a_policy_without_a_status_is_printed(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", input=OBJECTS.split("---")[0].replace("{name: bookinfo}", "{name: fresh}"))
    assert printed(cluster, "get", "ctp", "fresh") == [
        "NAME  READY  UPDATED  FAILED  STEP  REVISION  AGE",
        "fresh  <age>",
    ]
    cluster.kubectl("delete", "ctp", "fresh")


def test_steps_are_explained_with_what_is_required(cluster: Cluster) -> None:
    assert printed(cluster, "explain", "tracingpolicies.clew.dev.spec.rollout.steps")[5:] == [
        "",
        "",
        "DESCRIPTION:",
        "    The steps, each with more nodes than the one before; the last one has 100%.",
        '    Default: [{"nodes": "100%", "soak": "0s"}].',
        "    One step: how many nodes have the new revision at its end, and how long they",
        "    must stay healthy.",
        "",
        "FIELDS:",
        "  nodes\t<string> -required-",
        "    Nodes that have the new revision when the step is done: a count, or a",
        "    percentage of all nodes.",
        "",
        "  soak\t<string>",
        "    How long the nodes of this step must stay healthy before the next step",
        '    begins. Default: "0s".',
    ]


def test_tetragons_definition_and_ours_do_not_meet(cluster: Cluster) -> None:
    theirs = "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: theirs}\nspec: {kprobes: []}\n"
    assert (
        cluster.kubectl("apply", "--server-side", "-f", "-", input=theirs).stdout == "tracingpolicy.cilium.io/theirs serverside-applied\n"
    )
    for name in ("tracingpolicies.cilium.io", "tgtp", "tetragon"):
        assert printed(cluster, "get", name, "-o", "name") == ["tracingpolicy.cilium.io/theirs"]
    for name in ("tracingpolicies.clew.dev", "ctp"):
        assert printed(cluster, "get", name, "-o", "name") == ["tracingpolicy.clew.dev/bookinfo"]
    accepted = cluster.kubectl("get", "customresourcedefinitions", "-o", "jsonpath={.items[*].status.acceptedNames.shortNames[*]}").stdout
    assert sorted(accepted.split()) == ["cnt", "ctp", "ctr", "tgtp"]


def test_what_the_api_server_says_of_the_definitions(cluster: Cluster) -> None:
    """Names are accepted, and no schema has anything that is not structural."""
    path = "jsonpath={range .items[*]}{range .status.conditions[*]}{.type}={.status} {end}{end}"
    conditions = cluster.kubectl("get", "customresourcedefinitions", "-o", path).stdout.split()
    assert sorted(set(conditions)) == ["Established=True", "NamesAccepted=True"]

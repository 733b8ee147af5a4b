"""``kubectl clew`` against a real API server: real objects, real output. What operator and agents would write, the rig writes."""

import json
import os
from pathlib import Path

import yaml

from tests.api.cli_rig import POLICY, REVISION, TREE, Rig
from tests.api.definitions import install
from tests.api.rest import GROUP


def test_a_cluster_without_clew(plugin: Rig) -> None:
    # The first test: the fixture `rolling` comes after it.
    said = "this cluster has no tracingpolicies.clew.dev: Clew is not installed there. Install its chart: helm install clew charts/clew"
    assert plugin.clew("status") == (2, "", f"kubectl clew status: {said}\n")


def test_no_policy(plugin: Rig) -> None:
    install(plugin.cluster)
    assert plugin.clew("status") == (0, "no TracingPolicy in this cluster: nothing is traced\n", "")
    assert plugin.clew("status", "shop") == (2, "", 'kubectl clew status: there is no TracingPolicy "shop", nor any other\n')


def test_status_of_policies(soaking: Rig) -> None:
    assert soaking.clew("status") == (0, TREE, "")
    assert soaking.clew("status", "shop") == (0, TREE, "")


def test_status_for_programs(soaking: Rig) -> None:
    [document] = json.loads(soaking.clew("status", "shop", "-o", "json")[1])["policies"]
    assert document["verdict"] == "Rolling out"
    assert document["status"]["nodes"]["desired"] == 3
    assert document["places"] == [{"revision": REVISION, "state": "Ready", "nodes": ["n1"]}]
    assert yaml.safe_load(soaking.clew("status", "-o", "yaml")[1]) == {"policies": [document]}


def test_status_of_a_node(soaking: Rig) -> None:
    assert soaking.clew("status", "--node", "n1") == (
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


def test_names_that_are_not_there(soaking: Rig) -> None:
    assert soaking.clew("status", "shopp")[2] == 'kubectl clew status: there is no TracingPolicy "shopp"; did you mean "shop"?\n'
    assert soaking.clew("abort", "tills")[2] == 'kubectl clew abort: there is no TracingPolicy "tills"; there is shop\n'
    assert soaking.clew("status", "--node", "x")[2] == 'kubectl clew status: there is no NodeTracing "x"; there is n1, n2, n3\n'


def test_promote_is_written_on_the_revision_alone(soaking: Rig) -> None:
    policy, revision = f"{GROUP}/tracingpolicies/shop", f"{GROUP}/tracingrevisions/{REVISION}"
    before = soaking.admin.get(policy)
    status, out, err = soaking.clew("promote", "shop")
    written = soaking.request()
    assert (status, out, err) == (0, f"asked to end the soak of step 1 of shop (request {written['id']} on {REVISION})\n", "")
    assert written == {"id": written["id"], "action": "Promote", "step": 1}
    assert soaking.admin.get(policy) == before
    [ours] = [one for one in soaking.admin.get(revision)["metadata"]["managedFields"] if one["manager"] == "kubectl-clew"]
    assert ours["operation"] == "Apply"
    assert set(ours["fieldsV1"]) == {"f:request"}


def test_each_request_has_an_id_of_its_own(soaking: Rig) -> None:
    soaking.clew("abort", "shop")
    first = soaking.request()
    soaking.clew("abort", "shop")
    second = soaking.request()
    assert [first["action"], second["action"], first["id"] == second["id"]] == ["Abort", "Abort", False]


def test_retry(soaking: Rig) -> None:
    refused = f"kubectl clew retry: nothing to retry: {REVISION} is being rolled out; it has neither failed nor been aborted\n"
    assert soaking.clew("retry", "shop") == (1, "", refused)
    soaking.say(holds="Stalled", failedRevision=REVISION)
    assert soaking.clew("retry", "shop")[0] == 0
    assert soaking.request()["action"] == "Retry"
    refused = f"kubectl clew promote: nothing to promote: {REVISION} failed, and is not rolled out any further\n"
    assert soaking.clew("promote", "shop") == (1, "", refused)


def test_a_user_who_may_only_get(soaking: Rig) -> None:
    rights = soaking.user("reader", "get tracingpolicies", "get tracingrevisions", "get nodetracings")
    assert soaking.clew("promote", "shop", **rights) == (
        2,
        "",
        "kubectl clew promote: you may not patch tracingrevisions.clew.dev: a ClusterRole of yours must have the verb "
        '"patch" on the resource "tracingrevisions" in the API group "clew.dev". '
        f'tracingrevisions.clew.dev "{REVISION}" is forbidden: User "system:serviceaccount:default:reader" cannot patch '
        'resource "tracingrevisions" in API group "clew.dev" at the cluster scope\n',
    )
    assert soaking.clew("status", **rights)[2].startswith("kubectl clew status: you may not list tracingpolicies.clew.dev: ")
    assert soaking.clew("status", "shop", **rights)[2].startswith("kubectl clew status: you may not list nodetracings.clew.dev: ")
    assert soaking.clew("status", "--node", "n1", "--watch", **rights)[2].startswith(
        "kubectl clew status: you may not list nodetracings.clew.dev: "
    )
    assert soaking.clew("status", "--node", "n1", **rights)[0] == 0
    assert soaking.clew("status", "shopp", **rights)[2] == 'kubectl clew status: there is no TracingPolicy "shopp"\n'


def test_a_user_whom_nobody_knows(soaking: Rig) -> None:
    rights = soaking.user("stranger")
    file = Path(rights["KUBECONFIG"])
    file.write_text(file.read_text().replace('"token": "', '"token": "x'))
    said = f"the API server at {soaking.cluster.url} does not know you (401): log in again, or choose another --context"
    assert soaking.clew("status", **rights) == (2, "", f"kubectl clew status: {said}\n")


def test_the_context_is_chosen_as_with_kubectl(soaking: Rig) -> None:
    rights = soaking.user("weak", "get nodetracings")
    both = f"{rights['KUBECONFIG']}{os.pathsep}{soaking.cluster.kubeconfig}"
    admin = soaking.cluster.kubectl("config", "current-context").stdout.strip()
    assert soaking.clew("status", KUBECONFIG=both)[0] == 2
    assert soaking.clew("status", "--context", admin, KUBECONFIG=both) == (0, TREE, "")
    assert soaking.clew("status", "--kubeconfig", str(soaking.cluster.kubeconfig), **rights) == (0, TREE, "")


def test_check_against_a_node(soaking: Rig, tmp_path: Path) -> None:
    file = tmp_path / "till.yaml"
    functions = [{"function": name} for name in ("tcp_sendmsg", "tcp_sendmsgg", "vfs_read")]
    file.write_text(json.dumps(POLICY | {"metadata": {"name": "till"}, "spec": {"namespaces": ["till"], "kernelFunctions": functions}}))
    assert soaking.clew("check", str(file), "--node", "n1") == (
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
    status, out, _ = soaking.clew("check", str(file), "--node", "n2")
    assert (status, out.splitlines()[2]) == (0, "├ kernel        not known: no agent has spoken on this node yet")
    assert soaking.clew("check", str(file), "--node", "n9")[2] == 'kubectl clew check: there is no NodeTracing "n9"; there is n1, n2, n3\n'

"""What the control plane is started with: users, kubeconfigs, the audit policy, command lines; and nodes as kwok is given them."""

import json
import subprocess
from pathlib import Path

import pytest
from clew_lab.cluster import flux
from clew_lab.cluster.components import AUDIT_POLICY, Files, client_certificate, command_lines, egress_selector, kubeconfig, tokens_csv
from clew_lab.cluster.played import node
from clew_lab.cluster.ports import Ports

PORTS = Ports.of(range(1, 17))


def test_only_the_admin_and_kwok_may_do_everything() -> None:
    tokens = {"admin": "t0", "kube-controller-manager": "t1", "kube-scheduler": "t2", "kwok": "t3"}
    assert tokens_csv(tokens).splitlines() == [
        "t0,admin,admin,system:masters",
        "t1,system:kube-controller-manager,kube-controller-manager",
        "t2,system:kube-scheduler,kube-scheduler",
        "t3,kwok,kwok,system:masters",
    ]


def test_a_kubelet_is_its_node_and_kube_proxy_is_no_node() -> None:
    assert tokens_csv({"worker-2": "t4", "kube-proxy": "t5"}).splitlines() == [
        "t4,system:node:worker-2,worker-2,system:nodes",
        "t5,system:kube-proxy,kube-proxy",
    ]


def test_kubelets_pods_and_services_are_reached_by_the_egress_s_socket() -> None:
    (selection,) = json.loads(egress_selector(Files(Path("/cluster"))))["egressSelections"]
    assert selection == {
        "name": "cluster",
        "connection": {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": "/cluster/egress.sock"}}},
    }


def test_the_certificate_for_kubelets_is_a_client_s(tmp_path: Path) -> None:
    files = Files(tmp_path)
    subprocess.run(client_certificate(files), check=True, capture_output=True)
    show = ["openssl", "x509", "-in", str(files.kubelet_client), "-noout", "-subject", "-ext", "extendedKeyUsage"]
    said = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    assert [line.strip() for line in said.splitlines()] == [
        "subject=O = system:masters, CN = kube-apiserver-kubelet-client",
        "X509v3 Extended Key Usage:",
        "TLS Web Client Authentication",
    ]


def test_a_silent_node_is_given_up_as_soon_as_kwok_would_have_renewed_four_times() -> None:
    lines = command_lines(Path("/programs"), Files(Path("/cluster")), PORTS, node_lease_seconds=60)
    assert "--node-monitor-grace-period=60s" in lines["kube-controller-manager"]
    assert "--node-lease-duration-seconds=60" in lines["kwok"]


def test_a_kubeconfig_names_the_server_its_certificate_and_the_token() -> None:
    document = json.loads(kubeconfig("https://127.0.0.1:3", Path("/c/pki/apiserver.crt"), "t0"))
    assert document["clusters"][0]["cluster"] == {"server": "https://127.0.0.1:3", "certificate-authority": "/c/pki/apiserver.crt"}
    assert document["users"][0]["user"] == {"token": "t0"}
    assert document["current-context"] == document["contexts"][0]["name"]


def test_the_audit_takes_writes_of_clew_s_objects_reads_of_its_pods_and_then_nothing() -> None:
    assert [(rule["level"], rule.get("resources"), rule.get("userGroups")) for rule in AUDIT_POLICY["rules"]] == [
        ("Request", [{"group": "clew.dev"}], None),
        ("Metadata", None, ["system:serviceaccounts:clew-system"]),
        ("None", None, None),
    ]


def test_every_component_runs_from_the_programs_listens_on_loopback_and_keeps_its_files_in_the_folder() -> None:
    lines = command_lines(Path("/programs"), Files(Path("/cluster")), PORTS)
    assert list(lines) == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"]
    for name, argv in lines.items():
        assert argv[0] == f"/programs/{name}"
        assert any("127.0.0.1" in word for word in argv)
        for word in argv[1:]:
            value = word.partition("=")[2]
            assert not value.startswith("/") or value.startswith(("/cluster/", "/programs/"))


def test_flux_listens_on_loopback_keeps_its_files_in_the_folder_and_elects_nobody() -> None:
    lines = flux.command_lines(Path("/programs"), Files(Path("/cluster")), PORTS)
    common = ["env", "KUBECONFIG=/cluster/admin.kubeconfig", "TMPDIR=/cluster"]
    flags = ["--metrics-addr=0", "--events-addr=", "--enable-leader-election=false"]
    stored = ["--storage-path=/cluster/artifacts", "--storage-addr=127.0.0.1:8", "--storage-adv-addr=127.0.0.1:8"]
    gates = ["--feature-gates=CancelHealthCheckOnNewRevision=true"]
    assert lines == {
        "source-controller": [*common, "/programs/source-controller", "--health-addr=127.0.0.1:7", *flags, *stored],
        "kustomize-controller": [*common, "/programs/kustomize-controller", "--health-addr=127.0.0.1:9", *flags, *gates],
    }


def test_nodes_take_zones_in_turn_and_kernels_each_time_that_all_zones_had_theirs() -> None:
    made = [node(f"n{number}", number, ("a", "b", "c"), ("6.1.0-1", "6.12.0-1")) for number in range(7)]
    zones = [one["metadata"]["labels"]["topology.kubernetes.io/zone"] for one in made]
    kernels = [one["status"]["nodeInfo"]["kernelVersion"] for one in made]
    assert list(zip(zones, kernels, strict=True)) == [
        ("a", "6.1.0-1"),
        ("b", "6.1.0-1"),
        ("c", "6.1.0-1"),
        ("a", "6.12.0-1"),
        ("b", "6.12.0-1"),
        ("c", "6.12.0-1"),
        ("a", "6.1.0-1"),
    ]


def test_a_kernel_that_kwok_would_take_for_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^'6\.1' is no release of a kernel as `uname -r` says it, such as 6\.1\.0-56-amd64$"):
        node("n0", 0, ("a",), ("6.1",))

"""Real nodes: their places on the network, their files, and what QEMU is told of each."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from clew_lab.cluster.components import Files
from clew_lab.cluster.main import kernels_of_nodes
from clew_lab.nodes.addons import DNS_IMAGE, cluster_dns
from clew_lab.nodes.clocks import Offset, correction, least_uncertain
from clew_lab.nodes.egress import candidates
from clew_lab.nodes.files import PAUSE_IMAGE, command_lines, containerd_config, files
from clew_lab.nodes.machine import LabNode, nodes_below, qemu_options
from clew_lab.nodes.places import MOST_NODES, Place, number_at
from clew_lab.nodes.starting import prepare

KUBECONFIGS = {"kubelet": "one", "kube-proxy": "other"}


def files_of(number: int) -> dict[str, str]:
    return files(Place(number), KUBECONFIGS, "the API server's", "the API server's client's")


def node_of(number: int, folder: Path) -> LabNode:
    return LabNode(number, "6.1", folder / Place(number).name, 23009)


def test_a_place_is_told_by_its_number() -> None:
    place = Place(2)
    assert (place.name, place.address, place.pods, place.zone) == ("worker-2", "10.77.0.12", "10.244.2.0/24", "b")


def test_no_two_places_share_anything() -> None:
    places = [Place(number) for number in range(1, MOST_NODES + 1)]
    for told in ("name", "address", "pods", "user_mac", "lan_mac"):
        assert len({getattr(place, told) for place in places}) == MOST_NODES


@pytest.mark.parametrize(
    ("host", "number"),
    [("10.77.0.11", 1), ("10.77.0.19", 9), ("10.244.3.7", 3), ("10.96.0.10", None), ("10.77.0.1", None), ("worker-1", None)],
)
def test_an_address_tells_its_node(host: str, number: int | None) -> None:
    assert number_at(host) == number


def test_a_node_s_address_has_one_way_and_a_service_as_many_as_there_are_nodes() -> None:
    assert candidates("10.244.2.5", [7, 8]) == [8]
    assert candidates("10.96.0.1", [7, 8]) == [7, 8]
    assert candidates("10.77.0.13", [7, 8]) == []


def test_a_node_gives_its_pods_addresses_of_its_own_network() -> None:
    plugins = json.loads(files_of(3)["cni.conflist"])["plugins"]
    assert [plugin["type"] for plugin in plugins] == ["bridge", "portmap"]
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]


def test_the_kubelet_asks_the_api_server_who_may_do_what_and_knows_it_by_its_certificate() -> None:
    kubelet = json.loads(files_of(1)["kubelet.json"])
    assert kubelet["authentication"] == {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": "/share/files/kubelet-client.crt"},
    }
    assert kubelet["authorization"] == {"mode": "Webhook"}


def test_what_a_command_line_reads_is_among_the_files() -> None:
    given = {f"/share/files/{name}" for name in files_of(1)}
    words = [word.partition("=")[2] for argv in command_lines(Place(1)).values() for word in argv]
    assert {word for word in words if word.startswith("/")} <= given
    assert json.loads(files_of(1)["kubelet.json"])["resolvConf"] in given


def test_containerd_runs_the_pause_image_that_is_on_the_disk() -> None:
    read = tomllib.loads(containerd_config("/a", "/b", ["without.this"]))
    servers = [read["plugins"][f"io.containerd.server.v1.{kind}"]["address"] for kind in ("grpc", "ttrpc")]
    assert (read["root"], read["state"], servers) == ("/a", "/b", ["/b/containerd.sock", "/b/containerd.sock.ttrpc"])
    assert read["plugins"]["io.containerd.cri.v1.images"]["pinned_images"] == {"sandbox": f"docker.io/{PAUSE_IMAGE}"}
    assert read["disabled_plugins"][-1] == "without.this"


def test_the_cluster_s_dns_answers_at_the_address_that_pods_are_given() -> None:
    items: dict[str, Any] = {item["kind"]: item for item in json.loads(cluster_dns())["items"]}
    assert items["Service"]["spec"]["internalTrafficPolicy"] == "Local"
    assert [items["Service"]["spec"]["clusterIP"]] == json.loads(files_of(1)["kubelet.json"])["clusterDNS"]
    (container,) = items["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == DNS_IMAGE


def test_qemu_keeps_what_is_written_and_joins_no_network_of_the_host(tmp_path: Path) -> None:
    options = qemu_options(node_of(2, tmp_path), Path("/disks/disk.img"), tmp_path / "lan.sock")
    told = dict(zip(options[::2], options[1::2], strict=True))
    assert "snapshot=on" in told["-drive"]
    networks = [value for name, value in zip(options[::2], options[1::2], strict=True) if name == "-netdev"]
    assert networks == [
        "user,id=user,hostfwd=tcp:127.0.0.1:23009-10.0.2.15:3128",
        f"stream,id=lan,server=off,addr.type=unix,addr.path={tmp_path}/lan.sock",
    ]


def test_a_node_is_prepared_and_found_again(tmp_path: Path) -> None:
    of = Files(tmp_path)
    of.ca.write_text("authority")
    of.kubelet_client.write_text("client")
    node = node_of(1, tmp_path)
    prepare(node, of, 6443, {"worker-1": "t1", "kube-proxy": "t2"})
    assert nodes_below(tmp_path) == {"worker-1": node}
    start = (node.folder / "share/start").read_text()
    subprocess.run(["sh", "-n"], input=start, text=True, check=True)
    kubelet = json.loads((node.folder / "share/files/kubelet.kubeconfig").read_text())
    assert kubelet["clusters"][0]["cluster"] == {"server": "https://10.0.2.2:6443", "certificate-authority": "/share/files/ca.crt"}
    assert kubelet["users"][0]["user"] == {"token": "t1"}


def test_kernels_take_turns_the_newest_first_unless_told() -> None:
    assert kernels_of_nodes(3, ()) == ["6.12", "6.1", "6.12"]
    assert kernels_of_nodes(2, ("6.1",)) == ["6.1", "6.1"]
    assert kernels_of_nodes(0, ("6.1",)) == []


def test_of_many_looks_at_a_clock_the_quickest_counts() -> None:
    assert least_uncertain([(100, 900, 1100), (2000, 2205, 2010), (3000, 4000, 5000)]) == Offset(200, 5)


@pytest.mark.parametrize(
    ("offset", "shift"),
    [
        (Offset(700_000_000, 4_000_000), -700_000_000),
        (Offset(-700_000_000, 4_000_000), 700_000_000),
        (Offset(4_000_000, 4_000_000), 0),
        (Offset(900_000, 10_000), 0),
    ],
)
def test_a_clock_is_moved_when_it_is_wrong_for_certain(offset: Offset, shift: int) -> None:
    assert correction(offset) == shift

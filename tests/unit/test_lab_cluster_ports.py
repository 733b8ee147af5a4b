"""Ports of clusters: nobody else's, the same for as long as they are held, and free for others after."""

import socket
from pathlib import Path

import pytest
from clew_lab.cluster import ports
from clew_lab.cluster.ports import NoPorts, Ports, reserved


@pytest.fixture
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine runs, clusters among it."""
    monkeypatch.setattr(ports, "_is_free", lambda port: True)


def every_port(ports: Ports) -> set[int]:
    return {ports.etcd, ports.etcd_peer, ports.apiserver, ports.controller_manager, ports.scheduler, ports.kwok} | {
        ports.source_controller,
        ports.artifacts,
        ports.kustomize_controller,
        ports.jaeger_grpc,
        ports.jaeger_http,
        ports.jaeger_query,
        ports.collector_grpc,
        ports.collector_http,
        *ports.nodes,
    }


def test_two_clusters_never_share_a_port(tmp_path: Path) -> None:
    with reserved(tmp_path) as one, reserved(tmp_path) as other:
        assert len(every_port(one) | every_port(other)) == 46


@pytest.mark.usefixtures("nobody_listens")
def test_ports_are_given_again_when_their_cluster_has_ended(tmp_path: Path) -> None:
    with reserved(tmp_path) as before:
        pass
    with reserved(tmp_path) as after:
        assert after == before


def test_a_slot_with_a_port_that_somebody_listens_on_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = server.getsockname()[1] - 5
        monkeypatch.setattr(ports, "_FIRST", first)
        with reserved(tmp_path) as taken:
            assert min(every_port(taken)) >= first + 23


def test_ports_lie_below_those_that_the_kernel_gives_to_connections(tmp_path: Path) -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with reserved(tmp_path) as taken:
        assert max(every_port(taken)) < lowest


@pytest.mark.usefixtures("nobody_listens")
def test_when_all_are_taken_the_range_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_SLOTS", 1)
    nothing_left = pytest.raises(NoPorts, match=r"^no free ports for a cluster between 23000 and 23022 on 127\.0\.0\.1$")
    with reserved(tmp_path), nothing_left, reserved(tmp_path):
        pass

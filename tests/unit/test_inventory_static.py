"""The pods file: what it may say, what it may not, and that a bad edit harms nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from clew_agent.inventory.parse import PodsFile, PodsFileError, parse_pods
from clew_agent.inventory.static import StaticInventory, read_pods
from clew_agent.model import Inventory, Pod, Run, Workload
from hypothesis import given
from hypothesis import strategies as st

WHOLE = """
pods:
  - name: productpage-1
    namespace: bookinfo
    uid: u-1
    cgroup: /kubepods/pod1/
    addresses: [10.0.0.1, "fd00::1"]
    workload: {kind: Deployment, name: productpage}
    containers: [app, {name: proxy, id: 4f3c}, {name: log}]
    labels: {app: productpage, empty: ""}
    annotations: {resource.opentelemetry.io/service.name: front}
  - {name: details-1, namespace: bookinfo, node: other}
services: {10.96.0.1: details, "fd00::60": details}
namespaces: {bookinfo: {team: books}}
"""
EXPECTED = PodsFile(
    Inventory(
        (
            Pod(
                name="productpage-1",
                namespace="bookinfo",
                uid="u-1",
                node="here",
                cgroup="/kubepods/pod1",
                addresses=(ip_address("10.0.0.1"), ip_address("fd00::1")),
                workload=Workload("Deployment", "productpage"),
                containers=("app", "proxy", "log"),
                runs={"4f3c": Run("proxy")},
                labels={"app": "productpage", "empty": ""},
                annotations={"resource.opentelemetry.io/service.name": "front"},
            ),
            Pod("details-1", "bookinfo", "", "other"),
        ),
        {ip_address("10.96.0.1"): "details", ip_address("fd00::60"): "details"},
    ),
    {"bookinfo": {"team": "books"}},
)


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text(WHOLE)
    (tmp_path / "pods.json").write_text(json.dumps(yaml.safe_load(WHOLE)))
    assert read_pods(tmp_path / "pods.yaml", "here") == EXPECTED
    assert read_pods(tmp_path / "pods.json", "here") == EXPECTED


def test_an_empty_file_is_no_pods(tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text("")
    assert read_pods(tmp_path / "pods.yaml") == PodsFile()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the file: must be a mapping, not a list"),
        ("pods: {}", "pods: must be a list, not a mapping"),
        ("podz: []", "the file: unknown field 'podz'; allowed are pods, services, namespaces"),
        ("pods: [3]", "pods[0]: must be a mapping, not a number"),
        ("pods: [{name: a}]", "pods[0].namespace: is required"),
        ("pods: [{name: a, namespace: n, containers: [3]}]", "pods[0].containers[0]: must be a mapping, not a number"),
        ("pods: [{name: a, namespace: n, containers: [{id: 4f}]}]", "pods[0].containers[0].name: is required"),
        (
            "pods: [{name: a, namespace: n, containers: [{name: c, id: crio-4f}]}]",
            "pods[0].containers[0].id: 'crio-4f' is no container's ID, which is made of the digits 0-9 and a-f",
        ),
        ("pods: [{name: 3, namespace: n}]", "pods[0].name: must be text, not a number; put it into quotes"),
        ("pods: [{name: '', namespace: n}]", "pods[0].name: must not be empty"),
        ("pods: [{name: a, namespace: n, addresses: 10.0.0.1}]", "pods[0].addresses: must be a list, not text"),
        ("pods: [{name: a, namespace: n, addresses: [10.0.0.1, 10.0.0.256]}]", "pods[0].addresses[1]: '10.0.0.256' is no IP address"),
        ("pods: [{name: a, namespace: n, labels: {x: 1}}]", "pods[0].labels.x: must be text, not a number; put it into quotes"),
        ("pods: [{name: a, namespace: n, labels: {1: x}}]", "pods[0].labels: the key 1 must be text: put it into quotes"),
        ("pods: [{name: a, namespace: n, workload: web}]", "pods[0].workload: must be a mapping, not text"),
        ("pods: [{name: a, namespace: n, workload: {kind: Job}}]", "pods[0].workload.name: is required"),
        (
            "pods: [{name: a, namespace: n, adresses: []}]",
            "pods[0]: unknown field 'adresses'; allowed are name, namespace, uid, node, workload, cgroup, addresses, labels, "
            "annotations, containers",
        ),
        (
            "pods: [{name: a, namespace: n}, {name: b, namespace: n}, {name: c, namespace: n, cgroup: kubepods/x}]",
            "pods[2].cgroup: 'kubepods/x' is no path below the cgroup v2 mount; it begins with a slash, as in /kubepods/pod1",
        ),
        (
            "pods: [{name: a, namespace: n, cgroup: /}]",
            "pods[0].cgroup: '/' is no path below the cgroup v2 mount; it begins with a slash, as in /kubepods/pod1",
        ),
        (
            "pods: [{name: a, namespace: n, cgroup: /x/../y}]",
            "pods[0].cgroup: '/x/../y' is no path below the cgroup v2 mount; it begins with a slash, as in /kubepods/pod1",
        ),
        ("pods: [{name: a, namespace: n}, {name: a, namespace: n}]", "pods[1].name: n/a is pods[0] already"),
        (
            "pods: [{name: a, namespace: n, cgroup: /x}, {name: b, namespace: n, cgroup: /x}]",
            "pods[1].cgroup: /x is that of pods[0] already",
        ),
        ("services: {here: x}", "services: 'here' is no IP address"),
        ("services: {10.0.0.1: [x]}", "services.10.0.0.1: must be text, not a list; put it into quotes"),
        ("namespaces: {a: [x]}", "namespaces.a: must be a mapping, not a list"),
        ("a: &x [1]\nb: *x", "cannot be read: aliases are not allowed"),
    ],
)
def test_errors_name_the_field(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pods.yaml").write_text(text)
    with pytest.raises(PodsFileError) as caught:
        read_pods(tmp_path / "pods.yaml")
    assert str(caught.value) == f"pods.yaml: {message}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PodsFileError, match=r"none\.yaml: No such file or directory"):
        StaticInventory(tmp_path / "none.yaml")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(PodsFileError, match=r"bad\.json: cannot be read: Expecting property name"):
        StaticInventory(tmp_path / "bad.json")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(PodsFileError, match="fifo: not a regular file"):
        StaticInventory(tmp_path / "fifo")


def names(inventory: Inventory) -> list[str]:
    return [pod.name for pod in inventory.pods]


def test_pods_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "pods.yaml"
    path.write_text("pods: [{name: a, namespace: n}]")
    source = StaticInventory(path, "here")
    assert source.current() is source.current()
    path.write_text("pods: [{name: a, namespace: n}, {name: b, namespace: n}]\nnamespaces: {n: {x: y}}")
    assert names(source.current()) == ["a", "b"]
    assert source.namespaces() == {"n": {"x": "y"}}
    assert source.current().pods[1].node == "here"


def test_a_bad_edit_keeps_the_last_good_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pods.yaml"
    path.write_text("pods: [{name: a, namespace: n}]")
    source = StaticInventory(path)
    path.write_text("pods: [{name: a}]")
    assert [names(source.current()) for _ in range(3)] == [["a"]] * 3
    path.unlink()
    assert [names(source.current()) for _ in range(3)] == [["a"]] * 3
    path.write_text("pods: []")
    assert names(source.current()) == []
    assert [record.getMessage() for record in caplog.records] == [
        "pods.yaml: pods[0].namespace: is required; the 1 pods known before stay",
        "pods.yaml: No such file or directory; the 1 pods known before stay",
    ]


KEYS = st.sampled_from(["pods", "services", "namespaces", "name", "namespace", "addresses", "cgroup", "workload", "labels", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("10.0.0.1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


def outcome(read: Callable[[], PodsFile]) -> str:
    """The error's text, or what a good file looks like in its place."""
    try:
        read()
    except PodsFileError as error:
        return str(error)
    return "any.yaml: good"


@given(st.dictionaries(KEYS, VALUES) | VALUES)
def test_any_document_is_an_inventory_or_an_error(document: object) -> None:
    assert ": " in outcome(lambda: parse_pods(document))


@given(st.binary(max_size=60))
def test_any_bytes_are_an_inventory_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    assert outcome(lambda: read_pods(path)).startswith("any.yaml: ")

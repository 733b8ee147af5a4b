"""The lab's control plane itself: what the other API tests may rely on."""

import json
from typing import Any

from clew_lab.cluster import Cluster

WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.test}
spec:
  group: example.test
  scope: Cluster
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {min: {type: integer}, max: {type: integer}}
            x-kubernetes-validations:
            - {rule: "self.min <= self.max", message: "min must not be above max"}
"""


def widget(name: str, least: int, most: int) -> str:
    return json.dumps({"apiVersion": "example.test/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"min": least, "max": most}})


def zone_of(node: dict[str, Any]) -> str:
    return str(node["metadata"]["labels"]["topology.kubernetes.io/zone"])


def ready(node: dict[str, Any]) -> str:
    return next(str(condition["status"]) for condition in node["status"]["conditions"] if condition["type"] == "Ready")


def test_the_api_server_is_ready_and_says_its_version(cluster: Cluster) -> None:
    assert cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"
    version = json.loads(cluster.kubectl("version", "--output=json").stdout)
    assert version["serverVersion"]["gitVersion"] == "v1.37.2"


def test_nodes_become_ready_with_zones_and_kernels_in_turn(cluster: Cluster) -> None:
    assert cluster.add_nodes(4, zones=("a", "b"), kernels=("6.1.0-1", "6.12.0-1")) == ["node-0", "node-1", "node-2", "node-3"]
    assert cluster.add_nodes(["other"]) == ["other"]
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output=json").stdout)["items"]
    assert [(zone_of(node), node["status"]["nodeInfo"]["kernelVersion"], ready(node)) for node in nodes] == [
        ("a", "6.1.0-1", "True"),
        ("b", "6.1.0-1", "True"),
        ("a", "6.12.0-1", "True"),
        ("b", "6.12.0-1", "True"),
        ("b", "6.12.107+deb13-amd64", "True"),
    ]


def test_a_crd_with_a_cel_rule_refuses_what_breaks_it(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--filename=-", input=WIDGETS)
    cluster.kubectl("wait", "--for=condition=Established", "crd/widgets.example.test", "--timeout=30s")
    assert cluster.kubectl("apply", "--filename=-", input=widget("good", 1, 2)).stdout == "widget.example.test/good created\n"
    refused = cluster.kubectl("apply", "--filename=-", input=widget("bad", 3, 2), check=False)
    assert refused.returncode == 1
    assert refused.stderr == 'The Widget "bad" is invalid: spec: Invalid value: min must not be above max\n'

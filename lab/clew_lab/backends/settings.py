"""What Jaeger and the Collector are told in their configuration files, and what a cluster is told of Jaeger. Pure.

Neither keeps a queue of its own: what has been answered is in Jaeger's memory, and can be asked for at once.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew_lab.guest import HOST_ADDRESS

__all__ = ["NAMESPACE", "Guard", "Way", "collector_config", "jaeger_config", "jaeger_objects"]

NAMESPACE = "observability"
"""Where pods find Jaeger: ``http://jaeger.observability:4318``, and with port 4317 by gRPC."""

_LOOPBACK = "127.0.0.1"
_PORTS = {"otlp-grpc": 4317, "otlp-http": 4318}
_MOST_TRACES = 100_000
_STORAGE = "memory"
_TOKEN = "bearertokenauth"


@dataclass(frozen=True, slots=True)
class Way:
    """Where OTLP is taken on this machine: a port for each of its transports. `scheme` is ``https`` behind a :class:`Guard`."""

    grpc_port: int
    http_port: int
    scheme: str = "http"

    @property
    def grpc(self) -> str:
        """The endpoint by ``grpc``."""
        return f"{self.scheme}://{_LOOPBACK}:{self.grpc_port}"

    @property
    def http(self) -> str:
        """The endpoint by ``http/protobuf``."""
        return f"{self.scheme}://{_LOOPBACK}:{self.http_port}"


@dataclass(frozen=True, slots=True)
class Guard:
    """How a Collector is known, and whom it lets in: its certificate and key, its clients' authority (PEM files), and a bearer token."""

    certificate: Path
    key: Path
    client_authority: Path
    token: str


def jaeger_config(way: Way, query_port: int) -> str:
    """Return the configuration of a Jaeger that takes OTLP into memory, and answers questions over HTTP."""
    extensions = {
        "jaeger_storage": {"backends": {_STORAGE: {"memory": {"max_traces": _MOST_TRACES}}}},
        "jaeger_query": {
            "storage": {"traces": _STORAGE},
            "http": {"endpoint": f"{_LOOPBACK}:{query_port}"},
            # Which nobody uses, and which may not be that of HTTP.
            "grpc": {"endpoint": f"{_LOOPBACK}:0"},
        },
    }
    telemetry = {"metrics": {"level": "none"}}
    return _document(_receiver(way, {}), {"jaeger_storage_exporter": {"trace_storage": _STORAGE}}, extensions, {"telemetry": telemetry})


def collector_config(way: Way, onward: str, guard: Guard | None = None) -> str:
    """Return the configuration of a Collector that takes OTLP, and sends it on by gRPC to `onward`, a host and a port."""
    exporter = {"endpoint": onward, "tls": {"insecure": True}, "sending_queue": {"enabled": False}}
    if guard is None:
        return _document(_receiver(way, {}), {"otlp_grpc": exporter}, {}, {})
    tls = {"cert_file": str(guard.certificate), "key_file": str(guard.key), "client_ca_file": str(guard.client_authority)}
    receiver = _receiver(way, {"tls": tls, "auth": {"authenticator": _TOKEN}})
    return _document(receiver, {"otlp_grpc": exporter}, {_TOKEN: {"token": guard.token}}, {})


def jaeger_objects(way: Way) -> str:
    """Return the objects by which pods reach the Jaeger of the host that their nodes are guests of, as kubectl takes them."""
    name = {"name": "jaeger", "namespace": NAMESPACE}
    ports_of_host = {"otlp-grpc": way.grpc_port, "otlp-http": way.http_port}
    items: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"ports": _named(_PORTS)}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**name, "labels": {"kubernetes.io/service-name": "jaeger"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [HOST_ADDRESS], "conditions": {"ready": True}}],
            "ports": _named(ports_of_host),
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _named(ports: dict[str, int]) -> list[dict[str, Any]]:
    return [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports.items()]


def _receiver(way: Way, more: dict[str, Any]) -> dict[str, Any]:
    ports = {"grpc": way.grpc_port, "http": way.http_port}
    return {"otlp": {"protocols": {name: {"endpoint": f"{_LOOPBACK}:{port}", **more} for name, port in ports.items()}}}


def _document(receivers: dict[str, Any], exporters: dict[str, Any], extensions: dict[str, Any], service: dict[str, Any]) -> str:
    """One pipeline, as the Collector's configuration has it; its YAML takes JSON."""
    pipeline = {"receivers": list(receivers), "exporters": list(exporters)}
    document = {
        "receivers": receivers,
        "exporters": exporters,
        "extensions": extensions,
        "service": {"extensions": list(extensions), "pipelines": {"traces": pipeline}, **service},
    }
    return json.dumps(document, indent=2) + "\n"

"""What is said of the node in every span's resource: ``host.*`` and ``os.*``, by the OpenTelemetry semantic conventions. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from clew_agent.model import AttributeValue

# What the conventions call the machines of ``uname``; others stand as they are.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm32", "i686": "x86", "ppc64le": "ppc64", "ppc64": "ppc64"}


def host_attributes(node: str, machine: str) -> Mapping[str, AttributeValue]:
    """The attributes of a node; ``machine`` is as ``uname`` has it."""
    return {
        "k8s.node.name": node,
        "host.name": node,
        "host.arch": _ARCHITECTURES.get(machine, machine),
        "os.type": "linux",
    }

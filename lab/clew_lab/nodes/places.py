"""Where nodes are on the network: names and addresses, all told by a node's number. Pure.

A node has two links. One is QEMU's user network, by which it reaches the host, and the host reaches a port of it. The other is the
LAN of the cluster's nodes: it carries the node's own address, and the traffic of pods between nodes, by plain routes.
"""

import ipaddress
from dataclasses import dataclass

__all__ = [
    "DNS_ADDRESS",
    "MOST_NODES",
    "POD_NETWORK",
    "SERVICE_NETWORK",
    "TUNNEL_PORT",
    "USER_ADDRESS",
    "USER_NETWORK",
    "Place",
    "number_at",
]

MOST_NODES = 9
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"

USER_NETWORK = "10.0.2.0/24"
"""QEMU's user network: the guest, the host, nobody else."""

USER_ADDRESS = "10.0.2.15"
"""A guest's own address in QEMU's user network, the same for all: each has such a network to itself."""

TUNNEL_PORT = 3128
"""Where a guest listens for what the host has for it."""

_ZONES = "abc"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of the node of that number, 1 to `MOST_NODES`."""

    number: int

    @property
    def name(self) -> str:
        """The node's name."""
        return f"worker-{self.number}"

    @property
    def address(self) -> str:
        """The node's address on the LAN, by which the cluster knows it."""
        return f"10.77.0.1{self.number}"

    @property
    def pods(self) -> str:
        """The network of its pods."""
        return f"10.244.{self.number}.0/24"

    @property
    def zone(self) -> str:
        """Its zone; they take turns."""
        return _ZONES[(self.number - 1) % len(_ZONES)]

    @property
    def user_mac(self) -> str:
        """The hardware address of its link to the host."""
        return f"52:54:00:00:00:1{self.number}"

    @property
    def lan_mac(self) -> str:
        """The hardware address of its link to the LAN."""
        return f"52:54:00:77:00:1{self.number}"


def number_at(host: str) -> int | None:
    """Return the number of the node that has an address, or whose pods have it; None for what every node reaches (a service)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    places = (Place(number) for number in range(1, MOST_NODES + 1))
    return next((place.number for place in places if host == place.address or address in ipaddress.ip_network(place.pods)), None)

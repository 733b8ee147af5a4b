"""The files of a node, and the command lines of its programs. Pure: text out of the node's place.

The host writes the files into the folder that it shares with the guest, and `inside.py` starts the programs.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clew_lab.config import SHARE_MOUNT
from clew_lab.nodes.places import DNS_ADDRESS, POD_NETWORK, USER_NETWORK, Place

__all__ = ["CONTAINERD_SOCKET", "DISK_MOUNT", "PAUSE_IMAGE", "PERSISTENT", "command_lines", "containerd_config", "files"]

DISK_MOUNT = "/run/clew/disk"
"""Where a node mounts its disk. Its programs are in bin/ on it, what PERSISTENT names in var/."""

PERSISTENT = ("lib/cni", "lib/containerd", "lib/kubelet", "log/pods")
"""What of /var lies on the disk, and so is still there after a reboot."""

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
"""Where a node's containerd listens."""

PAUSE_IMAGE = "clew/pause:1"
"""What the sandbox of every pod runs."""

# By its link to the host a node reaches the host and nothing beyond it: not even what a pod sends to a Service before kube-proxy knows of
# it. Between nodes pods keep their addresses; towards the host they have their node's.
_LINK_TO_HOST = f"""table ip clew_lab {{
  chain no_further {{
    type filter hook postrouting priority 0;
    oifname "eth0" ip daddr != {USER_NETWORK} drop;
  }}
  chain as_node {{
    type nat hook postrouting priority 100;
    ip saddr {POD_NETWORK} oifname "eth0" masquerade;
  }}
}}
"""
_GIVEN = f"{SHARE_MOUNT}/files"
_NO_USE = (
    "io.containerd.differ.v1.erofs",
    "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.snapshotter.v1.native",
    "io.containerd.tracing.processor.v1.otlp",
)


def containerd_config(root: str, state: str, without: Sequence[str] = ()) -> str:
    """Return containerd's configuration (TOML), with its files below `root` and `state`, and `without` some of its plugins."""
    return f"""version = 4
root = "{root}"
state = "{state}"
disabled_plugins = {json.dumps([*_NO_USE, *without])}

[plugins."io.containerd.server.v1.grpc"]
address = "{state}/containerd.sock"

[plugins."io.containerd.server.v1.ttrpc"]
address = "{state}/containerd.sock.ttrpc"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
pinned_images = {{ sandbox = "docker.io/{PAUSE_IMAGE}" }}

# By default each container is asked once a second what it has used: half of an emulated processor with a dozen of them.
[plugins."io.containerd.cri.v1.runtime"]
stats_collect_period = "5m"
stats_retention_period = "10m"

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "/etc/cni/net.d"
"""


def files(place: Place, kubeconfigs: Mapping[str, str], ca: str, kubelet_client: str) -> dict[str, str]:
    """Return the files that a node is given, name to text.

    `kubeconfigs` are the kubelet's and kube-proxy's; `ca` tells the API server by its certificate, `kubelet_client` is the
    certificate by which the kubelet knows the API server when it comes for logs and the like.
    """
    return {
        **{f"{name}.kubeconfig": text for name, text in kubeconfigs.items()},
        "ca.crt": ca,
        "kubelet-client.crt": kubelet_client,
        "containerd.toml": containerd_config("/var/lib/containerd", "/run/containerd"),
        "cni.conflist": _json(_pod_network(place)),
        "kubelet.json": _json(_kubelet()),
        "resolv.conf": "",
        "hosts": f"127.0.0.1 localhost\n{place.address} {place.name}\n",
        "link.nft": _LINK_TO_HOST,
    }


def command_lines(place: Place) -> dict[str, Sequence[str]]:
    """Return the command line of each program of a node, in the order in which they are started."""
    return {
        "containerd": ["containerd", f"--config={_GIVEN}/containerd.toml"],
        "kubelet": [
            "kubelet",
            f"--config={_GIVEN}/kubelet.json",
            f"--kubeconfig={_GIVEN}/kubelet.kubeconfig",
            f"--hostname-override={place.name}",
            f"--node-ip={place.address}",
            f"--node-labels=topology.kubernetes.io/zone={place.zone}",
            # What the kubelet's own figures cost, of which nothing here makes use.
            "--housekeeping-interval=2m",
        ],
        "kube-proxy": [
            "kube-proxy",
            f"--kubeconfig={_GIVEN}/kube-proxy.kubeconfig",
            f"--hostname-override={place.name}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={POD_NETWORK}",
        ],
    }


def _pod_network(place: Place) -> dict[str, Any]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": place.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "lab", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def _kubelet() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{_GIVEN}/kubelet-client.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{_GIVEN}/resolv.conf",
        # An image that is removed cannot be had again.
        "imageGCHighThresholdPercent": 100,
        # Nothing is evicted, and no disk is shared out: to look after both, all containers are asked every ten seconds what they use.
        "evictionHard": dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available", "nodefs.inodesFree"), "0%"),
        "localStorageCapacityIsolation": False,
        "runtimeRequestTimeout": "10m",
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"

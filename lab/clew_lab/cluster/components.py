"""The command lines of the control plane's components, and the files that they read. Pure: text out of names and ports.

Everyone who speaks to the API server does it with a static token (`tokens.csv`), and the API server makes its certificate itself,
so that no key needs to be made beforehand. Its private key also signs the tokens of service accounts.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clew_lab.cluster.build import STAGES
from clew_lab.cluster.ports import Ports
from clew_lab.guest import HOST_ADDRESS
from clew_lab.nodes.places import MOST_NODES, SERVICE_NETWORK, Place

__all__ = [
    "ADMIN",
    "AUDIT_POLICY",
    "COMPONENT_USERS",
    "KUBE_PROXY",
    "NODE_LEASE_SECONDS",
    "NODE_USERS",
    "PLAYED",
    "PLAYED_BY_KWOK",
    "Files",
    "authority",
    "client_certificate",
    "command_lines",
    "egress_selector",
    "kubeconfig",
    "tokens_csv",
]

ADMIN = "admin"
COMPONENT_USERS = {"kube-controller-manager": "system:kube-controller-manager", "kube-scheduler": "system:kube-scheduler", "kwok": "kwok"}
"""The components that are clients of the API server, and the user that each is."""

KUBE_PROXY = "kube-proxy"
NODE_USERS = {KUBE_PROXY: "system:kube-proxy"} | {
    place.name: f"system:node:{place.name}" for place in (Place(number) for number in range(1, MOST_NODES + 1))
}
"""The clients of the API server that run on nodes: kube-proxy, and the kubelet of each node that there may be, by the node's name."""

PLAYED, PLAYED_BY_KWOK = "kwok.x-k8s.io/node", "fake"
"""The annotation of a node that kwok plays the kubelet of, and its value; other nodes it leaves alone."""

NODE_LEASE_SECONDS = 200
"""How long a node may be silent before it is given up. kwok renews at a quarter of it: leases of 1,000 nodes are 20 writes a second."""

_MASTERS = frozenset({ADMIN, "kwok"})
_READS = ["get", "list", "watch"]
_WRITES = ["create", "update", "patch", "delete", "deletecollection"]
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        {"level": "Request", "verbs": _WRITES, "resources": [{"group": "clew.dev"}]},
        {"level": "Metadata", "verbs": _READS, "userGroups": ["system:serviceaccounts:clew-system"]},
        {"level": "None"},
    ],
}
"""Every write to an object of Clew's is logged with who made it and what was sent, and every read of Clew's own pods; nothing else.

A watch has two lines, ResponseStarted when it begins and ResponseComplete when it ends; all else has the second alone.
"""


class Files:
    """Where a cluster keeps what it is made of, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.audit_log = folder / "audit.log"
        self.audit_policy = folder / "audit-policy.json"
        self.certificates = folder / "pki"
        self.ca = folder / "ca.crt"
        self.certificate = self.certificates / "apiserver.crt"
        self.key = self.certificates / "apiserver.key"
        self.egress = folder / "egress.json"
        self.egress_socket = folder / "egress.sock"
        self.kubelet_client = folder / "kubelet-client.crt"
        self.kubelet_client_key = folder / "kubelet-client.key"
        self.lan_socket = folder / "lan.sock"
        self.tokens = folder / "tokens.csv"

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of the admin or of a component."""
        return self.folder / f"{user}.kubeconfig"


def tokens_csv(tokens: Mapping[str, str]) -> str:
    """Return the API server's token file; `tokens` maps "admin" and the names of components and nodes to their tokens."""
    users = COMPONENT_USERS | NODE_USERS
    lines = []
    for name, token in tokens.items():
        user = users.get(name, name)
        group = ",system:masters" if name in _MASTERS else ",system:nodes" if user.startswith("system:node:") else ""
        lines.append(f"{token},{user},{name}{group}\n")
    return "".join(lines)


def client_certificate(files: Files) -> Sequence[str]:
    """Return the command that makes the certificate by which a kubelet knows the API server. It signs itself: each kubelet holds a copy."""
    subject = ["-subj", "/O=system:masters/CN=kube-apiserver-kubelet-client", "-addext", "extendedKeyUsage=clientAuth"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(files.kubelet_client_key)]
    return ["openssl", "req", "-x509", "-days", "365", *key, *subject, "-out", str(files.kubelet_client)]


def egress_selector(files: Files) -> str:
    """Return how the API server reaches what is in the cluster's network: kubelets, pods, services."""
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(files.egress_socket)}}}
    document = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }
    return json.dumps(document, indent=2) + "\n"


def kubeconfig(url: str, ca: Path, token: str) -> str:
    """Return a kubeconfig for one server and one token."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "clew", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "clew", "user": {"token": token}}],
        "contexts": [{"name": "clew", "context": {"cluster": "clew", "user": "clew"}}],
        "current-context": "clew",
    }
    return json.dumps(document, indent=2) + "\n"


def authority(chain: str) -> str:
    """Return the last certificate of a PEM chain: the authority that signed the one before it."""
    begin = chain.rindex("-----BEGIN CERTIFICATE-----")
    return chain[begin:]


def command_lines(programs: Path, files: Files, ports: Ports, node_lease_seconds: int = NODE_LEASE_SECONDS) -> dict[str, Sequence[str]]:
    """Return the command line of every component, in the order in which they are started."""
    etcd, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    flags = {
        "etcd": [
            "--name=clew",
            f"--data-dir={files.folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=clew={peer}",
        ],
        "kube-apiserver": [
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={ports.apiserver}",
            f"--advertise-address={HOST_ADDRESS}",  # it becomes a name of the certificate, so that guests get in, too
            f"--egress-selector-config-file={files.egress}",
            f"--kubelet-client-certificate={files.kubelet_client}",
            f"--kubelet-client-key={files.kubelet_client_key}",
            "--kubelet-preferred-address-types=InternalIP",
            # An emulated kubelet takes seconds to greet by TLS.
            "--kubelet-timeout=60s",
            f"--cert-dir={files.certificates}",
            f"--token-auth-file={files.tokens}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={files.certificate}",
            f"--service-account-signing-key-file={files.key}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--allow-privileged=true",
            f"--audit-policy-file={files.audit_policy}",
            f"--audit-log-path={files.audit_log}",
            "--audit-log-maxsize=10000",
            "--profiling=false",
        ],
        "kube-controller-manager": [
            f"--kubeconfig={files.kubeconfig('kube-controller-manager')}",
            "--bind-address=127.0.0.1",
            f"--secure-port={ports.controller_manager}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={files.key}",
            f"--root-ca-file={files.ca}",
            # At the default of 20 requests a second it takes 5 s to start.
            "--kube-api-qps=300",
            "--kube-api-burst=600",
            f"--node-monitor-grace-period={node_lease_seconds}s",
            # Else it makes a folder under /usr/libexec.
            f"--flex-volume-plugin-dir={files.folder / 'flex'}",
            "--leader-elect=false",
            "--profiling=false",
        ],
        "kube-scheduler": [
            f"--kubeconfig={files.kubeconfig('kube-scheduler')}",
            "--bind-address=127.0.0.1",
            f"--secure-port={ports.scheduler}",
            "--leader-elect=false",
            "--profiling=false",
        ],
        "kwok": [
            f"--config={programs / STAGES}",
            f"--kubeconfig={files.kubeconfig('kwok')}",
            f"--manage-nodes-with-annotation-selector={PLAYED}={PLAYED_BY_KWOK}",
            f"--node-lease-duration-seconds={node_lease_seconds}",
            "--node-ip=127.0.0.1",
            f"--node-port={ports.kwok}",
            f"--server-address=127.0.0.1:{ports.kwok}",
        ],
    }
    return {name: [str(programs / name), *arguments] for name, arguments in flags.items()}

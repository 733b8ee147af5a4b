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

__all__ = [
    "ADMIN",
    "AUDIT_POLICY",
    "COMPONENT_USERS",
    "PLAYED",
    "PLAYED_BY_KWOK",
    "Files",
    "authority",
    "command_lines",
    "kubeconfig",
    "tokens_csv",
]

ADMIN = "admin"
COMPONENT_USERS = {"kube-controller-manager": "system:kube-controller-manager", "kube-scheduler": "system:kube-scheduler", "kwok": "kwok"}
"""The components that are clients of the API server, and the user that each is."""

PLAYED, PLAYED_BY_KWOK = "kwok.x-k8s.io/node", "fake"
"""The annotation of a node that kwok plays the kubelet of, and its value; other nodes it leaves alone."""

_NODE_LEASE_SECONDS = 200  # kwok renews at a quarter of it: leases of 1,000 nodes are 20 writes a second
_MASTERS = frozenset({ADMIN, "kwok"})
_WRITES = ["create", "update", "patch", "delete", "deletecollection"]
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [{"level": "Request", "verbs": _WRITES, "resources": [{"group": "clew.dev"}]}, {"level": "None"}],
}
"""Every write to an object of Clew's is logged with who made it and what was sent, and nothing else."""


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
        self.tokens = folder / "tokens.csv"

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of the admin or of a component."""
        return self.folder / f"{user}.kubeconfig"


def tokens_csv(tokens: Mapping[str, str]) -> str:
    """Return the API server's token file; `tokens` maps "admin" and the names of components to their tokens."""
    lines = []
    for name, token in tokens.items():
        group = ",system:masters" if name in _MASTERS else ""
        lines.append(f"{token},{COMPONENT_USERS.get(name, name)},{name}{group}\n")
    return "".join(lines)


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


def command_lines(programs: Path, files: Files, ports: Ports) -> dict[str, Sequence[str]]:
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
            "--endpoint-reconciler-type=none",
            f"--cert-dir={files.certificates}",
            f"--token-auth-file={files.tokens}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={files.certificate}",
            f"--service-account-signing-key-file={files.key}",
            "--service-cluster-ip-range=10.96.0.0/16",
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
            f"--node-monitor-grace-period={_NODE_LEASE_SECONDS}s",
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
            f"--node-lease-duration-seconds={_NODE_LEASE_SECONDS}",
            "--node-ip=127.0.0.1",
            f"--node-port={ports.kwok}",
            f"--server-address=127.0.0.1:{ports.kwok}",
        ],
    }
    return {name: [str(programs / name), *arguments] for name, arguments in flags.items()}

"""A running control plane: started with fresh data, used by tests through :class:`Cluster`, ended with everything it was."""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from clew_lab.cluster import components, flux, flux_build, played, ports
from clew_lab.cluster.build import PROGRAMS
from clew_lab.cluster.components import (
    ADMIN,
    AUDIT_POLICY,
    COMPONENT_USERS,
    NODE_LEASE_SECONDS,
    NODE_USERS,
    PLAYED,
    PLAYED_BY_KWOK,
    Files,
)
from clew_lab.cluster.processes import ProcessGroup
from clew_lab.image import cache_dir
from clew_lab.store import in_use

__all__ = ["Cluster", "ClusterError", "start_cluster"]

_API_SERVER = "kube-apiserver"
_START_SECONDS = 120.0
_POLL_SECONDS = 0.05
_LOG_LINES = 20


class ClusterError(RuntimeError):
    """A component ended, or did not answer in time; the message holds what it logged last."""


class Cluster:
    """A running control plane; :func:`start_cluster` makes it."""

    def __init__(self, folder: Path, programs: Path, ports: ports.Ports, group: ProcessGroup, held: ExitStack, node_lease: int) -> None:
        """Write the components' files into `folder`; nothing runs yet. What is entered into `held` is left when the cluster has ended."""
        self.folder = folder
        self.url = f"https://127.0.0.1:{ports.apiserver}"
        self.files = Files(folder)
        self._programs = programs
        self.ports = ports
        self._group = group
        self.held = held
        self._command_lines = components.command_lines(programs, self.files, ports, node_lease)
        self._nodes_made = 0
        self.tokens = {name: secrets.token_hex(16) for name in (ADMIN, *COMPONENT_USERS, *NODE_USERS)}
        self.admin_token = self.tokens[ADMIN]
        self.files.tokens.write_text(components.tokens_csv(self.tokens))
        self.files.audit_policy.write_text(json.dumps(AUDIT_POLICY))
        self.files.egress.write_text(components.egress_selector(self.files))
        subprocess.run(components.client_certificate(self.files), check=True, capture_output=True)
        for name in (ADMIN, *COMPONENT_USERS):
            self.files.kubeconfig(name).write_text(components.kubeconfig(self.url, self.ca, self.tokens[name]))

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with every right."""
        return self.files.kubeconfig(ADMIN)

    @property
    def ca(self) -> Path:
        """The certificate of the authority by which the API server is known, PEM."""
        return self.files.ca

    @property
    def audit_log(self) -> Path:
        """Every write to an object of group clew.dev, with the body that was sent, and every read by what runs in `clew-system`: one JSON
        `audit.k8s.io/v1` Event a line."""
        return self.files.audit_log

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with kubectl, helm and the admin's kubeconfig in it, and their caches in the cluster's folder."""
        helm = {f"HELM_{kind}_HOME": str(self.folder / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl"),
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            **helm,
        }

    @property
    def pids(self) -> dict[str, int]:
        """The pid of each component, by name."""
        return self._group.pids()

    def kubectl(self, *args: str, input: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin; raises ``subprocess.CalledProcessError`` on failure unless `check` is false."""
        return self._run("kubectl", args, input, check)

    def helm(self, *args: str, input: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run helm as admin, likewise."""
        return self._run("helm", args, input, check)

    def add_nodes(
        self,
        names_or_count: int | Sequence[str],
        zones: Sequence[str] = played.ZONES,
        kernels: Sequence[str] = played.KERNELS,
    ) -> list[str]:
        """Add nodes that kwok plays and wait until all are Ready; return their names, `node-0` and so on unless given.

        Zones take turns node by node, kernels each time that the zones have had theirs.
        """
        first = self._nodes_made
        names = [f"node-{first + n}" for n in range(names_or_count)] if isinstance(names_or_count, int) else list(names_or_count)
        self._nodes_made += len(names)
        made = [played.node(name, first + n, zones, kernels) for n, name in enumerate(names)]
        played.create_and_await(self.kubeconfig, made)
        return names

    def set_ready(self, name: str, ready: bool) -> None:
        """Let a node that kwok plays turn NotReady and stay so, or become Ready again."""
        node = f"node/{name}"
        if ready:
            self.kubectl("annotate", node, f"{PLAYED}={PLAYED_BY_KWOK}")
            self.kubectl("wait", "--for=condition=Ready", node, "--timeout=60s")
        else:
            self.kubectl("annotate", node, f"{PLAYED}-")
            self.kubectl("patch", node, "--subresource=status", f"--patch={json.dumps(played.not_ready())}")

    def stop_apiserver(self) -> None:
        """End the API server at once, as a crash would."""
        self._group.kill(_API_SERVER)

    def start_apiserver(self) -> None:
        """Start the API server again, at the same address, and wait until it is ready."""
        self._start(_API_SERVER)

    def restart_apiserver(self) -> None:
        """End the API server and start it again; every connection breaks, no data is lost."""
        self.stop_apiserver()
        self.start_apiserver()

    def start_flux(self) -> None:
        """Define Flux's kinds, start its source-controller and kustomize-controller, and wait until both are ready.

        Raises :class:`clew_lab.store.NotBuilt` and :class:`ClusterError`.
        """
        controllers = flux_build.PROGRAMS.find()
        self.held.enter_context(in_use(controllers))
        definitions = f"--filename={controllers / flux_build.DEFINITIONS}"
        self.kubectl("apply", "--server-side", definitions)
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", definitions)
        self.files.artifacts.mkdir()
        for name, argv in flux.command_lines(controllers, self.files, self.ports).items():
            self._group.start(name, argv)
        for name, address in flux.health(self.ports).items():
            self.await_ready(name, partial(self._answers, f"http://{address}/readyz"))

    def start(self) -> None:
        """Start every component and wait until pods can be made and nodes be played."""
        for name in self._command_lines:
            self._start(name)
            if name == _API_SERVER:
                self.ca.write_text(components.authority(self.files.certificate.read_text()))
        self.await_ready("kube-controller-manager", self._has_default_service_account)

    def _run(self, program: str, args: Sequence[str], text: str, check: bool) -> subprocess.CompletedProcess[str]:
        argv = [str(self._programs / program), *args]
        done = subprocess.run(argv, input=text, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            problem = subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
            problem.add_note(done.stderr)
            raise problem
        return done

    def _start(self, name: str) -> None:
        self._group.start(name, self._command_lines[name])
        ready: dict[str, Callable[[], bool]] = {
            _API_SERVER: lambda: self._answers(f"{self.url}/readyz"),
            "kwok": lambda: self._answers(f"http://127.0.0.1:{self.ports.kwok}/healthz"),
        }
        if name in ready:
            self.await_ready(name, ready[name])

    def run_beside(self, name: str, argv: Sequence[str]) -> None:
        """Start one more process that ends with the cluster; its output goes to `name`.log in the cluster's folder."""
        self._group.start(name, argv)

    def complain_of_the_dead(self) -> None:
        """Raise :class:`ClusterError` if a process of the cluster has ended by itself."""
        for ended in self._group.ended():
            raise ClusterError(f"{ended} has ended; it said:\n{self._said(ended)}")

    def await_ready(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until a process is ready. Raises :class:`ClusterError` when one ends, or this one takes too long."""
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            self.complain_of_the_dead()
            if time.monotonic() > deadline:
                raise ClusterError(f"{name} was not ready after {_START_SECONDS:g} s; it said:\n{self._said(name)}")
            time.sleep(_POLL_SECONDS)

    def _has_default_service_account(self) -> bool:
        return self._answers(f"{self.url}/api/v1/namespaces/default/serviceaccounts/default")

    def _answers(self, url: str) -> bool:
        """Whether a GET as admin is answered with success."""
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.admin_token}"})
        try:
            context = ssl.create_default_context(cafile=self.files.certificate) if url.startswith("https:") else None
            with urllib.request.urlopen(request, timeout=5, context=context):
                return True
        except OSError:
            return False

    def _said(self, name: str) -> str:
        lines = self._group.log(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


@contextmanager
def start_cluster(folder: Path | None = None, node_lease: int = NODE_LEASE_SECONDS) -> Iterator[Cluster]:
    """Run a fresh control plane while the body runs; the folder of its files, a temporary one if none is named, is removed after.

    A node that has been silent for `node_lease` seconds is taken for lost.

    Raises :class:`clew_lab.store.NotBuilt` and :class:`ClusterError`.
    """
    built = PROGRAMS.find()
    with in_use(built), ports.reserved(cache_dir() / "ports") as reserved:
        home = Path(tempfile.mkdtemp(prefix="clew-cluster-")) if folder is None else folder
        home.mkdir(mode=0o700, exist_ok=True)  # it holds the admin's token
        with ExitStack() as held, ProcessGroup(home) as group:
            cluster = Cluster(home, built, reserved, group, held, node_lease)
            cluster.start()
            yield cluster

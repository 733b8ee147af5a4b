"""What tests of the operator on a real API server share: the operator as a process, policies, and waiting by watching."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clew_lab.cluster import Cluster
from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

from tests.api import definitions
from tests.api.rest import GROUP, Answer, Client, until

LEASE_SECONDS = 2
POLICIES = ("clew.dev", "v1alpha1", "tracingpolicies")
LEASES = ("coordination.k8s.io", "v1", "default", "leases")
REVISIONS = ("clew.dev", "v1alpha1", "tracingrevisions")
TRACINGS = ("clew.dev", "v1alpha1", "nodetracings")

Document = dict[str, Any]


@dataclass
class Operator:
    """One replica as a process of its own, with what it logged."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As Kubernetes does; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def until_it_leads(self) -> None:
        """Wait until its log says so; there is no event to wait for."""
        deadline = time.monotonic() + 60
        while "leads identity=" not in self.log.read_text():
            assert time.monotonic() < deadline, "it does not lead within a minute"
            time.sleep(0.05)

    def peak_rss_mib(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Rig:
    """A cluster with Clew's kinds, and the operators that run in it."""

    cluster: Cluster
    operators: list[Operator] = field(default_factory=list)

    def __post_init__(self) -> None:
        definitions.install(self.cluster)
        self.connection = config.new_client_from_config(str(self.cluster.kubeconfig))  # type: ignore[no-untyped-call]
        self.api = client.CustomObjectsApi(self.connection)
        self.admin = Client(self.cluster, self.cluster.admin_token)

    def start_operator(self, *flags: str, kubeconfig: Path | None = None, program: Sequence[str] = ("clew_operator.main",)) -> Operator:
        """Start a replica; ``kubeconfig``: its way to the API server, where that is another than the straight one."""
        log = self.cluster.folder / f"operator-{len(self.operators)}.log"
        command = [sys.executable, "-m", *program, "run", "--kubeconfig", str(kubeconfig or self.cluster.kubeconfig)]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, f"--lease-duration={LEASE_SECONDS}s", *flags],
                env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
                stdout=file,
                stderr=file,
            )
        operator = Operator(process, log)
        self.operators.append(operator)
        return operator

    def close(self) -> None:
        for operator in self.operators:
            if operator.process.poll() is None:
                operator.kill()
            print(f"{operator.log.name}:\n{operator.log.read_text()}")  # pytest shows it of a test that fails
        self.connection.close()
        self.admin.close()

    def leader(self, *, other_than: Operator | None = None, timeout: int = 60) -> Operator:
        """The replica that the lease names, as soon as it is one that runs (and another than one that is known); seen by watching."""
        for _, lease in _changes(self.api.list_namespaced_custom_object, LEASES, "clew-operator", timeout):
            found = self._named(lease)
            if found is not None and found is not other_than:
                return found
        raise AssertionError(f"no replica led within {timeout} s")

    def _named(self, lease: Document) -> Operator | None:
        holder = (lease.get("spec") or {}).get("holderIdentity")
        running = [one for one in self.operators if one.process.poll() is None]
        return next((one for one in running if holder and f"identity={holder}" in one.log.read_text()), None)

    def apply(self, name: str, spec: Document, **rollout: Any) -> None:
        """Apply a policy as a user does."""
        answer = self._apply(name, spec, rollout)
        assert answer.code in (200, 201), answer

    def _apply(self, name: str, spec: Document, rollout: Document) -> Answer:
        body = {
            "kind": "TracingPolicy",
            "metadata": {"name": name},
            "spec": {"namespaces": ["default"], **spec, **({"rollout": rollout} if rollout else {})},
        }
        return self.admin.apply(f"{GROUP}/tracingpolicies/{name}", body, "user", force=False)

    def apply_when_served(self, name: str, spec: Document, field: str) -> None:
        """Apply a policy with a field that its definition was given a moment ago.

        Until the API server serves it, it refuses the field, or takes the object without it, or has no time for anybody.
        """

        def served() -> bool:
            answer = self._apply(name, spec, {"maxUnavailable": "100%"})
            assert answer.code in (200, 429) or field in answer.message, answer
            return answer.code == 200 and field in answer.body["spec"]

        until(served)

    def request(self, policy: str, identifier: str, action: str, step: int = 0) -> None:
        """Ask something of a rollout, as ``kubectl clew`` does: on the newest revision."""
        name = self.policy(policy)["status"]["revision"]
        request = {"id": identifier, "action": action, "step": step}
        body = {"kind": "TracingRevision", "metadata": {"name": name}, "request": request}
        answer = self.admin.apply(f"{GROUP}/tracingrevisions/{name}", body, "kubectl-clew", force=False)
        assert answer.code == 200, answer

    def events(self, policy: str, last: str) -> list[Document]:
        """The Events of a policy, in their order, once ``last`` is the reason of one: it comes after the status that it is about."""

        def found() -> list[Document]:
            listed = self.admin.get("/apis/events.k8s.io/v1/namespaces/default/events")["items"]
            return sorted((one for one in listed if one["regarding"]["name"] == policy), key=lambda one: str(one["eventTime"]))

        until(lambda: any(one["reason"] == last for one in found()))
        return found()

    def policy(self, name: str) -> Document:
        answer = self.api.get_cluster_custom_object(*POLICIES, name)
        assert isinstance(answer, dict)
        return answer

    def list(self, kind: tuple[str, str, str]) -> list[Document]:
        answer = self.api.list_cluster_custom_object(*kind)
        assert isinstance(answer, dict)
        return list(answer["items"])

    def told(self, policy: str) -> dict[str, str]:
        """The revision that each node is told, of those that are told one."""
        return {
            tracing["metadata"]["name"]: entry["revision"]
            for tracing in self.list(TRACINGS)
            for entry in tracing.get("spec", {}).get("policies", ())
            if entry["name"] == policy
        }

    def until(self, name: str, holds: Callable[[Document], bool], timeout: int = 60) -> Document:
        """The policy's status as soon as it is one that ``holds``; seen by watching."""
        return dict(self.object_until(POLICIES, name, lambda one: holds(one.get("status") or {}), timeout)["status"])

    def tracing_until(self, node: str, holds: Callable[[Document], bool], timeout: int = 60) -> Document:
        """A node's NodeTracing as soon as it is one that ``holds``."""
        return self.object_until(TRACINGS, node, holds, timeout)

    def object_until(self, kind: tuple[str, str, str], name: str, holds: Callable[[Document], bool], timeout: int = 60) -> Document:
        """An object of any kind as soon as it is one that ``holds``."""
        last = None
        for change, last in _changes(self.api.list_cluster_custom_object, kind, name, timeout):
            if change in ("ADDED", "MODIFIED") and holds(last):
                return last
        raise AssertionError(f"{kind[2]} {name} did not come to what was awaited in {timeout} s; last: {json.dumps(last)}")


def _changes(listing: Callable[..., object], place: tuple[str, ...], name: str, timeout: int) -> Iterator[tuple[str, Document]]:
    """How one object changes, by a watch, until the time is over."""
    deadline = time.monotonic() + timeout
    while (left := int(deadline - time.monotonic())) > 0:
        with contextlib.suppress(client.ApiException, HTTPError):  # the watch was closed, or what it began from is too old
            events = watch.Watch().stream(  # type: ignore[no-untyped-call]
                listing, *place, field_selector=f"metadata.name={name}", timeout_seconds=left
            )
            for event in events:
                yield event["type"], event["object"]


@contextlib.contextmanager
def rig(cluster: Cluster) -> Iterator[Rig]:
    """A rig whose operators end with it."""
    made = Rig(cluster)
    try:
        yield made
    finally:
        made.close()


def is_true(status: Document, kind: str, reason: str | None = None) -> bool:
    """Whether the status has a condition that is True (for this reason), as of the generation that it is about."""
    return any(
        one["type"] == kind
        and one["status"] == "True"
        and one["observedGeneration"] == status["observedGeneration"]
        and reason in (None, one["reason"])
        for one in status.get("conditions", ())
    )


def conditions(status: Document) -> dict[str, tuple[str, str, str]]:
    """Each condition's status, reason and message."""
    return {one["type"]: (one["status"], one["reason"], one.get("message", "")) for one in status["conditions"]}


def rolled_back(status: Document) -> bool:
    """Whether every node was taken off the revision, and has answered for that."""
    return status["nodes"]["updated"] == 0 and "waiting for" not in status["message"]

"""What the tests of ``kubectl clew`` share: the plugin as a process, and the objects that operator and agents would write."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clew_crds.policy import TracingPolicy
from clew_crds.revision import enforced, revision_name
from clew_lab.cluster import Cluster

from tests.api.definitions import CHECKOUT, install
from tests.api.rest import GROUP, Client, bound_token, until

API = "clew.dev/v1alpha1"
COLLECTIONS = {"NodeTracing": "nodetracings", "TracingPolicy": "tracingpolicies", "TracingRevision": "tracingrevisions"}
RBAC = "rbac.authorization.k8s.io"
BEGAN = "2026-11-25T10:00:00Z"
SPEC = {
    "namespaces": ["shop"],
    "kernelFunctions": [{"function": "tcp_sendmsg"}, {"function": "tcp_sendmsgg"}],
    "rollout": {"steps": [{"nodes": "1", "soak": "1h"}, {"nodes": "100%"}]},
}
POLICY = {"apiVersion": API, "kind": "TracingPolicy", "metadata": {"name": "shop"}, "spec": SPEC}
REVISION = revision_name("shop", enforced(TracingPolicy.model_validate(POLICY).spec))
LONGEST = 60.0
"""Seconds after which an awaited output has failed to come."""


TREE = f"""\
shop  Rolling out
├ why           Step 1 of 2: 1 of 1 nodes are ready
├ revision      {REVISION}; none is stable yet
├ steps
│ ├ 1  [########################] 1 of 1 node (1, soak 1h)  soaks until 2026-11-25T11:00:00Z
│ └ 2  [########................] 1 of 3 nodes (100%)  waiting
├ nodes         3 desired, 1 updated, 1 ready
│ └ Ready  1 node: n1
└ not recorded
  └ tcp_sendmsgg  Failed on 1 node (n1): FunctionNotFound: near names: tcp_sendmsg
"""


def with_plugin(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """An environment with the checkout's command on PATH, as ``clew`` and as a plugin of kubectl; ``folder`` is for its files."""
    for name in ("clew", "kubectl-clew"):
        (folder / name).write_text(f"#!{sys.executable}\nfrom clew_cli.main import main\nraise SystemExit(main())\n")
        (folder / name).chmod(0o755)
    code = os.pathsep.join([str(CHECKOUT / "crds"), str(CHECKOUT / "cli")])
    return {**environment, "PATH": f"{folder}{os.pathsep}{environment['PATH']}", "PYTHONPATH": code}


class Running:
    """The command as a process, whose output lines are awaited one after the other."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, env=environment)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._readers = [threading.Thread(target=self._read, args=[stream]) for stream in (self.process.stdout, self.process.stderr)]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))

    def line(self, beginning: str = "") -> str:
        """The next line that begins so."""
        while True:
            line = self._lines.get(timeout=LONGEST)
            if line.startswith(beginning):
                return line

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LONGEST)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()


class Rig:
    """A cluster, the plugin on PATH, and what the operator and the agents of three nodes would write."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.admin = Client(cluster, cluster.admin_token)
        self._started: list[Running] = []
        self.environment = with_plugin(cluster.environment, folder)

    def clew(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run ``kubectl clew``; exit status, output and errors."""
        command = ["kubectl", "clew", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment | environment, check=False)
        return done.returncode, done.stdout, done.stderr

    def start(self, *arguments: str) -> Running:
        """Start ``kubectl clew``; it is ended with the rig at the latest."""
        self._started.append(Running(["kubectl-clew", *arguments], self.environment))
        return self._started[-1]

    def end(self) -> None:
        for one in self._started:
            one.end()
        self.admin.close()

    def install(self) -> None:
        """Clew's kinds, and the objects of a rollout in its first step."""
        install(self.cluster)
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(POLICY))
        spec = {"policy": "shop", "enforced": {name: value for name, value in SPEC.items() if name != "rollout"}}
        self.write("TracingRevision", REVISION, spec=spec)
        for name in ("n1", "n2", "n3"):
            self.assign(name, [REVISION] if name == "n1" else [])
        lacking = {"function": "tcp_sendmsgg", "state": "Failed", "reason": "FunctionNotFound", "message": "near names: tcp_sendmsg"}
        report = {"name": "shop", "revision": REVISION, "state": "Ready", "reason": "Enforced", "pods": 2, "functions": [lacking]}
        kernel = {"release": "6.12.107+deb13-amd64", "propagation": "Off", "message": "FIONREAD cannot be corrected"}
        agent = {"observedGeneration": 1, "agentVersion": "0.2.0", "kernel": kernel, "policies": [report]}
        self.write("NodeTracing", "n1", status=agent | {"overhead": {"cpuMillicores": 12, "memoryMiB": 38}})

    def write(self, kind: str, name: str, **parts: Any) -> None:
        """As operator and agents write: by server-side apply."""
        place = f"{GROUP}/{COLLECTIONS[kind]}/{name}" + ("/status" if "status" in parts else "")
        answer = self.admin.apply(place, {"kind": kind, "metadata": {"name": name}, **parts}, "clew-operator", force=False)
        assert answer.code in (200, 201), answer

    def assign(self, node: str, revisions: Sequence[str]) -> None:
        """What the node shall enforce."""
        self.write("NodeTracing", node, spec={"policies": [{"name": "shop", "revision": one} for one in revisions]})

    def say(self, message: str = "Step 1 of 2: 1 of 1 nodes are ready", holds: str = "Reconciling", **rollout: Any) -> None:
        """What the operator says of the policy; by default it soaks in its first step."""
        generation = self.admin.get(f"{GROUP}/tracingpolicies/shop")["metadata"]["generation"]
        condition = {"type": holds, "status": "True", "observedGeneration": generation, "lastTransitionTime": BEGAN, "reason": "AsPlanned"}
        status = {
            "observedGeneration": generation,
            "revision": REVISION,
            "nodes": {"desired": 3, "updated": 1, "ready": 1},
            "message": message,
            "rollout": {"step": 1, "steps": 2, "lastProgressTime": BEGAN, **(rollout or {"soakStartedTime": BEGAN})},
            "conditions": [condition],
        }
        self.write("TracingPolicy", "shop", status=status)

    def request(self) -> dict[str, Any]:
        """The request that stands on the revision."""
        written: dict[str, Any] = self.admin.get(f"{GROUP}/tracingrevisions/{REVISION}")["request"]
        return written

    def user(self, name: str, *rules: str) -> dict[str, str]:
        """The environment of a user who has only these rights, each as "verb resource"."""
        self._create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
        for number, rule in enumerate(rules):
            verb, resource = rule.split()
            made = {"metadata": {"name": f"{name}-{number}"}}
            granted = {"apiGroups": ["clew.dev"], "resources": [resource], "verbs": [verb]}
            self._create(f"/apis/{RBAC}/v1/clusterroles", made | {"rules": [granted]})
            subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
            role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"{name}-{number}"}
            self._create(f"/apis/{RBAC}/v1/clusterrolebindings", made | {"roleRef": role, "subjects": [subject]})
        until(lambda: all(self._may(name, *rule.split()) for rule in rules))
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.cluster.url, "certificate-authority": str(self.cluster.ca)}}],
            "users": [{"name": name, "user": {"token": bound_token(self.admin, "default", name)}}],
            "contexts": [{"name": name, "context": {"cluster": "c", "user": name}}],
            "current-context": name,
        }
        file = self.cluster.folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(config))
        return {"KUBECONFIG": str(file)}

    def _create(self, collection: str, made: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.admin.ask("POST", collection, made)
        assert answer.code == 201, answer
        return answer.body

    def _may(self, name: str, verb: str, resource: str) -> bool:
        """Whether the API server knows by now that a service account has a right."""
        attributes = {"group": "clew.dev", "resource": resource, "verb": verb}
        review = {"spec": {"user": f"system:serviceaccount:default:{name}", "resourceAttributes": attributes}}
        return bool(self._create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"])

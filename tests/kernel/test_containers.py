"""Of which container a span is, in a pod with several: by the cgroup of the thread that reads or sends the request."""

import sys
from pathlib import Path

import pytest
from clew_lab.pods import LabPod

from tests.kernel.rig import PORT, SERVICES, Rig
from tests.kernel.spans import CLIENT, INTERNAL, SERVER

pytestmark = pytest.mark.limit(600)

APP, PROXY, DEBUG = "a1" * 32, "b2" * 32, "c3" * 32
# What serves on each port, and whose it is. The first is in no container's cgroup, as if somebody had put it there by hand; it comes
# first since by it the lab knows which ports of the pod are listened on.
FOLDERS = {
    PORT + 3: ("main", None),
    PORT: (f"cri-containerd-{APP}.scope", "app"),
    PORT + 1: (f"crio-{PROXY}.scope/container", "proxy"),
    PORT + 2: (f"{DEBUG}/init.scope/system.slice", "debug"),
}


@pytest.fixture
def pod(rig: Rig) -> LabPod:
    """A pod of three containers, each of which serves and calls."""
    pod = rig.pod("functions", listed=False)
    pod.containers = [{"name": "app", "id": APP}, {"name": "proxy", "id": PROXY}, {"name": "debug", "id": DEBUG}]
    for folder, _ in FOLDERS.values():
        (pod.cgroup_path / folder).mkdir(parents=True, exist_ok=True)
    rig.list(pod)
    for port, (folder, _) in FOLDERS.items():
        serve(rig, pod, pod.cgroup_path / folder, port)
    return pod


def serve(rig: Rig, pod: LabPod, folder: Path, port: int) -> None:
    upstream = "{}:{}".format(*rig.upstream.address)
    service = [sys.executable, str(SERVICES / "relay.py"), "thread", str(port), upstream]
    pod.popen(["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(folder / "cgroup.procs"), *service])
    pod.wait_listening(port)


def test_spans_are_those_of_the_container_that_works(rig: Rig, pod: LabPod) -> None:
    for port in FOLDERS:
        rig.ask(pod, f"/call/containers-{port}", port=port)
    found = rig.spans.wait([f"containers-{port}" for port in FOLDERS], 2)
    for port, (_, container) in FOLDERS.items():
        server, client = sorted(found[f"containers-{port}"], key=lambda span: span.kind)
        calls = rig.spans.below(server.span, 2)
        assert (server.kind, client.kind) == (SERVER, CLIENT)
        assert {call.kind for call in calls} == {CLIENT, INTERNAL}
        assert {span.resource.get("k8s.container.name") for span in (server, client, *calls)} == {container}
        instance = ["functions", pod.name, *([container] if container else [])]
        assert server.resource["service.instance.id"] == client.resource["service.instance.id"] == ".".join(instance)

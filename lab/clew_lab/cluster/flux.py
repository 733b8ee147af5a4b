"""The command lines of Flux's controllers on the lab's control plane. Pure, as those of the components are.

They are the admin, as `flux install` makes them; what they fetch and build lies in the cluster's folder.
"""

from collections.abc import Sequence
from pathlib import Path

from clew_lab.cluster.components import ADMIN, Files
from clew_lab.cluster.ports import Ports

__all__ = ["command_lines", "health"]


def health(ports: Ports) -> dict[str, str]:
    """Return where each controller says that it is ready: host and port."""
    return {
        "source-controller": f"127.0.0.1:{ports.source_controller}",
        "kustomize-controller": f"127.0.0.1:{ports.kustomize_controller}",
    }


def command_lines(programs: Path, files: Files, ports: Ports) -> dict[str, Sequence[str]]:
    """Return the command line of each controller, in the order in which they are started."""
    # They know no flag for a kubeconfig; kustomize-controller builds in the folder for temporary files.
    environment = ["env", f"KUBECONFIG={files.kubeconfig(ADMIN)}", f"TMPDIR={files.folder}"]
    artifacts = f"127.0.0.1:{ports.artifacts}"
    own = {
        "source-controller": [
            f"--storage-path={files.artifacts}",
            f"--storage-addr={artifacts}",
            f"--storage-adv-addr={artifacts}",
        ],
        # Without it a commit waits until the rollout of the one before has ended.
        "kustomize-controller": ["--feature-gates=CancelHealthCheckOnNewRevision=true"],
    }
    return {
        name: [
            *environment,
            str(programs / name),
            f"--health-addr={address}",
            "--metrics-addr=0",
            "--events-addr=",
            "--enable-leader-election=false",
            *own[name],
        ]
        for name, address in health(ports).items()
    }

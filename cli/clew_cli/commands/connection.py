"""What the commands that need a cluster share: which cluster, and names that are not there."""

from __future__ import annotations

import argparse
import difflib
from typing import TYPE_CHECKING

from clew_cli.errors import CommandError, NotThereError
from clew_cli.seen import Resource

if TYPE_CHECKING:
    from clew_cli.cluster import Cluster


_SHOWN = 10


def add_connection(command: argparse.ArgumentParser) -> None:
    """The options that say which cluster, as kubectl has them."""
    command.add_argument(
        "--kubeconfig", metavar="FILE", help="the kubeconfig file (default: KUBECONFIG, ~/.kube/config, or the pod's account)"
    )
    command.add_argument("--context", metavar="NAME", help="the kubeconfig's context (default: its current one)")


def connect(options: argparse.Namespace) -> Cluster:
    """The cluster that the options name. The ``kubernetes`` package is imported only now."""
    from clew_cli.cluster import Cluster

    return Cluster(options.kubeconfig, options.context)


def with_near_names(error: NotThereError, cluster: Cluster, resource: Resource, name: str) -> CommandError:
    """The error, with the names there are that look like ``name``; as it is, where they may not be listed."""
    try:
        known = [one["metadata"]["name"] for one in cluster.list(resource)]
    except CommandError:
        return error
    if not known:
        return CommandError(f"{error}, nor any other")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        guess = '" or "'.join(near)
        return CommandError(f'{error}; did you mean "{guess}"?')
    shown = ", ".join(sorted(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return CommandError(f"{error}; there is {shown}")

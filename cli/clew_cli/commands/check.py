"""``check``: policy files, without a cluster, or against what is known of one node."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clew_crds import PolicyError, load_policies
from clew_crds.node import NodeTracing
from clew_crds.revision import TracingRevision

from clew_cli.commands.connection import add_connection, connect, with_near_names
from clew_cli.errors import WRONG, NotThereError
from clew_cli.node_check import Answer, check_on_node
from clew_cli.outline import Item, draw
from clew_cli.seen import Resource, read
from clew_cli.terminal import Tone, wants_colours

if TYPE_CHECKING:
    from clew_cli.cluster import Cluster
    from clew_cli.main import Commands

_TONES = {Answer.FACT: Tone.PLAIN, Answer.YES: Tone.GOOD, Answer.NO: Tone.BAD, Answer.NOT_KNOWN: Tone.WARNING}


def add(commands: Commands) -> None:
    """Make the command's parser."""
    command = commands.add_parser("check", help="check policy files, without a cluster or against a node")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a YAML file with one or more TracingPolicy documents")
    command.add_argument("--node", metavar="NODE", help="say also what is known of the policies on this node of the cluster")
    add_connection(command)
    command.set_defaults(run=_run, called=command.prog)


def _run(options: argparse.Namespace) -> int:
    status = 0
    policies = []
    for path in options.files:
        try:
            found = load_policies(path)
        except PolicyError as error:
            print(error, file=sys.stderr)
            status = WRONG
            continue
        policies += found
        for policy in found:
            print(f"{path}: {policy.metadata.name} is valid")
    if options.node is None or not policies:
        return status
    tracing, revisions = _facts(connect(options), options.node)
    colours = wants_colours(sys.stdout, os.environ)
    for policy in policies:
        findings = check_on_node(policy, tracing, revisions)
        items = (Item(one.subject, f"{one.answer}: {one.why}" if one.answer else one.why, _TONES[one.answer]) for one in findings)
        print("\n".join(draw([Item(f"{policy.metadata.name} on {options.node}", under=tuple(items))], colours)))
        if any(one.answer is Answer.NO for one in findings):
            status = WRONG
    return status


def _facts(cluster: Cluster, node: str) -> tuple[NodeTracing, dict[str, TracingRevision]]:
    """The node's NodeTracing, and the revisions that it was told, as far as they are still there."""
    try:
        tracing = read(NodeTracing, cluster.get(Resource.NODES, node))
    except NotThereError as error:
        raise with_near_names(error, cluster, Resource.NODES, node) from error
    revisions = {}
    for assignment in tracing.spec.policies:
        with contextlib.suppress(NotThereError):
            revisions[assignment.revision] = read(TracingRevision, cluster.get(Resource.REVISIONS, assignment.revision))
    return tracing, revisions

"""``status``: how far policies are, or how a node is; once, or live."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from clew_cli.commands.connection import add_connection, connect, with_near_names
from clew_cli.errors import NotThereError
from clew_cli.following import Wanted, follow, look
from clew_cli.outline import Item, changes, draw
from clew_cli.seen import Resource, Seen
from clew_cli.status_document import node_document, policy_document
from clew_cli.status_node import node_item
from clew_cli.status_tree import policy_item
from clew_cli.terminal import Screen, Tone, wants_colours

if TYPE_CHECKING:
    from clew_cli.cluster import Cluster
    from clew_cli.main import Commands

NO_POLICY = "no TracingPolicy in this cluster: nothing is traced"


def add(commands: Commands) -> None:
    """Make the command's parser."""
    command = commands.add_parser("status", help="how far policies are, where and why; or how a node is")
    what = command.add_mutually_exclusive_group()
    what.add_argument("policy", nargs="?", metavar="POLICY", help="only this policy (default: all)")
    what.add_argument("--node", metavar="NODE", help="a node instead of policies")
    command.add_argument("--watch", "-w", action="store_true", help="go on, and show every change until interrupted")
    command.add_argument("--output", "-o", choices=["text", "json", "yaml"], default="text", help="text for people (default), json or yaml")
    add_connection(command)
    command.set_defaults(run=_run, called=command.prog)


def _run(options: argparse.Namespace) -> int:
    cluster = connect(options)
    wanted, name = _wanted(options)
    try:
        seen = look(cluster, wanted)
    except NotThereError as error:
        raise with_near_names(error, cluster, wanted[0].resource, name) from error
    if not options.watch:
        _print_once(seen, options)
    elif options.output != "text":
        _print_documents(cluster, wanted, options)
    elif sys.stdout.isatty():
        _draw_live(cluster, wanted, options)
    else:
        _print_changes(cluster, wanted, options)
    return 0


def _wanted(options: argparse.Namespace) -> tuple[tuple[Wanted, ...], str]:
    if options.node is not None:
        return (Wanted(Resource.NODES, options.node),), options.node
    return (Wanted(Resource.POLICIES, options.policy), Wanted(Resource.NODES)), options.policy or ""


def _print_once(seen: Seen, options: argparse.Namespace) -> None:
    if options.output == "json":
        print(json.dumps(_document(seen, options), indent=2))
    elif options.output == "yaml":
        print(_yaml(_document(seen, options)), end="")
    else:
        print("\n".join(draw(_items(seen, options), wants_colours(sys.stdout, os.environ))))


def _draw_live(cluster: Cluster, wanted: tuple[Wanted, ...], options: argparse.Namespace) -> None:
    """On a terminal: the outline, drawn over itself."""
    screen, colours = Screen(sys.stdout), wants_colours(sys.stdout, os.environ)
    items: list[Item] = []
    for seen in follow(cluster, wanted):
        if isinstance(seen, str):
            screen.draw(draw([*items, Item("!", f"{seen}; trying again", Tone.WARNING)], colours, screen.columns))
        else:
            items = _items(seen, options)
            screen.draw(draw(items, colours, screen.columns))


def _print_changes(cluster: Cluster, wanted: tuple[Wanted, ...], options: argparse.Namespace) -> None:
    """Elsewhere: the outline, then what changes."""
    before: list[Item] | None = None
    for seen in _reachable(follow(cluster, wanted), options):
        items = _items(seen, options)
        for line in draw(items) if before is None else changes(before, items):
            print(line)
        sys.stdout.flush()
        before = items


def _print_documents(cluster: Cluster, wanted: tuple[Wanted, ...], options: argparse.Namespace) -> None:
    """For programs: a document for each change."""
    before = None
    for seen in _reachable(follow(cluster, wanted), options):
        document = _document(seen, options)
        if document != before:
            print(json.dumps(document) if options.output == "json" else f"---\n{_yaml(document)}".rstrip())
            sys.stdout.flush()
        before = document


def _reachable(stream: Iterator[Seen | str], options: argparse.Namespace) -> Iterator[Seen]:
    """What is seen; that the connection was lost goes to standard error."""
    for seen in stream:
        if isinstance(seen, str):
            print(f"{options.called}: {seen}; trying again", file=sys.stderr, flush=True)
        else:
            yield seen


def _items(seen: Seen, options: argparse.Namespace) -> list[Item]:
    if options.node is not None:
        return [node_item(one) for one in seen.nodes.values()] or [Item(options.node, "has no NodeTracing any more", Tone.WARNING)]
    found = [policy_item(policy, seen.nodes.values()) for policy in seen.policies.values()]
    if not found and options.policy is not None:
        return [Item(options.policy, "was deleted", Tone.WARNING)]
    return found or [Item(NO_POLICY)]


def _document(seen: Seen, options: argparse.Namespace) -> dict[str, Any]:
    if options.node is not None:
        return {"nodes": [node_document(one) for one in seen.nodes.values()]}
    return {"policies": [policy_document(one, seen.nodes.values()) for one in seen.policies.values()]}


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)

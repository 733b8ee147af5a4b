"""``promote``, ``abort`` and ``retry``: what a person asks of a rollout, written on the policy's newest revision.

Never on the policy: GitOps owns that. The operator carries each request out once, and says so in the policy's status.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from typing import TYPE_CHECKING

from clew_crds.policy import API_VERSION
from clew_crds.revision import REVISION_KIND, Action, RolloutRequest

from clew_cli.asking import asked, decide, done
from clew_cli.commands.connection import add_connection, connect, with_near_names
from clew_cli.errors import WRONG, CommandError, NotThereError
from clew_cli.following import Wanted, follow, look
from clew_cli.seen import Resource
from clew_cli.terminal import one_line

if TYPE_CHECKING:
    from clew_cli.cluster import Cluster
    from clew_cli.main import Commands

_HELP = {
    Action.PROMOTE: "end the soak of the present step, and go on to the next",
    Action.ABORT: "stop a rollout, and go back to the stable revision",
    Action.RETRY: "try a revision again that failed or was aborted",
}


def add(commands: Commands) -> None:
    """Make the commands' parsers."""
    for action, text in _HELP.items():
        command = commands.add_parser(action.lower(), help=text)
        command.add_argument("policy", metavar="POLICY", help="the policy whose rollout is meant")
        command.add_argument("--wait", action="store_true", help="wait until the operator has carried it out")
        add_connection(command)
        command.set_defaults(run=_run, called=command.prog, action=action)


def _run(options: argparse.Namespace) -> int:
    cluster = connect(options)
    name = options.policy
    try:
        policy = look(cluster, (Wanted(Resource.POLICIES, name),)).policies[name]
    except NotThereError as error:
        raise with_near_names(error, cluster, Resource.POLICIES, name) from error
    revision, request = decide(options.action, policy, str(uuid.uuid4()))
    head = {"apiVersion": API_VERSION, "kind": REVISION_KIND, "metadata": {"name": revision}}
    cluster.apply(Resource.REVISIONS, revision, {**head, "request": request.document()})
    print(f"{asked(name, request)} (request {request.id} on {revision})", flush=True)
    if options.wait:
        _wait(cluster, options, revision, request)
    return 0


def _wait(cluster: Cluster, options: argparse.Namespace, revision: str, request: RolloutRequest) -> None:
    """Return when the request was carried out. Raises ``CommandError`` where it never will be."""
    for seen in follow(cluster, (Wanted(Resource.POLICIES, options.policy),)):
        if isinstance(seen, str):
            print(f"{options.called}: {seen}; trying again", file=sys.stderr)
        elif options.policy not in seen.policies:
            raise CommandError(f"{options.policy} was deleted meanwhile", WRONG)
        elif done(seen.policies[options.policy], revision, request):
            message = one_line(seen.policies[options.policy].status.message)
            print(f"done{f': {message}' if message else ''}")
            return

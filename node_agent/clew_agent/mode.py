"""The two modes of the agent: where policies and pods come from, and who hears how it stands. The loop does not know which it is in."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass

from clew_agent.inventory.policies import PolicyFiles
from clew_agent.inventory.static import StaticInventory
from clew_agent.log_reporter import LogReporter
from clew_agent.model import InventorySource
from clew_agent.standing import PolicySource, Reporter


class ModeError(RuntimeError):
    """A mode cannot be entered; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What the agent's loop is given."""

    policies: PolicySource
    source: InventorySource
    reporter: Reporter


def open_mode(arguments: Namespace) -> Mode:
    """The mode that the command line asks for. Raises ``PolicyError``, ``PodsFileError`` and ``ModeError``."""
    if not arguments.cluster:
        return Mode(PolicyFiles(arguments.policy), StaticInventory(arguments.pods, arguments.node), LogReporter())
    # Only here: the Kubernetes client is memory that standalone mode does without.
    from clew_agent.cluster.open import open_cluster

    return open_cluster(arguments.kubeconfig, arguments.node)

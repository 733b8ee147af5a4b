"""What ``status`` knows, as one document for programs (JSON or YAML). Field names do not change within an API version. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clew_crds.answers import Answer, answering
from clew_crds.node import NodeTracing

from clew_cli.seen import SeenPolicy
from clew_cli.status_tree import verdict
from clew_cli.steps import steps
from clew_cli.where import Refusal, places, refusals


def policy_document(policy: SeenPolicy, nodes: Iterable[NodeTracing]) -> dict[str, Any]:
    """One policy: its status as the API has it, the steps, and the nodes by name, all of them."""
    name, newest = policy.metadata.name, policy.status.revision
    tracings = list(nodes)
    refused = refusals(name, tracings)
    return {
        "name": name,
        "generation": policy.metadata.generation,
        "verdict": verdict(policy)[0],
        "status": policy.status.document(),
        "steps": [
            {
                "step": step.number,
                "nodes": step.nodes,
                "target": step.target,
                "healthy": step.healthy,
                "soak": step.soak,
                "progress": step.progress.value,
                **({"until": step.until} if step.until else {}),
            }
            for step in steps(policy)
        ],
        "places": [
            {"revision": one.revision, "state": one.state.value, "nodes": list(one.nodes)} for one in places(name, newest, tracings)
        ],
        "notEnforced": [_refusal(one) for one in refused if not one.function],
        "notRecorded": [{"function": one.function, **_refusal(one)} for one in refused if one.function],
    }


def node_document(tracing: NodeTracing) -> dict[str, Any]:
    """One node: what the agent says, and of each policy that the node was told how far it is there."""
    status, answers = tracing.status.document(), answering(tracing)
    told = []
    for assignment in tracing.spec.policies:
        report = answers.get(assignment.name)
        told.append(
            report.document() if report else {"name": assignment.name, "revision": assignment.revision, "state": Answer.SILENT.value}
        )
    return {"name": tracing.metadata.name, "generation": tracing.metadata.generation, **status, "policies": told}


def _refusal(one: Refusal) -> dict[str, Any]:
    return {"state": one.state, "reason": one.reason, "message": one.message, "nodes": list(one.nodes)}

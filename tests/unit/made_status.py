"""Policies and nodes as the API server might have them: single values for exact texts, and hypothesis strategies for all others."""

from collections.abc import Sequence
from typing import Any

from clew_cli.seen import SeenPolicy, SeenSpec, read
from clew_crds.node import Assignment, FunctionReport, Kernel, Loss, NodeSpec, NodeStatus, NodeTracing, Overhead, PolicyReport, State
from clew_crds.observed import Condition, ObjectMeta, Truth
from clew_crds.rollout import OnFailure, Rollout, RolloutStep
from clew_crds.status import Failure, NodeCounts, Overlap, PolicyStatus, RolloutStatus
from hypothesis import strategies as st

NEW, OLD = "shop-6f9c2d41aa", "shop-19d2b7c003"
BEGAN = "2026-11-25T10:00:00Z"
STEPS = [{"nodes": "1", "soak": "2m"}, {"nodes": "25%", "soak": "5m"}, {"nodes": "100%"}]


def policy(spec: dict[str, Any] | None = None, generation: int = 3, name: str = "shop", **status: Any) -> SeenPolicy:
    """A policy with three steps; ``spec`` is what its rollout says besides."""
    document = {
        "kind": "TracingPolicy",
        "metadata": {"name": name, "generation": generation},
        "spec": {"rollout": {"steps": STEPS, **(spec or {})}},
        "status": {"observedGeneration": 3, **status},
    }
    return read(SeenPolicy, document)


def conditions(true: str, reason: str, message: str = "") -> list[dict[str, Any]]:
    """The three conditions, one of which holds."""
    others = {"status": "False", "lastTransitionTime": BEGAN, "reason": reason}
    return [
        {"type": one, **others, **({"status": "True", "message": message} if one == true else {})}
        for one in ("Ready", "Reconciling", "Stalled")
    ]


def soaking(spec: dict[str, Any] | None = None, generation: int = 3, **rollout: Any) -> SeenPolicy:
    """In the second of three steps, whose nodes are all healthy; ``rollout`` changes what its status says of the rollout."""
    return policy(
        spec,
        generation,
        revision=NEW,
        stableRevision=OLD,
        nodes={"desired": 12, "updated": 3, "ready": 3},
        message="Step 2 of 3: 3 of 3 nodes are ready",
        rollout={"step": 2, "steps": 3, "lastProgressTime": BEGAN, "soakStartedTime": BEGAN, **rollout},
        conditions=conditions("Reconciling", "RollingOut"),
    )


def node(
    name: str, told: dict[str, str] | None = None, reports: Sequence[dict[str, Any]] = (), generation: int = 1, **status: Any
) -> NodeTracing:
    """A node that was ``told`` revisions of policies, and whose agent has answered that with ``reports``."""
    document = {
        "apiVersion": "clew.dev/v1alpha1",
        "kind": "NodeTracing",
        "metadata": {"name": name, "generation": generation},
        "spec": {"policies": [{"name": policy, "revision": revision} for policy, revision in (told or {}).items()]},
        "status": {"observedGeneration": generation if reports else 0, "policies": list(reports), **status},
    }
    return read(NodeTracing, document)


def report(state: str, revision: str = NEW, **more: Any) -> dict[str, Any]:
    """What an agent says of the policy "shop"."""
    return {"name": "shop", "revision": revision, "state": state, "reason": state, **more}


_revisions = st.sampled_from([NEW, OLD, "other-0123456789"])
_policies = st.sampled_from(["shop", "other", "third"])
_nodes = st.sampled_from(["n1", "n2", "n10", "a.b-3", "x" * 253])
_texts = st.sampled_from(["", "plain", "two\nlines", "\x1b[2J", "\u202eright to left", "宽", "\x00\x85\u2028", "x" * 1024]) | st.text(
    max_size=8
)
_reasons = st.sampled_from(["FunctionNotFound", "ProgressDeadlineExceeded", "X"])
_times = st.sampled_from([BEGAN, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00.000001Z"])
_counts = st.integers(0, 2**53)
_states = st.sampled_from(State)
_steps = st.integers(0, 16)

_failures = st.builds(Failure, node=_nodes, reason=_reasons, message=_texts)
_conditions = st.builds(
    Condition,
    type=st.sampled_from(["Ready", "Reconciling", "Stalled"]),
    status=st.sampled_from(Truth),
    lastTransitionTime=_times,
    reason=_reasons,
    message=_texts,
)
_rollout_statuses = st.builds(
    RolloutStatus,
    step=_steps,
    steps=_steps,
    last_progress_time=st.none() | _times,
    soak_started_time=st.none() | _times,
    failed_revision=st.none() | _revisions,
    aborted=st.booleans(),
    promoted_step=_steps,
)
_statuses = st.builds(
    PolicyStatus,
    observed_generation=st.integers(0, 5),
    revision=st.none() | _revisions,
    stable_revision=st.none() | _revisions,
    nodes=st.builds(NodeCounts, desired=_counts, updated=_counts, ready=_counts, failed=_counts, unsupported=_counts, silent=_counts),
    message=_texts,
    rollout=_rollout_statuses,
    failures=st.lists(_failures, max_size=2).map(tuple),
    overlaps=st.lists(st.builds(Overlap, policy=_policies, rules=st.booleans()), max_size=2).map(tuple),
    conditions=st.lists(_conditions, max_size=3).map(tuple),
)
_rollouts = st.builds(
    Rollout,
    paused=st.booleans(),
    steps=st.sampled_from([(RolloutStep(nodes="100%"),), tuple(RolloutStep.model_validate(step) for step in STEPS)]),
    onFailure=st.sampled_from(OnFailure),
)
policies = st.builds(
    SeenPolicy,
    metadata=st.builds(ObjectMeta, name=_policies, generation=st.integers(0, 5), deletion_timestamp=st.none() | _times),
    spec=st.builds(SeenSpec, rollout=_rollouts),
    status=_statuses,
)

_functions = st.builds(FunctionReport, function=_texts.map(lambda text: text[:127]), state=_states, reason=_reasons, message=_texts)
_reports = st.builds(
    PolicyReport,
    name=_policies,
    revision=_revisions,
    state=_states,
    reason=_reasons,
    message=_texts,
    pods=_counts,
    functions=st.lists(_functions, max_size=2).map(tuple),
)
_node_statuses = st.builds(
    NodeStatus,
    observed_generation=st.integers(0, 5),
    agent_version=_texts.map(lambda text: text[:64]),
    kernel=st.builds(
        Kernel, release=_texts.map(lambda text: text[:128]), propagation=st.sampled_from(["", "On", "Off", "\x1b[2J"]), message=_texts
    ),
    policies=st.lists(_reports, max_size=2).map(tuple),
    overhead=st.builds(Overhead, cpu_millicores=_counts, memory_mib=_counts),
    losses=st.lists(st.builds(Loss, name=_texts.map(lambda text: text[:63]), count=_counts), max_size=2).map(tuple),
)
nodes = st.builds(
    NodeTracing,
    apiVersion=st.just("clew.dev/v1alpha1"),
    kind=st.just("NodeTracing"),
    metadata=st.builds(ObjectMeta, name=_nodes, generation=st.integers(0, 5)),
    spec=st.builds(NodeSpec, policies=st.lists(st.builds(Assignment, name=_policies, revision=_revisions), max_size=2).map(tuple)),
    status=_node_statuses,
)

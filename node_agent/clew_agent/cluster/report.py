"""From how the agent stands to the status of its NodeTracing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clew_crds import TracingPolicy, expand
from clew_crds.node import Assignment, FunctionReport, Kernel, Loss, NodeStatus, Overhead, PolicyReport, State
from clew_crds.observed import MESSAGE_MAX
from clew_crds.policy import Overhead as Budget

from clew_agent.cluster.budget import is_limited
from clew_agent.cluster.told import Told, Verdict
from clew_agent.functions.request import Problem
from clew_agent.metrics import Metric
from clew_agent.standing import Standing

_FUNCTIONS_MAX = 64
_LOSSES_MAX = 32
# What a policy's author can mend is Failed; all else is a thing that this kernel or this agent cannot do.
_MENDABLE = frozenset({"FunctionNotFound", "ArgumentNotFound", "ArgumentsTooLong"})


@dataclass(frozen=True, slots=True)
class Costs:
    """What the agent costs and has lost."""

    cpu_millicores: int = 0
    memory_mib: int = 0
    losses: Mapping[str, int] | None = None


def node_status(
    told: Told,
    standing: Standing,
    unable: Verdict | None,
    release: str,
    version: str,
    costs: Costs,
    exceeded: Mapping[str, str] | None = None,
) -> NodeStatus:
    """The whole status. ``unable`` says why nothing at all can be traced on this node; None where something can. ``exceeded`` are the
    revisions that are over their budget, with what to say of it."""
    kernel = Kernel(
        release=release[:128],
        propagation="" if unable else "Off" if standing.propagation else "On",
        message=_cut(unable.message if unable else standing.propagation),
    )
    return NodeStatus(
        observed_generation=told.generation,
        agent_version=version[:64],
        kernel=kernel,
        policies=tuple(_policy(assignment, told, standing, unable, exceeded or {}) for assignment in told.assignments),
        overhead=Overhead(cpu_millicores=costs.cpu_millicores, memory_mib=costs.memory_mib),
        losses=tuple(Loss(name=name, count=count) for name, count in sorted((costs.losses or {}).items()))[:_LOSSES_MAX],
    )


def essence(status: NodeStatus) -> NodeStatus:
    """The part of a status that is worth writing at once: all but the figures, which change all the time."""
    policies = tuple(policy.model_copy(update={"pods": 0}) for policy in status.policies)
    return status.model_copy(update={"policies": policies, "overhead": Overhead(), "losses": ()})


def losses(counted: Mapping[Metric, int]) -> dict[str, int]:
    """The counters of losses that are not zero, by the metrics' names."""
    return {row.name: value for row, value in counted.items() if value and row.is_loss}


def limits_in_force(told: Told, standing: Standing) -> dict[str, Budget]:
    """The budgets of the revisions that are told and in force, of those that have one."""
    found = {one.revision: told.revision(one.revision) for one in told.assignments}
    return {
        name: policy.spec.limits.overhead
        for name, policy in found.items()
        if isinstance(policy, TracingPolicy) and policy in standing.in_force and is_limited(policy.spec.limits.overhead)
    }


def _policy(assignment: Assignment, told: Told, standing: Standing, unable: Verdict | None, exceeded: Mapping[str, str]) -> PolicyReport:
    revision = told.revision(assignment.revision)
    if isinstance(revision, Verdict):
        return _report(assignment, revision)
    if unable is not None:
        return _report(assignment, unable)
    if revision is None:
        return _report(assignment, Verdict(State.PENDING, "ReadingRevision", "the revision is being read"))
    if revision in standing.in_force and assignment.revision in exceeded:
        verdict = Verdict(State.FAILED, "OverheadExceeded", exceeded[assignment.revision])
        return _report(assignment, verdict, standing.pods.get(assignment.name, 0))
    if revision in standing.in_force:
        return _enforced(assignment, revision, standing)
    if standing.refusal and revision in standing.wanted:
        return _report(assignment, Verdict(State.FAILED, "LoadFailed", standing.refusal))
    return _report(assignment, Verdict(State.PENDING, "BuildingPrograms", "the programs are being built"))


def _enforced(assignment: Assignment, policy: TracingPolicy, standing: Standing) -> PolicyReport:
    found = standing.problems.get(assignment.name, ())
    functions = _functions(problem for problem in found if problem.function)
    pods = standing.pods.get(assignment.name, 0)
    left_out = next((problem for problem in found if not problem.function), None)
    if left_out is not None and not pods:
        verdict = Verdict(State.UNSUPPORTED, left_out.reason, left_out.message)
    else:
        verdict = _verdict(policy, functions)
    return _report(assignment, verdict, pods, functions)


def _verdict(policy: TracingPolicy, functions: Sequence[FunctionReport]) -> Verdict:
    """A policy is in force though some of its functions are not recorded; it is not if none is that it asks for."""
    if not functions:
        return Verdict(State.READY, "Enforced", "")
    if len(functions) < _asked(policy):
        are = "is" if len(functions) == 1 else "are"
        message = f"{len(functions)} of {_asked(policy)} kernel functions {are} not recorded: {functions[0].message}"
        return Verdict(State.READY, "EnforcedInPart", message)
    first = next((one for one in functions if one.state is State.FAILED), functions[0])
    return Verdict(first.state, first.reason, f"none of the kernel functions is recorded: {first.message}")


def _asked(policy: TracingPolicy) -> int:
    return len(expand(policy.spec.kernel_functions))


def _functions(problems: Iterable[Problem]) -> tuple[FunctionReport, ...]:
    reports = [
        FunctionReport(
            function=problem.function,
            state=State.FAILED if problem.reason in _MENDABLE else State.UNSUPPORTED,
            reason=problem.reason,
            message=_cut(problem.message),
        )
        for problem in problems
    ]
    return tuple(reports[:_FUNCTIONS_MAX])


def _report(assignment: Assignment, verdict: Verdict, pods: int = 0, functions: tuple[FunctionReport, ...] = ()) -> PolicyReport:
    return PolicyReport(
        name=assignment.name,
        revision=assignment.revision,
        state=verdict.state,
        reason=verdict.reason,
        message=_cut(verdict.message),
        pods=pods,
        functions=functions,
    )


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"

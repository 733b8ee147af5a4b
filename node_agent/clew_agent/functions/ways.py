"""From requests to hooks: each kernel function once, with the ways in which policies want its calls recorded. Pure.

What the C of a hook depends on is its key: the function, how it is hooked, and which arguments each way records. Which policies want
a way, and from what duration on, are values of a map. So an edit that leaves the key as it is needs no new program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clew_agent.functions.planning import FunctionPlan, Mode
from clew_agent.functions.request import ArgumentRequest


@dataclass(frozen=True, slots=True)
class Way:
    """What is recorded of a call."""

    arguments: tuple[ArgumentRequest, ...]
    returns: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """The values of ``struct function_setting``: a bit for each policy slot, and the shortest call in nanoseconds."""

    policies: int
    minimum_ns: int


@dataclass(frozen=True, slots=True)
class HookKey:
    """What the programs at one function's entry and exit depend on."""

    function: str
    mode: Mode
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class WantedHook:
    """A hook with what is to be told of each of its ways, and the plans that its C is generated from, all in the order of the ways."""

    key: HookKey
    settings: tuple[Setting, ...]
    plans: tuple[FunctionPlan, ...]


def wanted_hooks(plans: Sequence[FunctionPlan], modes: Mapping[str, Mode]) -> tuple[WantedHook, ...]:
    """The hooks of all plans, in order of first mention.

    Where a policy slot is in several requests for one function, the first counts. Requests that want the same are one way, and the
    order of the ways does not depend on that of the requests.
    """
    masks: dict[str, dict[tuple[Way, int], int]] = {}
    by_way: dict[tuple[str, Way], FunctionPlan] = {}
    for plan in plans:
        asked = plan.request
        way = Way(asked.arguments, asked.returns)
        by_way.setdefault((asked.name, way), plan)
        ways = masks.setdefault(asked.name, {})
        taken = 0
        for mask in ways.values():
            taken |= mask
        if left := asked.policies & ~taken:
            chosen = (way, asked.minimum_duration_ns)
            ways[chosen] = ways.get(chosen, 0) | left
    found = []
    for name, ways in masks.items():
        ordered = sorted(ways.items(), key=repr)
        key = HookKey(name, modes[name], tuple(way for (way, _), _ in ordered))
        settings = tuple(Setting(mask, minimum) for (_, minimum), mask in ordered)
        if ordered:
            found.append(WantedHook(key, settings, tuple(by_way[name, way] for way in key.ways)))
    return tuple(found)

"""``status`` for policies: whole outlines, word by word, for every way a policy can be."""

from typing import Any

import pytest
from clew_cli.outline import draw
from clew_cli.seen import SeenPolicy
from clew_cli.status_tree import policy_item, verdict
from clew_cli.terminal import Tone, clean
from clew_crds.node import NodeTracing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import made_status
from tests.unit.made_status import BEGAN, NEW, OLD, conditions, node, policy, report, soaking


def drawn(of: SeenPolicy, *nodes: NodeTracing) -> str:
    return "\n".join(draw([policy_item(of, nodes)]))


def test_a_rollout_in_its_soak() -> None:
    nodes = [node(f"n{number}", {"shop": NEW}, [report("Ready", pods=2)]) for number in (1, 2, 3)]
    nodes += [node(f"n{number}", {"shop": OLD}, [report("Ready", OLD)]) for number in range(4, 13)]
    assert (
        drawn(soaking(), *nodes)
        == """\
shop  Rolling out
├ why       Step 2 of 3: 3 of 3 nodes are ready
├ revision  shop-6f9c2d41aa; stable is shop-19d2b7c003
├ steps
│ ├ 1  [########################] 1 of 1 node (1, soak 2m)  done
│ ├ 2  [########################] 3 of 3 nodes (25%, soak 5m)  soaks until 2026-11-25T10:05:00Z
│ └ 3  [######..................] 3 of 12 nodes (100%)  waiting
└ nodes     12 desired, 3 updated, 3 ready
  ├ Ready                      3 nodes: n1 n2 n3
  └ Ready, on shop-19d2b7c003  9 nodes: n4 n5 n6 n7 n8 n9 and 3 more"""
    )


def test_a_rollout_that_failed_and_went_back() -> None:
    message = 'no function "tcp_sendmsgg" in this kernel;\nnear names: tcp_sendmsg'
    failed = policy(
        revision=NEW,
        stableRevision=OLD,
        nodes={"desired": 4, "failed": 1},
        rollout={"step": 1, "steps": 3, "failedRevision": NEW},
        failures=[{"node": "n1", "reason": "FunctionNotFound", "message": message}],
        conditions=conditions("Stalled", "NodeFailed", "Step 1 of 3 failed on n1; all nodes went back"),
    )
    nodes = [node(f"n{number}", {"shop": OLD}, [report("Ready", OLD)]) for number in (1, 2, 3, 4)]
    assert (
        drawn(failed, *nodes)
        == """\
shop  Stalled: NodeFailed
├ why       Step 1 of 3 failed on n1; all nodes went back
├ revision  shop-6f9c2d41aa failed; stable is shop-19d2b7c003
├ steps
│ ├ 1  [........................] 0 of 1 node (1, soak 2m)  failed
│ ├ 2  [........................] 0 of 1 node (25%, soak 5m)  waiting
│ └ 3  [........................] 0 of 4 nodes (100%)  waiting
├ nodes     4 desired, 1 failed
│ └ Ready, on shop-19d2b7c003  4 nodes: n1 n2 n3 n4
└ failures
  └ n1  FunctionNotFound: no function "tcp_sendmsgg" in this kernel; near names: tcp_sendmsg"""
    )


def test_nodes_in_every_state() -> None:
    lacking = {"function": "tcp_bpf_sendmsg", "state": "Unsupported", "reason": "FunctionNotFound", "message": "not in 6.1"}
    mixed = policy(
        revision=NEW,
        nodes={"desired": 6, "updated": 5, "ready": 1, "failed": 1, "unsupported": 1, "silent": 1},
        rollout={"step": 3, "steps": 3, "lastProgressTime": BEGAN},
        overlaps=[{"policy": "all", "rules": True}, {"policy": "zoo"}],
        conditions=conditions("Reconciling", "RollingOut"),
    )
    nodes = [
        node("n1", {"shop": NEW}, [report("Ready", functions=[lacking])]),
        node("n2", {"shop": NEW}, [report("Pending")]),
        node("n3", {"shop": NEW}, [report("Failed", reason="LoadFailed", message="no memory left")]),
        node("n4", {"shop": NEW}, [report("Unsupported", reason="NoBTF", message="the kernel has no BTF")]),
        node("n5", {"shop": NEW}, [report("Ready", OLD)]),
        node("n6", {"other": NEW}, [report("Ready")]),
    ]
    assert (
        drawn(mixed, *nodes)
        == """\
shop  Rolling out
├ revision      shop-6f9c2d41aa; none is stable yet
├ steps
│ ├ 1  [########################] 1 of 1 node (1, soak 2m)  done
│ ├ 2  [########################] 1 of 1 node (25%, soak 5m)  done
│ └ 3  [########................] 2 of 6 nodes (100%)  under way; fails at 2026-11-25T10:10:00Z if no node answers
├ nodes         6 desired, 5 updated, 1 ready, 1 failed, 1 unsupported, 1 silent
│ ├ Ready        1 node: n1
│ ├ Pending      1 node: n2
│ ├ Silent       1 node: n5
│ ├ Unsupported  1 node: n4
│ └ Failed       1 node: n3
├ not enforced
│ ├ LoadFailed  Failed on 1 node (n3): no memory left
│ └ NoBTF       Unsupported on 1 node (n4): the kernel has no BTF
├ not recorded
│ └ tcp_bpf_sendmsg  Unsupported on 1 node (n1): FunctionNotFound: not in 6.1
└ overlaps
  ├ all  selects some of the same pods; they have the settings of all, and the kernel functions of both
  └ zoo  selects some of the same pods; they have the settings of shop, and the kernel functions of both"""
    )


def test_a_policy_that_is_everywhere() -> None:
    ready = policy(
        revision=NEW,
        stableRevision=NEW,
        nodes={"desired": 1, "updated": 1, "ready": 1},
        rollout={"step": 3, "steps": 3},
        conditions=conditions("Ready", "RolledOut"),
    )
    assert (
        drawn(ready, node("n1", {"shop": NEW}, [report("Ready")]))
        == """\
shop  Ready
├ revision  shop-6f9c2d41aa
├ steps
│ ├ 1  [########################] 1 of 1 node (1, soak 2m)  done
│ ├ 2  [########################] 1 of 1 node (25%, soak 5m)  done
│ └ 3  [########################] 1 of 1 node (100%)  done
└ nodes     1 desired, 1 updated, 1 ready
  └ Ready  1 node: n1"""
    )


def test_a_policy_that_no_operator_has_seen() -> None:
    assert (
        drawn(policy(observedGeneration=0))
        == """\
shop  No status: the operator has not seen it yet. Does it run?
└ steps
  ├ 1  [........................] 0 of 0 nodes (1, soak 2m)  waiting
  ├ 2  [........................] 0 of 0 nodes (25%, soak 5m)  waiting
  └ 3  [........................] 0 of 0 nodes (100%)  waiting"""
    )


@pytest.mark.parametrize(
    ("of", "step", "said"),
    [
        (soaking(promotedStep=2), 2, "under way, promoted: it does not soak"),
        (soaking({"paused": True}), 2, "paused"),
        (soaking(failedRevision=NEW), 2, "failed"),
        (soaking(failedRevision=NEW, aborted=True), 2, "aborted"),
        (soaking(soakStartedTime="9999-12-31T23:59:59Z"), 2, "soaks"),
        (soaking(soakStartedTime=None), 2, "under way"),
        (soaking(step=3, soakStartedTime=None, lastProgressTime=None), 3, "under way"),
    ],
)
def test_how_far_a_step_is(of: SeenPolicy, step: int, said: str) -> None:
    [steps] = [one for one in policy_item(of, []).under if one.key == "steps"]
    assert steps.under[step - 1].text.split("  ")[-1] == said


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (soaking({"paused": True}), ("Paused by spec.rollout.paused", Tone.WARNING)),
        (soaking(generation=4), ("Rolling out; the operator has not taken up the newest edit yet", Tone.WARNING)),
        (policy(conditions=conditions("", "NodesNotReady")), ("Not ready: NodesNotReady", Tone.WARNING)),
        (policy(conditions=conditions("", "X")[1:]), ("Not ready", Tone.WARNING)),
        (policy(conditions=conditions("Stalled", "Aborted")), ("Stalled: Aborted", Tone.BAD)),
    ],
)
def test_the_verdict(of: SeenPolicy, said: tuple[str, Tone]) -> None:
    assert verdict(of) == said


def test_a_policy_that_is_being_deleted() -> None:
    going = soaking().model_copy(update={"metadata": soaking().metadata.model_copy(update={"deletion_timestamp": BEGAN})})
    assert verdict(going) == ("Being deleted", Tone.WARNING)


def test_many_reasons_are_counted() -> None:
    nodes = [node(f"n{number:02}", {"shop": NEW}, [report("Failed", message=f"reason {number}")]) for number in range(23)]
    [section] = [one for one in policy_item(soaking(), nodes).under if one.key == "not enforced"]
    assert len(section.under) == 21
    assert (section.under[-1].key, section.under[-1].text) == ("…", "3 more; -o yaml has them all")


@settings(max_examples=60, deadline=None)
@given(made_status.policies, st.lists(made_status.nodes, max_size=2), st.booleans(), st.none() | st.integers(1, 120))
def test_any_status_is_drawn_and_nothing_in_it_steers_the_terminal(
    of: SeenPolicy, nodes: list[NodeTracing], colours: bool, width: int | None
) -> None:
    item: Any = policy_item(of, nodes)
    for line in draw([item], False, width):
        assert line == clean(line)
    for line in draw([item], colours, width):
        for tone in (*filter(None, Tone), "\x1b[0m"):
            line = line.replace(tone, "")
        assert line == clean(line)

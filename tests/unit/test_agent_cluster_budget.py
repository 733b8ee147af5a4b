"""What a policy lets the agent cost, held against what it costs."""

import pytest
from clew_agent.cluster.budget import LOOKS, Budgets, is_limited
from clew_crds.policy import Overhead

LIMIT = Overhead.model_validate({"cpuMillicores": 50, "memoryMiB": 100})


def after(*readings: tuple[int, int], limit: Overhead = LIMIT) -> Budgets:
    found = Budgets()
    for reading in readings:
        found = found.look({"shop-1": limit}, *reading)
    return found


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ((51, 100), "the agent takes 51 millicores, where limits.overhead.cpuMillicores allows 50"),
        ((50, 101), "the agent takes 101 MiB, where limits.overhead.memoryMiB allows 100"),
        (
            (51, 101),
            "the agent takes 51 millicores, where limits.overhead.cpuMillicores allows 50"
            " and 101 MiB, where limits.overhead.memoryMiB allows 100",
        ),
    ],
)
def test_a_few_looks_in_a_row_exceed_a_budget(reading: tuple[int, int], said: str) -> None:
    assert after(*[reading] * (LOOKS - 1)).exceeded == {}
    assert after(*[reading] * LOOKS).exceeded == {"shop-1": said}


def test_one_look_within_the_budget_begins_anew() -> None:
    assert after((51, 1), (51, 1), (50, 100), (51, 1), (51, 1)).exceeded == {}


def test_what_was_exceeded_stays_so_until_the_revision_goes() -> None:
    found = after(*[(60, 1)] * LOOKS, (1, 1))
    assert list(found.exceeded) == ["shop-1"]
    assert found.look({"shop-2": LIMIT}, 60, 1).exceeded == {}


def test_without_a_limit_nothing_is_exceeded() -> None:
    free = Overhead()
    assert not is_limited(free)
    assert is_limited(LIMIT)
    assert after(*[(10_000, 10_000)] * 9, limit=free).exceeded == {}

"""Which capabilities are missing, and how a user is told. That those are enough is shown on real kernels (tests/kernel/rig.py)."""

import pytest
from clew_agent.capabilities import NEEDED, SYS_ADMIN, Capability, effective, missing, refusal

ALL = sum(1 << capability.number for capability in NEEDED)


def test_effective_set_of_a_status() -> None:
    assert effective("Name:\tpython\nCapPrm:\t0000000000000000\nCapEff:\t000000c000081000\nCapBnd:\t000001ffffffffff\n") == 0xC000081000


def test_status_without_an_effective_set() -> None:
    with pytest.raises(ValueError, match="no CapEff line"):
        effective("Name:\tpython\n")


def test_none_is_missing() -> None:
    assert missing(ALL) == []
    assert missing(ALL, [SYS_ADMIN]) == [SYS_ADMIN]


@pytest.mark.parametrize("capability", NEEDED, ids=lambda capability: capability.name)
def test_one_is_missing(capability: Capability) -> None:
    lacking = missing(ALL & ~(1 << capability.number))
    assert lacking == [capability]
    assert refusal(lacking) == (
        f"the agent lacks capabilities:\n  {capability.name} {capability.reason}\n"
        "give them in the container's securityContext.capabilities.add, or run as root"
    )

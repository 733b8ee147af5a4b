"""Where the kubelet puts a pod's cgroup."""

import pytest
from clew_agent.cluster.cgroups import candidates, find
from hypothesis import given
from hypothesis import strategies as st

UID = "0b1c-22"


@pytest.mark.parametrize(
    ("qos", "paths"),
    [
        (
            "Guaranteed",
            [
                "/kubepods/pod0b1c-22",
                "/kubepods.slice/kubepods-pod0b1c_22.slice",
                "/kubelet/kubepods/pod0b1c-22",
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod0b1c_22.slice",
            ],
        ),
        (
            "Burstable",
            [
                "/kubepods/burstable/pod0b1c-22",
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b1c_22.slice",
                "/kubelet/kubepods/burstable/pod0b1c-22",
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod0b1c_22.slice",
            ],
        ),
        (
            "BestEffort",
            [
                "/kubepods/besteffort/pod0b1c-22",
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0b1c_22.slice",
                "/kubelet/kubepods/besteffort/pod0b1c-22",
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod0b1c_22.slice",
            ],
        ),
    ],
)
def test_both_drivers_and_all_classes(qos: str, paths: list[str]) -> None:
    assert list(candidates(UID, qos)) == paths


def test_the_one_that_is_there() -> None:
    there = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b1c_22.slice"
    assert find(UID, "Burstable", {there}.__contains__) == there


def test_none_is_there_yet() -> None:
    assert find(UID, "Burstable", lambda _: False) == ""


@given(st.uuids(), st.sampled_from(["Guaranteed", "Burstable", "BestEffort"]))
def test_each_path_is_of_one_pod_alone(uid: object, qos: str) -> None:
    """A slice's own name tells all the slices above it, or systemd would put it elsewhere."""
    for path in candidates(str(uid), qos):
        *above, last = path.strip("/").split("/")
        assert str(uid).replace("-", "_") in last.replace("-", "_")
        if last.endswith(".slice"):
            assert all(last.startswith(one.removesuffix(".slice") + "-") for one in above)

"""The worked example of docs/rollout.md is what the planner says."""

from pathlib import Path

from tests.unit.planning_world import Cluster

DOCS = Path(__file__).parents[2] / "docs" / "rollout.md"
ROLLOUT = {"maxUnavailable": "25%", "steps": [{"nodes": "1", "soak": "2m"}, {"nodes": "50%", "soak": "5m"}, {"nodes": "100%"}]}


class Transcript:
    """A cluster, and a line for every status of the policy that differs from the one before."""

    def __init__(self) -> None:
        self.cluster = Cluster(nodes=12)
        self.lines: list[str] = []

    def look(self) -> None:
        planned = self.cluster.looks()
        status = self.cluster.statuses["bookinfo"]
        counts = status.nodes
        line = f"{counts.ready:<5}  {counts.updated:<7}  {counts.failed:<6}  {status.step:<4}  {status.message}"
        if not self.lines or not self.lines[-1].endswith(line):
            self.lines.append(f"{self.cluster.now:%H:%M:%S}  {line}")
        self.wake = planned.wake

    def answer(self, *names: str) -> None:
        self.cluster.wait(seconds=20)
        self.cluster.answer(*(names or self.cluster.silent()))
        self.look()

    def sleep(self) -> None:
        assert self.wake is not None
        self.cluster.now = self.wake
        self.look()


def test_a_good_change_and_a_bad_one() -> None:
    example = Transcript()
    example.cluster.apply("bookinfo", rollout=ROLLOUT)
    example.cluster.roll_out("bookinfo")
    example.cluster.take_events()
    example.lines.clear()
    example.cluster.apply("bookinfo", size=2)
    example.look()
    example.answer()
    example.sleep()
    told = example.cluster.having("bookinfo", example.cluster.newest("bookinfo"))
    example.answer(*told[:2])
    broken = next(iter(example.cluster.silent()))
    example.cluster.wait(seconds=20)
    message = "no kernel function tcp_sendmsgg; near: tcp_sendmsg"
    example.cluster.answer(broken, state="Failed", reason="FunctionNotFound", message=message)
    example.look()
    while example.cluster.silent():
        example.answer()
    table = "\n".join(["TIME      READY  UPDATED  FAILED  STEP  MESSAGE", *example.lines])
    events = "\n".join(f"{reason}: {said}" for reason, said in example.cluster.take_events())
    text = DOCS.read_text()
    assert table in text, table
    assert events in text, events

"""The capabilities that the agent needs instead of all of root, and the refusal that names the missing ones.

The kernel tests run the agent with just these; ``docs/safety.md`` tells what fails without each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Capability:
    """One capability (capability.h): its number, its name, and what the agent needs it for."""

    number: int
    name: str
    reason: str


NEEDED = (
    Capability(39, "CAP_BPF", "to load programs and maps"),
    Capability(38, "CAP_PERFMON", "to attach programs to kernel functions and read kernel memory in them"),
    Capability(12, "CAP_NET_ADMIN", "to attach sk_msg and sock_ops programs"),
    Capability(34, "CAP_SYSLOG", "to read the addresses of kernel functions (/proc/kallsyms), by which BCC knows the kernel's helpers"),
    Capability(19, "CAP_SYS_PTRACE", "to take up connections that are older than the agent (pidfd_getfd)"),
)

# Never needed to start: without it, propagation stays off on kernels with the FIONREAD fault, and what needs a kprobe is not recorded
# where kernel.perf_event_paranoid is 3 or more.
SYS_ADMIN = Capability(21, "CAP_SYS_ADMIN", "to correct FIONREAD on this kernel (bpf_probe_write_user)")


def effective(status: str) -> int:
    """The effective set of a ``/proc/PID/status`` text. Raises ``ValueError`` where it has none."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise ValueError("no CapEff line in the status of the process")


def missing(held: int, needed: Iterable[Capability] = NEEDED) -> list[Capability]:
    """Those of the needed capabilities that a set lacks."""
    return [capability for capability in needed if not held >> capability.number & 1]


def refusal(lacking: Iterable[Capability]) -> str:
    """The message for a user who did not give all that is needed."""
    lines = [f"  {capability.name} {capability.reason}" for capability in lacking]
    return "\n".join(
        ["the agent lacks capabilities:", *lines, "give them in the container's securityContext.capabilities.add, or run as root"]
    )


def own_effective() -> int:
    """This process's effective set."""
    return effective(Path("/proc/self/status").read_text(encoding="ascii"))

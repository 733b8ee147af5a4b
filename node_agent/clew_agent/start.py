"""What stands before the agent's loop: may it run here, is it alone, and what does this kernel allow."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from clew_agent import capabilities
from clew_agent.enforcer import Enforcer, attach
from clew_agent.fionread import has_fault
from clew_agent.kernel.btf import read_vmlinux
from clew_agent.kernel.features import Answer, Finding, examine, read_facts
from clew_agent.loader.cache import Cache
from clew_agent.loader.load import Loader
from clew_agent.model import Address


class StartError(RuntimeError):
    """The agent cannot start here; the message says why and what to do."""


def check_capabilities() -> None:
    """Raise :class:`StartError` where the agent lacks a capability that it cannot do without."""
    lacking = capabilities.missing(capabilities.own_effective())
    if lacking:
        raise StartError(capabilities.refusal(lacking))


@contextlib.contextmanager
def only_agent(state: Path) -> Iterator[None]:
    """Hold the lock that one agent a node may hold; it goes with the process. Raises :class:`StartError`."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartError(f"cannot make the lock file in {state}: {error.strerror}; choose another folder with --state") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            raise StartError(f"another agent runs on this node (process {holder}); there can be only one") from None
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def attach_programs(btf_path: Path, state: Path) -> Enforcer:
    """Find out what this kernel allows, and attach the request path; what is compiled is kept in ``state``.

    Raises ``NoBtfError`` and ``LoadError``.
    """
    btf = read_vmlinux(btf_path)
    admin = not capabilities.missing(capabilities.own_effective(), [capabilities.SYS_ADMIN])
    facts = examine(read_facts(btf, admin=admin))
    propagation, correct = "", False
    if has_fault():
        propagation = _why_not_corrected(facts, admin=admin)
        correct = not propagation
    return attach(
        lambda: read_vmlinux(btf_path),
        os.uname().release,
        fentry=facts["fentry"].answer is not Answer.NO,
        no_kprobes=facts["kprobe"].detail,
        correct_fionread=correct,
        propagation=propagation,
        loader=Loader(Cache(state / "programs")),
    )


def _why_not_corrected(facts: Mapping[str, Finding], *, admin: bool) -> str:
    """Why FIONREAD stays wrong for sockets in a sockhash, and so propagation off; empty where it can be corrected."""
    fault = "this kernel answers FIONREAD with 0 for sockets in a sockhash (upstream commit 929e30f93125)"
    if not admin:
        return f"{fault}, and the agent lacks {capabilities.SYS_ADMIN.name} {capabilities.SYS_ADMIN.reason}"
    if facts["user-writes"].answer is not Answer.YES:
        return f"{fault}, and it cannot be corrected: {facts['user-writes'].detail}"
    return ""


def own_address() -> Address:
    """The address from which this node would speak to others; loopback where there is no route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: nothing is sent
        except OSError:
            return ip_address("127.0.0.1")
        return ip_address(probe.getsockname()[0])

"""Carries an enforcement out: programs loaded, maps written, cgroups attached, old connections taken up.

Everything is held by descriptors of this process. When it ends, however it ends, the kernel lets go of all of it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

from clew_agent.bpf_files import bpf_source
from clew_agent.enforcement import Enforcement, Scope
from clew_agent.functions.codegen import Generated, generate
from clew_agent.functions.planning import Mode, mode_for
from clew_agent.functions.request import FunctionRequest
from clew_agent.kernel.btf import Btf
from clew_agent.kernel.headers import write_tree
from clew_agent.kernel.symbols import read_return_trampoline, read_symbols
from clew_agent.kernel_settings import pack
from clew_agent.loader import syscalls
from clew_agent.loader.handover import LoadError, Programs, load
from clew_agent.model import Address
from clew_agent.program import REQUIRED, definitions, inspect, load_request, source_text
from clew_agent.selftest import SelfTest, SelfTestError
from clew_agent.sockets import Adopter

_LOG = logging.getLogger("clew.enforcer")
CGROUPS = Path("/sys/fs/cgroup")


class _Link(NamedTuple):
    """A pod's cgroup as the programs are attached to it; closing ``descriptor`` detaches them."""

    inode: int
    policy: int
    descriptor: int


@dataclass(slots=True)
class Enforcer:
    """The programs in the kernel and what they have been told. Made by :func:`attach`."""

    programs: Programs
    generated: Generated
    propagation: str = ""
    """Why propagation is off on this node; empty where it is on."""

    _links: dict[int, _Link] = field(default_factory=dict)  # by pod slot
    _policies: dict[int, bytes] = field(default_factory=dict)  # by policy slot: what the programs were told last
    _adopted: int = 0

    def apply(self, enforcement: Enforcement) -> None:
        """Tell the programs what to enforce, attach them to the pods' cgroups, and leave the pods that are selected no longer.

        To be called again and again: a pod's cgroup may come late, go, and be made anew. Where nothing has changed, that costs a
        ``stat`` a pod.
        """
        for slot, settings in enumerate(enforcement.settings):
            value = pack("policy", dict(settings.values) | ({"inject": 0} if self.propagation else {}))
            if self._policies.get(slot) != value:
                syscalls.update(self.programs.maps["policies"], struct.pack("=I", slot), value)
                self._policies[slot] = value
        wanted = {scope.slot: scope for scope in enforcement.scopes}
        for slot in [slot for slot in self._links if slot not in wanted]:
            self._leave(slot)
        for scope in wanted.values():
            self._follow(scope)

    def _leave(self, slot: int) -> None:
        if held := self._links.pop(slot, None):
            os.close(held.descriptor)

    def _follow(self, scope: Scope) -> None:
        path = CGROUPS / scope.pod.cgroup.lstrip("/")
        held = self._links.get(scope.slot)
        try:
            if held is not None and (held.inode, held.policy) == (path.stat().st_ino, scope.policy):
                return
            cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self._leave(scope.slot)
            _LOG.debug("pod %s/%s: cgroup %s: %s", scope.pod.namespace, scope.pod.name, path, error)
            return
        try:
            fresh = self._attach(scope, cgroup)
        finally:
            os.close(cgroup)
        if fresh:
            self._adopt(scope, path)

    def _attach(self, scope: Scope, cgroup: int) -> bool:
        """Attach to the cgroup, unless that is so already, and tell the programs whose it is. True: it was not."""
        inode = os.fstat(cgroup).st_ino
        held = self._links.get(scope.slot)
        if fresh := held is None or held.inode != inode:
            self._leave(scope.slot)
            held = _Link(inode, scope.policy, syscalls.link_to_cgroup(self.programs.programs["clew_connection"], cgroup))
        self._links[scope.slot] = held._replace(policy=scope.policy)
        key = struct.pack("=QI4x", inode, syscalls.SOCK_OPS)
        syscalls.update(self.programs.maps["pod_scopes"], key, pack("pod_scope", {"pod": scope.slot, "policy": scope.policy, "known": 1}))
        return fresh

    def _adopt(self, scope: Scope, cgroup: Path) -> None:
        """Take up the connections that a pod has already."""
        adopter = Adopter(self.programs.maps["connections"], self.programs.maps["sockets"], not self.propagation, self._adopted)
        found = adopter.adopt(cgroup, scope.slot, scope.policy)
        self._adopted += found
        _LOG.info("pod %s/%s is traced; %d connections are older", scope.pod.namespace, scope.pod.name, found)

    def tell_clock(self, offset_ns: int, host: bytes, agent: int) -> None:
        """Tell the programs what Unix time it is, which node this is, and which process is the agent (0: none yet)."""
        value = pack("settings", {"unix_offset_ns": offset_ns, "host": host, "agent": agent})
        syscalls.update(self.programs.maps["settings"], bytes(4), value)

    def counters(self) -> Mapping[int, int]:
        """The programs' counters by index, summed over the CPUs."""
        table = self.programs.maps["counters"]
        cpus = syscalls.possible_cpus()
        totals: dict[int, int] = {}
        for index in range(syscalls.map_info(table)["max_entries"]):
            values = syscalls.lookup(table, struct.pack("=I", index), 8 * cpus)
            totals[index] = sum(struct.unpack(f"={cpus}Q", values))
        return totals

    def runs_missed(self) -> int:
        """How often the kernel left a program out, since it was running on that CPU already (kernels that preempt programs)."""
        return sum(syscalls.program_info(program).get("recursion_misses", 0) for program in self.programs.programs.values())

    def detach(self) -> None:
        """Let go of the pods and of all hooks; what was counted stays readable."""
        for slot in list(self._links):
            self._leave(slot)
        self.programs.detach()

    def close(self) -> None:
        """Let go of everything."""
        self.detach()
        self.programs.close()


def attach(
    btf: Btf,
    requests: tuple[FunctionRequest, ...],
    release: str,
    *,
    fentry: bool,
    no_kprobes: str,
    correct_fionread: bool,
    propagation: str,
    debug: int = 0,
) -> Enforcer:
    """Compile, load and attach the programs, and let them pass the self-test.

    ``propagation`` is why it must stay off already, ``no_kprobes`` why there can be no kprobes. Raises :class:`LoadError`.
    """
    kernel = inspect(btf)
    if kernel.lacking:
        raise LoadError(f"kernel {release} lacks {', '.join(kernel.lacking)}, which the request path hooks")
    modes = {request.name: _mode(btf, request.name, fentry) for request in requests}
    trampoline = read_return_trampoline() if Mode.KPROBE in modes.values() else 0
    symbols = read_symbols(list(modes))
    generated = generate(requests, btf, modes, symbols, trampoline, no_kprobes)
    text = source_text(lambda name: bpf_source(name).read_text(), generated, fionread=correct_fionread)
    with tempfile.TemporaryDirectory(prefix="clew-") as folder:
        began = time.monotonic()
        iov = [flag.partition("=")[2] for flag in definitions(kernel) if flag.startswith("-DIOV_MEMBER=")]
        tree = write_tree(btf, [text, *iov], Path(folder), release)
        programs = load(load_request(text, kernel, generated, tree, debug))
        _LOG.info(
            "programs attached: header tree and compile and load %.1f s, of them attach %.1f s; the loader took %d MiB",
            time.monotonic() - began,
            programs.attach_seconds,
            programs.peak_kib // 1024,
        )
    walked = {name: syscalls.program_info(program).get("verified_insns", 0) for name, program in programs.programs.items()}
    most = max(walked, key=lambda name: walked[name])
    _LOG.info("the verifier walked %d of at most 1000000 instructions in %s, fewer in the others", walked[most], most)
    enforcer = Enforcer(programs, generated, propagation)
    syscalls.attach_to_map(programs.programs["clew_inject"], programs.maps["sockets"])
    if not propagation:
        try:
            SelfTest(programs.maps["policies"], programs.maps["connections"], programs.maps["sockets"]).run()
        except SelfTestError as error:
            enforcer.propagation = str(error)
    return enforcer


def _mode(btf: Btf, name: str, fentry: bool) -> Mode:
    # BCC finds a trampoline's function by the program's name, so one text can have one program a function: where the request
    # path has it, the policy's goes by kprobe.
    return Mode.KPROBE if name in REQUIRED else mode_for(btf, name, fentry=fentry)


def host_identity(address: Address) -> bytes:
    """The node's part of trace IDs: its IPv4 address, or four bytes of its IPv6 address's SHA-256."""
    if isinstance(address, IPv6Address):
        return hashlib.sha256(address.packed).digest()[:4]
    return IPv4Address(address).packed

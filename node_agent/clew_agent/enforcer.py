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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

from clew_agent.enforcement import Enforcement, Scope, SlotSettings
from clew_agent.function_hooks import FunctionHooks, runs_missed
from clew_agent.function_programs import FunctionBuilder
from clew_agent.kernel.btf import Btf
from clew_agent.kernel_settings import pack
from clew_agent.loader import syscalls
from clew_agent.loader.load import Loader, LoadError, Programs
from clew_agent.memory import give_back
from clew_agent.model import Address
from clew_agent.program import inspect
from clew_agent.request_path import request_path
from clew_agent.selftest import SelfTest, SelfTestError
from clew_agent.sockets import Adopter

_LOG = logging.getLogger("clew.enforcer")
CGROUPS = Path("/sys/fs/cgroup")


class _Link(NamedTuple):
    """A pod's cgroup as the programs are attached to it; closing ``descriptor`` detaches them."""

    inode: int
    descriptor: int


@dataclass(slots=True)
class Enforcer:
    """The programs in the kernel and what they have been told. Made by :func:`attach`."""

    programs: Programs
    functions: FunctionHooks
    propagation: str = ""
    """Why propagation is off on this node; empty where it is on."""

    _links: dict[int, _Link] = field(default_factory=dict)  # by pod slot
    _policies: dict[int, bytes] = field(default_factory=dict)  # by policy slot: what the programs were told last
    _pods: dict[int, int] = field(default_factory=dict)  # by pod slot: the policy slot that the programs were told
    _adopted: int = 0

    def apply(self, enforcement: Enforcement) -> None:
        """Tell the programs what to enforce, attach them to the pods' cgroups, and leave the pods that are selected no longer.

        To be called again and again: a pod's cgroup may come late, go, and be made anew. Where nothing has changed, that costs a
        ``stat`` a pod.
        """
        told = {slot: self._told(settings) for slot, settings in enforcement.settings.items()}
        for slot, values in told.items():
            self._tell_policy(slot, pack("policy", values))
        wanted = {scope.slot: scope for scope in enforcement.scopes}
        for pod in [pod for pod in self._pods if pod not in wanted]:
            self._leave(pod)
            self._tell_pod(pod, None)
        for scope in wanted.values():
            self._tell_pod(scope.slot, scope.policy)
            self._follow(scope, inject=bool(told[scope.policy]["inject"]))
        for slot in [slot for slot in self._policies if slot not in enforcement.settings]:
            self._tell_policy(slot, pack("policy", {}))
            del self._policies[slot]

    def _told(self, settings: SlotSettings) -> dict[str, int]:
        """What the programs are told of a policy: where propagation is off, no policy inserts."""
        return {**settings.values, **({"inject": 0} if self.propagation else {})}

    def _tell_policy(self, slot: int, value: bytes) -> None:
        if self._policies.get(slot) != value:
            syscalls.update(self.programs.maps["policies"], struct.pack("=I", slot), value)
            self._policies[slot] = value

    def _tell_pod(self, pod: int, policy: int | None) -> None:
        """Say which policies a pod has; its open connections go by it, too. None: it is not traced any more."""
        if self._pods.get(pod) == policy:
            return
        table, key = self.programs.maps["pod_policies"], struct.pack("=I", pod)
        if policy is None:
            syscalls.delete(table, key)
            del self._pods[pod]
        else:
            syscalls.update(table, key, struct.pack("=I", policy))
            self._pods[pod] = policy

    def _leave(self, slot: int) -> None:
        if held := self._links.pop(slot, None):
            os.close(held.descriptor)

    def _follow(self, scope: Scope, *, inject: bool) -> None:
        path = CGROUPS / scope.pod.cgroup.lstrip("/")
        held = self._links.get(scope.slot)
        try:
            if held is not None and held.inode == path.stat().st_ino:
                return
            cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self._leave(scope.slot)
            _LOG.debug("pod %s/%s: cgroup %s: %s", scope.pod.namespace, scope.pod.name, path, error)
            return
        try:
            self._attach(scope, cgroup)
        finally:
            os.close(cgroup)
        self._adopt(scope, path, inject=inject)

    def _attach(self, scope: Scope, cgroup: int) -> None:
        """Attach to the cgroup, and tell the programs whose it is."""
        inode = os.fstat(cgroup).st_ino
        self._leave(scope.slot)
        self._links[scope.slot] = _Link(inode, syscalls.link_to_cgroup(self.programs.programs["clew_connection"], cgroup))
        key = struct.pack("=QI4x", inode, syscalls.SOCK_OPS)
        syscalls.update(self.programs.maps["pod_scopes"], key, pack("pod_scope", {"pod": scope.slot, "known": 1}))

    def _adopt(self, scope: Scope, cgroup: Path, *, inject: bool) -> None:
        """Take up the connections that a pod has already."""
        adopter = Adopter(self.programs.maps["connections"], self.programs.maps["sockets"], inject, self._adopted)
        found = adopter.adopt(cgroup, scope.slot)
        self._adopted += found
        _LOG.info("pod %s/%s is traced; %d connections are older", scope.pod.namespace, scope.pod.name, found)

    def tell_clock(self, offset_ns: int, host: bytes, agent: int) -> None:
        """Tell the programs what Unix time it is, which node this is, and which process is the agent (0: none yet)."""
        value = pack("settings", {"unix_offset_ns": offset_ns, "host": host, "agent": agent})
        syscalls.update(self.programs.maps["settings"], bytes(4), value)

    def counters(self) -> Mapping[int, int]:
        """The programs' counters by index, summed over the CPUs."""
        table = self.programs.maps["counters"]
        return {index: sum(syscalls.lookup_per_cpu(table, index, "Q")) for index in range(syscalls.map_info(table)["max_entries"])}

    def counts(self) -> Mapping[str, int]:
        """What the agent's metrics tell of the programs themselves."""
        counts = self.functions.counts()
        return {**counts, "program_runs_missed": counts["program_runs_missed"] + runs_missed(self.programs.programs.values())}

    def detach(self) -> None:
        """Let go of the pods and of all hooks; what was counted stays readable."""
        for slot in list(self._links):
            self._leave(slot)
        self.functions.detach()
        self.programs.detach()

    def close(self) -> None:
        """Let go of everything."""
        self.detach()
        self.functions.close()
        self.programs.close()


class UnsupportedKernelError(LoadError):
    """This kernel lacks what the request path needs."""


def attach(
    read_btf: Callable[[], Btf],
    release: str,
    *,
    fentry: bool,
    no_kprobes: str,
    correct_fionread: bool,
    propagation: str,
    loader: Loader,
) -> Enforcer:
    """Compile, load and attach the request path, and let it pass the self-test. Functions come later, and may change.

    ``propagation`` is why it must stay off already, ``no_kprobes`` why there can be no kprobes. Raises :class:`LoadError`.
    """
    btf = read_btf()
    kernel = inspect(btf)
    if kernel.lacking:
        raise UnsupportedKernelError(f"kernel {release} lacks {', '.join(kernel.lacking)}, which the request path hooks")
    with tempfile.TemporaryDirectory(prefix="clew-") as folder:
        began = time.monotonic()
        programs = loader.load(request_path(btf, kernel, release, Path(folder), fionread=correct_fionread), btf.function_number)
        _LOG.info("programs loaded and attached after %.1f s", time.monotonic() - began)
    del btf
    give_back()
    walked = {name: syscalls.program_info(program).get("verified_insns", 0) for name, program in programs.programs.items()}
    most = max(walked, key=lambda name: walked[name])
    _LOG.info("the verifier walked %d of at most 1000000 instructions in %s, fewer in the others", walked[most], most)
    maps = programs.maps
    builder = FunctionBuilder(read_btf, kernel, release, fentry, no_kprobes, loader)
    enforcer = Enforcer(programs, FunctionHooks(builder.build, maps), propagation)
    syscalls.attach_to_map(programs.programs["clew_inject"], maps["sockets"])
    if not propagation:
        try:
            SelfTest(maps["policies"], maps["pod_policies"], maps["connections"], maps["sockets"]).run()
        except SelfTestError as error:
            enforcer.propagation = str(error)
    return enforcer


def host_identity(address: Address) -> bytes:
    """The node's part of trace IDs: its IPv4 address, or four bytes of its IPv6 address's SHA-256."""
    if isinstance(address, IPv6Address):
        return hashlib.sha256(address.packed).digest()[:4]
    return IPv4Address(address).packed

"""Makes the programs of kernel functions: planned, generated, compiled and attached, over the maps that are in the kernel already."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clew_agent.bpf_files import bpf_source
from clew_agent.functions.codegen import Hook, generate
from clew_agent.functions.planning import Mode, mode_for, plan_requests
from clew_agent.functions.request import FunctionRequest, Problem
from clew_agent.functions.ways import HookKey, WantedHook, wanted_hooks
from clew_agent.kernel.btf import Btf
from clew_agent.kernel.headers import write_tree
from clew_agent.kernel.symbols import read_return_trampoline, read_symbols
from clew_agent.loader.load import Loader, Programs
from clew_agent.memory import give_back
from clew_agent.program import PATH_HOOKS, Kernel, functions_request, functions_text

_LOG = logging.getLogger("clew.functions")


@dataclass(frozen=True, slots=True)
class Built:
    """What the requests come to: all hooks that are wanted, what cannot be, and the hooks that were not there before.

    ``programs`` holds those of ``fresh``, and the maps that are new with them; None where there was nothing to build.
    """

    wanted: tuple[WantedHook, ...]
    problems: tuple[Problem, ...]
    fresh: tuple[Hook, ...]
    programs: Programs | None


Build = Callable[[Iterable[FunctionRequest], Collection[HookKey], Iterable[int], Mapping[str, int]], Built]


@dataclass(frozen=True, slots=True)
class FunctionBuilder:
    """What is known of this kernel. ``read_btf`` reads its types again for every build, since they take memory; ``fentry`` says
    whether functions can be hooked by trampolines, ``no_kprobes`` why they cannot be by kprobes."""

    read_btf: Callable[[], Btf]
    kernel: Kernel
    release: str
    fentry: bool
    no_kprobes: str
    loader: Loader

    def build(
        self, requests: Iterable[FunctionRequest], there: Collection[HookKey], numbers: Iterable[int], maps: Mapping[str, int]
    ) -> Built:
        """Build what is wanted and not there. Nothing is recorded until the hooks' settings are written. Raises ``LoadError``."""
        asked = tuple(requests)
        if not asked:
            return Built((), (), (), None)
        try:
            return self._build(asked, there, numbers, maps)
        finally:
            give_back()

    def _build(
        self, asked: tuple[FunctionRequest, ...], there: Collection[HookKey], numbers: Iterable[int], maps: Mapping[str, int]
    ) -> Built:
        btf = self.read_btf()
        modes = {request.name: self._mode(btf, request.name) for request in asked}
        plans, problems = plan_requests(asked, btf, modes, read_symbols(list(modes)), self.no_kprobes)
        wanted = wanted_hooks(plans, modes)
        lacking = [want for want in wanted if want.key not in there]
        if not lacking:
            return Built(wanted, problems, (), None)
        began = time.monotonic()
        trampoline = read_return_trampoline() if Mode.KPROBE in modes.values() else 0
        generated = generate(lacking, numbers, trampoline)
        text = functions_text(lambda name: bpf_source(name).read_text(), generated)
        with tempfile.TemporaryDirectory(prefix="clew-") as folder:
            tree = write_tree(btf, [text], Path(folder), self.release)
            request = functions_request(text, self.kernel, generated.hooks, tree, maps)
            programs = self.loader.load(request, btf.function_number, maps)
        names = ", ".join(want.key.function for want in lacking)
        _LOG.info("%d kernel functions hooked after %.1f s: %s", len(lacking), time.monotonic() - began, names)
        return Built(wanted, problems, generated.hooks, programs)

    def _mode(self, btf: Btf, name: str) -> Mode:
        # When programs come to a trampoline or leave it, the kernel leaves out its fexit programs for the calls that are under way
        # (bpf_tramp_image_put). The request path must not miss any: where it has a trampoline, a policy's programs go by kprobe.
        return Mode.KPROBE if name in PATH_HOOKS else mode_for(btf, name, fentry=self.fentry)

"""What the texts of the kernel's programs are made of."""

import re
from pathlib import Path

from clew_agent.bpf_files import bpf_source
from clew_agent.functions.codegen import generate
from clew_agent.program import FUNCTION_MAPS, PATH_HOOKS, REQUIRED, Kernel, functions_request, functions_text, path_request, path_text

KERNEL = Kernel("__iov", True, ())


def read(name: str) -> str:
    return bpf_source(name).read_text()


def test_the_path_hooks_what_is_said_of_it() -> None:
    """A policy's programs for these must go by kprobe, or the request path would miss calls when they come and go."""
    found = re.findall(r"^K(?:RET)?FUNC_PROBE\((\w+),", path_text(read, fionread=True), re.MULTILINE)
    assert set(found) == PATH_HOOKS
    assert set(REQUIRED) <= PATH_HOOKS


def test_functions_use_the_maps_of_the_path() -> None:
    """All maps that their text declares are the path's, or their own."""
    text = functions_text(read, generate([], []))
    declared = set(re.findall(r"^BPF_(?:ARRAY|PERCPU_ARRAY|TASK_STORAGE|RINGBUF_OUTPUT)\((\w+),", text, re.MULTILINE))
    declared |= set(re.findall(r'^BPF_(?:F_)?TABLE\("\w+", \w+, [\w ]+, (\w+),', text, re.MULTILINE))
    path = path_request(path_text(read, fionread=False), KERNEL, Path("/tree"))
    first = functions_request(text, KERNEL, [], Path("/tree"), path.maps)
    assert set(first.maps) == set(FUNCTION_MAPS)
    assert set(first.shared) <= set(path.maps)
    assert {*first.maps, *first.shared} == declared
    second = functions_request(text, KERNEL, [], Path("/tree"), [*path.maps, *FUNCTION_MAPS])
    assert (second.maps, set(second.shared)) == ([], declared)

"""The compiler: the only place that knows BCC. A process of its own: it reads a text, writes what that becomes, and ends.

BCC brings LLVM, more than 100 MB of it, which goes with the process. It also makes the text's maps while it compiles, to write their
descriptors into the instructions; those maps go with the process, too, and only their shapes are told.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

from clew_agent.loader.compiled import Code, Compiled, MapShape, Source, encode, with_maps
from clew_agent.loader.syscalls import map_info


class CompileError(RuntimeError):
    """The text could not be compiled."""


def compile_text(source: Source) -> Compiled:
    """Compile. Raises :class:`CompileError`; what was wrong, clang has said on standard error."""
    os.environ["BCC_KERNEL_SOURCE"] = source.tree
    from bcc import lib

    lib.bpf_table_name.restype, lib.bpf_table_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_size_t]  # BCC tells no types
    flags = (ctypes.c_char_p * len(source.cflags))(*(flag.encode() for flag in source.cflags))
    module = lib.bpf_module_create_c_from_string(source.text.encode(), 0, flags, len(flags), True, None)
    if not module:
        raise CompileError("BCC could not compile the text")
    descriptors = [int(lib.bpf_table_fd_id(module, number)) for number in range(lib.bpf_num_tables(module))]
    places = {descriptor: place for place, descriptor in enumerate(descriptors)}
    maps = [_shape(lib.bpf_table_name(module, number).decode(), descriptor) for number, descriptor in enumerate(descriptors)]
    programs = [_code(lib, module, number, places) for number in range(lib.bpf_num_functions(module))]
    return Compiled(tuple(maps), tuple(programs), lib.bpf_module_license(module).decode())


def _shape(name: str, descriptor: int) -> MapShape:
    told = map_info(descriptor)
    return MapShape(name, told["map_type"], told["key_size"], told["value_size"], told["max_entries"], told["map_flags"])


def _code(lib: Any, module: Any, number: int, places: dict[int, int]) -> Code:
    name = lib.bpf_function_name(module, number)
    instructions = ctypes.string_at(lib.bpf_function_start(module, name), lib.bpf_function_size(module, name))
    return Code(name.decode(), with_maps(instructions, places))


def main() -> None:
    """Compile what comes on standard input (:meth:`Source.encode`), and write the result on standard output."""
    try:
        compiled = compile_text(Source(**json.load(sys.stdin)))
    except CompileError as error:
        sys.exit(str(error))
    sys.stdout.write(encode(compiled))
    sys.stdout.flush()
    # BCC's destructors take time, and the process ends anyway.
    os._exit(0)


if __name__ == "__main__":
    main()

"""QEMU's machine protocol: a command to a running machine, over its unix socket."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["MachineGone", "MachineRefuses", "execute"]

_PATIENCE_SECONDS = 30


class MachineGone(RuntimeError):
    """There is no such machine, or it has ended while it was asked."""


class MachineRefuses(RuntimeError):
    """QEMU does not do what it was asked for; the message is QEMU's."""


def execute(path: Path, *commands: tuple[str, Mapping[str, Any]]) -> list[Any]:
    """Have the machine of that socket carry out commands, one after the other; return what each returned."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(str(path))
            with connection.makefile("rw") as stream:
                stream.readline()  # QEMU's greeting
                asked = [("qmp_capabilities", {}), *commands]
                return [_execute(stream, name, arguments) for name, arguments in asked][1:]
    except OSError as problem:
        raise MachineGone(f"no machine answers at {path}: {problem.strerror}") from None


def _execute(stream: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    stream.flush()
    for line in stream:
        said = json.loads(line)
        if "error" in said:
            raise MachineRefuses(f"{name}: {said['error']['desc']}")
        if "return" in said:  # else an event
            return said["return"]
    raise MachineGone(f"the machine ended while it was asked for {name}")

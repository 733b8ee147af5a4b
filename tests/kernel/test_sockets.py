"""Connections of processes of other users, found with the capabilities that the agent has and no others."""

from __future__ import annotations

import os
import subprocess
import sys

from clew_agent.capabilities import NEEDED

from tests.kernel.rig import under

NOBODY = 65534
HOLD = """
import os, socket, sys
held = socket.create_server(("127.0.0.1", 0))
name = open("/etc/passwd")
print(held.fileno(), os.fstat(held.fileno()).st_ino, flush=True)
sys.stdin.read()
"""
LOOK = "import sys; from clew_agent.sockets import socket_descriptors; print(*socket_descriptors(int(sys.argv[1])))"


def test_sockets_of_another_user_s_process_are_found(kernel: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], user=NOBODY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        number, inode = holder.stdout.readline().split()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        argv = [*under(NEEDED), sys.executable, "-c", LOOK, str(holder.pid)]
        found = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        assert found.stdout == f"({number}, {inode})\n"
        assert holder.stdin is not None
        holder.stdin.close()

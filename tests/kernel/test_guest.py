"""The guest is what kernel tests need: the right kernel, root, cgroup v2, BTF, BCC, a loopback interface."""

import importlib
import os
import socket
from pathlib import Path


def test_kernel_release(kernel: str) -> None:
    assert ".".join(os.uname().release.split("-")[0].split(".")[:2]) == kernel


def test_root() -> None:
    assert os.geteuid() == 0


def test_cgroup2_can_be_divided() -> None:
    group = Path("/sys/fs/cgroup/clew-test-guest")
    group.mkdir()
    try:
        assert (group / "cgroup.procs").read_text() == ""
    finally:
        group.rmdir()


def test_btf_is_there() -> None:
    assert Path("/sys/kernel/btf/vmlinux").read_bytes()[:2] == b"\x9f\xeb"


def test_bcc_imports() -> None:
    bcc = importlib.import_module("bcc")
    assert bcc.__version__.startswith("0.31")


def test_loopback_is_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5) as client:
        connection, _ = server.accept()
        with connection:
            client.sendall(b"clew")
            assert connection.recv(4) == b"clew"


def test_checkout_is_writable(tmp_path: Path) -> None:
    mark = Path(__file__).with_name(f".written-{os.uname().release}")
    mark.write_text("")
    mark.unlink()
    assert not mark.exists()

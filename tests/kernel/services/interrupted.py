"""`interrupted.py HOST PORT` sends a request and is interrupted by signals while it waits for the answer; it prints each signal, and what
came of the wait."""

import signal
import socket
import sys

SECONDS = 0.5


def tell(*_: object) -> None:
    print("signal", flush=True)


with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(b"GET /up/interrupted HTTP/1.1\r\nHost: upstream\r\n\r\n")
    signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
    try:
        print("answered" if connection.recv(1 << 16) else "ended")
    except BlockingIOError:
        print("EAGAIN")

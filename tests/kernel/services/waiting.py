"""`waiting.py HOST PORT` sends a request, waits for the answer as event loops do, and prints how many bytes the kernel says are there."""

import array
import fcntl
import select
import socket
import sys
import termios

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection, select.epoll() as poll:
    connection.sendall(b"GET /up/waiting HTTP/1.1\r\nHost: upstream\r\n\r\n")
    poll.register(connection, select.EPOLLIN)
    poll.poll()
    count = array.array("i", [0])
    fcntl.ioctl(connection, termios.FIONREAD, count)
    print(count[0])

"""An HTTP/1.1 load generator that costs little: one thread, one epoll, keep-alive connections, the standard library alone.

It shares its processors with what it measures, so it does no more per request than one send, one wait and one or two
receives. Closed loop: every connection sends its next request when the last one was answered. Open loop: requests are due at a
fixed rate whatever the service does, and latency counts from the moment a request was due, so that a stall is seen by
every request it delays ("coordinated omission" is not possible).

``python -m clew_lab.load URL`` is the same as a command; tests and the benchmark call the functions below.
"""

from clew_lab.load.loops import closed_loop, open_loop
from clew_lab.load.message import LoadError, get, response_length
from clew_lab.load.result import Failures, LoadResult, percentile

__all__ = ["Failures", "LoadError", "LoadResult", "closed_loop", "get", "open_loop", "percentile", "response_length"]

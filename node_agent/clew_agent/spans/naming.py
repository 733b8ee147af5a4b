"""What spans are called: the two styles of a policy's ``spans.naming``.

``Flow`` is the talk's: ``server:productpage->NONE`` and ``client:productpage->details``, which reads as who talks to whom.
``HTTP`` is that of the OpenTelemetry semantic conventions for HTTP spans: ``{method} {route}``; no route is known from the
kernel and the path must not stand in for it, so the method alone, or ``HTTP`` for a method that is not a known one.
"""

from __future__ import annotations

import enum

from clew_agent.model import SpanKind

NONE = "NONE"
OTHER_METHOD = "_OTHER"


class NamingStyle(enum.Enum):
    """The values of a policy's ``spans.naming``."""

    FLOW = "Flow"
    HTTP = "HTTP"


def flow_name(kind: SpanKind, own: str, peer: str | None) -> str:
    """``server:own->peer``. An unknown peer is ``NONE``: an address would make as many names as there are callers."""
    return f"{kind.value}:{own}->{peer or NONE}"


def http_name(method: str) -> str:
    """The name by the semantic conventions, from ``http.request.method`` as it is recorded."""
    return "HTTP" if method == OTHER_METHOD else method


def request_name(style: NamingStyle, kind: SpanKind, own: str, peer: str | None, method: str) -> str:
    """The name of a request's span; ``own`` and ``peer`` are display names of pods, workloads or services."""
    return http_name(method) if style is NamingStyle.HTTP else flow_name(kind, own, peer)

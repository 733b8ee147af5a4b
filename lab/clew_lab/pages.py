"""Traces of Bookinfo's pages: which there are, and whether each is what one page must make. Pure.

Reviews are of three versions, each a workload of its own; the first of them asks nobody for stars.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from clew_lab.backends.query import StoredSpan
from clew_lab.traces import TraceSpan, trace_faults

__all__ = ["CALLS", "nodes_of", "page_faults", "pages"]

CALLS = {"productpage": "", "details": "productpage", "reviews": "productpage", "ratings": "reviews"}
"""Who calls each service of the application; nobody in it calls the product page."""

_VERSION = re.compile(r"-v\d$")
_UNRATED = "reviews-v1"


def pages(spans: Iterable[StoredSpan], since: int = 0) -> dict[str, list[StoredSpan]]:
    """Return all spans of each trace that begins with a page asked for since a moment (Unix nanoseconds), in order of their start.

    Others, such as those of the kubelet's probes, begin with other paths.
    """
    found: defaultdict[str, list[StoredSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start):
        found[span.trace].append(span)
    return {trace: whole for trace, whole in found.items() if any(_begins_page(span) and span.start >= since for span in whole)}


def page_faults(trace: Sequence[TraceSpan], clocks_ns: int = 0) -> list[str]:
    """Return what is wrong with the trace of a page, in sentences. `clocks_ns`: by how much the clocks of its nodes may differ."""
    unrated = any(span.service == _UNRATED for span in trace)
    calls = {service: caller for service, caller in CALLS.items() if not (unrated and service == "ratings")}
    return trace_faults([replace(span, service=_VERSION.sub("", span.service)) for span in trace], calls, clocks_ns)


def nodes_of(trace: Iterable[StoredSpan]) -> set[str]:
    """Return the names of the nodes whose agents saw parts of a trace."""
    return {str(span.resource["k8s.node.name"]) for span in trace}


def _begins_page(span: StoredSpan) -> bool:
    return not span.parent and span.attributes.get("url.path") == "/productpage"

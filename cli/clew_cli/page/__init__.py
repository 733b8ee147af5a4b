"""Traces as one self-contained HTML page: the data, the style and the script of this folder in one file.

Everything from the traces is untrusted. It enters the page only as JSON inside a ``<script type="application/json">`` in which
no ``<``, ``>`` or ``&`` stands literally, and the page's script puts it into the document as text nodes alone. A
Content-Security-Policy forbids every load from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from clew_cli.tree import Node, Trace

_SCRIPTS = ("state.js", "timeline.js", "details.js", "main.js")
_EXACT_INTEGER = 1 << 53
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def render_page(traces: Sequence[Trace], problems: Sequence[str] = ()) -> str:
    """The page's text. ``problems`` are sentences on what could not be read; the page shows them."""
    script = '"use strict";\n' + "\n".join(_resource(name) for name in _SCRIPTS)
    style = _resource("style.css")
    parts = {
        "@POLICY@": f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'",
        "@STYLE@": style,
        "@SCRIPT@": script,
        "@DATA@": embed({"traces": [_trace(trace) for trace in traces], "problems": list(problems)}),
    }
    page = _resource("page.html")
    for mark, text in parts.items():
        before, after = page.split(mark)
        page = before + text + after
    return page


def embed(data: object) -> str:
    """``data`` as JSON that no HTML parser can mistake for markup, whatever strings it holds."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES).encode("utf-8", "replace").decode()


def _trace(trace: Trace) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    spans = [_span(node, trace, resources) for node in trace.nodes]
    return {
        "id": trace.trace_id,
        "start": str(trace.start_ns),
        "length": trace.end_ns - trace.start_ns,
        "spans": spans,
        "resources": resources,
    }


def _span(node: Node, trace: Trace, resources: list[dict[str, Any]]) -> dict[str, Any]:
    span = node.span
    resource = _exact(span.resource)
    if resource not in resources:
        resources.append(resource)
    return {
        "id": span.span_id,
        "parent": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "kernel": span.is_kernel,
        "service": span.service,
        "depth": node.depth,
        "start": span.start_ns - trace.start_ns,
        "end": span.end_ns - trace.start_ns,
        "unix": str(span.start_ns),
        "status": span.status,
        "message": span.message,
        "scope": span.scope,
        "notes": list(node.notes),
        "attributes": _exact(span.attributes),
        "resource": resources.index(resource),
        "events": [{"name": one.name, "at": one.time_ns - trace.start_ns, "attributes": _exact(one.attributes)} for one in span.events],
    }


def _exact(value: Any) -> Any:
    """``value`` with the integers that a JavaScript number cannot hold, and the floats that JSON cannot, as text."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) < _EXACT_INTEGER else str(value)
    return value if value == value and abs(value) != float("inf") else str(value)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")

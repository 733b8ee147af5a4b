"""Attributes and status of a request's span, by the OpenTelemetry semantic conventions for HTTP spans (stable).

``docs/spans.md`` lists them, with what is left out because the agent does not read it (the ``Host`` and other header fields).
"""

from __future__ import annotations

from dataclasses import dataclass

from clew_agent.model import AttributeValue, SpanKind
from clew_agent.records import Outcome, Request
from clew_agent.spans.addresses import DEFAULT_PORTS, address_text, authority
from clew_agent.spans.facts import Peer, SpanOptions
from clew_agent.spans.naming import OTHER_METHOD
from clew_agent.spans.urls import Target, full_url, parse_target, redact_query

CONNECTION_CLOSED = "connection_closed"
_OUTCOMES = {Outcome.CLOSED: "closed", Outcome.TUNNEL: "tunnel", Outcome.LOST: "lost"}


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request says in the conventions' terms. ``error`` is the status description, ``None`` when unset."""

    method: str
    attributes: dict[str, AttributeValue]
    error: str | None


def describe_request(request: Request, kind: SpanKind, peer: Peer | None, options: SpanOptions, query_string: bool = False) -> RequestFacts:
    """The span attributes of a request, the query among them if so chosen. Never raises, whatever the bytes of the target."""
    original = request.method.decode("ascii", "backslashreplace")
    method = original if original in options.known_methods else OTHER_METHOD
    attributes: dict[str, AttributeValue] = {
        "http.request.method": method,
        "network.protocol.version": f"1.{request.http_minor}",
        "network.peer.address": address_text(request.remote_address),
        "network.peer.port": request.remote_port,
        "process.pid": request.pid,
        "thread.id": request.tid,
        "thread.name": request.thread_name,
    }
    if method == OTHER_METHOD:
        attributes["http.request.method_original"] = original
    if request.status:
        attributes["http.response.status_code"] = request.status
    target = parse_target(request.path, request.method)
    if kind is SpanKind.SERVER:
        _describe_server(attributes, request, target, query_string)
    else:
        _describe_client(attributes, request, target, query_string)
    if request.truncated:
        attributes["clew.url.truncated"] = True
    if peer is not None:
        attributes.update(peer.attributes)
    if request.adopted:
        attributes["clew.context.adopted"] = True
    if request.outcome != Outcome.COMPLETE:
        attributes["clew.request.outcome"] = _OUTCOMES[Outcome(request.outcome)]
    error_type, error = _error(request, kind)
    if error_type is not None:
        attributes["error.type"] = error_type
    return RequestFacts(method, attributes, error)


def _describe_server(attributes: dict[str, AttributeValue], request: Request, target: Target, query_string: bool) -> None:
    attributes["url.scheme"] = target.scheme
    attributes["url.path"] = target.path
    if query_string and target.query is not None:
        attributes["url.query"] = redact_query(target.query)
    attributes["client.address"] = address_text(request.remote_address)
    attributes["server.address"] = target.host or address_text(request.local_address)
    attributes["server.port"] = _port(target, request.local_port)


def _describe_client(attributes: dict[str, AttributeValue], request: Request, target: Target, query_string: bool) -> None:
    host = target.host or address_text(request.remote_address)
    port = _port(target, request.remote_port)
    attributes["server.address"] = host
    attributes["server.port"] = port
    attributes["url.full"] = full_url(target, authority(host, port, target.scheme), query_string)


def _port(target: Target, of_connection: int) -> int:
    if target.host is None:
        return of_connection
    return target.port if target.port is not None else DEFAULT_PORTS.get(target.scheme, of_connection)


def _error(request: Request, kind: SpanKind) -> tuple[str | None, str | None]:
    """``error.type`` and the status description: none where the status code says it all, as the conventions ask."""
    if request.status >= (400 if kind is SpanKind.CLIENT else 500):
        return str(request.status), ""
    if request.outcome == Outcome.CLOSED:
        return CONNECTION_CLOSED, "the connection was closed before the response was complete"
    return None, None

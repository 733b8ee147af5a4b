"""Attributes, status and URLs of requests, by the semantic conventions."""

from __future__ import annotations

import pytest
from clew_agent.model import SpanKind
from clew_agent.spans.addresses import address_text, authority
from clew_agent.spans.facts import KNOWN_METHODS, Peer, SpanOptions, known_methods
from clew_agent.spans.http import describe_request
from clew_agent.spans.urls import Target, full_url, parse_target, redact_query
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.span_records import address, said

PLAIN = SpanOptions()
COMMON = {
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
    "network.peer.address": "10.0.0.2",
    "network.peer.port": 40_000,
    "process.pid": 41,
    "thread.id": 42,
    "thread.name": "app",
}


def test_server_attributes() -> None:
    record = said(line=b"GET /reviews/0?user=alice")
    made = describe_request(record, SpanKind.SERVER, None, PLAIN)
    assert made.attributes == COMMON | {
        "url.scheme": "http",
        "url.path": "/reviews/0",
        "client.address": "10.0.0.2",
        "server.address": "10.0.0.1",
        "server.port": 8080,
    }
    assert (made.method, made.error) == ("GET", None)
    with_query = describe_request(record, SpanKind.SERVER, None, PLAIN, query_string=True)
    assert with_query.attributes == made.attributes | {"url.query": "user=alice"}


def test_client_attributes() -> None:
    record = said(role=2, line=b"GET /details/0?token=x", local_port=50_000, remote_port=9080, http_minor=0)
    peer = Peer("details", "details-1", "", {"service.peer.name": "details"})
    made = describe_request(record, SpanKind.CLIENT, peer, PLAIN)
    assert made.attributes == COMMON | {
        "network.protocol.version": "1.0",
        "network.peer.port": 9080,
        "server.address": "10.0.0.2",
        "server.port": 9080,
        "url.full": "http://10.0.0.2:9080/details/0",
        "service.peer.name": "details",
    }


@pytest.mark.parametrize(
    ("kind", "status", "outcome", "error_type", "error"),
    [
        (SpanKind.SERVER, 200, 1, None, None),
        (SpanKind.SERVER, 404, 1, None, None),
        (SpanKind.SERVER, 500, 1, "500", ""),
        (SpanKind.SERVER, 503, 2, "503", ""),
        (SpanKind.CLIENT, 302, 1, None, None),
        (SpanKind.CLIENT, 404, 1, "404", ""),
        (SpanKind.CLIENT, 500, 1, "500", ""),
        (SpanKind.CLIENT, 0, 2, "connection_closed", "the connection was closed before the response was complete"),
        (SpanKind.SERVER, 200, 2, "connection_closed", "the connection was closed before the response was complete"),
        (SpanKind.CLIENT, 101, 3, None, None),
        (SpanKind.CLIENT, 200, 4, None, None),
    ],
)
def test_status(kind: SpanKind, status: int, outcome: int, error_type: str | None, error: str | None) -> None:
    made = describe_request(said(status=status, outcome=outcome), kind, None, PLAIN)
    assert (made.attributes.get("error.type"), made.error) == (error_type, error)
    assert made.attributes.get("http.response.status_code") == (status or None)
    assert made.attributes.get("clew.request.outcome") == {1: None, 2: "closed", 3: "tunnel", 4: "lost"}[outcome]


def test_methods_that_are_not_known() -> None:
    for line, original in ((b"get /", "get"), (b"PROPFIND /", "PROPFIND"), (b"\xff\x00 /", "\\xff\x00")):
        made = describe_request(said(line=line), SpanKind.SERVER, None, PLAIN)
        assert made.attributes["http.request.method"] == made.method == "_OTHER"
        assert made.attributes["http.request.method_original"] == original
    chosen = SpanOptions(known_methods=known_methods({"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "PROPFIND, GET"}))
    assert describe_request(said(line=b"PROPFIND /"), SpanKind.SERVER, None, chosen).method == "PROPFIND"
    assert describe_request(said(line=b"POST /"), SpanKind.SERVER, None, chosen).method == "_OTHER"
    assert known_methods({}) == KNOWN_METHODS


def test_a_target_that_was_cut_says_so() -> None:
    made = describe_request(said(line=b"GET /" + b"a" * 400), SpanKind.SERVER, None, PLAIN)
    assert made.attributes["clew.url.truncated"] is True
    assert made.attributes["url.path"] == "/" + "a" * 251


def test_an_adopted_context_says_so() -> None:
    assert describe_request(said(adopted=1), SpanKind.CLIENT, None, PLAIN).attributes["clew.context.adopted"] is True


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /a?b?c", Target("/a", "b?c")),
        (b"GET /a?", Target("/a", "")),
        (b"GET //x/y", Target("//x/y", None)),
        (b"GET /redirect?to=http://x/", Target("/redirect", "to=http://x/")),
        (b"OPTIONS *", Target("*", None)),
        (b"GET http://h.example/a?b", Target("/a", "b", "http", "h.example")),
        (b"GET HTTPS://h.example:8443", Target("/", None, "https", "h.example", 8443)),
        (b"GET http://u:p@[fd00::1]:81/x", Target("/x", None, "http", "fd00::1", 81, True)),
        (b"CONNECT h.example:443", Target("", None, host="h.example", port=443)),
        (b"GET /caf\xc3\xa9 \x01", Target("/caf%C3%A9%20%01", None)),
        (b"GET /a%20b", Target("/a%20b", None)),
        (b"GET", Target("", None)),
    ],
)
def test_targets(line: bytes, expected: Target) -> None:
    record = said(line=line)
    assert parse_target(record.path, record.method) == expected


@pytest.mark.parametrize(
    ("line", "url"),
    [
        (b"GET /a?sig=s&b=1", "http://10.0.0.2:9080/a?sig=REDACTED&b=1"),
        (b"OPTIONS *", "http://10.0.0.2:9080"),
        (b"GET http://u:p@h.example/a", "http://REDACTED:REDACTED@h.example/a"),
        (b"GET http://h.example:80/a", "http://h.example/a"),
        (b"GET https://h.example/a", "https://h.example/a"),
        (b"CONNECT h.example:443", "http://h.example:443"),
    ],
)
def test_full_url(line: bytes, url: str) -> None:
    made = describe_request(said(role=2, line=line, remote_port=9080), SpanKind.CLIENT, None, PLAIN, query_string=True)
    assert made.attributes["url.full"] == url


def test_credentials_in_the_query_are_redacted() -> None:
    assert redact_query("a=1&X-Amz-Signature=s&Sig=t&sig&sig=&X-Goog-Signature=a=b") == (
        "a=1&X-Amz-Signature=REDACTED&Sig=t&sig&sig=REDACTED&X-Goog-Signature=REDACTED"
    )


def test_addresses() -> None:
    assert address_text(address("10.1.2.3")) == "10.1.2.3"
    assert address_text(address("fd00::1")) == "fd00::1"
    assert [authority("fd00::1", 8080), authority("fd00::1", 80), authority("a.b", 80), authority("10.0.0.1", 81)] == [
        "[fd00::1]:8080",
        "[fd00::1]",
        "a.b",
        "10.0.0.1:81",
    ]


@given(st.binary(max_size=256), st.sampled_from([1, 2]), st.integers(0, 65535), st.booleans())
def test_any_request_line_makes_attributes_that_are_printable_ascii(line: bytes, role: int, status: int, keep: bool) -> None:
    record = said(role=role, line=line, status=status)
    made = describe_request(record, SpanKind.SERVER if role == 1 else SpanKind.CLIENT, None, PLAIN, query_string=keep)
    for name in ("url.path", "url.full", "url.query"):
        text = str(made.attributes.get(name, ""))
        assert text.isascii()
        assert text.isprintable()
    assert keep or "?" not in str(made.attributes.get("url.path", "")) + str(made.attributes.get("url.full", ""))


@given(st.text(), st.text())
def test_a_query_never_reaches_the_url_unasked(path: str, query: str) -> None:
    target = parse_target(b"/" + path.encode().replace(b"?", b"") + b"?secret" + query.encode(), b"GET")
    assert "?" not in full_url(target, "h", keep_query=False)
    assert "secret" not in target.path

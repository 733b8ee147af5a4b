"""The HTML page: self-contained, complete, and inert whatever the traces say. (That it works is seen in a browser: docs/waterfall.md.)"""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from clew_cli.otlp import Event, Span, Value
from clew_cli.page import embed, render_page
from clew_cli.tree import build_traces
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>&lt;\"'`${1}\u2028\u2029\x00@DATA@"
TRACE = "0a4d000365a8f1e0000007c1000004b0"


class Reader(HTMLParser):
    """Collects tags, and the contents of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside = ""
        self.contents: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.contents:
            self.inside = tag
            self.contents[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.contents[self.inside][-1] += data

    @property
    def data(self) -> Any:
        return json.loads(self.contents["script"][0])


def page(name: str = "n", value: Value = "v", problems: tuple[str, ...] = ()) -> str:
    attributes = {name: value}
    resource: dict[str, Value] = {"service.name": name}
    root = Span(
        TRACE,
        "01" * 8,
        "",
        name,
        "server",
        10**18,
        10**18 + 500,
        "error",
        name,
        name,
        attributes,
        resource,
        (Event(name, 10**18, attributes),),
    )
    call = Span(TRACE, "02" * 8, "01" * 8, "tcp_sendmsg", "internal", 10**18 + 100, 10**18 + 200, scope="clew", resource=resource)
    return render_page(build_traces([root, call]), problems)


def shape(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(attributes)) for tag, attributes in Reader(text).tags]


def test_hostile_texts_stay_texts() -> None:
    text = page(HOSTILE, HOSTILE, (HOSTILE,))
    assert shape(text) == shape(page())
    data = Reader(text).data
    assert data["problems"] == [HOSTILE]
    root = data["traces"][0]["spans"][0]
    assert (root["name"], root["service"], root["message"], root["attributes"]) == (HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
    assert data["traces"][0]["resources"] == [{"service.name": HOSTILE}]


@given(st.text(max_size=30))
def test_embedded_json_holds_no_markup_and_reads_back(text: str) -> None:
    embedded = embed({"a": text})
    assert not re.search("[<>&\u2028\u2029]", embedded)
    assert json.loads(embedded) == {"a": text}


def test_lone_surrogates_do_not_crash() -> None:
    assert Reader(page("\ud800")).data["traces"][0]["spans"][0]["name"] == "?"


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page()
    reader = Reader(text)
    assert not [tag for tag, attributes in reader.tags if tag in ("link", "img", "iframe", "object", "embed") or "src" in attributes]
    assert not re.search(r"(?i)https?://|@import|url\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_only_the_page_s_own_script_and_style_may_run() -> None:
    reader = Reader(page())
    [policy] = [attributes["content"] or "" for tag, attributes in reader.tags if attributes.get("http-equiv") == "Content-Security-Policy"]

    def digest(content: str) -> str:
        return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest(reader.contents['script'][1])}'; "
        f"style-src 'sha256-{digest(reader.contents['style'][0])}'; base-uri 'none'; form-action 'none'"
    )
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on") or name == "style"]


def test_spans_with_times_relative_to_the_trace() -> None:
    [trace] = Reader(page()).data["traces"]
    root, call = trace["spans"]
    assert (trace["id"], trace["start"], trace["length"]) == (TRACE, "1000000000000000000", 500)
    assert (root["start"], root["end"], root["depth"], root["kernel"], root["unix"]) == (0, 500, 0, False, "1000000000000000000")
    assert (call["start"], call["end"], call["depth"], call["kernel"], call["parent"]) == (100, 200, 1, True, "01" * 8)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**63), "-9223372036854775808"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ([True, None, 2**60], [True, None, "1152921504606846976"]),
        ({"in": 1.5}, {"in": 1.5}),
    ],
)
def test_values_that_javascript_cannot_hold_are_texts(value: Value, shown: object) -> None:
    assert Reader(page(value=value)).data["traces"][0]["spans"][0]["attributes"] == {"n": shown}

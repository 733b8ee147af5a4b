"""Whatever valid HTTP a pod sends, in whatever pieces, goes on as it was with one traceparent a request; and all of it is followed."""

import random
import re

from clew_agent.records import Role
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth import http1_strategies as http1
from tests.truth.framing_twin import Framer, Message, State
from tests.truth.http1_twin import Head, HeadFlag, Result, parse_head
from tests.truth.path_exchange import Exchange, expected_endings, with_insertions
from tests.truth.path_host import Path
from tests.truth.path_strategies import Dialogue, dialogues, scattered, spoiled

DICE = st.integers(0, 1 << 32).map(random.Random)
FIELD = re.compile(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n")


def _play(exchange: Exchange, dialogue: Dialogue, dice: random.Random) -> None:
    for side, text in dialogue.steps:
        for pieces in scattered(text, dice):
            (exchange.client if side == "client" else exchange.server)(*pieces)
            _same_states(exchange)


def _same_states(exchange: Exchange) -> None:
    """The twin waits for the LF of a blank line, which the path foresees: behind a CR, they may differ in the request's state."""
    requests, responses = exchange.states()
    twin = exchange.twin
    assert responses is _known(twin.responses)
    if not exchange.sent.endswith(b"\r"):
        assert requests is _known(twin.requests)


def _known(framer: Framer) -> State:
    return State.LOST if framer.state is State.TUNNEL else framer.state


def _head(exchange: Exchange, message: Message) -> Head:
    return parse_head(exchange.sent[message.start : message.head_end], response=False)


@settings(max_examples=50, deadline=None)
@given(dialogues(), DICE)
def test_a_client_sends_what_it_sent_and_one_traceparent_a_request(path: Path, dialogue: Dialogue, dice: random.Random) -> None:
    exchange = Exchange(path.reset(), Role.CLIENT)
    _play(exchange, dialogue, dice)
    twin = exchange.twin
    assert exchange.end(at_eof=dialogue.close) == expected_endings(twin)
    wanted = []
    for message, record in zip(twin.requests.messages, path.records, strict=True):
        head = _head(exchange, message)
        if not head.traceparents:
            text = f"traceparent: 00-{record.trace_id.hex()}-{record.span_id.hex()}-01\r\n"
            wanted.append((message.insert_at, text.encode()))
        assert record.request.adopted == (head.traceparent is not None)
    assert exchange.inserted == wanted
    assert exchange.wire == with_insertions(exchange.sent, wanted)


@settings(max_examples=40, deadline=None)
@given(dialogues(), DICE)
def test_a_server_is_followed(path: Path, dialogue: Dialogue, dice: random.Random) -> None:
    exchange = Exchange(path.reset(), Role.SERVER)
    _play(exchange, dialogue, dice)
    assert exchange.end() == expected_endings(exchange.twin)


@settings(max_examples=60, deadline=None)
@given(http1.damaged(st.one_of(http1.streams(response=False).map(lambda stream: stream.data), http1.heads(response=False))), DICE)
def test_damaged_requests_are_changed_only_by_a_field_in_front_of_a_blank_line(path: Path, damaged: bytes, dice: random.Random) -> None:
    exchange = Exchange(path.reset(), Role.CLIENT)
    starts = 0
    for pieces in scattered(damaged, dice):
        before = len(exchange.inserted)
        exchange.client(*pieces)
        for at, text in exchange.inserted[before:]:
            assert FIELD.fullmatch(text)
            head = _head_with_blank_line_at(exchange.sent, starts, at)
            assert head is not None
            starts = at
    assert exchange.wire == with_insertions(exchange.sent, exchange.inserted)


def _head_with_blank_line_at(sent: bytes, since: int, at: int) -> int | None:
    """Where a well-formed head without a traceparent starts, at or behind `since`, whose blank line is at `at`."""
    for start in range(since, at):
        head = parse_head(sent[start:], response=False)
        if head.result is Result.COMPLETE and start + head.insert_at == at and not head.traceparents and HeadFlag.BARE_LF not in head.flags:
            return start
    return None


@settings(max_examples=40, deadline=None)
@given(dialogues(), st.sampled_from([Role.SERVER, Role.CLIENT]), DICE)
def test_damaged_exchanges_lose_no_request_that_was_seen(path: Path, dialogue: Dialogue, role: Role, dice: random.Random) -> None:
    exchange = Exchange(path.reset(), role)
    for side, text in dialogue.steps:
        for pieces in scattered(spoiled(text, dice), dice):
            (exchange.client if side == "client" else exchange.server)(*pieces)
    begun = path.look(exchange.number).begun
    assert len(exchange.end()) == begun
    assert path.look(exchange.number).opened == 0
    assert exchange.wire == with_insertions(exchange.sent, exchange.inserted)

"""The C head parser of `bpf/http1.h` against its Python twin: every vector, and whatever hypothesis finds."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth import http1_strategies as strategies
from tests.truth.http1_host import Parser, build
from tests.truth.http1_twin import HEAD_MAX, parse_head
from tests.truth.http1_vectors import HeadCase, head_cases

CASES = head_cases()
# What may stand behind the bytes that have come: an earlier message's remains.
FILLS = tuple(b"\0 \r\n\t0a-:,\xff")


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    program: Path = build(tmp_path_factory.mktemp("http1"))
    with Parser(program) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_vector(parser: Parser, case: HeadCase) -> None:
    for fill in FILLS:
        assert parser.parse_head(case.data, response=case.response, fill=fill) == case.expect, f"fill {fill:#x}"


def _damage(data: bytes, dice: random.Random) -> bytes:
    """Change, insert or drop one to three bytes that mean something to a parser."""
    text = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(text) + 1)
        text[at : at + dice.randint(0, 1)] = dice.choice((b"", bytes([dice.choice(strategies.INTERESTING)])))
    return bytes(text)


def test_damaged_vectors(parser: Parser) -> None:
    dice = random.Random(20240605)
    for case in CASES * 10:
        data, fill = _damage(case.data, dice), dice.choice(FILLS)
        assert parser.parse_head(data, response=case.response, fill=fill) == parse_head(data, response=case.response), data


@settings(max_examples=60)
@given(data=strategies.damaged(strategies.heads(response=False)), fill=st.sampled_from(FILLS))
def test_requests(parser: Parser, data: bytes, fill: int) -> None:
    assert parser.parse_head(data, response=False, fill=fill) == parse_head(data, response=False)


@settings(max_examples=60)
@given(data=strategies.damaged(strategies.heads(response=True)), fill=st.sampled_from(FILLS))
def test_responses(parser: Parser, data: bytes, fill: int) -> None:
    assert parser.parse_head(data, response=True, fill=fill) == parse_head(data, response=True)


@given(data=st.binary(max_size=64), response=st.booleans(), fill=st.sampled_from(FILLS))
def test_noise(parser: Parser, data: bytes, response: bool, fill: int) -> None:
    assert parser.parse_head(data, response=response, fill=fill) == parse_head(data, response=response)


@settings(max_examples=40)
@given(data=strategies.heads(response=False), fill=st.sampled_from(FILLS), excess=st.integers(-40, 8))
def test_heads_around_the_limit(parser: Parser, data: bytes, fill: int, excess: int) -> None:
    start, fields = data.split(b"\r\n", 1)
    long = start + b"\r\nF:" + b"f" * (HEAD_MAX + excess - len(data) - len(b"F:\r\n")) + b"\r\n" + fields
    assert parser.parse_head(long, response=False, fill=fill) == parse_head(long, response=False)


@pytest.mark.parametrize("name", [case.name for case in CASES if case.name.endswith(("-sampled", "-minimal", "-with-parent"))])
def test_every_cut_of_a_head(parser: Parser, name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    for length in range(len(case.data) + 1):
        part = case.data[:length]
        for fill in FILLS:
            assert parser.parse_head(part, response=case.response, fill=fill) == parse_head(part, response=case.response)

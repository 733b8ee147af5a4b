"""The request path follows the framing vectors as the twin does, whichever side the pod is on, however the bytes are cut."""

import pytest
from clew_agent.records import Outcome, Role

from tests.truth.framing_twin import State
from tests.truth.http1_vectors import FramingCase, framing_cases
from tests.truth.path_exchange import Ending, Exchange, expected_endings
from tests.truth.path_host import Path

CASES = framing_cases()
ROLES = [Role.SERVER, Role.CLIENT]
SIDES = {"server": (Role.SERVER, False), "client": (Role.CLIENT, False), "observed": (Role.CLIENT, True)}

# Where the path knows less than the twin on purpose: the states that it ends in, by side.
DIFFERENCES = {
    # What comes behind an unanswered request for another protocol can't be kept by a kernel program.
    ("framing-upgrade-unanswered", Role.SERVER): (State.LOST, State.HEAD),
    ("framing-upgrade-unanswered", Role.CLIENT): (State.LOST, State.HEAD),
    ("framing-upgrade-refused-after-pipelining", Role.SERVER): (State.LOST, State.HEAD),
    ("framing-upgrade-refused-after-pipelining", Role.CLIENT): (State.LOST, State.HEAD),
    # What does not begin as HTTP is not answered in HTTP.
    ("framing-not-http", Role.SERVER): (State.LOST, State.LOST),
    ("framing-not-http", Role.CLIENT): (State.LOST, State.LOST),
    ("framing-head-too-long", Role.SERVER): (State.LOST, State.LOST),
    ("framing-head-too-long", Role.CLIENT): (State.LOST, State.LOST),
    # An answer that nobody asked for is none: a server's is not looked at, a client's is read and belongs to no request.
    ("framing-response-nobody-asked-for", Role.SERVER): (State.HEAD, State.HEAD),
    ("framing-response-nobody-asked-for", Role.CLIENT): (State.HEAD, State.UNTIL_CLOSE),
}
NOT_SEEN = {"framing-upgrade-refused-after-pipelining": 1}  # requests that are behind the place where it stops


def _play(path: Path, case: FramingCase, role: Role, piece: int, *, observed: bool = False) -> Exchange:
    exchange = Exchange(path.reset(inject=int(not observed)), role, observed=observed)
    for side, data in case.exchange:
        for at in range(0, len(data), piece):
            (exchange.client if side == "client" else exchange.server)(data[at : at + piece])
    return exchange


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_vector(path: Path, case: FramingCase, side: str) -> None:
    role, observed = SIDES[side]
    length = max(len(data) for _, data in case.exchange)
    for piece in (1, 2, 7, 1 << 20) if length < 1000 else (1000, 1 << 20):
        exchange = _play(path, case, role, piece, observed=observed)
        twin = exchange.twin
        seen = len(twin.requests.messages) - NOT_SEEN.get(case.name, 0)
        alike = tuple(State.LOST if framer.state is State.TUNNEL else framer.state for framer in (twin.requests, twin.responses))
        assert exchange.states() == DIFFERENCES.get((case.name, role), alike)
        places = [message.insert_at for message in twin.requests.messages[:seen]]
        assert [at for at, _ in exchange.inserted] == (places if side == "client" else [])
        assert exchange.end(at_eof=case.close) == expected_endings(twin)[:seen]


def test_an_answer_to_a_request_for_another_protocol_cut_in_its_blank_line(path: Path) -> None:
    exchange = Exchange(path.reset(), Role.CLIENT)
    exchange.client(b"CONNECT a:1 HTTP/1.1\r\n\r")
    exchange.client(b"\n")
    exchange.server(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
    exchange.client(b"GET / HTTP/1.1\r\n\r\n")
    exchange.server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert exchange.end() == [Ending(b"CONNECT", Outcome.COMPLETE, 407), Ending(b"GET", Outcome.COMPLETE, 200)]


def test_two_requests_one_lost_answer(path: Path) -> None:
    for role in ROLES:
        exchange = Exchange(path.reset(), role)
        exchange.client(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        exchange.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz")
        assert exchange.states() == (State.LOST, State.LOST)
        assert exchange.end() == [Ending(b"GET", Outcome.LOST, 200), Ending(b"GET", Outcome.CLOSED, 0)]

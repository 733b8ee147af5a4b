"""Which request a thread works for (bpf/context.h, bpf/threads.c): every rule by which a unit has a context, gets or loses it."""

import pytest
from clew_agent.records import RequestRecord, Role

from tests.truth.path_host import Path, Thread

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
MAIN = Thread(100, 100)
HELPER = Thread(100, 101)
OTHER = Thread(100, 102)
NONE = b""
NO_PARENT = bytes(8)


@pytest.fixture
def path(path: Path) -> Path:
    """Each test begins where nothing has happened."""
    return path.reset()


def _serve(path: Path, by: Thread = MAIN, request: bytes = GET) -> int:
    """A thread reads a request on a fresh connection."""
    connection = path.open(Role.SERVER)
    path.read(connection, [request], by=by)
    return connection


def _answer(path: Path, connection: int, by: Thread = MAIN) -> RequestRecord:
    [record] = path.write(connection, [OK], by=by).records
    return record


def _ask(path: Path, by: Thread) -> RequestRecord:
    """A thread sends a request on a fresh connection and reads the answer."""
    connection = path.open(Role.CLIENT)
    path.send(connection, GET, by=by)
    [record] = path.read(connection, [OK], by=by).records
    return record


def _units(path: Path) -> dict[str, int]:
    names = ("ambiguous", "untrusted", "multiplexing", "pools")
    return {name: value for name, value in path.counters().items() if name in names}


def _trust(path: Path) -> None:
    """Let MAIN's process show that its helpers end with their request."""
    connection = _serve(path)
    path.clone(MAIN, HELPER.tid)
    _answer(path, connection, by=HELPER)
    path.exit(HELPER)


def test_the_reader_has_the_request_until_it_is_answered(path: Path) -> None:
    assert path.context(MAIN) == NONE
    connection = _serve(path)
    span = path.context(MAIN)
    assert path.context(HELPER) == NONE
    asked = _ask(path, MAIN)
    served = _answer(path, connection)
    assert (served.span_id, asked.parent_id, asked.trace_id) == (span, span, served.trace_id)
    assert path.context(MAIN) == NONE
    assert _ask(path, MAIN).parent_id == NO_PARENT
    assert _units(path) == {}


def test_a_helper_is_not_trusted_at_first(path: Path) -> None:
    connection = _serve(path)
    path.clone(MAIN, HELPER.tid)
    assert path.context(HELPER) == NONE
    assert _ask(path, HELPER).parent_id == NO_PARENT
    assert path.context(MAIN) != NONE
    _answer(path, connection)
    assert _units(path) == {"untrusted": 1}


def test_a_helper_that_sent_and_ends_in_time_earns_the_trust(path: Path) -> None:
    connection = _serve(path)
    path.clone(MAIN, HELPER.tid)
    _ask(path, HELPER)
    path.exit(HELPER)
    _answer(path, connection)
    before = _units(path)
    connection = _serve(path)
    path.clone(MAIN, OTHER.tid)
    assert path.context(OTHER) == path.context(MAIN) != NONE
    assert _ask(path, OTHER).parent_id == path.context(MAIN)
    path.clone(OTHER, 103)
    assert path.context(Thread(100, 103)) == path.context(MAIN)
    _answer(path, connection)
    assert path.context(OTHER) == NONE
    assert _units(path) == before == {"untrusted": 1}


def test_a_thread_that_neither_sent_nor_answered_earns_nothing(path: Path) -> None:
    """The next one may be a pool's, which grows while requests come, and takes the work of any."""
    connection = _serve(path)
    path.clone(MAIN, HELPER.tid)
    path.exit(HELPER)
    path.clone(MAIN, OTHER.tid)
    assert path.context(OTHER) == NONE
    assert _ask(path, OTHER).parent_id == NO_PARENT
    _answer(path, connection)
    assert _units(path) == {"untrusted": 1}


def test_a_helper_that_answers_earns_the_trust(path: Path) -> None:
    connection = _serve(path)
    path.clone(MAIN, HELPER.tid)
    _answer(path, connection, by=HELPER)
    second = _serve(path)
    path.clone(MAIN, OTHER.tid)
    assert path.context(OTHER) == NONE  # a pool's worker answers, too: it is the end that tells
    path.exit(HELPER)
    assert path.context(OTHER) == path.context(MAIN) != NONE
    _answer(path, second, by=OTHER)
    assert _units(path) == {}


def test_a_helper_that_ends_too_late_earns_nothing(path: Path) -> None:
    connection = _serve(path)
    path.clone(MAIN, HELPER.tid)
    _answer(path, connection)
    path.exit(HELPER)
    _serve(path)
    path.clone(MAIN, OTHER.tid)
    assert path.context(OTHER) == NONE


@pytest.mark.parametrize(("waited", "trusted"), [(990_000_000, True), (1_000_000_000, False)])
def test_a_helper_that_ends_within_a_second_of_its_sending_earns_the_trust(path: Path, waited: int, trusted: bool) -> None:
    connection = _serve(path)
    path.clone(MAIN, HELPER.tid)
    _ask(path, HELPER)
    _answer(path, connection)
    path.wait(waited)
    path.exit(HELPER)
    _serve(path)
    path.clone(MAIN, OTHER.tid)
    assert (path.context(OTHER) == path.context(MAIN)) is trusted


def test_a_helper_that_outlives_its_request_loses_the_trust_for_good(path: Path) -> None:
    _trust(path)
    connection = _serve(path)
    path.clone(MAIN, OTHER.tid)
    _answer(path, connection)
    assert path.context(OTHER) == NONE  # a kernel function that asks is no proof
    assert _units(path) == {}
    assert _ask(path, OTHER).parent_id == NO_PARENT
    assert _units(path) == {"pools": 1}
    _serve(path)
    path.clone(MAIN, HELPER.tid)
    assert path.context(HELPER) == NONE
    path.exit(HELPER)
    path.clone(MAIN, HELPER.tid)
    assert path.context(HELPER) == NONE


def test_a_process_made_for_a_request_answers_for_its_maker(path: Path) -> None:
    child = Thread(200, 200)
    connection = _serve(path)
    path.clone(MAIN, child.tid)
    assert path.context(child) == NONE
    _answer(path, connection, by=child)
    path.exit(child)
    connection = _serve(path)
    path.clone(MAIN, child.tid)
    assert path.context(child) == path.context(MAIN) != NONE
    assert _ask(path, child).parent_id == path.context(MAIN)
    assert _units(path) == {}


def test_of_a_process_that_ended_without_a_word_the_next_one_s_calls_are_known_and_not_what_it_sends(path: Path) -> None:
    child = Thread(200, 200)
    connection = _serve(path)
    path.clone(MAIN, child.tid)
    path.exit(child)
    path.clone(MAIN, child.tid)
    path.clone(MAIN, HELPER.tid)
    assert path.context(child) == path.context(MAIN) != NONE
    assert path.context(HELPER) == NONE  # a thread is another matter
    assert _ask(path, child).parent_id == NO_PARENT
    assert _units(path) == {"untrusted": 1}
    path.exit(child)
    path.clone(MAIN, child.tid)
    assert _ask(path, child).parent_id == path.context(MAIN)
    _answer(path, connection)


def test_a_thread_that_reads_a_second_request_multiplexes(path: Path) -> None:
    first, second = _serve(path), _serve(path)
    assert path.context(MAIN) == NONE
    assert _ask(path, MAIN).parent_id == NO_PARENT
    assert _units(path) == {"multiplexing": 1, "ambiguous": 1}
    _answer(path, first)
    _answer(path, second)
    _serve(path, HELPER)
    assert path.context(HELPER) == NONE  # it is the process that multiplexes
    _serve(path, Thread(200, 200))
    assert path.context(Thread(200, 200)) != NONE
    assert _units(path) == {"multiplexing": 1, "ambiguous": 1}


def test_a_thread_that_hands_on_and_reads_again_has_no_context_of_its_own(path: Path) -> None:
    _trust(path)
    first = _serve(path)
    span = path.context(MAIN)
    path.clone(MAIN, HELPER.tid)
    _serve(path)
    path.clone(MAIN, OTHER.tid)
    assert path.context(HELPER) == span
    assert path.context(OTHER) not in (span, NONE)
    assert path.context(MAIN) == NONE
    assert _ask(path, MAIN).parent_id == NO_PARENT
    _answer(path, first, by=HELPER)
    assert _units(path) == {"ambiguous": 1}


def test_an_answer_from_a_stranger_shows_a_scheduler(path: Path) -> None:
    connection = _serve(path)
    _answer(path, connection, by=HELPER)
    assert _units(path) == {"multiplexing": 1}
    _serve(path)
    assert path.context(MAIN) == NONE


def test_a_process_that_ends_is_forgotten(path: Path) -> None:
    _answer(path, _serve(path), by=HELPER)
    path.exit(HELPER)
    _serve(path)
    assert path.context(MAIN) == NONE
    path.exit(MAIN)
    _serve(path)
    assert path.context(MAIN) != NONE


def test_a_thread_id_that_is_used_again_inherits_nothing(path: Path) -> None:
    connection = _serve(path, HELPER)
    assert path.context(HELPER) != NONE
    path.clone(MAIN, HELPER.tid)
    assert path.context(HELPER) == NONE
    _answer(path, connection, by=MAIN)


def test_a_clone_that_fails_makes_nothing(path: Path) -> None:
    _trust(path)
    connection = _serve(path)
    path.clone(MAIN, -11)
    _serve(path)
    # Nothing was handed on: this is multiplexing.
    assert _units(path) == {"multiplexing": 1}
    _answer(path, connection)


def test_pipelined_requests_are_served_one_after_the_other(path: Path) -> None:
    connection = path.open(Role.SERVER)
    path.read(connection, [GET + GET + GET])
    spans = [path.context(MAIN)]
    for _ in range(2):
        _answer(path, connection)
        spans.append(path.context(MAIN))
    asked = _ask(path, MAIN)
    _answer(path, connection)
    assert asked.parent_id == spans[2]
    assert spans == [record.span_id for record in path.records if record.request.role == Role.SERVER]
    assert path.context(MAIN) == NONE
    assert _units(path) == {}


def test_a_request_read_while_another_waits_is_begun_when_that_is_answered(path: Path) -> None:
    connection = _serve(path)
    path.read(connection, [GET])
    first = path.context(MAIN)
    path.write(connection, [OK + OK])
    assert path.records[0].span_id == first
    assert len(path.records) == 2
    assert path.context(MAIN) == NONE
    assert _units(path) == {}


def test_a_connection_that_closes_ends_its_requests(path: Path) -> None:
    connection = _serve(path)
    assert path.context(MAIN) != NONE
    path.close(connection)
    assert path.context(MAIN) == NONE

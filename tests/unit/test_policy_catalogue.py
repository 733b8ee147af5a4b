"""The catalogue's sets, and what a list of entries expands to."""

import pytest
from clew_crds import CATALOGUE, ArgumentType, KernelFunction, expand


def entries(*rows: dict[str, object]) -> list[KernelFunction]:
    return [KernelFunction.model_validate(row) for row in rows]


def names(functions: tuple[KernelFunction, ...]) -> list[str | None]:
    return [function.function for function in functions]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_set_expands_to_its_own_functions(name: str) -> None:
    found = expand(entries({"set": name}))
    assert found == CATALOGUE[name].functions
    assert len(set(names(found))) == len(found) > 0


def test_network() -> None:
    found = expand(entries({"set": "network"}))
    assert names(found) == ["tcp_connect", "tcp_sendmsg", "tcp_bpf_sendmsg", "tcp_recvmsg", "sk_wait_data", "sk_stream_wait_memory"]
    assert [argument.output for argument in found[1].arguments] == ["size"]
    assert found[1].returns


def test_strings_of_the_process_are_read_as_such() -> None:
    assert expand(entries({"set": "files"}))[0].arguments[0].type is ArgumentType.USER_STRING


@pytest.mark.parametrize("first", ["set", "function"])
def test_an_entry_of_its_own_counts_more_than_a_set(first: str) -> None:
    rows: list[dict[str, object]] = [{"set": "network"}, {"function": "tcp_recvmsg", "minimumDuration": "1ms"}]
    found = expand(entries(*(rows if first == "set" else reversed(rows))))
    by_name = {function.function: function for function in found}
    assert len(found) == 6
    assert by_name["tcp_recvmsg"].minimum_duration_ns == 1_000_000
    assert by_name["tcp_recvmsg"].arguments == ()
    assert not by_name["tcp_recvmsg"].returns


def test_minimum_duration_of_a_set() -> None:
    found = expand(entries({"set": "waiting", "minimumDuration": "2ms"}))
    assert {function.minimum_duration_ns for function in found} == {2_000_000}
    assert {function.minimum_duration_ns for function in CATALOGUE["waiting"].functions} == {0}

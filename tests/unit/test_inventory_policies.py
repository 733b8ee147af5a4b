"""Policies of files, read again when they change; and what of them is told to the log."""

import logging
from pathlib import Path

import pytest
from clew_agent.functions.request import Problem
from clew_agent.inventory.policies import PolicyFiles
from clew_agent.loader.load import LoadError
from clew_agent.log_reporter import LogReporter
from clew_agent.standing import Standing
from clew_crds import PolicyError

POLICY = "{{apiVersion: clew.dev/v1alpha1, kind: TracingPolicy, metadata: {{name: {0}}}, spec: {{namespaces: [{1}]}}}}\n"


def write(path: Path, *lines: str) -> Path:
    draft = path.with_suffix(".new")
    draft.write_text("---\n".join(lines))
    return draft.replace(path)


def names(files: PolicyFiles) -> list[tuple[str, tuple[str, ...]]]:
    return [(policy.metadata.name, policy.spec.namespaces) for policy in files.policies()]


def test_an_edit_is_seen(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a", POLICY.format("a", "shop")), write(tmp_path / "b", POLICY.format("b", "till"))
    files = PolicyFiles([one, other])
    assert names(files) == [("a", ("shop",)), ("b", ("till",))]
    assert files.policies() is files.policies()
    write(other, POLICY.format("b", "bank"))
    assert names(files) == [("a", ("shop",)), ("b", ("bank",))]


def test_a_bad_edit_keeps_what_was_known_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = PolicyFiles([write(tmp_path / "a", POLICY.format("a", "shop"))])
    write(tmp_path / "a", "no: policy\n")
    before = files.policies()
    assert names(files) == [("a", ("shop",))]
    assert files.policies() is before
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("the 1 policies known before stay")
    (tmp_path / "a").unlink()
    assert files.policies() is before
    write(tmp_path / "a", POLICY.format("a", "till"))
    assert names(files) == [("a", ("till",))]


def test_a_bad_file_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        PolicyFiles([tmp_path / "nowhere"])


def test_a_name_in_two_files(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, POLICY.format("same", "shop")) for name in ("a", "b")]
    with pytest.raises(PolicyError) as raised:
        PolicyFiles(paths)
    assert str(raised.value) == f'{paths[1]}: metadata.name: "same" is not allowed: {paths[0]} has a policy of that name'


def test_problems_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    reporter = LogReporter()
    first, second = Problem("a", "FunctionNotFound", "no a", 1), Problem("b", "FunctionNotFound", "no b", 2)
    reporter.tell(Standing(problems={"p": (first,), "q": (first,)}))
    reporter.tell(Standing(problems={"p": (first, second)}))
    assert caplog.messages == ["FunctionNotFound: no a", "FunctionNotFound: no b"]


def test_the_first_policies_must_be_enforceable_and_later_ones_need_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policies = PolicyFiles([write(tmp_path / "a", POLICY.format("a", "shop"))]).policies()
    with pytest.raises(LoadError, match="clang says no"):
        LogReporter().tell(Standing(policies, refusal="clang says no"))
    reporter = LogReporter()
    reporter.tell(Standing(policies, policies))
    reporter.tell(Standing(policies, (), refusal="clang says no"))
    assert caplog.messages == ["clang says no; the policies before stay in force"]

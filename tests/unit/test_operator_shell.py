"""The small parts around the loop: clock, logs, metrics, health, bodies, kopf's settings, the command line."""

from __future__ import annotations

import logging
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import kopf
import pytest
from clew_crds.node import Assignment
from clew_crds.revision import RolloutRequest, TracingRevision
from clew_crds.status import PolicyStatus
from clew_operator import health
from clew_operator.bodies import event_body, lease_body, revision_body, status_body, tracing_body
from clew_operator.clock import SteadyClock
from clew_operator.keys import KeyQueue
from clew_operator.knowledge import Knowledge
from clew_operator.logs import KeyValueFormatter
from clew_operator.main import main
from clew_operator.metrics import METRICS, Metrics
from clew_operator.planning.world import Event, Severity
from clew_operator.watches import make_settings

NOW = datetime(2026, 11, 25, 10, 0, 0, 123456, tzinfo=UTC)


def test_a_clock_that_is_set_changes_nothing() -> None:
    wall, steady = 1_000_000.0, 50.0
    clock = SteadyClock(lambda: wall, lambda: steady)
    began = clock.now()
    wall, steady = wall + 86_400, steady + 2
    assert clock.now() - began == timedelta(seconds=2)
    assert began == datetime.fromtimestamp(1_000_000, UTC)


def test_a_log_line_is_keys_and_values() -> None:
    record = logging.makeLogRecord(
        {"name": "clew.x", "levelname": "INFO", "msg": "it is done", "created": 0.0, "node": "n1", "error": 'a "b"'}
    )
    line = 'time=1970-01-01T00:00:00.000+00:00 level=info logger=clew.x message="it is done" node=n1 error="a \\"b\\""'
    assert KeyValueFormatter().format(record) == line


def test_a_traceback_stays_on_one_line() -> None:
    try:
        raise ValueError("so")
    except ValueError:
        record = logging.makeLogRecord({"msg": "x", "exc_info": sys.exc_info()})
    line = KeyValueFormatter().format(record)
    assert "\n" not in line
    assert line.endswith('ValueError: so"')


def test_the_documentation_lists_every_metric() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
    assert [row.exposed for row in METRICS if f"| `{row.exposed}` | {row.type} | {row.help} |" not in text] == []


def test_what_never_happened_is_a_visible_zero() -> None:
    metrics = Metrics(lambda: 1.5)
    metrics.count("writes", kind="status", result="conflict")
    metrics.set("leader", 1)
    metrics.observe("plan_seconds", 0.02)
    content_type, text = metrics.exposition()
    lines = text.decode().splitlines()
    assert content_type.startswith("text/plain")
    for line in (
        'clew_operator_writes_total{kind="status",result="conflict"} 1.0',
        'clew_operator_writes_total{kind="tracing",result="throttled"} 0.0',
        "clew_operator_leader 1.0",
        "clew_operator_queue_age_seconds 1.5",
        'clew_operator_plan_seconds_bucket{le="0.025"} 1.0',
    ):
        assert line in lines
    for wrong in ("leader", "nothing"):
        with pytest.raises(KeyError):
            metrics.count(wrong)
    with pytest.raises(KeyError):
        metrics.set("reconciles", 1)


def test_liveness_tells_a_stuck_queue() -> None:
    age = 0.0
    page = health.liveness(lambda: age)
    assert page()[0] == 200
    age = health.STUCK + 1
    assert page() == (503, "text/plain; charset=utf-8", b"the reconcile loop is stuck: a change has waited for 121 s\n")


@pytest.mark.parametrize(
    ("touch", "leads", "complete", "status", "text"),
    [
        (False, False, False, 503, "the API server does not answer"),
        (True, False, False, 200, "ready to take over"),
        (True, True, False, 503, "the caches are being filled"),
        (True, True, True, 200, "leads"),
    ],
)
def test_readiness(touch: bool, leads: bool, complete: bool, status: int, text: str) -> None:
    page = health.readiness(lambda: touch, lambda: leads, lambda: complete)
    assert page() == (status, "text/plain; charset=utf-8", f"{text}\n".encode())


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_pages_are_served(host: str) -> None:
    metrics = Metrics(lambda: 0.0)
    pages = {"/metrics": lambda: (200, *metrics.exposition()), "/healthz": health.liveness(lambda: 999.0)}
    port, stop = _served(host, pages)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics?x=1", timeout=5) as answer:
            assert b"clew_operator_leader 0.0" in answer.read()
        for path, status in (("/healthz", 503), ("/other", 404)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5)
            with caught.value:
                assert caught.value.code == status
    finally:
        stop()


def _served(host: str, pages: dict[str, health.Page]) -> tuple[int, health.Stop]:
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host.strip("[]"), 0))
        port = probe.getsockname()[1]
    return port, health.serve(f"{host}:{port}", pages)


@pytest.mark.parametrize("address", ["", "localhost", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:70000"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not of the form HOST:PORT"):
        health.serve(address, {})


def test_bodies() -> None:
    spec = {"policy": "shop", "policyUid": "u1", "enforced": {"namespaces": ["shop"]}}
    metadata = {"name": "shop-1", "uid": "r1", "generation": 1, "labels": {"clew.dev/policy": "shop"}, "ownerReferences": [{"uid": "u1"}]}
    revision = TracingRevision.model_validate(
        {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingRevision", "metadata": metadata, "spec": spec}
    ).model_copy(update={"request": RolloutRequest.model_validate({"id": "1", "action": "Abort"})})
    body = revision_body(revision)
    assert body["metadata"] == {"name": "shop-1", "labels": {"clew.dev/policy": "shop"}, "ownerReferences": [{"uid": "u1"}]}
    assert set(body) == {"apiVersion", "kind", "metadata", "spec"}
    assert body["spec"]["enforced"]["namespaces"] == ["shop"]
    assert tracing_body("n1", "u2", (Assignment(name="shop", uid="u1", revision="shop-1"),)) == {
        "apiVersion": "clew.dev/v1alpha1",
        "kind": "NodeTracing",
        "metadata": {"name": "n1", "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u2"}]},
        "spec": {"policies": [{"name": "shop", "uid": "u1", "revision": "shop-1"}]},
    }
    assert status_body("shop", "u1", PolicyStatus())["metadata"] == {"name": "shop", "uid": "u1"}
    event = event_body(Event("shop", Severity.WARNING, "Failed", "x" * 2000), "u1", "me", NOW)
    assert (event["metadata"]["namespace"], event["eventTime"], event["type"], len(event["note"])) == (
        "default",
        "2026-11-25T10:00:00.123456Z",
        "Warning",
        1024,
    )
    lease = lease_body("ns", "l", holder="me", seconds=15, acquired=NOW, renewed=NOW, transitions=1, version=None)
    assert lease["metadata"] == {"name": "l", "namespace": "ns"}
    assert lease["spec"]["renewTime"] == "2026-11-25T10:00:00.123456Z"


def test_kopf_keeps_nothing_on_objects() -> None:
    settings = make_settings(Knowledge(KeyQueue()).selectors)
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert settings.persistence.finalizer == "clew.dev/no-finalizer"
    body = kopf.Body({"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": "{}"}}})
    assert settings.persistence.diffbase_storage.fetch(body=body) is None
    assert settings.persistence.diffbase_storage.build(body=body) == {}
    delays = settings.networking.error_backoffs
    assert isinstance(delays, Iterable)
    assert [len(list(islice(delays, 9))) for _ in "ab"] == [9, 9]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--lease-duration", "1s"], "1s is not allowed: whole seconds from 2s to 300s"),
        (["run", "--lease-duration", "soon"], '\'soon\' is no duration; "15s" and "10m" are durations'),
        (["run", "--resync", "1500ms"], "1500ms is not allowed: whole seconds from 10s to 86400s"),
        ([], "the following arguments are required: command"),
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_no_kubeconfig_ends_with_1_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--kubeconfig", str(tmp_path / "none")]) == 1
    assert f"clew-operator: cannot take the API server's address and credentials from {tmp_path}/none" in capsys.readouterr().err

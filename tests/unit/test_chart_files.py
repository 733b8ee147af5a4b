"""What is made for the chart is as its sources say; alerts, runbooks and dashboard speak of metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml
from clew_agent.capabilities import NEEDED
from clew_agent.metrics import AGENT_METRICS, kernel_metrics, read_counters_header
from clew_crds.made_files import differing
from clew_lab.chart import CHECKOUT, ChartError, Setting, generated, kept, main, reference, schema, settings
from clew_operator.metrics import METRICS as OPERATOR_METRICS

CHART = CHECKOUT / "charts/clew"
OF_THE_AGENT = {row.exposed for row in [*AGENT_METRICS, *kernel_metrics(read_counters_header()).values()]}
METRICS = OF_THE_AGENT | {row.exposed for row in OPERATOR_METRICS}
LABELS = {row.exposed: row.labels for row in OPERATOR_METRICS}
VALUES = """\
# How many.
# There may be none.
# schema: {minimum: 0}
count: 2
# A part.
part:
  # Its labels.
  labels: {a: b}
  # Its limits.
  limits:
    memory: 1Gi
"""


def test_nothing_differs_from_its_source() -> None:
    assert differing(generated(CHECKOUT)) == {}


def test_comments_become_settings() -> None:
    labels = Setting(("part", "labels"), "Its labels.", "object", {"a": "b"}, {}, ())
    limits = Setting(("part", "limits"), "Its limits.", "object", {"memory": "1Gi"}, {}, ())
    assert settings(VALUES) == (
        Setting(("count",), "How many. There may be none.", "integer", 2, {"minimum": 0}, ()),
        Setting(("part",), "A part.", "object", None, {}, (labels, limits)),
    )


def test_settings_become_a_closed_schema() -> None:
    assert json.loads(schema(settings(VALUES))) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "count": {"description": "How many. There may be none.", "type": "integer", "minimum": 0},
            "part": {
                "description": "A part.",
                "type": "object",
                "properties": {
                    "labels": {"description": "Its labels.", "type": "object"},
                    "limits": {"description": "Its limits.", "type": "object"},
                },
                "additionalProperties": False,
            },
            "global": {"description": "Of charts that include this one.", "type": "object"},
        },
        "additionalProperties": False,
    }


def test_settings_become_a_table() -> None:
    (part,) = settings("# A part.\npart:\n  # Its way.\n  # schema: {enum: [a, b]}\n  way: a\n")
    table = '| setting | default | meaning |\n|---|---|---|\n| `part.way` | `"a"` | Its way. One of `a`, `b`. |\n'
    assert reference([part]) == f"\n### `part`\n\nA part.\n\n{table}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\n", "values.yaml: a has no comment, which would be its documentation"),
        ("# A.\na:\n  # B.\n  b: 1\n  c: 2\n", "values.yaml: a.c has no comment, which would be its documentation"),
        ("# schema: {minimum: 0}\na: 1\n", "values.yaml: a: a hint is a mapping, below a description"),
        ("# A.\n# schema: none\na: 1\n", "values.yaml: a: a hint is a mapping, below a description"),
        ("- 1\n", "values.yaml: not a mapping"),
    ],
)
def test_broken_sources_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ChartError, match=f"^{re.escape(problem)}$"):
        settings(text)


def test_definitions_are_kept_on_uninstall() -> None:
    text = "kind: CustomResourceDefinition\nmetadata:\n  name: a\nspec:\n  metadata: {}\n"
    assert kept("a.yaml", text) == text.replace("metadata:\n  name", "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  name")
    with pytest.raises(ChartError, match=r"crds/a\.yaml: it has annotations"):
        kept("a.yaml", "metadata:\n  annotations: {}\n")


def test_the_command_names_what_differs_and_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "charts/clew"
    (chart / "files/crds").mkdir(parents=True)
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds/new.yaml").write_text("metadata:\n  name: new\n")
    (chart / "files/crds/old.yaml").write_text("")
    (chart / "values.yaml").write_text("# A.\na:\n  # B.\n  b: 1\n")
    (chart / "README.md").write_text(
        "Before.\n<!-- Made from values.yaml by `python -m clew_lab.chart`: edit that. -->\n<!-- end -->\nAfter.\n"
    )
    names = {"files/crds/old.yaml", "files/crds/new.yaml", "values.schema.json", "README.md"}
    assert main(["--check"], tmp_path) == 1
    complaints = {f"charts/clew/{name}: differs from its source; run `python -m clew_lab.chart`" for name in names}
    assert set(capsys.readouterr().err.splitlines()) == complaints
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert [path.name for path in (chart / "files/crds").iterdir()] == ["new.yaml"]
    page = (chart / "README.md").read_text()
    assert page.startswith("Before.\n")
    assert page.endswith("| `a.b` | `1` | B. |\n<!-- end -->\nAfter.\n")


def metrics_of(expression: str) -> set[str]:
    return {name.removesuffix("_bucket") for name in re.findall(r"\bclew_\w+", expression)}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
    sections = re.findall(r"^## (\w+)$", (CHECKOUT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert [alert["alert"] for alert in alerts] == sections
    assert {alert["severity"] for alert in alerts} == {"critical", "warning"}


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
    panels = json.loads((CHART / "files/dashboard.json").read_text())["panels"]
    asked = [alert["expr"] for alert in alerts] + [target["expr"] for panel in panels for target in panel["targets"]]
    assert set().union(*map(metrics_of, asked)) - METRICS == set()
    chosen = [found for text in asked for found in re.findall(r'(clew_operator_\w+)\{(\w+)="(\w+)"\}', text)]
    assert chosen
    assert [value for name, label, value in chosen if value not in LABELS[name][label]] == []


def test_panels_do_not_overlap() -> None:
    panels = json.loads((CHART / "files/dashboard.json").read_text())["panels"]
    squares = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(squares) == len(set(squares))
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_agent_is_given_the_capabilities_that_it_asks_for() -> None:
    template = (CHART / "templates/agent/daemonset.yaml").read_text()
    (added,) = re.findall(r"^ +add: \[([A-Z_, ]+)", template, re.MULTILINE)
    assert [f"CAP_{name}" for name in added.split(", ")] == [one.name for one in NEEDED]

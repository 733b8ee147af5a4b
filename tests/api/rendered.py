"""What the chart makes of values, as objects."""

import json
import subprocess
from functools import cache
from typing import Any

import yaml
from clew_lab.cluster.build import PROGRAMS

from tests.api.installed import CHART, NAMESPACE

EVERYTHING = {
    "networkPolicy.enabled": True,
    "serviceMonitor.enabled": True,
    "prometheusRule.enabled": True,
    "dashboard.enabled": True,
    "agent.sysAdmin": True,
    "otlp.endpoint": "https://otel-collector.observability:4318",
    "otlp.headersFrom.secret": "collector",
    "otlp.tls": {"secret": "collector-tls", "clientCertificate": True},
    "image.tag": "1.2.3",
    "image.pullSecrets": [{"name": "registry"}],
}
"""Values under which every template yields something."""

Objects = dict[tuple[str, str], dict[str, Any]]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm, which needs no cluster for what is asked here."""
    return subprocess.run([PROGRAMS.find() / "helm", *arguments], capture_output=True, text=True, check=False)


def settings(values: dict[str, Any]) -> list[str]:
    """Values as helm's arguments; a dot in a key goes one level down."""
    return [argument for key, value in values.items() for argument in ("--set-json", f"{key}={json.dumps(value)}")]


def rendered(values: dict[str, Any] | None = None) -> Objects:
    """Every object by kind and name, hooks included."""
    # The definitions of kinds are long: PyYAML's own parser takes ten times as long as libyaml's for what both take for the same.
    objects = [one for one in yaml.load_all(_template(*settings(values or {})), yaml.CSafeLoader) if one is not None]
    found = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(found) == len(objects)
    return found


@cache
def _template(*settings: str) -> str:
    """What helm makes of these settings; the chart stays as it is while tests run."""
    done = helm("template", "clew", CHART, "--namespace", NAMESPACE, *settings)
    assert done.returncode == 0, done.stderr
    return done.stdout

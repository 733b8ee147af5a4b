"""Right policies: the design's example, defaults, the shipped examples, and what the models promise as values."""

from fractions import Fraction
from pathlib import Path

import pytest
from clew_crds import ArgumentType, Attribution, Layout, Naming, Propagator, Subject, TracingPolicy, load_policies, parse_policies
from pydantic import ValidationError

EXAMPLES = Path(__file__).parents[2] / "examples"

DESIGN = """
apiVersion: clew.dev/v1alpha1
kind: TracingPolicy
metadata: {name: bookinfo}
spec:
  namespaces: [bookinfo]
  podSelector: {matchLabels: {tier: web}}
  sampling:
    ratio: "0.25"
    parentBased: true
    maxPerSecond: 200
  propagation: {inject: [tracecontext], extract: [tracecontext]}
  kernelFunctions:
    - set: network
    - function: tcp_sendmsg
      arguments: [{name: size}, {name: sk, field: __sk_common.skc_dport, as: port}]
      returns: true
      minimumDuration: 50us
    - function: __dev_queue_xmit
      attribution: Socket
  spans: {naming: Flow}
  limits: {spansPerRequest: 256, eventsPerSecond: 20000, overhead: {cpuMillicores: 50, memoryMiB: 120}}
  rollout:
    paused: false
    maxUnavailable: 10%
    steps: [{nodes: "1", soak: 2m}, {nodes: 10%, soak: 5m}, {nodes: 100%}]
    progressDeadline: 10m
    onFailure: Rollback
"""

LEAST = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": "p"}, "spec": {"namespaces": ["shop"]}}


def test_policy_of_the_design() -> None:
    [policy] = parse_policies(DESIGN, "design")
    spec = policy.spec
    assert spec.sampling.share == Fraction(1, 4)
    assert spec.sampling.max_per_second == 200
    assert [function.set or function.function for function in spec.kernel_functions] == ["network", "tcp_sendmsg", "__dev_queue_xmit"]
    assert spec.kernel_functions[1].minimum_duration_ns == 50_000
    assert [argument.output for argument in spec.kernel_functions[1].arguments] == ["size", "port"]
    assert spec.kernel_functions[2].attribution is Attribution.SOCKET
    assert spec.limits.overhead.memory_mib == 120
    assert [step.soak_ns for step in spec.rollout.steps] == [120 * 10**9, 300 * 10**9, 0]
    assert [step.amount.of(40) for step in spec.rollout.steps] == [1, 4, 40]
    assert spec.rollout.progress_deadline_ns == 600 * 10**9


def test_defaults() -> None:
    spec = TracingPolicy.model_validate(LEAST).spec
    assert spec.sampling.share == 1
    assert spec.sampling.parent_based
    assert spec.sampling.max_per_second is None
    assert spec.propagation.inject == spec.propagation.extract == (Propagator.TRACECONTEXT,)
    assert spec.kernel_functions == ()
    assert (spec.spans.naming, spec.spans.subject, spec.spans.query_string) == (Naming.FLOW, Subject.WORKLOAD, False)
    assert spec.spans.pod_labels == ()
    assert spec.identifiers.layout is Layout.STRUCTURED
    assert (spec.limits.spans_per_request, spec.limits.events_per_second) == (256, 20_000)
    assert [step.nodes for step in spec.rollout.steps] == ["100%"]


def test_a_policy_does_not_change() -> None:
    policy = TracingPolicy.model_validate(LEAST)
    with pytest.raises(ValidationError, match="frozen"):
        policy.spec.sampling.ratio = "0"  # that it is refused is the test


def test_what_the_api_server_adds_is_accepted() -> None:
    metadata = {"name": "p", "uid": "6f9c", "resourceVersion": "12", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z"}
    metadata |= {"managedFields": [{"manager": "kubectl"}], "labels": {"team": ""}, "annotations": {"a/b": "any text"}}
    policy = TracingPolicy.model_validate(LEAST | {"metadata": metadata, "status": {"observedGeneration": 3}})
    assert policy.metadata.generation == 3


@pytest.mark.parametrize(
    ("argument", "output"),
    [({"name": "size"}, "size"), ({"index": 2}, "arg2"), ({"name": "sk", "field": "a.b_c"}, "b_c"), ({"index": 0, "as": "x.y"}, "x.y")],
)
def test_argument_output_names(argument: dict[str, object], output: str) -> None:
    document = LEAST | {"spec": {"namespaces": ["shop"], "kernelFunctions": [{"function": "f", "arguments": [argument]}]}}
    assert TracingPolicy.model_validate(document).spec.kernel_functions[0].arguments[0].output == output


def test_shipped_examples_are_valid() -> None:
    policies = [
        policy for file in sorted(EXAMPLES.rglob("*.yaml")) if "TracingPolicy" in file.read_text() for policy in load_policies(file)
    ]
    bookinfo = next(policy for policy in policies if policy.metadata.name == "bookinfo")
    assert bookinfo.spec.namespaces == ("bookinfo",)
    assert bookinfo.spec.sampling.share == 1
    assert bookinfo.spec.spans.naming is Naming.FLOW
    functions = {function.function: function for function in bookinfo.spec.kernel_functions}
    assert functions["tcp_sendmsg"].returns
    assert functions["do_sys_openat2"].arguments[0].type is ArgumentType.USER_STRING


def test_every_field_is_described_and_every_list_and_text_is_bounded() -> None:
    schema = TracingPolicy.model_json_schema()
    kubernetes_own = {"Metadata"}
    for name, model in schema["$defs"].items():
        for field, rules in model.get("properties", {}).items():
            referred = schema["$defs"].get(rules.get("$ref", "").removeprefix("#/$defs/"), {})
            assert rules.get("description", referred.get("description")), f"{name}.{field}"
            if name in kubernetes_own:
                continue
            for rule in [rules, *rules.get("anyOf", [])]:
                if rule.get("type") == "array":
                    assert "maxItems" in rule, f"{name}.{field}"
                if rule.get("type") == "string":
                    assert "maxLength" in rule, f"{name}.{field}"
                    assert "pattern" in rule, f"{name}.{field}"
                if rule.get("type") == "integer":
                    assert {"minimum", "maximum"} <= set(rule), f"{name}.{field}"

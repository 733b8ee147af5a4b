"""Bad objects are refused by the API server, with the field and what is allowed; bad policies by the offline check as well."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from clew_crds.load import PolicyError, parse_policies
from clew_lab.cluster import Cluster

pytestmark = pytest.mark.usefixtures("kinds")
HEAD = "apiVersion: clew.dev/v1alpha1\nkind: TracingPolicy\nmetadata: {name: p}\nspec:\n"
TOO_MANY = """The TracingPolicy "p" is invalid:
* PROBLEM
* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors\
 to complete validation
"""


def policy(spec: str) -> str:
    return HEAD + "".join(f"  {line}\n" for line in spec.splitlines())


def listed(count: int, item: str) -> str:
    return ", ".join(item.replace("N", str(number)) for number in range(count))


def rows() -> Iterator[tuple[str, str, str]]:
    """What is bad, the file, and what kubectl says."""
    for row in yaml.safe_load((Path(__file__).parent / "data" / "bad-objects.yaml").read_text()):
        yield row["bad"], row.get("object") or policy(row["spec"]), row["says"]
    steps = listed(17, "{nodes: '1N'}")
    for field, count, most, spec in (
        ("namespaces", 257, 256, f"namespaces: [{listed(257, 'nN')}]"),
        ("namespaceSelector.matchLabels", 65, 64, f"namespaceSelector: {{matchLabels: {{{listed(65, 'kN: v')}}}}}"),
        ("kernelFunctions", 65, 64, f"namespaces: [shop]\nkernelFunctions: [{listed(65, '{function: fN}')}]"),
        (
            "kernelFunctions[0].arguments",
            9,
            8,
            f"namespaces: [shop]\nkernelFunctions: [{{function: f, arguments: [{listed(9, '{index: N}')}]}}]",
        ),
        ("spans.podLabels", 17, 16, f"namespaces: [shop]\nspans: {{podLabels: [{listed(17, 'lN')}]}}"),
        ("rollout.steps", 17, 16, f"namespaces: [shop]\nrollout: {{steps: [{steps}]}}"),
    ):
        says = TOO_MANY.replace("PROBLEM", f"spec.{field}: Too many: {count}: must have at most {most} items")
        yield f"too many {field}", policy(spec), says


BAD = list(rows())
BAD_POLICIES = [row for row in BAD if "kind: TracingPolicy\n" in row[1]]


def ids(rows: list[tuple[str, str, str]]) -> list[str]:
    return [bad for bad, _, _ in rows]


def test_the_table_is_long_enough() -> None:
    assert len(BAD_POLICIES) >= 60
    assert len(set(ids(BAD))) == len(BAD)


@pytest.mark.parametrize(("bad", "text", "says"), BAD, ids=ids(BAD))
def test_refused_by_the_api_server(cluster: Cluster, bad: str, text: str, says: str) -> None:
    done = cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=text, check=False)
    assert (done.returncode, lines(done.stderr)) == (1, lines(says)), bad


@pytest.mark.parametrize(("bad", "text", "says"), BAD_POLICIES, ids=ids(BAD_POLICIES))
def test_refused_offline_at_the_same_fields(bad: str, text: str, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policies(text, "p.yaml")
    offline = [dotted(problem) for problem in caught.value.problems]
    for place in places(says):
        assert any(problem.startswith(f"p.yaml: {place}") for problem in offline), (bad, place, offline)


def test_fields_that_are_empty_are_left_out_by_the_older_apply(cluster: Cluster) -> None:
    """Without --server-side kubectl sends no nulls, so what the API server would refuse never reaches it."""
    cluster.kubectl("apply", "--validate=strict", "-f", "-", input=policy("namespaces: [shop]\nsampling:"))
    spec = yaml.safe_load(cluster.kubectl("get", "tracingpolicies.clew.dev", "p", "-o", "yaml").stdout)["spec"]
    assert spec == {"namespaces": ["shop"]}


def lines(text: str) -> list[str]:
    """The first line, and the others in one order: rules of different fields are told in any."""
    first, *others = (line.rstrip() for line in text.rstrip().splitlines())
    return [first, *sorted(others)]


def places(says: str) -> list[str]:
    """The fields that the API server names."""
    found = re.findall(r"(?:^\* |is invalid: |: \.)([a-z][^:\s]*): ", says, re.MULTILINE)
    assert found, says
    return [dotted(place) for place in found]


def dotted(text: str) -> str:
    """A path's keys in brackets (``matchLabels[tier]``) as other fields."""
    return re.sub(r'\["?([^\]"0-9][^\]"]*)"?\]', r".\1", text)

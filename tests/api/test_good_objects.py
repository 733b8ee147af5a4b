"""What the models take the API server takes too, and gives back as it was; and whatever one of the two refuses the other does."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from clew_crds import TracingPolicy
from clew_crds.revision import enforced, revision_name
from clew_lab.cluster import Cluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.api.definitions import CHECKOUT
from tests.api.rest import GROUP, Client

pytestmark = pytest.mark.usefixtures("kinds")
EXAMPLES = CHECKOUT / "examples"
FILES = [EXAMPLES / "bookinfo.yaml", *sorted((EXAMPLES / "policies").glob("*.yaml"))]

EXAMPLES_EACH = 300

Document = dict[str, object]


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_example_comes_back_as_it_was_applied(cluster: Cluster, path: Path) -> None:
    cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", str(path))
    applied = yaml.safe_load(path.read_text())
    stored = json.loads(cluster.kubectl("get", "tracingpolicies.clew.dev", applied["metadata"]["name"], "-o", "json").stdout)
    assert stored["spec"] == applied["spec"]
    before, after = (TracingPolicy.model_validate(one).spec for one in (applied, stored))
    assert after == before
    assert revision_name("p", enforced(after)) == revision_name("p", enforced(before))


@pytest.fixture(scope="module")
def taken(cluster: Cluster) -> Iterator[Callable[[Document], str]]:
    """Asks the API server whether it would take a policy: what is wrong with it, or nothing."""
    with Client(cluster, cluster.admin_token) as admin:

        def ask(document: Document) -> str:
            answer = admin.ask("POST", f"{GROUP}/tracingpolicies?dryRun=All&fieldValidation=Strict", document)
            return "" if answer.code == 201 else answer.message

        yield ask


def some(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[Document]:
    """Objects that have any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def mostly(good: list[str], bad: list[str]) -> st.SearchStrategy[str]:
    """A value that is good seven times out of eight: an object of several fields shall often be so as a whole."""
    return st.sampled_from([*good * (7 * len(bad)), *bad * len(good)])


# Values at both sides of each bound, so that neither taking all nor refusing all would pass.
NUMBER = st.sampled_from([1, 2, 16, 4096]) | st.sampled_from([-1, 0, 15, 4097, 64_000, 64_001, 1_000_000, 1_000_001])
NAMESPACE = mostly(["shop", "a", "a-b", "1", "a" * 63], ["", "A", "a.b", "-a", "a-", "a" * 64, "a\n", "é"])
IDENTIFIER = mostly(["port", "size", "arg1", "arg11", "_a", "A", "a" * 63], ["", "1a", "a-b", "a" * 64, "a\n", "é"])
OUTPUT = mostly(["port", "size", "arg1", "a.b_1"], ["Port", "_a", "", "a" * 64])
MEMBER = mostly(["port", "x.port", "a.b.size", "x.arg1"], ["", ".", "a.", ".a", "a..b", "a->b"])
SET = mostly(["network", "files", "waiting", "security"], ["Network", "net", ""])
RATIO = st.sampled_from(["0", "0.0", "0.25", "1", "1.000000000", "1.0000000001", "1.1", "-0", ".5", "1.", "0,5", "1e-1"])
GOOD_DURATIONS = ["0s", "1h", "3600s", "50us", "50µs", "1.5ms", "1m30s", "10s", "0.999999999h"]
BOUNDS = ["3600.000000001s", "60m1ns", "9999ms", "168h", "168h1ns", "10080m", "99999h", "999999999s999999999s", "0.5ns", "1.5", ""]
UNIT = st.sampled_from(["ns", "us", "µs", "ms", "s", "m", "h", "", "d"])
PART = st.builds(lambda number, unit: number + unit, st.from_regex(r"[0-9]{1,10}(\.[0-9]{1,10})?", fullmatch=True), UNIT)
DURATION = st.one_of(*[mostly(GOOD_DURATIONS, BOUNDS)] * 3, st.lists(PART, min_size=1, max_size=4).map("".join))
AMOUNT = mostly(["1", "2", "9", "10", "999999", "1%", "9%", "10%", "99%", "100%"], ["0", "1000000", "0%", "101%", "many", "01"])
KEY = mostly(["app", "a/b", "a.b/c_d", "x" * 63], ["A.b/c", "a b", "-a", "x" * 64, "", "/a"])
VALUE = mostly(["", "web", "A-b_c.d", "x" * 63], ["-a", "a b", "x" * 64, "é"])
REQUIREMENT = st.fixed_dictionaries(
    {"key": KEY, "operator": mostly(["In", "NotIn", "Exists", "DoesNotExist"], ["in"])}, optional={"values": st.lists(VALUE, max_size=2)}
)
SELECTOR = some(matchLabels=st.dictionaries(KEY, VALUE, max_size=3), matchExpressions=st.lists(REQUIREMENT, max_size=2))
OPTIONS = {"field": MEMBER, "as": OUTPUT, "type": mostly(["Integer", "UserString"], ["Int"])}
BY_NAME = st.fixed_dictionaries({"name": IDENTIFIER}, optional=OPTIONS)
BY_INDEX = st.fixed_dictionaries({"index": st.sampled_from([0, 1, 11, 12])}, optional=OPTIONS)
ARGUMENTS = st.lists(BY_NAME | BY_INDEX | some(name=IDENTIFIER, index=st.integers(-1, 12), **OPTIONS), max_size=3)
ATTRIBUTION = mostly(["Thread", "Socket"], ["pod"])
FUNCTION = st.fixed_dictionaries(
    {"function": IDENTIFIER},
    optional={"minimumDuration": DURATION, "returns": st.booleans(), "arguments": ARGUMENTS, "attribution": ATTRIBUTION},
)
SETS = st.fixed_dictionaries({"set": SET}, optional={"returns": st.just(False), "arguments": st.just([]), "minimumDuration": DURATION})
MIXED = some(function=IDENTIFIER, set=SET, returns=st.booleans(), arguments=ARGUMENTS, attribution=ATTRIBUTION)
STEP = st.fixed_dictionaries({"nodes": AMOUNT}, optional={"soak": DURATION})
FIRST = st.lists(st.sampled_from(["1", "3", "20", "1%", "5%"]), max_size=3)
GROWING = FIRST.map(lambda amounts: [{"nodes": amount} for amount in [*amounts, "100%"]])
ROLLOUT = some(
    paused=st.booleans(),
    maxUnavailable=AMOUNT,
    steps=GROWING | st.lists(STEP, max_size=3),
    progressDeadline=DURATION,
    onFailure=mostly(["Rollback", "Pause"], ["Stop"]),
)
FORMATS = st.lists(st.sampled_from(["tracecontext", "b3"]), max_size=2)
SPEC = {
    "namespaces": st.lists(NAMESPACE, max_size=3),
    "namespaceSelector": SELECTOR,
    "podSelector": SELECTOR,
    "sampling": some(ratio=RATIO, parentBased=st.booleans(), maxPerSecond=NUMBER),
    "propagation": some(inject=FORMATS, extract=FORMATS),
    "kernelFunctions": st.lists(FUNCTION | SETS | MIXED, max_size=2),
    "spans": some(podLabels=st.lists(KEY, max_size=3), queryString=st.booleans()),
    "limits": some(spansPerRequest=NUMBER, eventsPerSecond=NUMBER, overhead=some(cpuMillicores=NUMBER, memoryMiB=NUMBER)),
    "rollout": ROLLOUT,
}


@pytest.mark.parametrize("field", SPEC)
def test_the_api_server_and_the_models_take_the_same(taken: Callable[[Document], str], field: str) -> None:
    verdicts: Counter[bool] = Counter()

    @settings(max_examples=EXAMPLES_EACH, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(SPEC[field])
    def agree(value: object) -> None:
        spec = {"namespaces": ["shop"]} | {field: value}
        document: Document = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": "p"}, "spec": spec}
        wrong = taken(document)
        assert "rule" not in wrong.split("some validation rules")[0], "a rule could not be evaluated"
        assert bool(wrong) == refused(document), wrong
        verdicts[bool(wrong)] += 1

    agree()
    assert min(verdicts[True], verdicts[False]) >= EXAMPLES_EACH / 20, verdicts


def refused(document: Document) -> bool:
    try:
        TracingPolicy.model_validate(document)
    except ValidationError:
        return True
    return False


def test_the_largest_policy_is_within_the_cost_of_rules(taken: Callable[[Document], str]) -> None:
    """As many items as each list may have, and texts as long as they may be, in half a megabyte."""

    def numbered(number: int, length: int) -> str:
        return f"{number:0{length}}"

    prefix = ".".join(letter * 63 for letter in "abcd")[:253]
    requirement = {"key": f"{prefix}/{'b' * 63}", "operator": "In", "values": [numbered(number, 63) for number in range(64)]}
    labels = {f"{prefix}/{numbered(number, 63)}": "v" * 63 for number in range(64)}
    argument = {"type": "Integer", "field": f"{'a' * 127}.{'b' * 63}", "name": "n" * 63}
    arguments = [argument | {"as": "o" + numbered(number, 62)} for number in range(8)]
    duration = "0.000000001s0.000000001s0.0001ms"
    functions = [{"function": "f" + numbered(number, 126), "minimumDuration": duration, "arguments": arguments} for number in range(64)]
    steps = [{"nodes": str(number), "soak": duration} for number in range(1, 16)]
    spec = {
        "namespaces": [numbered(number, 63) for number in range(256)],
        "podSelector": {"matchLabels": labels, "matchExpressions": [requirement] * 64},
        "kernelFunctions": functions,
        "rollout": {"steps": [*steps, {"nodes": "100%"}]},
    }
    document: Document = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": "p" * 63}, "spec": spec}
    assert len(json.dumps(document)) > 500_000
    assert not refused(document)
    assert taken(document) == ""

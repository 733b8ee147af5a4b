"""Wrong policies, each with the exact message a person gets; and the ways in which a file itself can be wrong."""

from pathlib import Path

import pytest
from clew_crds.load import LARGEST_FILE, PolicyError, load_policies, parse_policies

HEAD = "apiVersion: clew.dev/v1alpha1\nkind: TracingPolicy\nmetadata: {name: p}\n"


def spec(text: str) -> str:
    return HEAD + "spec:\n  namespaces: [shop]\n  " + text


FUNCTION = 'the name of a kernel function, such as "tcp_sendmsg" (see /proc/kallsyms)'
RATIO = 'a decimal string from 0 to 1, such as "0.25"'
AMOUNT = 'a string: a count of nodes from "1" to "999999", or a percentage from "1%" to "100%"'
SHORT = 'a duration up to one hour, such as "50us", "1.5ms" or "2s"'
LABEL = 'a label value: up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit'
NAMESPACE = 'a namespace: up to 63 of a-z, 0-9 and "-", such as "bookinfo"'
NAME = 'a name of up to 63 of a-z, 0-9 and "-", such as "bookinfo"'
SETS = "one of network, files, waiting, memory, processes, security"
SIDE = "nothing here beside a set, which says it for each of its functions"

WRONG = [
    # the envelope
    ("[]", "p.yaml: document: a list of 0 is not allowed: an object (fields with values)"),
    ("hello", 'p.yaml: document: "hello" is not allowed: an object (fields with values)'),
    (HEAD, "p.yaml: spec: is missing: an object (fields with values)"),
    (HEAD + "spec: 3", "p.yaml: spec: 3 is not allowed: an object (fields with values)"),
    (spec("").replace("kind: TracingPolicy\n", ""), 'p.yaml: kind: is missing: "TracingPolicy"'),
    (spec("").replace("TracingPolicy", "Policy"), 'p.yaml: kind: "Policy" is not allowed: "TracingPolicy"'),
    (
        spec("").replace("clew.dev/v1alpha1", "cilium.io/v1alpha1"),
        'p.yaml: apiVersion: "cilium.io/v1alpha1" is not allowed: "clew.dev/v1alpha1"',
    ),
    (spec("").replace("name: p", "name: Shop_1"), f'p.yaml: metadata.name: "Shop_1" is not allowed: {NAME}'),
    (spec("").replace("name: p", ""), f"p.yaml: metadata.name: is missing: {NAME}"),
    (
        spec("").replace("name: p", "name: p, namespace: shop"),
        "p.yaml: metadata.namespace: unknown field; known here: annotations, creationTimestamp, deletionGracePeriodSeconds, "
        "deletionTimestamp, finalizers, generation, labels, managedFields, name, ownerReferences, resourceVersion, uid",
    ),
    (spec("").replace("spec:", "sepc: {}\nspec:"), 'p.yaml: sepc: unknown field; did you mean "spec"?'),
    # which pods
    (HEAD + "spec: {}", "p.yaml: spec.namespaces: a list of 0 is not allowed: at least one namespace here, or a namespaceSelector"),
    (HEAD + "spec: {namespaces: shop}", 'p.yaml: spec.namespaces: "shop" is not allowed: a list'),
    (HEAD + "spec: {namespaces: [Shop]}", f'p.yaml: spec.namespaces[0]: "Shop" is not allowed: {NAMESPACE}'),
    (HEAD + "spec: {namespaces: [shop, till, shop]}", 'p.yaml: spec.namespaces[2]: "shop" is not allowed: each namespace once'),
    (
        HEAD + "spec: {namespaces: [" + ", ".join(f"n{number}" for number in range(257)) + "]}",
        "p.yaml: spec.namespaces: a list of 257 is not allowed: at most 256 of them",
    ),
    (
        spec("podSelector: {matchLabels: {tier: 'w b'}}"),
        f'p.yaml: spec.podSelector.matchLabels.tier: "w b" is not allowed: {LABEL}',
    ),
    (
        spec("podSelector: {matchLabels: {'a b': x}}"),
        'p.yaml: spec.podSelector.matchLabels["a b"]: "a b" is not allowed: a label key, such as "app" or "app.kubernetes.io/name"',
    ),
    (spec("podSelector: {matchLabels: {tier: 1}}"), f"p.yaml: spec.podSelector.matchLabels.tier: 1 is not allowed: {LABEL}"),
    (spec("podSelector: {matchlabels: {}}"), 'p.yaml: spec.podSelector.matchlabels: unknown field; did you mean "matchLabels"?'),
    (
        spec("namespaceSelector: {matchExpressions: [{key: a, operator: Equals}]}"),
        'p.yaml: spec.namespaceSelector.matchExpressions[0].operator: "Equals" is not allowed: "In", "NotIn", "Exists" or "DoesNotExist"',
    ),
    (
        spec("namespaceSelector: {matchExpressions: [{key: a}]}"),
        'p.yaml: spec.namespaceSelector.matchExpressions[0].operator: is missing: "In" or "NotIn" or "Exists" or "DoesNotExist"',
    ),
    (
        spec("namespaceSelector: {matchExpressions: [{key: a, operator: In}]}"),
        "p.yaml: spec.namespaceSelector.matchExpressions[0].values: a list of 0 is not allowed: at least one value with In",
    ),
    (
        spec("namespaceSelector: {matchExpressions: [{key: a, operator: Exists, values: [x]}]}"),
        "p.yaml: spec.namespaceSelector.matchExpressions[0].values: a list of 1 is not allowed: no values with Exists",
    ),
    # sampling and propagation
    (spec('sampling: {ratio: "1.5"}'), f'p.yaml: spec.sampling.ratio: "1.5" is not allowed: {RATIO}'),
    (spec("sampling: {ratio: 0.25}"), f"p.yaml: spec.sampling.ratio: 0.25 is not allowed: {RATIO}"),
    (spec('sampling: {ratio: "25%"}'), f'p.yaml: spec.sampling.ratio: "25%" is not allowed: {RATIO}'),
    (spec("sampling:"), "p.yaml: spec.sampling: null is not allowed: an object (fields with values)"),
    (spec("sampling: {parentBased: 1}"), "p.yaml: spec.sampling.parentBased: 1 is not allowed: true or false"),
    (spec("sampling: {parentbased: true}"), 'p.yaml: spec.sampling.parentbased: unknown field; did you mean "parentBased"?'),
    (spec("sampling: {parent_based: true}"), 'p.yaml: spec.sampling.parent_based: unknown field; did you mean "parentBased"?'),
    (
        spec("sampling: {maxPerSecond: 0}"),
        "p.yaml: spec.sampling.maxPerSecond: 0 is not allowed: a whole number of traces from 1 to 1000000",
    ),
    (
        spec("sampling: {maxPerSecond: true}"),
        "p.yaml: spec.sampling.maxPerSecond: true is not allowed: a whole number of traces from 1 to 1000000",
    ),
    (spec("propagation: {inject: [b3]}"), 'p.yaml: spec.propagation.inject[0]: "b3" is not allowed: "tracecontext"'),
    (
        spec("propagation: {extract: [tracecontext, tracecontext]}"),
        'p.yaml: spec.propagation.extract[1]: "tracecontext" is not allowed: each format once',
    ),
    # kernel functions
    (
        spec("kernelFunctions: [{}]"),
        "p.yaml: spec.kernelFunctions[0]: an object of 0 fields is not allowed: an entry with a set or a function",
    ),
    (
        spec("kernelFunctions: [{set: network, function: tcp_sendmsg}]"),
        'p.yaml: spec.kernelFunctions[0].function: "tcp_sendmsg" is not allowed: set or function, not both',
    ),
    (spec("kernelFunctions: [{set: netwrk}]"), f'p.yaml: spec.kernelFunctions[0].set: "netwrk" is not allowed: {SETS}'),
    (spec("kernelFunctions: [{set: network, returns: true}]"), f"p.yaml: spec.kernelFunctions[0].returns: true is not allowed: {SIDE}"),
    (
        spec("kernelFunctions: [{function: tcp-sendmsg}]"),
        f'p.yaml: spec.kernelFunctions[0].function: "tcp-sendmsg" is not allowed: {FUNCTION}',
    ),
    (
        spec(f"kernelFunctions: [{{function: {'x' * 128}}}]"),
        f'p.yaml: spec.kernelFunctions[0].function: "{"x" * 58}… is not allowed: {FUNCTION}',
    ),
    (
        spec("kernelFunctions: [{function: a}, {function: a}]"),
        'p.yaml: spec.kernelFunctions[1].function: "a" is not allowed: each function once',
    ),
    (
        spec("kernelFunctions: [{function: a, minimumDuration: 50}]"),
        f"p.yaml: spec.kernelFunctions[0].minimumDuration: 50 is not allowed: {SHORT}",
    ),
    (
        spec("kernelFunctions: [{function: a, minimumDuration: 50 us}]"),
        f'p.yaml: spec.kernelFunctions[0].minimumDuration: "50 us" is not allowed: {SHORT}',
    ),
    (
        spec("kernelFunctions: [{function: a, minimumDuration: 2h}]"),
        f'p.yaml: spec.kernelFunctions[0].minimumDuration: "2h" is not allowed: {SHORT}',
    ),
    (
        spec("kernelFunctions: [{function: a, attribution: socket}]"),
        'p.yaml: spec.kernelFunctions[0].attribution: "socket" is not allowed: "Thread" or "Socket"',
    ),
    (
        spec("kernelFunctions: [{function: a, arguments: [{as: size}]}]"),
        "p.yaml: spec.kernelFunctions[0].arguments[0]: an object of 1 field is not allowed: an argument with a name or an index",
    ),
    (
        spec("kernelFunctions: [{function: a, arguments: [{name: size, index: 2}]}]"),
        "p.yaml: spec.kernelFunctions[0].arguments[0].index: 2 is not allowed: name or index, not both",
    ),
    (
        spec("kernelFunctions: [{function: a, arguments: [{index: 12}]}]"),
        "p.yaml: spec.kernelFunctions[0].arguments[0].index: 12 is not allowed: a whole number from 0 to 11",
    ),
    (
        spec("kernelFunctions: [{function: a, arguments: [{name: m, type: Int}]}]"),
        'p.yaml: spec.kernelFunctions[0].arguments[0].type: "Int" is not allowed: "Integer", "String" or "UserString"',
    ),
    (
        spec("kernelFunctions: [{function: a, arguments: [{name: m, as: My Name}]}]"),
        'p.yaml: spec.kernelFunctions[0].arguments[0].as: "My Name" is not allowed: '
        'a name for the span\'s attribute: lower-case letters, digits, "_" and ".", such as "port"',
    ),
    (
        spec("kernelFunctions: [{function: a, arguments: [{name: sk, field: a->b}]}]"),
        'p.yaml: spec.kernelFunctions[0].arguments[0].field: "a->b" is not allowed: '
        'a path through the argument\'s structure, such as "__sk_common.skc_dport"',
    ),
    (
        spec("kernelFunctions: [{function: a, arguments: [{name: k}, {name: m, as: k}]}]"),
        'p.yaml: spec.kernelFunctions[0].arguments[1]: "k" is not allowed: '
        'arguments with different names; give one of them another by "as"',
    ),
    # as kubectl reads them: n is a boolean, and 12e4 a number
    (
        spec("kernelFunctions: [{function: a, arguments: [{name: n}]}]"),
        "p.yaml: spec.kernelFunctions[0].arguments[0].name: false is not allowed: "
        'the name of a parameter in the kernel\'s source, such as "size"',
    ),
    (spec("podSelector: {matchLabels: {commit: 12e4}}"), f"p.yaml: spec.podSelector.matchLabels.commit: 120000.0 is not allowed: {LABEL}"),
    # spans, identifiers, limits
    (spec("spans: {naming: flow}"), 'p.yaml: spec.spans.naming: "flow" is not allowed: "Flow" or "HTTP"'),
    (spec("spans: {subject: Service}"), 'p.yaml: spec.spans.subject: "Service" is not allowed: "Workload" or "Pod"'),
    (spec("spans: {queryString: 'yes'}"), 'p.yaml: spec.spans.queryString: "yes" is not allowed: true or false'),
    (
        spec("spans: {podLabels: [app, -x]}"),
        'p.yaml: spec.spans.podLabels[1]: "-x" is not allowed: a label key, such as "app" or "app.kubernetes.io/name"',
    ),
    (spec("spans: {podLabels: [app, app]}"), 'p.yaml: spec.spans.podLabels[1]: "app" is not allowed: each label once'),
    (
        spec(f"spans: {{podLabels: [{', '.join(f'l{n}' for n in range(17))}]}}"),
        "p.yaml: spec.spans.podLabels: a list of 17 is not allowed: at most 16 of them",
    ),
    (spec("identifiers: {layout: Ramdom}"), 'p.yaml: spec.identifiers.layout: "Ramdom" is not allowed: "Structured" or "Random"'),
    (
        spec("limits: {spansPerRequest: 10000}"),
        "p.yaml: spec.limits.spansPerRequest: 10000 is not allowed: a whole number of spans from 1 to 4096",
    ),
    (
        spec("limits: {eventsPerSecond: '20k'}"),
        'p.yaml: spec.limits.eventsPerSecond: "20k" is not allowed: a whole number of events from 1 to 1000000',
    ),
    (
        spec("limits: {overhead: {memoryMiB: 1.5}}"),
        "p.yaml: spec.limits.overhead.memoryMiB: 1.5 is not allowed: a whole number of mebibytes from 16 to 65536",
    ),
    (spec("limits: {overhead: {memoryMB: 9}}"), 'p.yaml: spec.limits.overhead.memoryMB: unknown field; did you mean "memoryMiB"?'),
    # rollout
    (spec("rollout: {maxUnavailable: 10}"), f"p.yaml: spec.rollout.maxUnavailable: 10 is not allowed: {AMOUNT}"),
    (spec("rollout: {maxUnavailable: 0%}"), f'p.yaml: spec.rollout.maxUnavailable: "0%" is not allowed: {AMOUNT}'),
    (spec("rollout: {steps: []}"), "p.yaml: spec.rollout.steps: a list of 0 is not allowed: at least 1 of them"),
    (spec("rollout: {steps: [{soak: 2m}]}"), f"p.yaml: spec.rollout.steps[0].nodes: is missing: {AMOUNT}"),
    (spec("rollout: {steps: [{nodes: 50%}]}"), 'p.yaml: spec.rollout.steps[0].nodes: "50%" is not allowed: "100%" in the last step'),
    (
        spec("rollout: {steps: [{nodes: 50%}, {nodes: 20%}, {nodes: 100%}]}"),
        'p.yaml: spec.rollout.steps[1].nodes: "20%" is not allowed: more than in the step before',
    ),
    (
        spec("rollout: {steps: [{nodes: 100%, soak: 200h}]}"),
        'p.yaml: spec.rollout.steps[0].soak: "200h" is not allowed: a duration up to "168h", such as "2m" or "1h30m"',
    ),
    (
        spec("rollout: {progressDeadline: 1s}"),
        'p.yaml: spec.rollout.progressDeadline: "1s" is not allowed: a duration from "10s" to "168h", such as "10m"',
    ),
    (spec("rollout: {onFailure: Abort}"), 'p.yaml: spec.rollout.onFailure: "Abort" is not allowed: "Rollback" or "Pause"'),
    (
        spec("rollout: {zzz: 1}"),
        "p.yaml: spec.rollout.zzz: unknown field; known here: maxUnavailable, onFailure, paused, progressDeadline, steps",
    ),
    # the YAML itself
    ("", "p.yaml: holds no policy"),
    ("---\n---\n", "p.yaml: holds no policy"),
    ("a: [", "p.yaml:1:5: expected the node content, but found '<stream end>'"),
    (spec("spans: {}\n  spans: {}"), 'p.yaml:7:3: the field "spans" stands here twice'),
    (spec("sampling: {ratio: '1', ratio: '0'}"), 'p.yaml:6:26: the field "ratio" stands here twice'),
    ("a: &x {b: 1}\nc:\n  <<: *x\n", 'p.yaml:3:3: the merge key "<<" is not allowed'),
    ("yes: 1", 'p.yaml:1:1: the field name "yes" is no string'),
    (
        "a: !!python/object:os.system {}",
        "p.yaml:1:4: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'",
    ),
    ("a: \x00", 'p.yaml: is no YAML: unacceptable character #x0000: special characters are not allowed in "<unicode string>", position 3'),
    ("[" * 100_000, "p.yaml:1:65: lists and objects are nested more than 64 deep"),
    ("- " * 100_000, "p.yaml: is nested too deeply"),
    ("a: 2020-99-99", "p.yaml: is no YAML: month must be in 1..12"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_wrong_policy_gets_exactly_this_message(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policies(text, "p.yaml")
    assert str(caught.value) == message


def test_every_problem_of_every_document_is_listed() -> None:
    text = spec('sampling: {ratio: "2"}\n  spans: {naming: X}') + "\n---\n" + spec("rollout: {pause: true}")
    with pytest.raises(PolicyError) as caught:
        parse_policies(text, "p.yaml")
    assert caught.value.problems == (
        f'p.yaml, document 1: spec.sampling.ratio: "2" is not allowed: {RATIO}',
        'p.yaml, document 1: spec.spans.naming: "X" is not allowed: "Flow" or "HTTP"',
        'p.yaml, document 2: spec.rollout.pause: unknown field; did you mean "paused"?',
    )


def test_same_name_twice_in_one_file() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policies(spec("") + "\n---\n" + spec(""), "p.yaml")
    assert str(caught.value) == 'p.yaml, document 2: metadata.name: "p" is not allowed: each policy once in a file'


def test_several_documents_in_order(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text("---\n" + spec("") + "\n---\n" + spec("").replace("name: p", "name: q") + "\n---\n")
    assert [policy.metadata.name for policy in load_policies(file)] == ["p", "q"]


def test_unreadable_file(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(PolicyError) as caught:
        load_policies(missing)
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"


def test_file_that_is_too_large(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(PolicyError) as caught:
        load_policies(file)
    assert str(caught.value) == f"{file}: is larger than 1048576 bytes"


def test_aliases_are_plain_values() -> None:
    [policy] = parse_policies(spec("rollout: {maxUnavailable: &n 10%, steps: [{nodes: *n}, {nodes: 100%}]}"), "p.yaml")
    assert policy.spec.rollout.steps[0].nodes == "10%"

"""From bytes of the ring buffer to named spans of known pods."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from clew_agent.functions.layout import ArgumentLayout, FunctionLayout
from clew_agent.host import host_attributes
from clew_agent.metrics import AGENT_METRICS
from clew_agent.model import AttributeValue, Described, Inventory, Pod, Run, Span, SpanKind, Workload
from clew_agent.spans.arguments import function_attributes
from clew_agent.spans.facts import Facts, SpanChoice, Traced, make_facts
from clew_agent.spans.naming import NamingStyle
from clew_agent.spans.parent import Holding
from clew_agent.spans.pipeline import assemble, drain
from clew_agent.spans.resource import pod_resource
from clew_crds.identifiers import SpanIdentifier, low_bytes
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.span_records import CLIENT, DECODE, PARENT, SERVER, TRACE, address, function, raw, request

OFFSET = 1_700_000_000_000_000_000
PRODUCT = Pod(
    name="productpage-7d4-x2x",
    namespace="bookinfo",
    uid="u-1",
    node="node-1",
    cgroup="/kubepods/pod1",
    addresses=(ip_address("10.0.0.1"), ip_address("fd00::1")),
    workload=Workload("Deployment", "productpage"),
    containers=("app",),
)
DETAILS = Pod(
    "details-5f-abc", "bookinfo", "u-2", "node-1", addresses=(ip_address("10.0.0.2"),), workload=Workload("Deployment", "details")
)
LONE = Pod("lone", "default", "u-3", "node-1", addresses=(ip_address("10.0.0.3"),))
SENDMSG = FunctionLayout(
    "tcp_sendmsg",
    (ArgumentLayout("size", 0, 8, "unsigned"), ArgumentLayout("name", 8, 8, "string")),
    "signed",
    4,
)
INVENTORY = Inventory((PRODUCT, DETAILS, LONE), {ip_address("10.96.0.5"): "reviews", ip_address("10.0.0.2"): "details-svc"})


def facts(choice: SpanChoice | None = None) -> Facts:
    return make_facts(INVENTORY, {1: Traced(PRODUCT, choice or SpanChoice())}, {0: SENDMSG}, OFFSET, {"host.name": "n1"})


def spans(*records: bytes, known: Facts | None = None) -> list[Span]:
    state, first = assemble(Holding(), records, DECODE, known or facts(), now_ns=0)
    return [*first.spans, *drain(state, known or facts())[1].spans]


def test_what_is_remembered_of_a_request_is_its_own() -> None:
    lines = [b"GET /a", b"GET /a", b"GET /b", b"GET /a"]
    statuses = [200, 200, 200, 500]
    records = [
        raw(request(line=line, status=status, span_id=bytes([9, *range(6), number])))
        for number, (line, status) in enumerate(zip(lines, statuses, strict=True))
    ]
    known = facts()
    made = sorted(spans(*records, known=known), key=lambda span: span.span_id)
    assert [(span.described.attributes["url.path"], span.described.attributes["http.response.status_code"]) for span in made] == [
        ("/a", 200),
        ("/a", 200),
        ("/b", 200),
        ("/a", 500),
    ]
    assert len(known.described) == 3


def test_a_server_a_client_and_a_function() -> None:
    client = request(role=2, line=b"GET /details/0", parent_id=SERVER, start_ns=1_100, end_ns=1_800, remote_port=9080)
    arguments = (4096).to_bytes(8, "little") + b"eth0\0xyz"
    call = function(start_ns=1_150, end_ns=1_160, parent_id=CLIENT, request_id=CLIENT, returned=-11, arguments=arguments)
    made = {
        span.span_id: span for span in spans(raw(request(parent_id=PARENT, remote_address=address("192.0.2.9"))), raw(client), raw(call))
    }
    server = made[SERVER]
    assert (server.described.name, server.described.kind, server.trace_id, server.parent_id) == (
        "server:productpage->NONE",
        SpanKind.SERVER,
        TRACE,
        PARENT,
    )
    assert (server.start_ns, server.end_ns, server.described.trace_flags) == (OFFSET + 1_000, OFFSET + 2_000, 1)
    assert made[CLIENT].described.name == "client:productpage->details-svc"
    assert made[CLIENT].parent_id == SERVER
    assert made[CLIENT].described.attributes["service.peer.name"] == "details"
    assert made[CLIENT].described.attributes["clew.peer.pod.name"] == "details-5f-abc"
    assert made[b"function"] == Span(
        trace_id=TRACE,
        span_id=b"function",
        parent_id=CLIENT,
        start_ns=OFFSET + 1_150,
        end_ns=OFFSET + 1_160,
        described=Described(
            name="tcp_sendmsg",
            kind=SpanKind.INTERNAL,
            attributes={
                "clew.function.argument.size": 4096,
                "clew.function.argument.name": "eth0",
                "clew.function.return": -11,
                "process.pid": 41,
                "thread.id": 42,
            },
            resource=facts().own[1].resource,
        ),
    )
    assert server.described.resource == made[CLIENT].described.resource


@pytest.mark.parametrize(
    ("role", "remote", "pod_names", "name"),
    [
        (1, "10.0.0.2", False, "server:productpage->details"),
        (1, "10.0.0.2", True, "server:productpage-7d4-x2x->details-5f-abc"),
        (1, "10.0.0.3", False, "server:productpage->lone"),
        (1, "fd00::9", False, "server:productpage->NONE"),
        (1, "10.96.0.5", False, "server:productpage->reviews"),
        (2, "10.96.0.5", False, "client:productpage->reviews"),
        (2, "10.96.0.5", True, "client:productpage-7d4-x2x->reviews"),
        (2, "10.0.0.2", True, "client:productpage-7d4-x2x->details-svc"),
        (2, "10.0.0.3", True, "client:productpage-7d4-x2x->lone"),
        (2, "198.51.100.7", False, "client:productpage->NONE"),
    ],
)
def test_flow_names(role: int, remote: str, pod_names: bool, name: str) -> None:
    known = facts(SpanChoice(pod_names=pod_names))
    assert [span.described.name for span in spans(raw(request(role, remote_address=address(remote))), known=known)] == [name]


def test_what_a_policy_chooses_holds_for_its_own_pods_alone() -> None:
    open_hearted = SpanChoice(pod_names=True, query_string=True)
    traced = {1: Traced(PRODUCT, SpanChoice()), 2: Traced(DETAILS, open_hearted), 3: Traced(LONE, SpanChoice(NamingStyle.HTTP))}
    known = make_facts(INVENTORY, traced, {}, OFFSET)
    records = [
        raw(request(pod=1, line=b"GET /a?b=c", span_id=b"1" * 8, remote_address=address("10.0.0.2"))),
        raw(request(pod=2, line=b"GET /a?b=c", span_id=b"2" * 8, remote_address=address("10.0.0.1"))),
        raw(request(2, pod=2, line=b"GET /a?b=c", span_id=b"3" * 8, remote_address=address("10.0.0.1"))),
        raw(request(2, pod=3, line=b"GET /a?b=c", span_id=b"4" * 8, remote_address=address("10.0.0.1"))),
    ]
    made = [span.described for span in sorted(spans(*records, known=known), key=lambda span: span.span_id)]
    assert [(one.name, one.attributes.get("url.query"), one.attributes.get("url.full")) for one in made] == [
        ("server:productpage->details", None, None),
        ("server:details-5f-abc->productpage-7d4-x2x", "b=c", None),
        ("client:details-5f-abc->productpage-7d4-x2x", None, "http://10.0.0.1:40000/a?b=c"),
        ("GET", None, "http://10.0.0.1:40000/a"),
    ]


def test_http_names() -> None:
    style = facts(SpanChoice(NamingStyle.HTTP))
    names = [
        span.described.name
        for span in spans(raw(request()), raw(request(2, b"POST /a")), raw(request(1, b"FOO /", span_id=b"f" * 8)), known=style)
    ]
    assert names == ["GET", "POST", "HTTP"]


def test_an_address_that_two_pods_share_names_neither() -> None:
    twin = Pod("twin", "default", "u-4", "node-1", addresses=(ip_address("10.0.0.3"),))
    known = make_facts(Inventory((LONE, twin)), {1: Traced(PRODUCT)}, {}, 0)
    assert spans(raw(request(remote_address=address("10.0.0.3"))), known=known)[0].described.name == "server:productpage->NONE"


def test_a_port_of_a_node_is_the_service_behind_it() -> None:
    """For who asks; whoever comes from a node's address may be anybody. Nor does another address stand for a service by its port."""
    inventory = Inventory(
        (LONE,), node_ports={30080: "details-nodeport"}, nodes=frozenset({ip_address("10.0.0.50"), ip_address("10.0.0.3")})
    )
    known = make_facts(inventory, {1: Traced(PRODUCT)}, {}, 0)

    def name(role: int, where: str, port: int) -> str:
        (made,) = spans(raw(request(role, remote_address=address(where), remote_port=port)), known=known)
        return made.described.name

    assert name(2, "10.0.0.50", 30080) == "client:productpage->details-nodeport"
    assert name(2, "10.0.0.50", 30081) == "client:productpage->NONE"
    assert name(2, "10.0.0.51", 30080) == "client:productpage->NONE"
    assert name(2, "10.0.0.3", 30080) == "client:productpage->lone"
    assert name(1, "10.0.0.50", 30080) == "server:productpage->NONE"


def test_who_asks_through_a_node_is_known_by_the_identifier_of_its_span() -> None:
    """It must name a pod and a node, and in what an identifier says of addresses no other pod may be like that one."""
    twins = [Pod(name, "default", name, "node-1", addresses=(ip_address(where),)) for name, where in (("a", "10.1.0.4"), ("b", "10.2.0.4"))]
    inventory = Inventory((LONE, PRODUCT, DETAILS, *twins), nodes=frozenset({ip_address("10.0.0.50")}))
    known = make_facts(inventory, {1: Traced(DETAILS)}, {}, 0)

    def name(source: str, destination: str, remote: str = "10.0.0.50", role: int = 1) -> str:
        asked_under = SpanIdentifier(low_bytes(ip_address(source)), low_bytes(ip_address(destination)), 7).pack()
        (made,) = spans(raw(request(role, remote_address=address(remote), parent_id=asked_under)), known=known)
        return made.described.name

    assert name("10.0.0.1", "10.0.0.50") == "server:details->productpage"
    assert name("10.0.0.3", "10.0.0.50") == "server:details->lone"
    assert name("10.0.0.1", "10.0.0.50") == "server:details->productpage"
    assert name("10.0.0.1", "10.0.0.51") == "server:details->NONE"
    assert name("10.0.0.9", "10.0.0.50") == "server:details->NONE"
    assert name("10.1.0.4", "10.0.0.50") == "server:details->NONE"
    assert name("10.0.0.1", "10.0.0.50", remote="10.0.0.3") == "server:details->lone"
    assert name("10.0.0.1", "10.0.0.50", role=2) == "client:details->NONE"
    (first,) = spans(raw(request(remote_address=address("10.0.0.50"))), known=known)
    assert first.described.name == "server:details->NONE"


def test_no_parent_is_none_and_a_function_without_one_belongs_to_its_request() -> None:
    made = spans(raw(request()), raw(function(parent_id=bytes(8))))
    assert {span.span_id: span.parent_id for span in made} == {SERVER: None, b"function": SERVER}


def test_losses_are_counted_and_spans_kept() -> None:
    batch = [b"junk", raw(request(pod=7)), raw(function(function=9)), raw(function(span_id=b"f" * 8, arguments=b"\1\0"))]
    state, first = assemble(Holding(), batch, DECODE, facts(), now_ns=0)
    assert first.counts == {
        "records": 3,
        "records_undecoded": 1,
        "spans": 2,
        "requests_not_held": 0,
        "spans_of_unknown_pods": 0,
        "spans_of_unknown_functions": 1,
        "arguments_missing": 2,
    }
    assert set(first.counts) <= {row.name for row in AGENT_METRICS}
    assert first.spans[0].described.name == "function 9"
    state, last = drain(state, facts())
    assert (last.counts["spans"], last.counts["spans_of_unknown_pods"]) == (1, 1)
    assert last.spans[0].described.name == "server:unknown->details"
    assert last.spans[0].described.resource == {"host.name": "n1", "service.name": "unknown_service"}
    assert state == Holding()


def test_resource_of_a_deployments_pod() -> None:
    assert pod_resource(PRODUCT, {"host.name": "n1"}) == {
        "host.name": "n1",
        "k8s.pod.name": "productpage-7d4-x2x",
        "k8s.namespace.name": "bookinfo",
        "k8s.pod.uid": "u-1",
        "k8s.node.name": "node-1",
        "k8s.deployment.name": "productpage",
        "k8s.container.name": "app",
        "service.name": "productpage",
        "service.namespace": "bookinfo",
        "service.instance.id": "bookinfo.productpage-7d4-x2x.app",
    }


def test_labels_are_attributes_where_they_are_chosen_and_there() -> None:
    labels = {"app": "web", "shop.test/tier": "", "secret": "x"}
    pod = Pod("p", "n", "u", "", labels=labels)
    assert pod_resource(pod, {}, ("app", "shop.test/tier", "absent")) == pod_resource(pod, {}) | {
        "k8s.pod.label.app": "web",
        "k8s.pod.label.shop.test/tier": "",
    }
    known = make_facts(Inventory(), {1: Traced(pod), 2: Traced(pod, SpanChoice(pod_labels=("app",)))}, {}, 0)
    assert [own.resource.get("k8s.pod.label.app") for own in known.own.values()] == [None, "web"]


def test_spans_are_those_of_the_container_whose_cgroup_it_is() -> None:
    pod = Pod("p", "n", "u", "", "/kubepods/podu", containers=("app", "proxy"), runs={"aa": Run("app", 0), "bb": Run("proxy", 3)})
    folders = {("/kubepods/podu", 11): "aa", ("/kubepods/podu", 12): "bb", ("/kubepods/podu", 13): "bb", ("/kubepods/podu", 14): "cc"}
    asked: list[tuple[str, int]] = []

    def find(of: str, cgroup: int) -> str:
        asked.append((of, cgroup))
        return folders.get((of, cgroup), "")

    known = make_facts(Inventory(), {1: Traced(pod)}, {}, 0, find_run=find)
    records = [raw(request(cgroup=number, tid=tid, span_id=bytes([number, tid] * 4))) for number in (11, 12, 13, 14, 15) for tid in (1, 2)]
    calls = [raw(function(cgroup=12)), raw(function(cgroup=15, span_id=b"f" * 8)), raw(request(pod=7, cgroup=11))]
    made = {span.span_id: span.described.resource for span in spans(*records, *calls, known=known)}
    whole = pod_resource(pod, {})
    app = pod_resource(pod, {}, run=Run("app", 0))
    proxy = pod_resource(pod, {}, run=Run("proxy", 3))
    assert whole == {
        "k8s.pod.name": "p",
        "k8s.namespace.name": "n",
        "k8s.pod.uid": "u",
        "service.name": "p",
        "service.namespace": "n",
        "service.instance.id": "n.p",
    }
    assert app == whole | {"k8s.container.name": "app", "k8s.container.restart_count": 0, "service.instance.id": "n.p.app"}
    assert proxy == whole | {"k8s.container.name": "proxy", "k8s.container.restart_count": 3, "service.instance.id": "n.p.proxy"}
    for tid in (1, 2):
        assert [made[bytes([number, tid] * 4)] for number in (11, 12, 13, 14, 15)] == [app, proxy, proxy, whole, whole]
    assert made[bytes([12, 1] * 4)] is made[bytes([13, 2] * 4)] is made[b"function"], "one group for the exporter"
    assert made[b"f" * 8] == whole
    assert made[SERVER] == {"service.name": "unknown_service"}
    assert sorted(asked) == [("/kubepods/podu", number) for number in (11, 12, 13, 14, 15)]


@pytest.mark.parametrize(
    ("maker", "workload", "attributes", "service"),
    [
        (
            Workload("ReplicaSet", "web-5d8", "r1"),
            Workload("Deployment", "web"),
            {"k8s.deployment.name": "web", "k8s.replicaset.name": "web-5d8", "k8s.replicaset.uid": "r1"},
            "web",
        ),
        (Workload("ReplicaSet", "web", "r1"), None, {"k8s.replicaset.name": "web", "k8s.replicaset.uid": "r1"}, "web"),
        (Workload("StatefulSet", "db", "s1"), None, {"k8s.statefulset.name": "db", "k8s.statefulset.uid": "s1"}, "db"),
        (Workload("DaemonSet", "log", "d1"), None, {"k8s.daemonset.name": "log", "k8s.daemonset.uid": "d1"}, "log"),
        (Workload("Job", "once", "j1"), None, {"k8s.job.name": "once", "k8s.job.uid": "j1"}, "once"),
        (
            Workload("Job", "mail-29401320", "j1"),
            Workload("CronJob", "mail"),
            {"k8s.cronjob.name": "mail", "k8s.job.name": "mail-29401320", "k8s.job.uid": "j1"},
            "mail",
        ),
        # No kind of those that name a service, by the conventions.
        (
            Workload("ReplicationController", "old", "c1"),
            None,
            {"k8s.replicationcontroller.name": "old", "k8s.replicationcontroller.uid": "c1"},
            "p",
        ),
        (Workload("CloneSet", "clones", "c1"), None, {}, "p"),
        (None, None, {}, "p"),
    ],
)
def test_each_workload_has_its_attributes(
    maker: Workload | None, workload: Workload | None, attributes: dict[str, str], service: str
) -> None:
    made = pod_resource(Pod("p", "n", "u", "", workload=workload or maker, maker=maker), {})
    assert made == {
        "k8s.pod.name": "p",
        "k8s.namespace.name": "n",
        "k8s.pod.uid": "u",
        **attributes,
        "service.name": service,
        "service.namespace": "n",
        "service.instance.id": "n.p",
    }


def test_names_are_those_of_workloads_of_any_kind() -> None:
    known = make_facts(Inventory(), {1: Traced(Pod("p", "n", "u", "", workload=Workload("CloneSet", "clones")))}, {}, 0)
    assert spans(raw(request()), known=known)[0].described.name == "server:clones->NONE"


def test_what_a_peer_is_called_whose_workload_is_not_known() -> None:
    peer = Pod("db-0", "n", "u", "", addresses=(ip_address("10.0.0.9"),), workload=Workload("Service", "db"))
    known = make_facts(Inventory((peer,)), {1: Traced(PRODUCT)}, {}, 0)
    (made,) = spans(raw(request(remote_address=address("10.0.0.9"))), known=known)
    assert (made.described.name, made.described.attributes["service.peer.name"]) == ("server:productpage->db", "db")


def test_the_node() -> None:
    assert host_attributes("n1", "x86_64") == {"k8s.node.name": "n1", "host.name": "n1", "host.arch": "amd64", "os.type": "linux"}
    assert [host_attributes("n1", machine)["host.arch"] for machine in ("aarch64", "riscv64", "s390x")] == ["arm64", "riscv64", "s390x"]


def test_the_order_in_which_a_service_gets_its_name() -> None:
    labels = {"app.kubernetes.io/name": "by-name", "app.kubernetes.io/instance": "by-instance", "app.kubernetes.io/version": "7"}
    annotations = {
        "resource.opentelemetry.io/service.name": "by-annotation",
        "resource.opentelemetry.io/service.version": "9",
        "resource.opentelemetry.io/service.namespace": "team",
        "resource.opentelemetry.io/service.instance.id": "one",
        "resource.opentelemetry.io/deployment.environment.name": "prod",
        "resource.opentelemetry.io/": "nothing",
        "other": "x",
    }

    def named(labels: dict[str, str], annotations: dict[str, str], asked: bool, workload: bool = True) -> dict[str, AttributeValue]:
        owner = Workload("Deployment", "web") if workload else None
        return pod_resource(
            Pod("web-1", "ns", "", "", workload=owner, containers=("a", "b"), labels=labels, annotations=annotations),
            {},
            well_known_labels=asked,
        )

    assert named({}, {}, True, workload=False)["service.name"] == "web-1"
    assert named(labels, {}, False)["service.name"] == "web"
    assert "service.version" not in named(labels, {}, False)
    by_label = named(labels, {}, True)
    assert (by_label["service.name"], by_label["service.version"]) == ("by-instance", "7")
    del labels["app.kubernetes.io/instance"]
    assert named(labels, {}, True)["service.name"] == "by-name"
    assert named(labels, annotations, True) == {
        "k8s.pod.name": "web-1",
        "k8s.namespace.name": "ns",
        "k8s.deployment.name": "web",
        "service.name": "by-annotation",
        "service.version": "9",
        "service.namespace": "team",
        "service.instance.id": "one",
        "deployment.environment.name": "prod",
    }


@pytest.mark.parametrize(
    ("kind", "size", "raw_bytes", "value"),
    [
        ("unsigned", 4, b"\xff\xff\xff\xff", 4_294_967_295),
        ("unsigned", 8, b"\xff" * 8, "18446744073709551615"),
        ("signed", 4, b"\xff\xff\xff\xff", -1),
        ("bool", 1, b"\1", True),
        ("bool", 1, b"\0", False),
        ("string", 8, b"lo\0junk!", "lo"),
        ("string", 4, b"\xffabc", "\\xffabc"),
        ("pointer", 8, b"\x10\xff\0\0\0\0\xff\xff", "0xffff00000000ff10"),
    ],
)
def test_arguments(kind: str, size: int, raw_bytes: bytes, value: AttributeValue) -> None:
    layout = FunctionLayout("f", (ArgumentLayout("x", 0, size, kind),), None, 0)
    assert function_attributes(function(arguments=raw_bytes), layout) == ({"clew.function.argument.x": value}, 0)


@pytest.mark.parametrize(
    ("kind", "size", "returned", "value"),
    [
        ("signed", 4, 0x00000000_FFFFFFF5, -11),
        ("signed", 8, -11, -11),
        ("unsigned", 4, -1, 4_294_967_295),
        ("bool", 1, 0x7F00, False),
        ("bool", 1, 1, True),
        ("pointer", 8, -4096, "0xfffffffffffff000"),
    ],
)
def test_return_values_are_cut_to_their_type(kind: str, size: int, returned: int, value: AttributeValue) -> None:
    made, _ = function_attributes(function(returned=returned), FunctionLayout("f", (), kind, size))
    assert made == {"clew.function.return": value}


@given(
    st.binary(max_size=32),
    st.lists(
        st.builds(
            ArgumentLayout,
            st.just("x"),
            st.integers(0, 40),
            st.integers(1, 16),
            st.sampled_from(["signed", "unsigned", "bool", "string", "pointer", "unheard-of"]),
        )
    ),
)
def test_any_arguments_and_layout(data: bytes, layouts: list[ArgumentLayout]) -> None:
    made, missing = function_attributes(function(arguments=data), FunctionLayout("f", tuple(layouts), None, 0))
    assert missing <= len(layouts)
    assert len(made) == (missing < len(layouts))


@given(st.lists(st.binary(max_size=420)))
def test_any_bytes_at_all(batch: list[bytes]) -> None:
    state, made = assemble(Holding(), batch, DECODE, facts(), now_ns=0)
    assert made.counts["records"] + made.counts["records_undecoded"] == len(batch)
    drain(state, facts())

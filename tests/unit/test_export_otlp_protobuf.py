"""Our OTLP encoder against the JSON form of the same spans, which Protobuf's own library reads: the messages must be equal."""

from clew_agent.export.otlp_protobuf import encode as encode_bytes
from clew_agent.model import AttributeValue, Span, SpanKind
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.unit import made_spans
from tests.unit.otlp_requests import by_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
TIMES = st.integers(0, 2**64 - 1)
VALUES: st.SearchStrategy[AttributeValue] = st.one_of(
    TEXT,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(TEXT, max_size=3),
    st.lists(TEXT, max_size=3).map(tuple),
)
RESOURCES: list[dict[str, AttributeValue]] = [{}, {"service.name": "productpage", "n": 1}, {"service.name": "details", "n": True}]
SPANS = st.builds(
    made_spans.make_span,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_id=st.none() | st.binary(min_size=8, max_size=8),
    name=TEXT,
    kind=st.sampled_from(SpanKind),
    start_ns=TIMES,
    end_ns=TIMES,
    trace_flags=st.integers(0, 3),
    attributes=st.dictionaries(TEXT, VALUES, max_size=20),
    resource=st.sampled_from(RESOURCES),
    error=st.none() | TEXT,
)


def encode(spans: list[Span]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.ParseFromString(encode_bytes(spans))
    return request


@given(st.lists(SPANS, max_size=8))
def test_both_forms_say_the_same(spans: list[Span]) -> None:
    assert encode(spans) == by_json(spans)


def test_values_that_are_equal_and_of_other_types() -> None:
    values: list[AttributeValue] = [1, True, 1.0, 0, False, 0.0, "1"]
    spans = [made_spans.make_span(bytes(16), bytes(8), None, "n", SpanKind.INTERNAL, 1, 2, 1, {"key": value}, {}) for value in values]
    made = [span for group in encode(spans).resource_spans for span in group.scope_spans[0].spans]
    kinds = [span.attributes[0].value.WhichOneof("value") for span in made]
    assert kinds == ["int_value", "bool_value", "double_value", "int_value", "bool_value", "double_value", "string_value"]


def test_spans_that_share_what_they_say_keep_their_own_times_and_identifiers() -> None:
    first = made_spans.make_span(bytes(16), b"a" * 8, None, "n", SpanKind.SERVER, 1, 2, 1, {"key": "value"}, {}, "")
    spans = [first, Span(b"t" * 16, b"b" * 8, b"a" * 8, 3, 4, first.described)]
    assert encode(spans) == by_json(spans)
    assert encode(spans[:1]) == by_json(spans[:1])

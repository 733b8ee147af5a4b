"""The whole way once: two traced services, one calling the other, asked from outside, are one trace."""

import pytest

from tests.kernel.rig import PORT, Rig
from tests.kernel.spans import CLIENT, SERVER
from tests.kernel.wire import added, call_of

pytestmark = pytest.mark.limit(600)


def test_one_trace_over_two_services(rig: Rig) -> None:
    back = rig.service("plain")
    front = rig.service("plain", upstream=back)
    rig.ask(front, "/call/whole")
    root, call, leaf = rig.spans.wait(["whole"], 3)["whole"]
    assert [span.kind for span in (root, call, leaf)] == [SERVER, CLIENT, SERVER]
    assert [span.parent for span in (root, call, leaf)] == ["", root.span, call.span]
    assert len({span.trace for span in (root, call, leaf)}) == 1
    assert [span.pod for span in (root, call, leaf)] == [front.name, front.name, back.name]
    assert [span.name for span in (root, call, leaf)] == [
        f"server:{front.name}->NONE",
        f"client:{front.name}->{back.name}",
        f"server:{back.name}->{front.name}",
    ]
    assert root.attributes["url.path"] == "/call/whole"
    assert call.attributes["url.full"] == f"http://{back.address}:{PORT}/up/whole"
    assert [span.attributes["http.response.status_code"] for span in (root, call, leaf)] == [200, 200, 200]


def test_the_wire_says_what_the_span_says(rig: Rig) -> None:
    rig.ask(rig.service("plain"), "/call/said")
    server, client = rig.spans.wait(["said"], 2)["said"]
    sent = added(call_of("said"), rig.upstream.wait("said"))
    assert (sent.trace, sent.parent, sent.flags, sent.tracestate) == (server.trace, client.span, 1, None)
    assert (client.trace, client.parent, server.parent) == (server.trace, server.span, "")

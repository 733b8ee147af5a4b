"""Hypothesis strategies for HTTP/1: valid heads, nearly valid ones, whole streams, and ways to cut them.

Near-valid input is where readers differ, so it is made by small damage to valid input (a byte changed, dropped, doubled or
cut off) rather than from noise. Used by the twin's own tests and by the comparison with the C.
"""

from dataclasses import dataclass

from hypothesis import strategies as st

METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"M-SEARCH", b"a", b"ABCDEFGHIJKLMNOPQRST"])
TARGETS = st.one_of(
    st.sampled_from([b"/", b"*", b"/a?b=c", b"http://a.example/", b"/traceparent:", b"/\xc3\xa9"]),
    st.binary(min_size=1, max_size=40).map(lambda raw: b"/" + bytes(0x21 + byte % 0x5E for byte in raw)),
)
OWS = st.text(alphabet=" \t", max_size=4).map(str.encode)
HEX = "0123456789abcdef"
MEMBER = st.text(alphabet="abcxyz019_=@ ", min_size=1, max_size=160).map(str.encode)
INTERESTING = b"\r\n\t :,-;=\0\x7f\xff0129afgAFGtTxX"


def _case(name: bytes) -> st.SearchStrategy[bytes]:
    """Vary the case of the name's letters."""
    return st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
        lambda upper: bytes(ord(chr(byte).upper()) if up else byte for byte, up in zip(name, upper, strict=True))
    )


@st.composite
def traceparents(draw: st.DrawFn) -> bytes:
    """Draw a traceparent value: mostly valid, with the edges of the version, the identifiers and the length."""
    version = draw(st.sampled_from(["00", "00", "00", "01", "cc", "fe", "ff", "0", "0G"]))
    trace_id = draw(st.one_of(st.text(HEX, min_size=32, max_size=32), st.sampled_from(["0" * 32, "A" * 32, "1" * 31])))
    parent_id = draw(st.one_of(st.text(HEX, min_size=16, max_size=16), st.sampled_from(["0" * 16, "1" * 17])))
    flags = draw(st.one_of(st.text(HEX, min_size=2, max_size=2), st.sampled_from(["1", "001", "0A"])))
    rest = draw(st.sampled_from(["", "", "", "-", "-x", ".x", "0"]))
    return f"{version}-{trace_id}-{parent_id}-{flags}{rest}".encode()


@st.composite
def tracestates(draw: st.DrawFn) -> bytes:
    """Draw a tracestate value of up to some 1,600 characters, sometimes with empty members or an illegal byte."""
    members = draw(st.lists(st.one_of(MEMBER, st.just(b"")), max_size=10))
    return draw(st.sampled_from([b",", b", ", b" \t,"])).join(members) + draw(st.sampled_from([b"", b"", b"", b"\x01", b"\xff", b"\r"]))


LENGTHS = st.one_of(
    st.integers(0, 10**19).map(lambda n: str(n).encode()), st.sampled_from([b"", b"5", b"5", b"05", b"5, 5", b"+5", b"5 5"])
)
ENCODINGS = st.sampled_from(
    [b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"gzip,chunked", b"chunked, gzip", b"", b"xchunked", b"chunked,"]
)
NAMED = st.one_of(
    st.tuples(_case(b"traceparent"), traceparents()),
    st.tuples(_case(b"traceparent"), traceparents()),
    st.tuples(_case(b"tracestate"), tracestates()),
    st.tuples(_case(b"content-length"), LENGTHS),
    st.tuples(_case(b"transfer-encoding"), ENCODINGS),
    st.tuples(_case(b"upgrade"), st.sampled_from([b"websocket", b"h2c"])),
)
OTHERS = st.tuples(
    st.sampled_from([b"Host", b"X-Traceparent", b"Traceparents", b"Trace", b"Cookie", b"traceparent ", b"content-lengt", b""]),
    st.one_of(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")), traceparents().map(lambda value: b"traceparent: " + value)),
)


@st.composite
def field_lines(draw: st.DrawFn) -> bytes:
    """Draw a field line with its ending: sometimes folded, sometimes ended by a bare LF."""
    name, value = draw(st.one_of(NAMED, NAMED, OTHERS))
    fold = draw(st.sampled_from([b"", b"", b"", b"", b"", b"", b"\r\n b", b"\r\n\t", b"\n "]))
    ending = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    return name + b":" + draw(OWS) + value + draw(OWS) + fold + ending


@st.composite
def heads(draw: st.DrawFn, *, response: bool) -> bytes:
    """Draw a head that is HTTP/1, whatever its fields hold."""
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    if response:
        reason = draw(st.sampled_from([b"", b" ", b" OK", b" Not Found", b" \xe9"]))
        start = version + b" " + str(draw(st.integers(100, 599))).encode() + reason
    else:
        start = draw(METHODS) + b" " + draw(TARGETS) + b" " + version
    fields = draw(st.lists(field_lines(), max_size=6))
    return start + b"\r\n" + b"".join(fields) + draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r", b"\n"]))


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Draw `valid` input with up to three small damages."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["change", "insert", "drop", "cut"])):
            case "change":
                data[at : at + 1] = bytes([draw(st.sampled_from(INTERESTING))])
            case "insert":
                data[at:at] = bytes([draw(st.sampled_from(INTERESTING))])
            case "drop":
                del data[at : at + 1]
            case _:
                del data[at:]
    return bytes(data)


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction's bytes, and where its messages begin, their heads end, and they end."""

    data: bytes
    messages: list[tuple[int, int, int]]


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """Draw a chunked body with extensions and trailers."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    extension = st.sampled_from([b"", b"", b";x", b';name="a;b"'])
    body = b"".join(
        b"%s%x%s\r\n%s\r\n" % (draw(st.sampled_from([b"", b"0", b"00"])), len(chunk), draw(extension), chunk) for chunk in chunks
    )
    trailers = draw(st.lists(st.sampled_from([b"Traceparent: x\r\n", b"A: b\r\n", b"Content-Length: 9\r\n"]), max_size=2))
    return body + b"0" + draw(extension) + b"\r\n" + b"".join(trailers) + b"\r\n"


@st.composite
def streams(draw: st.DrawFn, *, response: bool) -> Stream:
    """Draw a stream of one to five messages (requests, or responses to GET) with bodies, that can be framed to its end."""
    data, messages = b"", []
    for _ in range(draw(st.integers(1, 5))):
        start = b"HTTP/1.1 200 OK\r\n" if response else b"POST " + draw(TARGETS) + b" HTTP/1.1\r\n"
        others = draw(st.lists(st.sampled_from([b"Host: a\r\n", b"X: traceparent: y\r\n", b"Traceparent: z\r\n", b"A: \r\n"]), max_size=3))
        if draw(st.booleans()):
            body, framing = draw(chunked_bodies()), b"Transfer-Encoding: chunked\r\n"
        else:
            body = draw(st.one_of(st.binary(max_size=60), st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n0\r\n\r\n"])))
            framing = b"Content-Length: %d\r\n" % len(body)
        head = start + b"".join(draw(st.permutations([*others, framing]))) + b"\r\n"
        messages.append((len(data), len(data) + len(head), len(data) + len(head) + len(body)))
        data += head + body
    return Stream(data, messages)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw a way to cut `data` into writes: anything from one to a byte each."""
    if draw(st.booleans()) and draw(st.booleans()):
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[left:right] for left, right in zip([0, *places], [*places, len(data)], strict=True)]

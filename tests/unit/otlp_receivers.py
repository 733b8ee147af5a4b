"""Real OTLP receivers on loopback, which decode what they get and answer as they are told."""

from __future__ import annotations

import gzip
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc  # type: ignore[import-untyped]  # ships no types
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceServicer, add_TraceServiceServicer_to_server


@dataclass(frozen=True)
class Answer:
    """What a receiver says: an HTTP status or gRPC status name, when to come again, and how many spans it does not want."""

    status: int | str = 200
    retry_after: str | None = None
    rejected: int = 0


@dataclass
class Received:
    """What a receiver got, and the answers that it still has to give; afterwards it accepts."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, Mapping[str, str], ExportTraceServiceRequest]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    hold: threading.Event | None = None

    def take(self, path: str, headers: Mapping[str, str], request: ExportTraceServiceRequest) -> Answer:
        with self.arrived:
            self.requests.append((path, headers, request))
            answer = self.answers.pop(0) if self.answers else Answer()
            self.arrived.notify_all()
        if self.hold is not None:
            self.hold.wait(10)
        return answer

    def wait(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, 15), f"{len(self.requests)} of {count} requests came"

    def names(self) -> list[str]:
        with self.arrived:
            return [
                span.name
                for _, _, request in self.requests
                for group in request.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ]


def response_to(answer: Answer) -> ExportTraceServiceResponse:
    response = ExportTraceServiceResponse()
    if answer.rejected:
        response.partial_success.rejected_spans = answer.rejected
        response.partial_success.error_message = "too old"
    return response


@contextmanager
def http_receiver(received: Received, port: int = 0, tls: tuple[str, str] | None = None) -> Iterator[int]:
    """An OTLP/HTTP receiver; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            unpack: dict[str | None, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}
            body = unpack.get(self.headers["Content-Encoding"], bytes)(body)
            headers = {key.lower(): value for key, value in self.headers.items()}
            answer = received.take(self.path, headers, ExportTraceServiceRequest.FromString(body))
            content = bytes(response_to(answer).SerializeToString())
            self.send_response(int(answer.status))
            if answer.retry_after is not None:
                self.send_header("Retry-After", answer.retry_after)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_receiver(received: Received, port: int = 0, tls: tuple[bytes, bytes] | None = None) -> Iterator[int]:
    """An OTLP/gRPC receiver; gives its port."""

    class Service(TraceServiceServicer):
        def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 (gRPC's name)
            headers = dict(context.invocation_metadata())
            answer = received.take(context.peer(), headers, request)
            if isinstance(answer.status, str):
                if answer.retry_after is not None:
                    delay = RetryInfo()
                    delay.retry_delay.FromMilliseconds(int(float(answer.retry_after) * 1000))
                    context.set_trailing_metadata((("google.rpc.retryinfo-bin", delay.SerializeToString()),))
                context.abort(grpc.StatusCode[answer.status], "as told")
            return response_to(answer)

    server = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
    add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
    where = f"127.0.0.1:{port}"
    bound = server.add_insecure_port(where) if tls is None else server.add_secure_port(where, grpc.ssl_server_credentials([tls]))
    server.start()
    try:
        yield bound
    finally:
        server.stop(0).wait()

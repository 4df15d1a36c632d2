"""A receiver of OpenTelemetry's protocol over HTTP, in a thread: it decodes each request, answers as a collector does,
and keeps the spans."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.integration.peers.waiting import LOOPBACK, free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """One span, with what its resource says."""

    name: str
    kind: int
    """2: server, 3: client."""
    trace: bytes
    id: bytes
    parent: bytes
    """Empty for a root."""
    start: int
    end: int
    """Nanoseconds since 1970."""
    attributes: dict[str, Any]
    is_error: bool
    description: str
    resource: dict[str, Any]


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def _mapping(pairs: "list[KeyValue] | Any") -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


class OtlpReceiver:
    """Takes `POST /v1/traces`; leaving the with block ends it."""

    def __init__(self) -> None:
        self.bodies: Final[list[bytes]] = []
        """Every request as it came, decompressed."""
        self.headers: Final[list[dict[str, str]]] = []
        self._lock: Final = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                is_ours = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                if is_ours:
                    ExportTraceServiceRequest.FromString(body)  # raises where it is none
                    with receiver._lock:
                        receiver.bodies.append(body)
                        receiver.headers.append({name.lower(): text for name, text in self.headers.items()})
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if is_ours else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.port: Final = free_port()
        self._server: Final = ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        self._server.daemon_threads = True
        self._thread: Final = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def spans(self) -> list[ReceivedSpan]:
        """All that came, in no particular order."""
        with self._lock:
            bodies = list(self.bodies)
        return [
            ReceivedSpan(
                name=span.name,
                kind=span.kind,
                trace=span.trace_id,
                id=span.span_id,
                parent=span.parent_span_id,
                start=span.start_time_unix_nano,
                end=span.end_time_unix_nano,
                attributes=_mapping(span.attributes),
                is_error=span.status.code == 2,
                description=span.status.message,
                resource=_mapping(resource.resource.attributes),
            )
            for body in bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def forget(self) -> None:
        with self._lock:
            self.bodies.clear()
            self.headers.clear()

    def __enter__(self) -> "OtlpReceiver":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

"""Traces: a span for each association, with a child span for each DIMSE operation in it, for OpenTelemetry.

The only module that knows OpenTelemetry, which is an extra and is loaded only where it is turned on. Both proxies'
spans of an association are of one trace: the acceptor side's context goes with the open of the session. Nothing of a
data set is told, and no association waits for a trace: spans go to a queue of the SDK, which drops what it cannot hold.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from dimse_proxy import __version__
from dimse_proxy.dimse.status import StatusClass, status_name
from dimse_proxy.dimse.tracking import MessageSeen, RequestInProgress
from dimse_proxy.dimse.uids import uid_name
from dimse_proxy.errors import ConfigError
from dimse_proxy.observability.association_log import services_in_words
from dimse_proxy.observability.flood import Flood
from dimse_proxy.observability.listener import Listener
from dimse_proxy.proxy.hooks import AssociationRecord, Ending, Refusal, Side
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult

MOST_OPERATIONS: Final = 128
"""Child spans of one association; and as many again of operations that did not succeed. The SDK has the same number for
the events of a span."""
LAST_SPANS: Final = 3.0
"""Seconds that the last spans have to leave at the end of the process."""
COMPLAINTS: Final = 60.0
"""Seconds between two lines about spans that cannot be delivered."""
LONGEST_TEXT: Final = 1000
"""Characters of an attribute."""
PROTOCOL: Final = "http/protobuf"
_PROTOCOL_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LOGGER: Final = "opentelemetry"

log: Final = logging.getLogger(__name__)
_propagator: Final = TraceContextTextMapPropagator()

Attributes = dict[str, AttributeValue]


@dataclass(slots=True, kw_only=True)
class _Traced:
    """One association that is not over."""

    span: Span
    context: Context
    """With that span as the parent."""
    offset: int
    """Nanoseconds from the process's monotonic clock to the time since 1970, at the beginning."""
    left: int = MOST_OPERATIONS
    """Child spans that there may still be."""
    left_bad: int = MOST_OPERATIONS
    """And of operations without success, beyond those."""
    left_out: int = 0
    """Operations without a span."""

    def stamp(self, seconds: float) -> int:
        """Return nanoseconds since 1970."""
        return self.offset + int(seconds * 1e9)

    def takes(self, *, is_bad: bool) -> bool:
        """Tell whether there is one more child span, and count it."""
        if self.left:
            self.left -= 1
        elif is_bad and self.left_bad:
            self.left_bad -= 1
        else:
            self.left_out += 1
            return False
        return True


class Traces(Listener):
    """Tells the associations of one process to a tracer."""

    def __init__(
        self,
        tracer: Tracer,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], int],
        shutdown: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with nothing.

        Args:
            tracer: makes spans.
            clock: seconds, that of `AssociationRecord.started`.
            wall_clock: nanoseconds since 1970.
            shutdown: delivers the last spans; may take its time.
        """
        self._tracer: Final = tracer
        self._clock: Final = clock
        self._wall_clock: Final = wall_clock
        self._shutdown: Final = shutdown
        self._traced: Final[dict[int, _Traced]] = {}

    async def close(self) -> None:
        """Deliver the last spans, within `LAST_SPANS`; the thread that cannot does not hold the process up."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def finish() -> None:
            self._shutdown()
            with suppress(RuntimeError):  # the loop is over: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=finish, name="last spans", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), LAST_SPANS)
        except TimeoutError:
            log.warning("the last traces could not be delivered within %g s", LAST_SPANS)

    # `proxy.hooks.Observer`

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """Begin a span: of a new trace at the acceptor side, of the acceptor side's at the requestor side."""
        self._begin(record)

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        """Note what was agreed on."""
        span = self._begin(record).span
        if record.established is not None:
            span.set_attribute("dicom.establishment_seconds", record.established - record.started)
        accepted = {result.context_id for result in accept.presentation_contexts if not result.result}
        proposed = request.presentation_contexts
        uids = dict.fromkeys(context.abstract_syntax for context in proposed if context.context_id in accepted)
        span.set_attribute("dicom.sop_class_uids", tuple(map(_told, uids)))

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """End the span; who was refused has no operations."""
        traced = self._begin(record)
        traced.span.set_attributes(
            {
                "dicom.reject.result": refusal.result,
                "dicom.reject.source": refusal.source,
                "dicom.reject.reason": refusal.reason,
            }
        )
        self._fail(traced.span, str(refusal.code), f"refused: {refusal.cause}")
        self._end(record, traced, self._clock())

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """Make a span of an operation once its final response has passed."""
        request, command, kind = message.request, message.command, message.status_class
        if request is None or kind is None:
            return
        traced = self._traced.get(id(record))
        if kind is StatusClass.PENDING or traced is None or not traced.span.is_recording():
            return
        if not traced.takes(is_bad=kind is not StatusClass.SUCCESS):
            return
        span = self._operation(record, traced, request)
        span.set_attribute("dicom.status_class", kind.value)
        if command.status is None:
            self._fail(span, "no-status", "a response without a status")
        else:
            code = f"{command.status:04X}H"
            span.set_attribute("rpc.response.status_code", code)
            if kind is StatusClass.FAILURE:
                self._fail(span, code, f"{code} {status_name(command.status)}")
        span.end(traced.stamp(self._clock()))

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """End the span, with all that was counted."""
        traced = self._begin(record)
        span, end = traced.span, record.started + ending.duration
        for request in ending.unanswered:
            if span.is_recording() and traced.takes(is_bad=True):
                operation = self._operation(record, traced, request)
                self._fail(operation, "unanswered", "no response before the association was over")
                operation.end(traced.stamp(end))
        span.set_attributes(
            {
                "dicom.outcome": _told(ending.outcome),
                "dicom.operations": tuple(services_in_words(ending.services)),
                "dicom.operations.without_span": traced.left_out,
                "dicom.p_data.bytes_from_requestor": record.bytes_from_requestor,
                "dicom.p_data.bytes_from_acceptor": record.bytes_from_acceptor,
            }
        )
        if not ending.is_released:
            self._fail(span, str(ending.cause), ending.outcome)
        self._end(record, traced, end)

    # Inside.

    def _begin(self, record: AssociationRecord) -> _Traced:
        traced = self._traced.get(id(record))
        if traced is not None:
            return traced
        is_acceptor = record.side is Side.ACCEPTOR
        offset = self._wall_clock() - int(self._clock() * 1e9)
        span = self._tracer.start_span(
            "DICOM association",
            context=Context() if is_acceptor else _propagator.extract(record.carried, Context()),
            kind=SpanKind.SERVER if is_acceptor else SpanKind.CLIENT,
            attributes=_described(record),
            start_time=offset + int(record.started * 1e9),
        )
        context = set_span_in_context(span, Context())
        if is_acceptor:
            _propagator.inject(record.carried, context)
        traced = self._traced[id(record)] = _Traced(span=span, context=context, offset=offset)
        return traced

    def _operation(self, record: AssociationRecord, traced: _Traced, request: RequestInProgress) -> Span:
        is_from_end_point = request.from_requestor is (record.side is Side.ACCEPTOR)
        attributes: Attributes = {
            "rpc.system.name": "dicom",
            "rpc.method": request.service,
            "dicom.sop_class_uid": _told(request.sop_class_uid),
            "dicom.sop_class": _told(uid_name(request.sop_class_uid)),
            "dicom.message_id": request.message_id,
            "dicom.request.data_set_bytes": request.data_set_length,
        }
        return self._tracer.start_span(
            request.service,
            context=traced.context,
            kind=SpanKind.SERVER if is_from_end_point else SpanKind.CLIENT,
            attributes=attributes,
            start_time=traced.stamp(request.begun),
        )

    def _end(self, record: AssociationRecord, traced: _Traced, end: float) -> None:
        del self._traced[id(record)]
        # Known only now: where it goes, and the session's name in the logs of both sides.
        traced.span.set_attributes({"dicom.session": record.session, "dicom.target": _told(record.target)})
        traced.span.end(traced.stamp(end))

    @staticmethod
    def _fail(span: Span, error_type: str, text: str) -> None:
        span.set_attribute("error.type", error_type)
        span.set_status(Status(StatusCode.ERROR, _told(text)))


class _Complaints(logging.Handler):
    """What the SDK and the exporter say: a line a minute, by this module's own logger."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._flood: Final = Flood(COMPLAINTS)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on, or count it."""
        left_out = self._flood.left_out()
        if left_out is not None:
            more = f" ({left_out} lines were left out before)" if left_out else ""
            log.warning("OpenTelemetry, which no association waits for: %s%s", record.getMessage(), more)


def open_traces(*, instance: str, channel: str, clock: Callable[[], float], wall_clock: Callable[[], int]) -> Traces:
    """Make the SDK's parts, as its own variables (`OTEL_...`) want them.

    Args:
        instance: name of this process.
        channel: its channel.
        clock: seconds, that of `AssociationRecord.started`.
        wall_clock: nanoseconds since 1970.

    Raises:
        ConfigError: one of those variables is wrong.
    """
    for variable in _PROTOCOL_VARIABLES:
        protocol = os.environ.get(variable, "").strip().lower()
        if protocol not in ("", PROTOCOL):
            raise ConfigError([f"{variable}={protocol} (environment): traces go by {PROTOCOL} only."])
    logger = logging.getLogger(_LOGGER)
    logger.propagate = False
    logger.handlers = [_Complaints()]
    try:
        provider = TracerProvider(resource=_resource(instance, channel), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, OSError) as error:
        raise ConfigError([f"OpenTelemetry cannot use what its variables (OTEL_...) say: {error}"]) from error
    tracer = provider.get_tracer("dimse_proxy", __version__)
    return Traces(tracer, clock=clock, wall_clock=wall_clock, shutdown=provider.shutdown)


def _resource(instance: str, channel: str) -> Resource:
    """Return who tells: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is known here."""
    own: Attributes = {
        SERVICE_NAME: "dimse-proxy",
        SERVICE_VERSION: __version__,
        SERVICE_INSTANCE_ID: instance,
        "dimse.channel": channel,
    }
    return Resource.create(own).merge(OTELResourceDetector().detect())


def _described(record: AssociationRecord) -> Attributes:
    attributes: Attributes = {
        "rpc.system.name": "dicom",
        "dicom.side": str(record.side),
        "dicom.calling_ae_title": _told(record.calling),
        "dicom.called_ae_title": _told(record.called),
    }
    attributes |= _address("client", record.peer)
    if record.side is Side.REQUESTOR:
        attributes |= _address("server", record.target.rpartition("@")[2])
    return attributes


def _address(of: str, text: str) -> Attributes:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and len(port) <= 5):
        return {}
    return {f"{of}.address": _told(host.strip("[]")), f"{of}.port": int(port)}


def _told(text: str) -> str:
    """Return a text of a peer as it may be sent: not longer than in the log, and what UTF-8 has."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")

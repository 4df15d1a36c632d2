"""What is told to OpenTelemetry of an association, through its own SDK and an exporter that keeps all in memory."""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from dimse_proxy.config.settings import review_settings
from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.status import StatusClass, status_class
from dimse_proxy.dimse.tracking import MessageSeen, RequestInProgress
from dimse_proxy.errors import ConfigError
from dimse_proxy.observability import traces as module
from dimse_proxy.observability.traces import LONGEST_TEXT, MOST_OPERATIONS, Traces, open_traces
from dimse_proxy.proxy.hooks import AssociationRecord, EndCause, Side
from tests.unit.observability.watching import (
    ACCEPT,
    NO_STATUS,
    REQUEST,
    STORE_RQ,
    command,
    ending,
    message,
    record,
    refusal,
)

STARTED = 100.0
SINCE_1970 = 1_700_000_000 * 10**9
CT = "1.2.840.10008.5.1.4.1.1.2"
SUCCESS, FAILURE, PENDING, WARNING = (
    command(t0100=b"\x01\x80", t0120=b"\7\0", t0800=b"\1\1", t0900=status)
    for status in (b"\0\0", b"\0\xa7", b"\0\xff", b"\0\xb0")
)


class Stage:
    """One process's traces, at a time that the test sets."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.now = STARTED
        self._exporter = InMemorySpanExporter()
        provider = provider or TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = Traces(
            provider.get_tracer("test"),
            clock=lambda: self.now,
            wall_clock=lambda: SINCE_1970 + int(self.now * 1e9),
        )

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def ask(self, side: Side = Side.ACCEPTOR, **values: object) -> AssociationRecord:
        asked = record(side, **values)
        self.traces.association_requested(asked, REQUEST)
        return asked

    def operation(self, asked: AssociationRecord, response: CommandSet = SUCCESS, **values: object) -> None:
        self.traces.message_seen(asked, message(STORE_RQ, from_requestor=True, length=9))
        self.traces.message_seen(asked, answer(response, **values))


def in_progress(**values: object) -> RequestInProgress:
    known: dict[str, object] = {
        "from_requestor": True,
        "context_id": 1,
        "service": "C-STORE",
        "message_id": 7,
        "sop_class_uid": CT,
        "begun": STARTED + 1,
        "since": STARTED + 1.5,
        "data_set_length": 512,
    }
    return RequestInProgress(**(known | values))  # type: ignore[arg-type]


def answer(response: CommandSet, **values: object) -> MessageSeen:
    request = in_progress(**values)
    return MessageSeen(
        from_requestor=not request.from_requestor,
        context_id=1,
        abstract_syntax=CT,
        service=request.service,
        command=response,
        status_class=StatusClass.FAILURE if response.status is None else status_class(response.status),
        data_set_length=0,
        duration=0.5,
        request=request,
    )


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_one_association_with_one_operation() -> None:
    stage = Stage()
    asked = stage.ask(established=STARTED + 0.25, session="abc", target="B", bytes_from_requestor=900)
    stage.traces.association_accepted(asked, ACCEPT, REQUEST, ())
    stage.now = STARTED + 2
    stage.operation(asked)
    stage.traces.association_ended(asked, ending(duration=3.0))
    operation, association = stage.spans
    assert (association.name, association.kind, association.parent) == ("DICOM association", SpanKind.SERVER, None)
    assert association.start_time == SINCE_1970 + 100 * 10**9
    assert association.end_time == SINCE_1970 + 103 * 10**9
    assert association.status.status_code is StatusCode.UNSET
    told = attributes(association)
    assert told["dicom.calling_ae_title"] == "CT1"
    assert told["dicom.called_ae_title"] == "INGESTION"
    assert (told["client.address"], told["client.port"]) == ("10.0.0.7", 4000)
    assert told["dicom.establishment_seconds"] == 0.25
    assert told["dicom.sop_class_uids"]
    assert told["dicom.session"] == "abc"
    assert told["dicom.outcome"] == "released"
    assert told["dicom.p_data.bytes_from_requestor"] == 900
    assert told["dicom.operations.without_span"] == 0
    assert "server.address" not in told
    assert (operation.name, operation.kind) == ("C-STORE", SpanKind.SERVER)
    assert operation.parent == association.get_span_context()
    assert operation.start_time == SINCE_1970 + 101 * 10**9
    assert operation.end_time == SINCE_1970 + 102 * 10**9
    assert attributes(operation) == {
        "rpc.system.name": "dicom",
        "rpc.method": "C-STORE",
        "rpc.response.status_code": "0000H",
        "dicom.status_class": "success",
        "dicom.sop_class_uid": CT,
        "dicom.sop_class": "CT Image Storage",
        "dicom.message_id": 7,
        "dicom.request.data_set_bytes": 512,
    }


def test_both_sides_are_one_trace() -> None:
    near, far = Stage(), Stage()
    asked = near.ask()
    assert set(asked.carried) == {"traceparent"}
    theirs = far.ask(Side.REQUESTOR, carried={**asked.carried, "called": "PACS"}, target="PACS@[fd00::1]:104")
    far.operation(theirs)
    far.traces.association_ended(theirs, ending())
    near.traces.association_ended(asked, ending())
    (association,) = near.spans
    operation, other = far.spans
    assert other.parent is not None
    assert association.context is not None
    assert other.parent.span_id == association.context.span_id
    assert {span.context.trace_id for span in (operation, other) if span.context} == {association.context.trace_id}
    assert (other.kind, operation.kind) == (SpanKind.CLIENT, SpanKind.CLIENT)
    assert (attributes(other)["server.address"], attributes(other)["server.port"]) == ("fd00::1", 104)


@pytest.mark.parametrize("carried", [{}, {"traceparent": "nonsense"}, {"traceparent": "00-" + "0" * 32 + "-1-01"}])
def test_without_the_other_side_s_context_it_is_a_trace_of_its_own(carried: dict[str, str]) -> None:
    stage = Stage()
    theirs = stage.ask(Side.REQUESTOR, carried=carried)
    stage.traces.association_ended(theirs, ending())
    assert stage.spans[0].parent is None


def test_what_the_acceptor_side_does_not_sample_the_requestor_side_does_not() -> None:
    near, far = Stage(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)), Stage()
    asked = near.ask()
    assert int(asked.carried["traceparent"][-2:], 16) & 1 == 0
    theirs = far.ask(Side.REQUESTOR, carried=asked.carried)
    for stage, each in ((near, asked), (far, theirs)):
        stage.operation(each)
        stage.traces.association_ended(each, ending())
        assert stage.spans == ()


def test_refused_before_anything_else_was_told() -> None:
    stage = Stage()
    asked = record()
    stage.now += 1
    stage.traces.association_refused(asked, refusal("target-unreachable", cause="connection refused"))
    (span,) = stage.spans
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "refused: connection refused"
    told = attributes(span)
    assert told["error.type"] == "target-unreachable"
    assert (told["dicom.reject.result"], told["dicom.reject.source"], told["dicom.reject.reason"]) == (2, 3, 2)
    assert span.end_time == SINCE_1970 + 101 * 10**9


def test_how_operations_end() -> None:
    stage = Stage()
    asked = stage.ask()
    for response in (PENDING, SUCCESS, WARNING, FAILURE, NO_STATUS):
        stage.operation(asked, response)
    stage.traces.message_seen(asked, message(SUCCESS, from_requestor=False))  # it answers nothing
    stage.traces.message_seen(record(), answer(SUCCESS))  # of an association that nobody asked for
    codes = [
        (span.status.status_code, span.status.description, attributes(span).get("error.type")) for span in stage.spans
    ]
    assert codes[:2] == [(StatusCode.UNSET, None, None)] * 2
    assert codes[2][0] is StatusCode.ERROR
    assert str(codes[2][1]).startswith("A700H ")
    assert codes[2][2] == "A700H"
    assert codes[3] == (StatusCode.ERROR, "a response without a status", "no-status")
    assert len(codes) == 4


def test_who_asked_is_seen_from_the_end_point() -> None:
    stage = Stage()
    asked = stage.ask()
    stage.operation(asked, from_requestor=False, service="N-EVENT-REPORT")
    assert stage.spans[0].kind is SpanKind.CLIENT


def test_what_was_under_way_when_it_ended() -> None:
    stage = Stage()
    asked = stage.ask()
    end = ending(EndCause.END_POINT_LOST, "connection lost", duration=9.0)
    stage.traces.association_ended(asked, replace(end, unanswered=(in_progress(),)))
    operation, association = stage.spans
    assert (operation.status.status_code, attributes(operation)["error.type"]) == (StatusCode.ERROR, "unanswered")
    assert operation.end_time == association.end_time == SINCE_1970 + 109 * 10**9
    assert (association.status.description, attributes(association)["error.type"]) == (
        "connection lost",
        "end-point-lost",
    )


def test_ten_thousand_operations_are_bounded() -> None:
    stage = Stage()
    asked = stage.ask()
    for number in range(10_000):
        stage.operation(asked, FAILURE if number % 10 == 0 else SUCCESS)
    many = tuple(in_progress(message_id=number) for number in range(500))
    stage.traces.association_ended(asked, replace(ending(), unanswered=many))
    assert len(stage.spans) == 2 * MOST_OPERATIONS + 1
    association = stage.spans[-1]
    assert attributes(association)["dicom.operations.without_span"] == 10_000 + 500 - 2 * MOST_OPERATIONS
    bad = [span for span in stage.spans[:-1] if span.status.status_code is StatusCode.ERROR]
    assert len(bad) > MOST_OPERATIONS, "those that did not succeed are not crowded out by those that did"


def test_texts_of_peers_are_short_and_can_be_sent() -> None:
    stage = Stage()
    asked = stage.ask(calling="\ud800" * 2000, peer="no address")
    stage.traces.association_ended(asked, ending())
    told = attributes(stage.spans[0])
    assert told["dicom.calling_ae_title"] == "?" * LONGEST_TEXT
    assert "client.address" not in told


@pytest.fixture
def opentelemetry_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("opentelemetry")
    handlers, propagate = logger.handlers[:], logger.propagate
    yield logger
    logger.handlers, logger.propagate = handlers, propagate


def opened() -> Traces:
    return open_traces(instance="a1", channel="A", clock=lambda: 0.0, wall_clock=count().__next__)


def test_its_own_variables_say_where_to(monkeypatch: pytest.MonkeyPatch, opentelemetry_logger: logging.Logger) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine,site=north")
    told = module._resource("a1", "A").attributes
    assert (told["service.name"], told["service.instance.id"], told["site"]) == ("dimse-proxy", "mine", "north")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "north-proxy")
    assert module._resource("a1", "A").attributes["service.name"] == "north-proxy"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
    ],
)
def test_variables_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, opentelemetry_logger: logging.Logger, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match="OTEL_"):
        opened()


def test_complaints_are_a_line_a_minute(opentelemetry_logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    opentelemetry_logger.handlers = [module._Complaints()]
    opentelemetry_logger.propagate = False
    for _ in range(50):
        logging.getLogger("opentelemetry.exporter").warning("connection refused")
    assert [entry.getMessage() for entry in caplog.records] == [
        "OpenTelemetry, which no association waits for: connection refused"
    ]


async def test_the_end_waits_for_the_last_spans_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LAST_SPANS", 0.05)
    never, shut = threading.Event(), threading.Event()
    stage = Stage()
    for shutdown in (shut.set, lambda: (never.wait(), None)[1]):
        traces = Traces(stage.traces._tracer, clock=lambda: 0.0, wall_clock=lambda: 0, shutdown=shutdown)
        await asyncio.wait_for(traces.close(), 5)
    never.set()
    assert shut.is_set()
    assert len([entry for entry in caplog.records if "could not be delivered" in entry.getMessage()]) == 1


def test_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"DIMSE_NATS_URL": "nats", "DIMSE_TRACES_ENABLED": "true"}
    assert review_settings(asked, None).problems == []
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    (problem,) = review_settings(asked, None).problems
    assert "DIMSE_TRACES_ENABLED=true" in problem
    assert "pip install 'dimse-proxy[otel]'" in problem
    assert review_settings({"DIMSE_NATS_URL": "nats"}, None).problems == []

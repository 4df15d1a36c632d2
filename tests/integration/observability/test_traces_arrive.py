"""Traces of both proxies at a receiver of OTLP: one trace an association, the right parents, the right operations."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from dimse_proxy.observability.traces import MOST_OPERATIONS
from tests.integration.conftest import PairFactory
from tests.integration.peers import dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.otlp import OtlpReceiver, ReceivedSpan
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, request, store_raw
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Acceptor, connect

SERVER, CLIENT = 2, 3
CT = str(CTImageStorage)
QUICKLY = {"DIMSE_TRACES_ENABLED": "true", "OTEL_BSP_SCHEDULE_DELAY": "100"}


@dataclass(frozen=True)
class Traced:
    """A pair that tells a receiver."""

    pair: Pair
    receiver: OtlpReceiver

    @property
    def target_port(self) -> int:
        assert self.pair.target_b is not None
        return self.pair.target_b.port

    def associations(self, number: int) -> list[ReceivedSpan]:
        """Waits for so many association spans, the acceptor sides' first."""

        def found() -> list[ReceivedSpan]:
            spans = [span for span in self.receiver.spans() if span.name == "DICOM association"]
            return spans if len(spans) >= number else []

        spans = wait_until(found, seconds=20, what=f"{number} association spans")
        assert len(spans) == number
        return sorted(spans, key=lambda span: span.attributes["dicom.side"])

    def operations(self, parent: ReceivedSpan) -> list[ReceivedSpan]:
        children = [span for span in self.receiver.spans() if span.parent == parent.id and span.name != parent.name]
        return sorted(children, key=lambda span: span.start)


@pytest.fixture(scope="module")
def traced_pair(nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    with OtlpReceiver() as receiver:
        variables = {
            **QUICKLY,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=secret",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_RESOURCE_ATTRIBUTES": "site=north",
        }
        pair = Pair(
            nats_server.url,
            tmp_path_factory.mktemp("traced"),
            target_b=Target(port=free_port()),
            env_a=variables,
            env_b=variables,
        )
        yield Traced(pair=pair, receiver=receiver)
        pair.stop()


@pytest.fixture
def traced(traced_pair: Traced) -> Traced:
    traced_pair.receiver.forget()
    return traced_pair


def found(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
    for number in range(3):
        answer = Dataset()
        answer.PatientName = f"DOE^MARKER{number}"
        yield 0xFF00, answer


def test_one_trace_for_both_sides(traced: Traced, tmp_path: Path) -> None:
    file = dicom_files.write_object(tmp_path, patient_id="MARKER", pixel_bytes=51_200)
    supported = offers(Verification, StudyRootQueryRetrieveInformationModelFind) + offers(
        CT, transfer_syntaxes=(file.transfer_syntax,)
    )
    handlers = [(evt.EVT_C_STORE, lambda event: 0xA700), (evt.EVT_C_FIND, found)]
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.PatientName = "DOE^MARKER"
    before = time.time_ns()
    with (
        Scp(traced.target_port, supported, handlers),
        association(traced.pair.a.port, supported, calling="CT1", called="PACS") as assoc,
    ):
        assert assoc.send_c_echo().Status == 0
        assert store_raw(assoc, file) == 0xA700
        assert len(list(assoc.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind))) == 4
    near, far = traced.associations(2)
    assert before < near.start < far.start < far.end
    assert near.end <= time.time_ns()
    assert near.trace == far.trace
    assert (near.parent, far.parent) == (b"", near.id)
    assert (near.kind, far.kind) == (SERVER, CLIENT)
    for span, channel in ((near, "A"), (far, "B")):
        assert not span.is_error
        assert span.attributes["dicom.calling_ae_title"] == "CT1"
        assert span.attributes["dicom.called_ae_title"] == "PACS"
        assert CT in span.attributes["dicom.sop_class_uids"]
        assert span.attributes["dicom.outcome"] == "released"
        assert "C-FIND 1 (pending 3, success 1)" in span.attributes["dicom.operations"][2]
        assert (span.resource["service.name"], span.resource["dimse.channel"]) == ("dimse-proxy", channel)
        assert span.resource["site"] == "north"
        operations = traced.operations(span)
        assert [operation.name for operation in operations] == ["C-ECHO", "C-STORE", "C-FIND"]
        assert {operation.trace for operation in operations} == {near.trace}
        assert {operation.kind for operation in operations} == {span.kind}
        assert all(span.start <= operation.start <= operation.end <= span.end for operation in operations)
        echo, store, find = operations
        assert [operation.is_error for operation in operations] == [False, True, False]
        assert store.attributes["rpc.response.status_code"] == "A700H"
        assert store.attributes["dicom.sop_class_uid"] == CT
        assert store.attributes["dicom.request.data_set_bytes"] == len(file.data_set())
        assert (echo.attributes["dicom.status_class"], find.attributes["dicom.status_class"]) == ("success", "success")
    assert near.attributes["dicom.session"] == far.attributes["dicom.session"] != ""
    assert (far.attributes["server.address"], far.attributes["server.port"]) == ("127.0.0.1", traced.target_port)
    assert traced.receiver.headers[0]["x-api-key"] == "secret"
    assert not any(b"MARKER" in body or b"DOE" in body for body in traced.receiver.bodies), "patient data"
    assert not any(file.sop_instance.encode() in body for body in traced.receiver.bodies)


def test_refused_at_both_sides_with_the_reason(traced: Traced) -> None:
    assert request(traced.pair.a.port, offers(Verification)).is_rejected  # nobody listens at the target's port
    near, far = traced.associations(2)
    assert (near.trace, near.id) == (far.trace, far.parent)
    for span in (near, far):
        assert span.is_error
        assert span.attributes["error.type"] == "target-unreachable"
        assert "connection refused" in span.description


def test_a_long_series_has_a_bounded_number_of_spans(traced: Traced) -> None:
    number = 3 * MOST_OPERATIONS
    with (
        Scp(traced.target_port, offers(Verification), []),
        association(traced.pair.a.port, offers(Verification)) as assoc,
    ):
        for _ in range(number):
            assert assoc.send_c_echo().Status == 0
    for span in traced.associations(2):
        assert len(traced.operations(span)) == MOST_OPERATIONS
        assert span.attributes["dicom.operations.without_span"] == number - MOST_OPERATIONS
        assert f"C-ECHO {number} (success {number})" in span.attributes["dicom.operations"]


def test_what_is_aborted_names_what_was_under_way(traced: Traced) -> None:
    with Acceptor(traced.target_port) as target, connect(traced.pair.a.port) as scu:
        scu.send(pdus.rq(pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)))
        with target.accept() as scp:
            scp.send(pdus.simple_ac(scp.expect(pdus.RQ)))
            scu.expect(pdus.AC)
            scu.send(pdus.command_pdu(pdus.echo_rq(), 1))
            scp.expect(pdus.P_DATA)
            scu.send(pdus.abort(0, 0))
            scp.expect(pdus.ABORT)
    near, far = traced.associations(2)
    for span in (near, far):
        assert span.is_error
        (echo,) = traced.operations(span)
        assert (echo.name, echo.attributes["error.type"]) == ("C-ECHO", "unanswered")
    assert near.attributes["error.type"] == "end-point-aborted"
    (line,) = traced.pair.a.find("C-ECHO .* s ago")
    assert line["event"] == "association ended"


def test_a_side_without_traces_passes_the_context_over(make_pair: PairFactory) -> None:
    """As a version does that has never heard of it."""
    with OtlpReceiver() as receiver:
        variables = {**QUICKLY, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces"}
        pair = make_pair(target_b=Target(port=free_port()), env_a=variables)
        traced = Traced(pair=pair, receiver=receiver)
        with (
            Scp(traced.target_port, offers(Verification), []),
            association(pair.a.port, offers(Verification)) as assoc,
        ):
            assert assoc.send_c_echo().Status == 0
        (span,) = traced.associations(1)
        assert [operation.name for operation in traced.operations(span)] == ["C-ECHO"]
        pair.stop()
        assert len(receiver.spans()) == 2


def test_associations_do_not_care_whether_the_collector_is_there(make_pair: PairFactory) -> None:
    variables = {**QUICKLY, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{free_port()}"}
    pair = make_pair(target_b=Target(port=free_port()), env_a=variables)
    assert pair.target_b is not None
    with Scp(pair.target_b.port, offers(Verification), []):
        for _ in range(20):
            with association(pair.a.port, offers(Verification)) as assoc:
                assert assoc.send_c_echo().Status == 0
    pair.a.wait_for("OpenTelemetry, which no association waits for")
    begin = time.monotonic()
    pair.stop()
    assert time.monotonic() - begin < 15
    assert len(pair.a.find("OpenTelemetry")) == 1, "a line a minute"


def test_without_the_extra_it_says_what_is_missing(tmp_path: Path) -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; from dimse_proxy.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run"],
        env={"DIMSE_NATS_URL": "nats.invalid", "DIMSE_TRACES_ENABLED": "true", "DIMSE_HTTP_PORT": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "DIMSE_TRACES_ENABLED=true (environment) needs OpenTelemetry, which is not installed" in done.stderr
    assert "pip install 'dimse-proxy[otel]'" in done.stderr


def test_it_is_not_loaded_where_it_is_not_asked_for() -> None:
    code = "import sys, dimse_proxy.service, dimse_proxy.observability.monitor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "opentelemetry" not in loaded

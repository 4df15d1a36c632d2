"""The metrics of both proxies against what the SCUs and the SCP counted themselves, after a mixed load with faults."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.integration.observability.conftest import Http, Watched, summed
from tests.integration.peers import dicom_files
from tests.integration.peers.bulk import BulkScp, BulkScu
from tests.integration.peers.pynetdicom_peers import Scp, offers, request, store_raw
from tests.integration.peers.waiting import wait_until

ROUNDS = 6


class Ledger:
    """What the test itself has sent and what became of it."""

    def __init__(self) -> None:
        self.associations: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.responses: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[str] = Counter()
        self.lock = threading.Lock()

    def count(self, counter: Counter[str], key: str, number: int = 1) -> None:
        with self.lock:
            counter[key] += number


def found(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
    for number in range(3):
        answer = Dataset()
        answer.PatientName = f"Nobody^{number}"
        yield 0xFF00, answer


def mixed_load(port: int, file: dicom_files.DicomFile, ledger: Ledger) -> None:
    """Echoes, stores, queries, an abort, a rejection by the SCP and one by the proxy, connections without a word."""
    proposed = offers(Verification, StudyRootQueryRetrieveInformationModelFind) + offers(
        CTImageStorage, transfer_syntaxes=(file.transfer_syntax,)
    )
    for _ in range(ROUNDS):
        assoc = request(port, proposed)
        assert assoc.is_established
        ledger.count(ledger.associations, "asked")
        assert assoc.send_c_echo().Status == 0
        ledger.count(ledger.requests, "C-ECHO")
        assert store_raw(assoc, file) == 0xA700
        ledger.count(ledger.requests, "C-STORE")
        ledger.count(ledger.bytes, "C-STORE", len(file.data_set()))
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        asked.StudyInstanceUID = ""
        answers = list(assoc.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind))
        ledger.count(ledger.requests, "C-FIND")
        with ledger.lock:
            ledger.responses["C-FIND", "pending"] += len(answers) - 1
            ledger.responses["C-FIND", "success"] += 1
            ledger.responses["C-STORE", "failure"] += 1
            ledger.responses["C-ECHO", "success"] += 1
        assoc.release()
        ledger.count(ledger.associations, "released")
        aborted = request(port, proposed)
        ledger.count(ledger.associations, "asked")
        aborted.abort()
        ledger.count(ledger.associations, "aborted")
        rejected = request(port, proposed, calling="NOBODY")
        assert rejected.is_rejected
        ledger.count(ledger.associations, "asked")
        ledger.count(ledger.associations, "rejected")


def test_metrics_agree_with_what_was_sent(watched: Watched, tmp_path: Path) -> None:
    file = dicom_files.write_object(tmp_path / "files", patient_id="1", pixel_bytes=51_200)
    ledger = Ledger()
    handlers = [
        (evt.EVT_C_STORE, lambda event: 0xA700),
        (evt.EVT_C_FIND, found),
    ]
    supported = offers(Verification, StudyRootQueryRetrieveInformationModelFind) + offers(
        CTImageStorage, transfer_syntaxes=(file.transfer_syntax,)
    )
    with Scp(watched.target_port, supported, handlers) as scp:
        scp._ae.require_calling_aet = ["ASKER"]
        threads = [threading.Thread(target=mixed_load, args=(watched.pair.a.port, file, ledger)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    refused = request(watched.pair.a.port, offers(Verification))  # nobody listens any more
    assert refused.is_rejected
    ledger.count(ledger.associations, "asked")
    http = {"acceptor": watched.http_a, "requestor": watched.http_b}
    for side, listener in http.items():
        agree(listener, side, ledger)


def agree(http: Http, side: str, ledger: Ledger) -> None:
    wait_until(
        lambda: summed(http.metrics(), "associations_active", side=side) == 0, seconds=10, what="all to have ended"
    )
    metrics = http.metrics()
    asked, rejected = ledger.associations["asked"], ledger.associations["rejected"]
    assert summed(metrics, "associations_requested_total", side=side) == asked
    assert summed(metrics, "associations_established_total", side=side) == asked - rejected - 1
    assert summed(metrics, "associations_ended_total", side=side, cause="released") == ledger.associations["released"]
    cause = "end-point-aborted" if side == "acceptor" else "other-side"
    assert summed(metrics, "associations_ended_total", side=side, cause=cause) == ledger.associations["aborted"]
    assert summed(metrics, "associations_ended_total", side=side) == asked - rejected - 1
    assert summed(metrics, "associations_refused_total", code="target-rejected", result="1") == rejected
    assert summed(metrics, "associations_refused_total", code="target-unreachable", result="2", reason="1") == 1
    assert summed(metrics, "association_duration_seconds_count", side=side) == asked - rejected - 1
    out, back = ("out", "in") if side == "acceptor" else ("in", "out")
    waited_for = "tunnel" if side == "acceptor" else "end-point"
    for service, number in ledger.requests.items():
        assert summed(metrics, "requests_total", service=service, direction=out) == number
        assert summed(metrics, "data_set_bytes_total", service=service, direction=out) >= ledger.bytes[service]
        answers = sum(count for (name, _), count in ledger.responses.items() if name == service)
        assert summed(metrics, "response_seconds_count", service=service, waited_for=waited_for) == answers
    assert summed(metrics, "requests_total") == ledger.requests.total()
    assert summed(metrics, "data_set_bytes_total", service="C-STORE", direction=out) == ledger.bytes["C-STORE"]
    for (service, kind), number in ledger.responses.items():
        assert summed(metrics, "responses_total", service=service, direction=back, status=kind) == number
    assert summed(metrics, "responses_total") == ledger.responses.total()


def test_both_sides_count_the_same_bytes(watched: Watched) -> None:
    with BulkScp(watched.target_port, maximum_length=65536) as scp, BulkScu(watched.pair.a.port) as scu:
        sent = scu.store(40)
        a, b = watched.http_a.metrics(), watched.http_b.metrics()
        assert scp.received == [sent]
        assert summed(a, "data_set_bytes_total", service="C-STORE", direction="out") == sent.length
        # Of an association that still runs, headers of PDUs and PDVs and the commands included.
        carried = summed(a, "p_data_bytes_total", direction="out")
        assert sent.length < carried < sent.length * 1.001 + 1000
        assert summed(b, "p_data_bytes_total", direction="in") == carried

"""Pending responses arrive one by one, and C-CANCEL arrives while the operation runs: C-FIND, C-GET and C-MOVE.

SCP and SCU go in lock step: the SCP sends a response only after the SCU has the one before. Were anything between them
to hold a response back until there is more, or a C-CANCEL until the operation is over, the SCP would wait in vain.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.pynetdicom_peers import Offer, Scp, association, offers
from tests.integration.peers.retrieval import Answer, Steps, Store, destination, identifier, query
from tests.integration.peers.routes import Route
from tests.integration.peers.waiting import wait_until

FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove

RESPONSES = 6
CANCEL_AFTER = 3


def wait_for_cancel(event: Event) -> None:
    wait_until(lambda: event.is_cancelled, seconds=20, what="the C-CANCEL to arrive while the operation runs")


class Operation:
    """One kind of operation: what the SCP does in lock step, and the SCU's call."""

    def __init__(self, kind: str, route: Route, folder: Path, *, cancel: bool) -> None:
        self.kind = kind
        self.route = route
        self.cancel = cancel
        self.steps = Steps()
        self.store = Store()
        self.files = [dicom_files.write_object(folder, patient_id=f"P{number}") for number in range(RESPONSES)]
        self.model = {"find": FIND, "get": GET, "move": MOVE}[kind]

    def handle(self, event: Event) -> Iterator[object]:
        if self.kind == "move":
            yield destination(self.route.back_port, [CTImageStorage])
        if self.kind != "find":
            yield RESPONSES
        for number in range(RESPONSES):
            yield 0xFF00, self.payload(number)
            if self.cancel and number + 1 == CANCEL_AFTER:
                wait_for_cancel(event)
                yield 0xFE00, None
                return
            self.steps.wait()

    def payload(self, number: int) -> Dataset:
        return identifier(number) if self.kind == "find" else dicom_files.load(self.files[number])

    def send(self, assoc: Association) -> Iterator[tuple[Dataset, Dataset | None]]:
        if self.kind == "find":
            return assoc.send_c_find(query(), FIND, msg_id=99)
        if self.kind == "get":
            return assoc.send_c_get(query(), GET, msg_id=99)
        return assoc.send_c_move(query(), "ASKER", MOVE, msg_id=99)

    def run(self, after_each: Callable[[Association, int], None]) -> list[int]:
        """The statuses that the SCU gets; `after_each` is called with the number of responses so far."""
        event_type = {"find": evt.EVT_C_FIND, "get": evt.EVT_C_GET, "move": evt.EVT_C_MOVE}[self.kind]
        images = Offer(sop_class=CTImageStorage, scu_role=False, scp_role=True)
        supported = [*offers(self.model), images]
        handlers = self.store.handlers() if self.kind == "get" else []
        seen = []
        with (
            Scp(self.route.scp_port, supported, [(event_type, self.handle)]),
            Scp(self.route.asker_port, offers(CTImageStorage), self.store.handlers(), ae="ASKER"),
            association(self.route.port, supported, handlers) as assoc,
        ):
            for status, _ in self.send(assoc):
                seen.append(int(status.Status))
                after_each(assoc, len(seen))
        return seen


@pytest.mark.parametrize("kind", ["find", "get", "move"])
def test_pending_responses_arrive_one_by_one(route: Route, tmp_path: Path, kind: str) -> None:
    operation = Operation(kind, route, tmp_path, cancel=False)
    seen = operation.run(lambda _assoc, _count: operation.steps.seen())
    assert seen == [0xFF00] * RESPONSES + [0x0000]
    if kind != "find":
        assert operation.store.received.keys() == {file.sop_instance for file in operation.files}


@pytest.mark.parametrize("kind", ["find", "get", "move"])
def test_cancel_arrives_while_the_operation_runs(route: Route, tmp_path: Path, kind: str) -> None:
    operation = Operation(kind, route, tmp_path, cancel=True)

    def after_each(assoc: Association, count: int) -> None:
        operation.steps.seen()
        if count == CANCEL_AFTER:
            assoc.send_c_cancel(99, query_model=operation.model)

    assert operation.run(after_each) == [0xFF00] * CANCEL_AFTER + [0xFE00]


def test_association_is_usable_after_a_cancel(route: Route, tmp_path: Path) -> None:
    def handle(event: Event) -> Iterator[Answer]:
        yield 0xFF00, identifier(1)
        if str(event.identifier.get("PatientID")) == "CANCELLED":
            wait_for_cancel(event)
            yield 0xFE00, None

    with Scp(route.scp_port, offers(FIND), [(evt.EVT_C_FIND, handle)]), association(route.port, offers(FIND)) as assoc:
        for message_id in (1, 2, 3):
            codes = []
            for status, _ in assoc.send_c_find(query(PatientID="CANCELLED"), FIND, msg_id=message_id):
                codes.append(status.Status)
                if len(codes) == 1:
                    assoc.send_c_cancel(message_id, query_model=FIND)
            assert codes == [0xFF00, 0xFE00]
        assert [status.Status for status, _ in assoc.send_c_find(query(), FIND, msg_id=4)] == [0xFF00, 0x0000]


def test_findscu_cancels(route: Route) -> None:
    """DCMTK's C-CANCEL, awaited by the SCP."""

    def handle(event: Event) -> Iterator[Answer]:
        for number in range(2):
            yield 0xFF00, identifier(number)
        wait_for_cancel(event)
        yield 0xFE00, None

    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "--cancel", 2)
    with Scp(route.scp_port, offers(FIND), [(evt.EVT_C_FIND, handle)]):
        result = route.same(lambda port: dcmtk.scu("findscu", port, *keys)).ok()
    assert "Received Final Find Response (Cancel" in result.output


def test_movescu_cancels(route: Route, tmp_path: Path) -> None:
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}") for number in range(3)]
    store = Store()

    def handle(event: Event) -> Iterator[object]:
        yield destination(route.back_port, [CTImageStorage])
        yield len(files)
        yield 0xFF00, dicom_files.load(files[0])
        wait_for_cancel(event)
        yield 0xFE00, None

    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-aem", "ASKER", "--cancel", 1)
    with (
        Scp(route.scp_port, offers(MOVE), [(evt.EVT_C_MOVE, handle)]),
        Scp(route.asker_port, offers(CTImageStorage), store.handlers(), ae="ASKER"),
    ):
        result = route.same(lambda port: dcmtk.scu("movescu", port, *keys))
    assert "Received Final Move Response (Cancel" in result.output
    assert list(store.received) == [files[0].sop_instance]

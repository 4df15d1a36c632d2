"""Which instances of whom passed: told when a study begins, and when a patient's seem to be over."""

from datetime import UTC, datetime, timedelta

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.data_set_head import StudyHead
from dimse_proxy.observability.audit import transfers
from dimse_proxy.observability.audit.events import Patient
from dimse_proxy.observability.audit.transfers import StudyBegins, Transfer, Transfers
from tests.unit.dimse import messages
from tests.unit.observability.watching import command

START = datetime(2026, 3, 1, tzinfo=UTC)
CT = "1.2.840.10008.5.1.4.1.1.2"
SUCCESS, WARNING, FAILURE = 0x0000, 0xB000, 0xA700


class Stage:
    def __init__(self) -> None:
        self.transfers = Transfers()
        self.now = 0.0

    @property
    def when(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def ask(
        self, message_id: int = 1, patient: str | None = "A", study: str = "1.1", *, originator: bytes | None = None
    ) -> StudyBegins | None:
        head = (
            None if patient is None else StudyHead(patient_id=patient, patient_name=patient, study_instance_uid=study)
        )
        request = CommandSet.decode(messages.store_request(message_id=message_id, originator=originator))
        return self.transfers.instance(request, head, from_requestor=True, now=self.now, when=self.when)

    def answer(self, message_id: int = 1, status: int | None = SUCCESS, *, from_requestor: bool = False) -> None:
        values = {} if status is None else {"t0900": status.to_bytes(2, "little")}
        response = command(t0100=b"\1\x80", t0120=message_id.to_bytes(2, "little"), t0800=b"\1\1", **values)
        self.transfers.answer(response, from_requestor=from_requestor, now=self.now, when=self.when)

    def store(self, **values: object) -> StudyBegins | None:
        begins = self.ask(**values)  # type: ignore[arg-type]
        self.answer()
        return begins


def told(found: list[Transfer]) -> list[tuple[str | None, dict[str | None, int], str | None]]:
    """Patient, number of instances of each study, failure."""
    return [
        (
            None if each.key.patient is None else each.key.patient.number,
            {study: sum(classes.values()) for study, classes in each.studies.items()},
            each.failure,
        )
        for each in found
    ]


def test_studies_of_one_patient_are_one_message() -> None:
    stage = Stage()
    begins = stage.store()
    assert begins is not None
    assert (begins.key.patient, begins.study, begins.sop_class) == (Patient("A", "A"), "1.1", CT)
    assert stage.store() is None
    assert stage.store(study="1.2") is not None
    assert stage.transfers.over(59.0) == []
    stage.now = 5.0
    stage.store()
    [transfer] = stage.transfers.rest()
    assert transfer.studies == {"1.1": {CT: 3}, "1.2": {CT: 1}}
    assert (transfer.failure, transfer.when) == (None, START + timedelta(seconds=5))
    assert stage.transfers.rest() == []


def test_one_patient_a_message() -> None:
    stage = Stage()
    for patient in ("A", "B", "A"):
        stage.store(patient=patient)
    assert told(stage.transfers.rest()) == [("A", {"1.1": 2}, None), ("B", {"1.1": 1}, None)]


def test_what_was_not_stored_has_a_message_of_its_own() -> None:
    stage = Stage()
    for message_id, status in ((1, SUCCESS), (2, WARNING), (3, FAILURE), (4, FAILURE), (5, None)):
        stage.ask(message_id)
        stage.answer(message_id, status)
    assert told(stage.transfers.rest()) == [
        ("A", {"1.1": 2}, None),
        ("A", {"1.1": 3}, "status A700H, an answer without status"),
    ]


def test_quiet_ends_a_transfer_and_the_next_instance_begins_another() -> None:
    stage = Stage()
    stage.store()
    stage.ask(7)
    assert stage.transfers.over(1000.0) == [], "an answer is awaited"
    stage.now = 30.0
    stage.answer(7)
    assert stage.transfers.over(89.0) == []
    assert told(stage.transfers.over(90.0)) == [("A", {"1.1": 2}, None)]
    assert stage.store() is not None


def test_without_an_answer() -> None:
    stage = Stage()
    stage.ask(1)
    stage.ask(2)
    stage.answer(2, from_requestor=True)
    stage.answer(9)
    assert told(stage.transfers.rest()) == [("A", {"1.1": 2}, "the association ended before an answer")]
    stage.ask(1)
    stage.ask(1)
    stage.answer(1)
    assert told(stage.transfers.rest()) == [
        ("A", {"1.1": 1}, None),
        ("A", {"1.1": 1}, "another request came under its message ID"),
    ]


def test_what_could_not_be_read_and_what_others_asked_for() -> None:
    stage = Stage()
    stage.store(patient=None)
    begins = stage.store(originator=b"ASKER ")
    assert begins is not None
    assert begins.key.originator == "ASKER"
    unread, moved = stage.transfers.rest()
    assert told([unread]) == [(None, {None: 1}, None)]
    assert moved.key.originator == "ASKER"


def test_memory_is_bounded() -> None:
    stage = Stage()
    for number in range(transfers.PATIENTS_LIMIT + 1):
        stage.store(patient=f"P{number}")
    assert told(stage.transfers.over(0.0)) == [("P0", {"1.1": 1}, None)]
    for number in range(transfers.STUDIES_LIMIT):
        stage.store(study=f"1.{number}")
    [whole] = [each for each in stage.transfers.over(0.0) if each.key.patient == Patient("A", "A")]
    assert len(whole.studies) == transfers.STUDIES_LIMIT
    for number in range(transfers.KNOWN_STUDIES_LIMIT):
        assert stage.store(study=f"2.{number}") is not None
    assert stage.store(study="2.5") is not None, "it has been forgotten"
    for number in range(transfers.AWAITED_LIMIT + 1):
        stage.ask(number)
    assert "no answer was seen" in " ".join(str(each.failure) for each in stage.transfers.rest())
    for number in range(transfers.FAILURES_LIMIT + 3):
        stage.ask(number)
        stage.answer(number, 0xC000 + number)
    [failed] = stage.transfers.rest()
    assert failed.failure is not None
    assert failed.failure.count("status") == transfers.FAILURES_LIMIT

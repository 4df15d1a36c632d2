"""C-FIND, C-GET and C-MOVE with success, warning and failure statuses, with and without identifiers in the answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.pynetdicom_peers import (
    Offer,
    Responses,
    Scp,
    association,
    collected,
    offers,
    statuses,
)
from tests.integration.peers.retrieval import Answer, Store, destination, identifier, query, retrieve
from tests.integration.peers.routes import Route

FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove


def failure(code: int) -> Dataset:
    result = Dataset()
    result.Status = code
    result.ErrorComment = "the archive says no"
    result.OffendingElement = [0x0020000D]
    return result


@pytest.fixture
def files(tmp_path: Path) -> list[DicomFile]:
    return [dicom_files.write_object(tmp_path / "objects", patient_id=f"P{number}") for number in range(4)]


# C-FIND


def find(route: Route, answers: list[Answer], *, model: str = FIND) -> Responses:
    asked: list[object] = []

    def handle(event: Event) -> Iterator[Answer]:
        asked.append(event.identifier.to_json_dict())
        yield from answers

    def ask(port: int) -> Responses:
        with association(port, offers(model)) as assoc:
            return collected(assoc.send_c_find(query(PatientID="P*"), model, msg_id=7))

    with Scp(route.scp_port, offers(model), [(evt.EVT_C_FIND, handle)]):
        responses = route.same(ask)
    assert all(one == query(PatientID="P*").to_json_dict() for one in asked)
    return responses


@pytest.mark.parametrize("model", [FIND, PatientRootQueryRetrieveInformationModelFind])
def test_c_find_with_matches(route: Route, model: str) -> None:
    answers: list[Answer] = [(0xFF00 + number % 2, identifier(number)) for number in range(30)]
    responses = find(route, answers, model=model)
    assert statuses(responses) == [0xFF00, 0xFF01] * 15 + [0x0000]
    assert [found for _, found in responses[:-1]] == [identifier(number).to_json_dict() for number in range(30)]


def test_c_find_without_matches(route: Route) -> None:
    assert statuses(find(route, [])) == [0x0000]


@pytest.mark.parametrize("code", [0xA700, 0xA900, 0xC000, 0xC310, 0x0122], ids=lambda code: f"{code:04X}")
def test_c_find_that_fails_at_once(route: Route, code: int) -> None:
    responses = find(route, [(failure(code), None)])
    assert statuses(responses) == [code]
    assert "the archive says no" in str(responses[0][0])


def test_c_find_that_fails_after_some_matches(route: Route) -> None:
    responses = find(route, [(0xFF00, identifier(1)), (0xFF00, identifier(2)), (failure(0xC001), None)])
    assert statuses(responses) == [0xFF00, 0xFF00, 0xC001]


def test_modality_worklist(route: Route) -> None:
    answers: list[Answer] = [(0xFF00, identifier(number)) for number in range(3)]
    assert statuses(find(route, answers, model=ModalityWorklistInformationFind)) == [0xFF00] * 3 + [0x0000]


# C-GET


def get(route: Route, answers: list[Answer], store: Store) -> Responses:
    """Each answer with an object is a sub-operation; the SCU is the SCP of those by role selection."""

    def handle(event: Event) -> Iterator[int | Answer]:
        yield len(answers)
        yield from answers

    def ask(port: int) -> Responses:
        proposed = [*offers(GET), Offer(sop_class=CTImageStorage, scp_role=True)]
        with association(port, proposed, store.handlers()) as assoc:
            return collected(assoc.send_c_get(query(), GET, msg_id=7))

    supported = [*offers(GET), Offer(sop_class=CTImageStorage, scu_role=False, scp_role=True)]
    with Scp(route.scp_port, supported, [(evt.EVT_C_GET, handle)]):
        return route.same(ask)


def test_c_get_succeeds(route: Route, files: list[DicomFile]) -> None:
    store = Store()
    responses = get(route, list(retrieve(files)), store)
    assert statuses(responses) == [0xFF00] * 4 + [0x0000]
    assert list(store.received) == [file.sop_instance for file in files]


def test_c_get_without_matches(route: Route) -> None:
    assert statuses(get(route, [], Store())) == [0x0000]


def test_c_get_with_a_failed_and_a_warned_sub_operation(route: Route, files: list[DicomFile]) -> None:
    store = Store(statuses={files[1].sop_instance: 0xA700, files[2].sop_instance: 0xB000})
    responses = get(route, list(retrieve(files)), store)
    assert statuses(responses)[-1] == 0xB000
    assert files[1].sop_instance in str(responses[-1][1]), "Failed SOP Instance UID List"


def test_c_get_whose_sub_operations_all_fail(route: Route, files: list[DicomFile]) -> None:
    responses = get(route, list(retrieve(files)), Store(status=0xC000))
    assert statuses(responses)[-1] == 0xA702
    assert all(file.sop_instance in str(responses[-1][1]) for file in files)


@pytest.mark.parametrize("code", [0xA701, 0xA900, 0xC000], ids=lambda code: f"{code:04X}")
def test_c_get_that_fails_after_one_object(route: Route, files: list[DicomFile], code: int) -> None:
    responses = get(route, [*retrieve(files[:1]), (code, None), (code, None)], Store())
    assert statuses(responses) == [0xFF00, code]


# C-MOVE


def move(route: Route, answers: list[Answer], store: Store, *, known: bool = True) -> Responses:
    """The archive's association for the sub-operations goes back to the SCU's side."""

    def handle(event: Event) -> Iterator[object]:
        yield destination(route.back_port, [CTImageStorage]) if known else (None, None)
        yield len(answers)
        yield from answers

    def ask(port: int) -> Responses:
        with association(port, offers(MOVE)) as assoc:
            return collected(assoc.send_c_move(query(), "ASKER", MOVE, msg_id=7))

    with (
        Scp(route.scp_port, offers(MOVE), [(evt.EVT_C_MOVE, handle)]),
        Scp(route.asker_port, offers(CTImageStorage), store.handlers(), ae="ASKER"),
    ):
        return route.same(ask)


def test_c_move_succeeds(route: Route, files: list[DicomFile]) -> None:
    store = Store()
    responses = move(route, list(retrieve(files)), store)
    assert statuses(responses) == [0xFF00] * 4 + [0x0000]
    assert list(store.received) == [file.sop_instance for file in files]
    # pynetdicom names itself, not the AE that asked.
    assert set(store.originators) == {("TARGET", 7)}


def test_c_move_without_matches(route: Route) -> None:
    assert statuses(move(route, [], Store())) == [0x0000]


def test_c_move_to_an_unknown_destination(route: Route, files: list[DicomFile]) -> None:
    assert statuses(move(route, list(retrieve(files)), Store(), known=False)) == [0xA801]


def test_c_move_with_a_failed_and_a_warned_sub_operation(route: Route, files: list[DicomFile]) -> None:
    store = Store(statuses={files[1].sop_instance: 0xA700, files[2].sop_instance: 0xB000})
    responses = move(route, list(retrieve(files)), store)
    assert statuses(responses)[-1] == 0xB000
    assert files[1].sop_instance in str(responses[-1][1]), "Failed SOP Instance UID List"


def test_c_move_whose_sub_operations_all_fail(route: Route, files: list[DicomFile]) -> None:
    responses = move(route, list(retrieve(files)), Store(status=0xC000))
    assert statuses(responses)[-1] == 0xA702
    assert all(file.sop_instance in str(responses[-1][1]) for file in files)


@pytest.mark.parametrize("code", [0xA701, 0xA900, 0xC000], ids=lambda code: f"{code:04X}")
def test_c_move_that_fails_after_one_object(route: Route, files: list[DicomFile], code: int) -> None:
    responses = move(route, [*retrieve(files[:1]), (code, None), (code, None)], Store())
    assert statuses(responses) == [0xFF00, code]

"""DIMSE operations that one side does not allow, with DCMTK and pynetdicom at both ends: answered with 0124H."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmSession,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from tests.integration.conftest import PairFactory
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Offer, Scp, association, collected, offers, statuses, store_raw
from tests.integration.peers.retrieval import Store, identifier, query, retrieve
from tests.integration.peers.waiting import free_port

FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
REFUSED = 0x0124


def find_one(_event: Event) -> object:
    yield 0xFF00, identifier(1)


SCP_HANDLERS: list[tuple[object, ...]] = [(evt.EVT_C_ECHO, lambda _event: 0x0000), (evt.EVT_C_FIND, find_one)]


def target_port(pair: Pair) -> int:
    assert pair.target_b is not None
    return pair.target_b.port


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"env_a": {"DIMSE_ALLOWED_OPERATIONS_OUT": "C-ECHO,C-FIND"}}, id="at the acceptor side"),
        pytest.param({"env_b": {"DIMSE_ALLOWED_OPERATIONS_IN": "*,!C-STORE"}}, id="at the target's side"),
    ],
)
def test_a_store_is_refused_and_the_association_goes_on(
    make_pair: PairFactory, settings: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    file = dicom_files.write_object(tmp_path, patient_id="P1", pixel_bytes=65_280)
    pair = make_pair(target_b=Target(port=free_port()), **settings)
    store = Store()
    with (
        Scp(target_port(pair), offers(CTImageStorage, FIND, Verification), [*SCP_HANDLERS, *store.handlers()]),
        association(pair.a.port, offers(CTImageStorage, FIND, Verification)) as assoc,
    ):
        assert assoc.send_c_echo().Status == 0x0000
        assert [store_raw(assoc, file, message_id=number) for number in (7, 8)] == [REFUSED, REFUSED]
        assert statuses(collected(assoc.send_c_find(query(), FIND))) == [0xFF00, 0x0000]
        assert store_raw(assoc, file, message_id=9) == REFUSED
    assert not store.received
    refusing = pair.a if "env_a" in settings else pair.b
    (line,) = refusing.find('"event": "operation refused"')
    assert line["operation"] == "C-STORE"
    (ended,) = refusing.wait_for('"event": "association ended"')
    assert ended["operations_refused"] == "C-STORE 3"


def test_dcmtk_s_storescu_is_told_and_echoscu_passes(make_pair: PairFactory, tmp_path: Path) -> None:
    file = dicom_files.write_object(tmp_path, patient_id="P1")
    pair = make_pair(target_b=Target(port=free_port()), env_b={"DIMSE_ALLOWED_OPERATIONS_IN": "C-ECHO"})
    with dcmtk.storescp(target_port(pair), tmp_path / "scp") as scp:
        sent = dcmtk.scu("storescu", pair.a.port, files=[file.path])
        assert "0x124" in sent.output, sent.output
        dcmtk.scu("echoscu", pair.a.port).ok()
        assert not list((scp.folder / "received").iterdir())


def test_what_is_retrieved_is_stored_here_only_if_store_may_come_in(make_pair: PairFactory, tmp_path: Path) -> None:
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}") for number in range(3)]

    def get(_event: Event) -> object:
        yield len(files)
        yield from retrieve(files)

    supported = [*offers(GET), Offer(sop_class=CTImageStorage, scu_role=True, scp_role=True)]
    proposed = [*offers(GET), Offer(sop_class=CTImageStorage, scp_role=True)]
    pair = make_pair(target_b=Target(port=free_port()), env_a={"DIMSE_ALLOWED_OPERATIONS_IN": "*,!C-STORE"})
    store = Store()
    with (
        Scp(target_port(pair), supported, [(evt.EVT_C_GET, get)]),
        association(pair.a.port, proposed, store.handlers()) as assoc,
    ):
        responses = collected(assoc.send_c_get(query(), GET))
    assert not store.received
    final = responses[-1][0]
    assert isinstance(final, dict)
    assert final["00001022"]["Value"] == [3]  # failed sub-operations


def test_no_deletion_from_outside(make_pair: PairFactory) -> None:
    deleted: list[str] = []

    def delete(event: Event) -> int:
        deleted.append(type(event.request).__name__)
        return 0x0000

    session = Dataset()
    session.NumberOfCopies = "1"

    def create(_event: Event) -> tuple[int, Dataset]:
        return 0x0000, session

    pair = make_pair(target_b=Target(port=free_port()), env_b={"DIMSE_ALLOWED_OPERATIONS_IN": "*,!N-DELETE"})
    handlers = [(evt.EVT_N_DELETE, delete), (evt.EVT_N_CREATE, create)]
    with (
        Scp(target_port(pair), offers(BasicFilmSession), handlers),
        association(pair.a.port, offers(BasicFilmSession)) as assoc,
    ):
        assert assoc.send_n_delete(BasicFilmSession, "1.2.3").Status == REFUSED
        assert assoc.send_n_create(session, BasicFilmSession, "1.2.3")[0].Status == 0x0000
    assert not deleted

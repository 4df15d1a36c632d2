"""C-MOVE whose sub-operations go back to the SCU's side: two askers at the same time, told apart by aliases.

The PACS behind B knows each asker by an alias AE title at B's listener. B turns the asker's Move Destination into the
alias; the alias, as called AE of the association that the PACS opens, becomes the asker's own title again on the way to
A's target. The directly connected PACS knows the askers by their own titles: what they get must be the same.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

from tests.integration.conftest import PairFactory
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.orthanc import Orthanc
from tests.integration.peers.pair import Target
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.retrieval import destination, retrieve
from tests.integration.peers.waiting import free_port

MOVE = StudyRootQueryRetrieveInformationModelMove
ASKERS = ("ASKER1", "ASKER_NUMBER_TWO")
ALIASES = {"ASKER1": "ALIAS_ONE_IS_16C", "ASKER_NUMBER_TWO": "AL2"}
STUDIES = {"ASKER1": "1.2.826.0.1.3680043.8.498.7001", "ASKER_NUMBER_TWO": "1.2.826.0.1.3680043.8.498.7002"}

Pacs = Callable[[int, Path, dict[str, int], dict[str, list[DicomFile]]], AbstractContextManager[Any]]


@dataclass(slots=True, kw_only=True)
class Workstations:
    """The storage SCP of both askers, on one host and port: the called AE title tells them apart."""

    received: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Called AE title to SOP Instance UID to digest."""
    originators: dict[str, set[tuple[str, int]]] = field(default_factory=lambda: defaultdict(set))
    """Called AE title to Move Originator AE Title and Message ID."""
    calling: set[str] = field(default_factory=set)
    """Calling AE titles of all associations."""
    together: threading.Barrier
    """Passed by the first sub-operation of each asker."""

    def handle_store(self, event: Event) -> int:
        request: Any = event.request
        called = str(event.assoc.requestor.primitive.called_ae_title).strip()  # type: ignore[union-attr]
        if not self.received[called]:
            self.together.wait(timeout=20)
        self.received[called][str(request.AffectedSOPInstanceUID)] = dicom_files.digest(request.DataSet.getvalue())
        originator = str(request.MoveOriginatorApplicationEntityTitle).strip()
        self.originators[called].add((originator, int(request.MoveOriginatorMessageID)))
        self.calling.add(str(event.assoc.requestor.ae_title).strip())
        return 0x0000

    def scp(self, port: int) -> Scp:
        return Scp(port, offers(CTImageStorage), [(evt.EVT_C_STORE, self.handle_store)], ae="WORKSTATIONS")


def dcmqrscp(
    port: int, folder: Path, peers: dict[str, int], _files: dict[str, list[DicomFile]]
) -> AbstractContextManager[Any]:
    return dcmtk.dcmqrscp(port, folder, peers=peers)


def orthanc(
    port: int, folder: Path, peers: dict[str, int], _files: dict[str, list[DicomFile]]
) -> AbstractContextManager[Any]:
    return Orthanc(port, folder, modalities={name.lower(): (name, number) for name, number in peers.items()})


def pynetdicom(
    port: int, _folder: Path, peers: dict[str, int], files: dict[str, list[DicomFile]]
) -> AbstractContextManager[Any]:
    by_study = {STUDIES[asker]: objects for asker, objects in files.items()}

    def move(event: Event) -> Iterator[object]:
        objects = by_study[str(event.identifier.StudyInstanceUID)]
        yield destination(peers[str(event.move_destination)], [CTImageStorage])
        yield len(objects)
        yield from retrieve(objects)

    accept = [(evt.EVT_C_MOVE, move), (evt.EVT_C_STORE, lambda _event: 0x0000)]
    return Scp(port, offers(MOVE, CTImageStorage), accept)


PACS: dict[str, Pacs] = {"dcmqrscp": dcmqrscp, "orthanc": orthanc, "pynetdicom": pynetdicom}


def workstations_for(pacs: str) -> Workstations:
    """Both askers' sub-operations must run at the same time, but for dcmqrscp, which locks its database meanwhile."""
    return Workstations(together=threading.Barrier(1 if pacs == "dcmqrscp" else len(ASKERS)))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[DicomFile]]:
    """Five objects of each asker's own study."""
    return {
        asker: [
            dicom_files.write_object(tmp_path / "objects", patient_id=asker, study=study, pixel_bytes=65280)
            for _ in range(5)
        ]
        for asker, study in STUDIES.items()
    }


def move_both(port: int, called: str) -> None:
    """Both askers' movescu, at the same time, each to its own title."""

    def move(asker: str) -> None:
        keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDIES[asker]}")
        dcmtk.scu("movescu", port, "-aem", asker, *keys, called=called, calling=asker).ok()

    with ThreadPoolExecutor(len(ASKERS)) as pool:
        list(pool.map(move, ASKERS))


def store_all(port: int, called: str, files: dict[str, list[DicomFile]]) -> None:
    paths = [file.path for objects in files.values() for file in objects]
    dcmtk.scu("storescu", port, files=paths, called=called).ok()


def check(workstations: Workstations, files: dict[str, list[DicomFile]]) -> None:
    """Each asker got its own objects, and only those."""
    assert workstations.received == {asker: dicom_files.digests(objects) for asker, objects in files.items()}
    assert workstations.calling == {"TARGET"}


@pytest.mark.parametrize("pacs", PACS)
def test_two_askers_directly(tmp_path: Path, files: dict[str, list[DicomFile]], pacs: str) -> None:
    """What the pair must give, too; it also shows that the PACS serves two at once."""
    workstations, port, pacs_port = workstations_for(pacs), free_port(), free_port()
    peers = dict.fromkeys(ASKERS, port)
    with workstations.scp(port), PACS[pacs](pacs_port, tmp_path / "pacs", peers, files):
        store_all(pacs_port, "TARGET", files)
        move_both(pacs_port, "TARGET")
    check(workstations, files)
    # pynetdicom names itself as originator.
    assert workstations.originators == {asker: {("TARGET" if pacs == "pynetdicom" else asker, 1)} for asker in ASKERS}


@pytest.mark.parametrize("calling", ["own", "original"])
@pytest.mark.parametrize("pacs", PACS)
def test_two_askers_through_aliases(
    make_pair: PairFactory, tmp_path: Path, files: dict[str, list[DicomFile]], pacs: str, calling: str
) -> None:
    workstations = workstations_for(pacs)
    target_a, target_b = Target(port=free_port(), ae="WORKSTATIONS"), Target(port=free_port())
    pair = make_pair(
        target_a=target_a,
        target_b=target_b,
        env_a={"DIMSE_AE": "PACS"},
        env_b={
            "DIMSE_AE": "PROXYB",
            "DIMSE_CALLING_AE": calling,
            "DIMSE_MOVE_ALIASES": ",".join(f"{asker}={alias}" for asker, alias in ALIASES.items()),
        },
    )
    peers = dict.fromkeys(ALIASES.values(), pair.b.port)
    with workstations.scp(target_a.port), PACS[pacs](target_b.port, tmp_path / "pacs", peers, files):
        store_all(pair.a.port, "PACS", files)
        move_both(pair.a.port, "PACS")
    check(workstations, files)
    assert workstations.originators == {asker: {(asker, 1)} for asker in ASKERS}


def test_own_title_of_b_still_leads_to_as_target(make_pair: PairFactory, tmp_path: Path) -> None:
    """Aliases beside the usual way: what calls B by its own title goes to A's target by its configured title."""
    target_a = Target(port=free_port(), ae="WORKSTATIONS")
    env_b = {"DIMSE_AE": "PROXYB", "DIMSE_MOVE_ALIASES": "ASKER1=ALIAS1"}
    pair = make_pair(target_a=target_a, env_b=env_b)
    with dcmtk.storescp(target_a.port, tmp_path, "-d", ae="WORKSTATIONS") as scp:
        dcmtk.scu("echoscu", pair.b.port, called="PROXYB", calling="TARGET").ok()
        dcmtk.scu("echoscu", pair.b.port, called="ALIAS1", calling="TARGET").ok()
        refused = dcmtk.scu("echoscu", pair.b.port, called="ALIAS9", calling="TARGET")
    assert "Called AE Title Not Recognized" in refused.output
    called = [line.split()[-1] for line in scp.log().splitlines() if "Called Application Name:" in line]
    assert list(dict.fromkeys(called)) == ["WORKSTATIONS", "ASKER1"]

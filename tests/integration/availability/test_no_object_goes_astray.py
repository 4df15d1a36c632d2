"""Two askers move from one PACS at the same time, through two instances on either side: each gets its own, all of it.

`make availability` does 1000 C-MOVEs with each PACS, and prints figures.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event

from tests.chaos.faults import say
from tests.integration.availability.balanced import BalancedSites
from tests.integration.availability.scale import IS_LONG, MOVES
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.orthanc import Orthanc
from tests.integration.peers.plain_scu import PlainScu
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK, free_port

ASKERS: Final = {"ASKER1": "ALIAS_ONE_IS_16C", "ASKER_NUMBER_TWO": "AL2"}
"""Asker to alias."""
AT_ONCE: Final = 3
"""C-MOVEs of one asker at the same time."""
STUDIES: Final = 4
"""Of each asker."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One sub-operation, as the workstations saw it."""

    port: int
    called: str
    originator: str
    message_id: int
    sop_instance: str
    digest: str


@dataclass(slots=True)
class Workstations:
    """Both askers' storage SCP, at one port or two; the called AE title tells them apart."""

    arrivals: Counter[Arrival] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def store(self, event: Event, port: int) -> int:
        request: Any = event.request
        arrival = Arrival(
            port,
            str(event.assoc.requestor.primitive.called_ae_title).strip(),  # type: ignore[union-attr]
            str(request.MoveOriginatorApplicationEntityTitle).strip(),
            int(request.MoveOriginatorMessageID),
            str(request.AffectedSOPInstanceUID),
            dicom_files.digest(request.DataSet.getvalue()),
        )
        with self._lock:
            self.arrivals[arrival] += 1
        return 0x0000

    def scp(self, port: int) -> Scp:
        return Scp(port, offers(CTImageStorage), [(evt.EVT_C_STORE, self.store, [port])], ae="WORKSTATIONS")


Settings = Mapping[str, str]
Studies = Mapping[str, list[list[DicomFile]]]
"""Asker to its studies, each a list of objects."""


def study_of(asker: str, number: int) -> str:
    return f"1.2.826.0.1.3680043.8.498.90{list(ASKERS).index(asker)}.{number + 1}"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Studies:
    """One to three objects each."""
    folder = tmp_path_factory.mktemp("studies")
    return {
        asker: [
            [
                dicom_files.write_object(folder, patient_id=asker, study=study_of(asker, number))
                for _ in range(1 + number % 3)
            ]
            for number in range(STUDIES)
        ]
        for asker in ASKERS
    }


def files_of(studies: Studies) -> list[DicomFile]:
    return [file for of_asker in studies.values() for study in of_asker for file in study]


@contextmanager
def dcmqrscp(port: int, folder: Path, peers: dict[str, int], studies: Studies) -> Iterator[None]:
    with dcmtk.dcmqrscp(port, folder, peers=peers):
        dcmtk.scu("storescu", port, files=[file.path for file in files_of(studies)]).ok()
        yield


@contextmanager
def orthanc(port: int, folder: Path, peers: dict[str, int], studies: Studies) -> Iterator[None]:
    with Orthanc(port, folder, modalities={title.lower(): (title, number) for title, number in peers.items()}) as pacs:
        for file in files_of(studies):
            pacs.upload(file.path)
        yield


PACS: Final[dict[str, Callable[[int, Path, dict[str, int], Studies], AbstractContextManager[None]]]] = {
    "orthanc": orthanc,
    "dcmqrscp": dcmqrscp,
}


def keys(study: str) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.StudyInstanceUID = study
    return asked


def move_all(port: int) -> list[str]:
    """All C-MOVEs, an association each, several of each asker at the same time; returns what went wrong."""

    def move(asker: str, message_id: int) -> str | None:
        scu = PlainScu(port, calling=asker, called="PACS")
        try:
            status = scu.move(keys(study_of(asker, message_id % STUDIES)), asker, message_id)
            scu.release()
        finally:
            scu.close()
        return None if status == 0x0000 else f"{asker} {message_id}: {status:04X}H"

    with ThreadPoolExecutor(AT_ONCE * len(ASKERS)) as pool:
        moves = [pool.submit(move, asker, number) for number in range(1, MOVES // 2 + 1) for asker in ASKERS]
        return [problem for each in moves if (problem := each.result()) is not None]


def expected(studies: Studies, ports: Mapping[str, int]) -> Counter[Arrival]:
    return Counter(
        Arrival(ports[asker], asker, asker, message_id, file.sop_instance, file.digest())
        for asker in ASKERS
        for message_id in range(1, MOVES // 2 + 1)
        for file in studies[asker][message_id % STUDIES]
    )


def by_variables(_folder: Path, pacs_port: int, workstations: Mapping[str, int]) -> tuple[Settings, Settings]:
    """One target in the cloud: both askers are behind one address."""
    target = {"DIMSE_TARGET_HOST": LOOPBACK, "DIMSE_CALLING_AE": "original"}
    hospital = {
        **target,
        "DIMSE_AE": "CLOUD",
        "DIMSE_MOVE_ALIASES": ",".join(f"{asker}={alias}" for asker, alias in ASKERS.items()),
        "DIMSE_TARGET_AE": "TARGET",
        "DIMSE_TARGET_PORT": str(pacs_port),
    }
    (port,) = set(workstations.values())
    cloud = {**target, "DIMSE_AE": "PACS", "DIMSE_TARGET_AE": "WORKSTATIONS", "DIMSE_TARGET_PORT": str(port)}
    return hospital, cloud


def by_routes(folder: Path, pacs_port: int, workstations: Mapping[str, int]) -> tuple[Settings, Settings]:
    """A target for each asker, at an address of its own."""
    aliases = [f'[[move_alias]]\nasker = "{asker}"\nalias = "{alias}"\n' for asker, alias in ASKERS.items()]
    pacs = f'[[target]]\nasked_for = "PACS"\nae = "TARGET"\nhosts = "{LOOPBACK}:{pacs_port}"\ncalling = "alias"\n'
    (folder / "hospital.toml").write_text("\n".join([pacs, *aliases]))
    targets = [
        f'[[target]]\nasked_for = "{asker}"\nhosts = "{LOOPBACK}:{port}"\n' for asker, port in workstations.items()
    ]
    (folder / "cloud.toml").write_text("\n".join(['[[local]]\ncalled = "PACS"\n', *targets]))
    return (
        {"DIMSE_ROUTES_FILE": str(folder / "hospital.toml")},
        {"DIMSE_ROUTES_FILE": str(folder / "cloud.toml")},
    )


WAYS: Final = {"orthanc": by_routes, "dcmqrscp": by_variables}


@pytest.mark.slow
@pytest.mark.timeout(900 if IS_LONG else 120)
@pytest.mark.parametrize("pacs", PACS if IS_LONG else ["orthanc"])
def test_two_askers_and_two_instances_a_side(
    nats_server: NatsServer, tmp_path: Path, studies: Studies, pacs: str
) -> None:
    way = WAYS[pacs]
    pacs_port = free_port()
    ports = {asker: free_port() for asker in ASKERS} if way is by_routes else dict.fromkeys(ASKERS, free_port())
    workstations = Workstations()
    with ExitStack() as stack:
        sites = stack.enter_context(BalancedSites(nats_server.url, tmp_path, *way(tmp_path, pacs_port, ports)))
        for port in set(ports.values()):
            stack.enter_context(workstations.scp(port))
        peers = dict.fromkeys(ASKERS.values(), sites.hospital.port)
        stack.enter_context(PACS[pacs](pacs_port, tmp_path / "pacs", peers, studies))
        begun = time.monotonic()
        problems = move_all(sites.cloud.port)
        seconds = time.monotonic() - begun
        shares = {
            "asked": sites.cloud.associations("acceptor"),
            "at the PACS": sites.hospital.associations("requestor"),
            "sub-operations from": sites.hospital.associations("acceptor"),
            "to": sites.cloud.associations("requestor"),
        }
    wanted = expected(studies, ports)
    say(
        f"{pacs}, {way.__name__.replace('_', ' ')}: {MOVES} C-MOVEs of two askers, {AT_ONCE * len(ASKERS)} at once, "
        f"in {seconds:.1f} s: {sum(wanted.values())} objects expected, {sum(workstations.arrivals.values())} arrived, "
        f"{sum((wanted - workstations.arrivals).values())} missing, "
        f"{sum((workstations.arrivals - wanted).values())} astray or doubled; associations {shares}"
    )
    assert problems == []
    assert workstations.arrivals == wanted
    assert all(min(share.values()) > 0 for share in shares.values()), shares

"""A cohort selected and pulled: what failed is seen by the SCU, whatever the PACS and whatever the failure.

Each PACS has its own way to tell of a failed sub-operation. What the application prints must be what it prints when it
asks the PACS directly: to that, it is DIRECT, at its own address.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.integration.examples.conftest import Tls
from tests.integration.examples.example import Example
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.orthanc import Orthanc, OrthancTls
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.retrieval import destination, retrieve

FIND = StudyRootQueryRetrieveInformationModelFind
MOVE = StudyRootQueryRetrieveInformationModelMove

Pacs = Callable[[int, Path, dict[str, int], list[DicomFile]], AbstractContextManager[Any]]


def test_as_the_readme_says(tmp_path: Path) -> None:
    with Example("cohort", tmp_path) as example:
        example.follow_readme(ready=[4242])


@contextmanager
def dcmqrscp(port: int, folder: Path, peers: dict[str, int], files: list[DicomFile]) -> Iterator[None]:
    with dcmtk.dcmqrscp(port, folder, ae="PACS", peers=peers):
        dcmtk.scu("storescu", port, files=[file.path for file in files], called="PACS").ok()
        yield


@contextmanager
def orthanc(
    port: int, folder: Path, peers: dict[str, int], files: list[DicomFile], tls: OrthancTls | None = None
) -> Iterator[None]:
    modalities = {title.lower(): (title, number) for title, number in peers.items()}
    with Orthanc(port, folder, ae="PACS", modalities=modalities, tls=tls) as pacs:
        for file in files:
            pacs.upload(file.path)
        yield


@contextmanager
def pynetdicom(port: int, _folder: Path, peers: dict[str, int], files: list[DicomFile]) -> Iterator[None]:
    studies: dict[str, list[DicomFile]] = defaultdict(list)
    headers: dict[str, Dataset] = {}
    for file in files:
        header = dicom_files.load(file)
        headers[str(header.StudyInstanceUID)] = header
        studies[str(header.StudyInstanceUID)].append(file)

    def find(event: Event) -> Iterator[tuple[int, Dataset]]:
        first, last = str(event.identifier.StudyDate).split("-")
        for header in headers.values():
            if first <= header.StudyDate <= last:
                found = Dataset()
                found.QueryRetrieveLevel = "STUDY"
                for keyword in ("StudyInstanceUID", "StudyDate", "PatientID"):
                    setattr(found, keyword, header[keyword].value)
                yield 0xFF00, found

    def move(event: Event) -> Iterator[object]:
        objects = studies[str(event.identifier.StudyInstanceUID)]
        yield destination(peers[str(event.move_destination)], [CTImageStorage, ComprehensiveSRStorage])
        yield len(objects)
        yield from retrieve(objects)

    with Scp(port, offers(FIND, MOVE), [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move)], ae="PACS"):
        yield


PACS: dict[str, Pacs] = {"dcmqrscp": dcmqrscp, "orthanc": orthanc, "pynetdicom": pynetdicom}


JULY = ("--days", "20240701-20240731")


@pytest.fixture
def studies(tmp_path: Path) -> list[DicomFile]:
    """The two of July, one of which holds the structured report."""
    Example("cohort", tmp_path / "none").script("make_studies", tmp_path / "studies").ok()
    return [file for name in ("07", "19") for file in dicom_files.received(tmp_path / "studies" / name)]


TAKEN: Final = (("--listen", 11114), "1 of 2 studies are whole")
NOT_TAKEN: Final = ((), "0 of 2 studies are whole")


# pynetdicom leaks a socket when nobody listens, so that it is not asked for that.
@pytest.mark.parametrize(
    ("pacs", "runs"), [("dcmqrscp", (TAKEN, NOT_TAKEN)), ("orthanc", (TAKEN, NOT_TAKEN)), ("pynetdicom", (TAKEN,))]
)
def test_failures_are_told_as_without_proxies(
    nats_server: NatsServer, tmp_path: Path, studies: list[DicomFile], pacs: str, runs: tuple[Any, ...]
) -> None:
    """One object that is not taken; then an application that does not listen."""
    with Example("cohort", tmp_path / "example", nats_port=nats_server.port) as example:
        example.start_proxies()
        peers = {"COHORT": example.port(11112), "DIRECT": example.port(11114)}
        with PACS[pacs](example.port(4242), tmp_path / "pacs", peers, studies):
            for more, outcome in runs:
                proxied = example.script("pull_cohort", "--port", 11113, *JULY, *more)
                direct = example.script("pull_cohort", "--title", "DIRECT", "--port", 4242, *JULY, *more)
                assert proxied == direct
                assert outcome in proxied.output
                assert re.search(r"EXAMPLE-07, 20240707: C-MOVE [ABC]...H", proxied.output)
        refused = example.proxies["hospital"].find('"event": "association refused".*"COHORT"')
        assert bool(refused) == (NOT_TAKEN in runs), "what the PACS asked for while nobody listened"


def test_orthanc_over_tls(nats_server: NatsServer, tmp_path: Path, studies: list[DicomFile], tls: Tls) -> None:
    with Example("cohort", tmp_path / "example", nats_port=nats_server.port) as example:
        example.start_proxies({"hospital": tls.proxy, "cloud": tls.proxy})
        peers = {"COHORT": example.port(11112)}
        images = [file for file in studies if file.sop_class == CTImageStorage]
        with orthanc(example.port(4242), tmp_path / "pacs", peers, images, tls.orthanc):
            pulled = example.script("pull_cohort", "--port", 11113, "--listen", 11114, *JULY, *tls.script).ok()
    assert pulled.output.splitlines()[-1] == "2 of 2 studies are whole; 4 images are here"

"""AI results stored back into the PACS and committed: Orthanc as documented and with TLS, and pynetdicom."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage, SegmentationStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tests.integration.examples.conftest import Tls
from tests.integration.examples.example import Example
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.orthanc import Orthanc
from tests.integration.peers.pynetdicom_peers import Offer, Scp, association, offers

APPLICATION = ("--port", 11113, "--listen", 11114)
COMMIT = StorageCommitmentPushModel


def test_as_the_readme_says(tmp_path: Path) -> None:
    with Example("ai_results", tmp_path) as example:
        example.follow_readme(ready=[4242])


@pytest.fixture
def example(nats_server: NatsServer, tmp_path: Path) -> Iterator[Example]:
    with Example("ai_results", tmp_path / "example", nats_port=nats_server.port) as it:
        yield it


@pytest.fixture
def results(tmp_path: Path) -> list[DicomFile]:
    Example("ai_results", tmp_path / "none").script("make_results", tmp_path / "results").ok()
    return dicom_files.received(tmp_path / "results")


def paths(results: list[DicomFile]) -> list[Path]:
    return [result.path for result in results]


def test_over_tls(example: Example, results: list[DicomFile], tls: Tls, tmp_path: Path) -> None:
    """Orthanc and the application take nothing but TLS; what the PACS then has are the application's own bytes."""
    example.start_proxies({"hospital": tls.proxy, "cloud": tls.proxy})
    modalities = {"ai": ("AI", example.port(11112))}
    with Orthanc(example.port(4242), tmp_path / "pacs", ae="PACS", modalities=modalities, tls=tls.orthanc) as pacs:
        sent = example.script("send_results", *APPLICATION, *tls.script, *paths(results)).ok()
        assert "an association of its own: 3 committed, 0 failed" in sent.output
        assert pacs.digests(tmp_path / "out") == dicom_files.digests(results)
        assert example.script("send_results", *APPLICATION, *paths(results)).code == 1, "plain DICOM to a TLS port"
    assert example.proxies["cloud"].find("speaks plain DICOM|plain DICOM")


class Pacs:
    """A PACS that commits itself to what it has, and reports on the one association or on another."""

    def __init__(self, where: Literal["same", "own"], port_of_ai: int) -> None:
        self.stored: dict[str, str] = {}
        self.callers: set[str] = set()
        self._where = where
        self._port_of_ai = port_of_ai
        self._reporter: threading.Thread | None = None

    def store(self, event: Event) -> int:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        if event.context.abstract_syntax == SegmentationStorage:
            return 0x0122
        self.stored[uid] = dicom_files.digest(request.DataSet.getvalue())
        return 0x0000

    def act(self, event: Event) -> tuple[int, None]:
        self.callers.add(event.assoc.requestor.ae_title)
        self._reporter = threading.Thread(target=self._report, args=(event.assoc, event.action_information))
        self._reporter.start()
        return 0x0000, None

    def _report(self, asked_on: Any, request: Dataset) -> None:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        asked = request.ReferencedSOPSequence
        report.ReferencedSOPSequence = [item for item in asked if item.ReferencedSOPInstanceUID in self.stored]
        failed = [item for item in asked if item.ReferencedSOPInstanceUID not in self.stored]
        for item in failed:
            item.FailureReason = 0x0112
        if failed:
            report.FailedSOPSequence = failed
        arguments = (report, 2 if failed else 1, COMMIT, StorageCommitmentPushModelInstance)
        if self._where == "same":
            asked_on.send_n_event_report(*arguments)
            return
        back = [Offer(sop_class=COMMIT, scu_role=False, scp_role=True)]
        with association(self._port_of_ai, back, calling="PACS", called=self.callers.copy().pop()) as own:
            own.send_n_event_report(*arguments)

    def join(self) -> None:
        assert self._reporter is not None
        self._reporter.join(20)

    def scp(self, port: int) -> Scp:
        supported = offers(ComprehensiveSRStorage, SegmentationStorage, SecondaryCaptureImageStorage, COMMIT)
        return Scp(port, supported, [(evt.EVT_C_STORE, self.store), (evt.EVT_N_ACTION, self.act)], ae="PACS")


@pytest.mark.parametrize(("where", "words"), [("same", "the same association"), ("own", "an association of its own")])
def test_report_of_what_was_not_taken(
    example: Example, results: list[DicomFile], where: Literal["same", "own"], words: str
) -> None:
    """The PACS refuses the segmentation: the application sees that status, and that one as failed in the report."""
    example.start_proxies()
    pacs = Pacs(where, example.port(11112))
    with pacs.scp(example.port(4242)):
        sent = example.script("send_results", *APPLICATION, *paths(results))
        pacs.join()
    assert sent.code == 1
    assert "C-STORE Segmentation Storage: 0122H" in sent.output
    assert f"N-EVENT-REPORT on {words}: 2 committed, 1 failed" in sent.output
    segmentation = next(result for result in results if result.sop_class == SegmentationStorage)
    assert f"failed: {segmentation.sop_instance}, reason 0112H" in sent.output
    expected = {uid: digest for uid, digest in dicom_files.digests(results).items() if uid != segmentation.sop_instance}
    assert pacs.stored == expected
    assert pacs.callers == {"AI"}


def test_the_cloud_can_do_no_more(example: Example) -> None:
    """Whatever the cloud's own proxy lets through: the hospital's answers a C-FIND itself."""
    example.start_proxies()
    with dcmtk.dcmqrscp(example.port(4242), example.folder / "pacs", ae="PACS"):
        keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID", "-k", "StudyInstanceUID")
        refused = dcmtk.scu("findscu", example.port(11113), *keys, called="PACS", calling="AI")
    assert "0x124" in refused.output
    assert example.proxies["hospital"].find('"operation refused".*C-FIND|C-FIND.*"operation refused"')

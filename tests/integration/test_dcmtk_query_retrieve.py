"""DCMTK's query/retrieve, worklist and termination tools against dcmqrscp and wlmscpfs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.routes import Route
from tests.integration.peers.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A dcmqrscp that holds two studies."""

    scp: dcmtk.Scp
    files: tuple[DicomFile, ...]
    first_study: tuple[DicomFile, ...]

    def study_uid(self) -> str:
        return str(dcmread(self.first_study[0].path).StudyInstanceUID)


@pytest.fixture
def archive(route: Route, tmp_path: Path) -> Iterator[Archive]:
    studies = [generate_uid(), generate_uid()]
    files = tuple(
        dicom_files.write_object(tmp_path / "sent", patient_id=f"PAT{number % 2}", study=studies[number % 2])
        for number in range(12)
    )
    peers = {"ASKER": route.back_port}
    with dcmtk.dcmqrscp(route.scp_port, tmp_path / "archive", "--allow-shutdown", peers=peers) as scp:
        dcmtk.scu("storescu", route.port, files=[file.path for file in files]).ok()
        yield Archive(scp=scp, files=files, first_study=files[::2])


def found(folder: Path) -> list[dict[str, object]]:
    """The responses that findscu extracted, in order, taken away for the next run."""
    paths = sorted(folder.glob("rsp*.dcm"))
    responses = [dcmread(path).to_json_dict() for path in paths]
    for path in paths:
        path.unlink()
    return responses


def taken(folder: Path) -> dict[str, str]:
    """Digests of what a retrieval wrote, taken away for the next run."""
    files = dicom_files.received(folder)
    result = dicom_files.digests(files)
    for file in files:
        file.path.unlink()
    return result


def test_findscu_finds_studies(route: Route, archive: Archive, tmp_path: Path) -> None:
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientID", "-k", "PatientName")

    def find(port: int) -> list[dict[str, object]]:
        dcmtk.scu("findscu", port, *keys, "-X", "-od", tmp_path, cwd=tmp_path).ok()
        return found(tmp_path)

    assert len(route.same(find)) == 2


def test_findscu_finds_series(route: Route, archive: Archive, tmp_path: Path) -> None:
    keys = ("-S", "-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={archive.study_uid()}")

    def find(port: int) -> list[dict[str, object]]:
        dcmtk.scu("findscu", port, *keys, "-k", "SeriesInstanceUID", "-X", "-od", tmp_path, cwd=tmp_path).ok()
        return found(tmp_path)

    assert len(route.same(find)) == 6


def test_findscu_that_finds_nothing(route: Route, archive: Archive) -> None:
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=NOBODY", "-k", "StudyInstanceUID")
    result = dcmtk.scu("findscu", route.port, *keys).ok()
    assert "Received Final Find Response (Success)" in result.output
    assert "Find Response: 1" not in result.output


def test_findscu_cancels(route: Route, archive: Archive) -> None:
    """Whether the cancel comes before the last response is a race, directly too; both answers are right."""
    keys = ("-S", "-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={archive.study_uid()}")
    result = dcmtk.scu("findscu", route.port, *keys, "-k", "SeriesInstanceUID", "--cancel", 1).ok()
    assert "Sending Cancel Request" in result.output
    assert "Received Final Find Response (" in result.output


def test_getscu_gets_a_study(route: Route, archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive.study_uid()}")

    def get(port: int) -> dict[str, str]:
        dcmtk.scu("getscu", port, "+B", "-od", folder, *keys, cwd=folder).ok()
        return taken(folder)

    assert route.same(get) == dicom_files.digests(archive.first_study)


def test_movescu_moves_a_study_to_itself(route: Route, archive: Archive, tmp_path: Path) -> None:
    """The archive opens an association back to the SCU's side, with the C-MOVE still running on the first one."""
    folder = tmp_path / "moved"
    folder.mkdir()
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive.study_uid()}")
    options = ("-aem", "ASKER", "+P", route.asker_port, "+B", "-od", folder)

    def move(port: int) -> dict[str, str]:
        dcmtk.scu("movescu", port, *options, *keys, cwd=folder).ok()
        return taken(folder)

    assert route.same(move) == dicom_files.digests(archive.first_study)


def test_movescu_to_an_unknown_destination(route: Route, archive: Archive) -> None:
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive.study_uid()}")
    result = route.same(lambda port: dcmtk.scu("movescu", port, "-aem", "NOWHERE", *keys))
    assert "MoveDestinationUnknown" in result.output


def test_termscu_shuts_the_archive_down(route: Route, archive: Archive) -> None:
    """A private SOP class, and an SCP that goes away in the middle of an association."""
    dcmtk.scu("termscu", route.port)
    wait_until(lambda: not archive.scp.process.is_running(), seconds=10, what="dcmqrscp to end")


def write_worklist(folder: Path) -> None:
    """Three scheduled procedure steps for AE title TARGET, in the layout that wlmscpfs wants."""
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    for number in range(3):
        step = Dataset()
        step.Modality = "MR"
        step.ScheduledStationAETitle = f"MODALITY{number}"
        step.ScheduledProcedureStepStartDate = "20240101"
        step.ScheduledProcedureStepStartTime = "120000"
        step.ScheduledProcedureStepID = f"SPS{number}"
        step.ScheduledPerformingPhysicianName = "Nobody"
        step.ScheduledProcedureStepDescription = "Test"
        item = Dataset()
        item.AccessionNumber = f"ACC{number}"
        item.PatientName = f"Test^Worklist{number}"
        item.PatientID = f"WL{number}"
        item.StudyInstanceUID = generate_uid()
        item.RequestedProcedureID = f"RP{number}"
        item.RequestedProcedureDescription = "Test"
        item.ScheduledProcedureStepSequence = [step]
        item.file_meta = FileMetaDataset()
        item.file_meta.MediaStorageSOPClassUID = ModalityWorklistInformationFind
        item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.save_as(folder / f"step{number}.wl", enforce_file_format=True)


@pytest.mark.parametrize(("station", "matches"), [("", 3), ("MODALITY1", 1), ("NOBODY", 0)])
def test_findscu_reads_the_worklist(route: Route, tmp_path: Path, station: str, matches: int) -> None:
    write_worklist(tmp_path / "worklists" / "TARGET")
    sequence = "(0040,0100)[0]"
    keys = ("-W", "-k", "PatientID", "-k", "PatientName", "-k", f"{sequence}.ScheduledStationAETitle={station}")

    def find(port: int) -> list[dict[str, object]]:
        dcmtk.scu("findscu", port, *keys, "-X", "-od", tmp_path, cwd=tmp_path).ok()
        return found(tmp_path)

    with dcmtk.wlmscpfs(route.scp_port, tmp_path):
        assert len(route.same(find)) == matches

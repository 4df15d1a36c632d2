"""Orthanc as archive behind the proxies, and as SCU of its own: store, find, move, get, and back to the other side."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.orthanc import Orthanc
from tests.integration.peers.routes import Route
from tests.integration.test_dcmtk_storage import TRANSFER_SYNTAX_OPTIONS


@pytest.fixture
def orthanc(route: Route, tmp_path: Path) -> Iterator[Orthanc]:
    """The archive, at the target's port; it reaches the SCU's side as modality `asker`."""
    with Orthanc(route.scp_port, tmp_path / "orthanc", modalities={"asker": ("ASKER", route.back_port)}) as archive:
        yield archive


@pytest.fixture
def files(tmp_path: Path) -> list[DicomFile]:
    study = "1.2.826.0.1.3680043.8.498.4711"
    return [dicom_files.write_object(tmp_path / "objects", patient_id="ORTHANC", study=study) for _ in range(10)]


def test_stores_every_transfer_syntax_bit_for_bit(route: Route, orthanc: Orthanc, tmp_path: Path) -> None:
    """Orthanc refuses those of pydicom's files that lack a Study or Series Instance UID: the same ones on both ways."""

    def store(port: int) -> tuple[list[int], dict[str, str]]:
        orthanc.clear()
        codes = []
        for file in dicom_files.one_per_transfer_syntax():
            option = TRANSFER_SYNTAX_OPTIONS[file.transfer_syntax]
            codes.append(dcmtk.scu("storescu", port, option, "-R", files=[file.path]).code)
        return codes, orthanc.digests(tmp_path / "out")

    codes, stored = route.same(store)
    assert codes.count(0) == len(stored) >= 8


def test_find_move_and_get(route: Route, orthanc: Orthanc, files: list[DicomFile], tmp_path: Path) -> None:
    dcmtk.scu("storescu", route.port, files=[file.path for file in files]).ok()
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=ORTHANC")
    study = ("-k", "StudyInstanceUID=1.2.826.0.1.3680043.8.498.4711")

    found = route.same(lambda port: dcmtk.scu("findscu", port, *keys, "-k", "StudyInstanceUID")).ok()
    assert "1.2.826.0.1.3680043.8.498.4711" in found.output

    moved = tmp_path / "moved"
    moved.mkdir()
    back = ("-aem", "ASKER", "+P", route.asker_port, "+B", "-od", moved)
    dcmtk.scu("movescu", route.port, *back, *keys, *study, cwd=moved).ok()
    assert dicom_files.digests(dicom_files.received(moved)) == dicom_files.digests(files)

    got = tmp_path / "got"
    got.mkdir()
    dcmtk.scu("getscu", route.port, "+B", "-od", got, *keys, *study, cwd=got).ok()
    assert dicom_files.digests(dicom_files.received(got)) == dicom_files.digests(files)


def test_orthanc_stores_back_to_the_other_side(
    route: Route, orthanc: Orthanc, files: list[DicomFile], tmp_path: Path
) -> None:
    """Results of an application in the cloud, sent into the hospital's archive."""
    uploaded = [orthanc.upload(file.path) for file in files]
    with dcmtk.storescp(route.asker_port, tmp_path / "scp", ae="ASKER"):
        assert orthanc.post("/modalities/asker/echo", {}) == {}
        report = orthanc.post("/modalities/asker/store", uploaded)
        received = dicom_files.received(tmp_path / "scp" / "received")
    assert (report["InstancesCount"], report["FailedInstancesCount"]) == (len(files), 0)
    assert dicom_files.digests(received) == dicom_files.digests(files)


def test_orthanc_queries_and_retrieves_from_the_other_side(
    route: Route, orthanc: Orthanc, files: list[DicomFile], tmp_path: Path
) -> None:
    """An application in the cloud asks the hospital's archive for priors, which come as C-STORE through the pair."""
    with dcmtk.dcmqrscp(route.asker_port, tmp_path / "pacs", ae="ASKER", peers={"TARGET": route.port}):
        dcmtk.scu("storescu", route.back_port, files=[file.path for file in files], called="ASKER").ok()
        asked = {"Level": "Study", "Query": {"PatientID": "ORTHANC", "StudyInstanceUID": ""}}
        found = orthanc.post("/modalities/asker/query", asked)
        assert len(orthanc.get_json(f"/queries/{found['ID']}/answers")) == 1
        orthanc.post(f"/queries/{found['ID']}/retrieve", {"TargetAet": "TARGET", "Synchronous": True})
        assert orthanc.digests(tmp_path / "out") == dicom_files.digests(files)

"""Other, independent implementations in Debian: Odil's commands and the Central Test Node's SCUs and storage SCP.

GDCM's gdcmscu is missing on purpose: Debian 12's (3.0.21) aborts before it has sent a byte.
"""

from pathlib import Path

import pytest

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dcmtk import Result
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.orthanc import Orthanc
from tests.integration.peers.routes import Route
from tests.integration.peers.waiting import LOOPBACK

STUDY = "1.2.826.0.1.3680043.8.498.8001"


@pytest.fixture
def files(tmp_path: Path) -> list[DicomFile]:
    return [dicom_files.write_object(tmp_path / "objects", patient_id="OTHER", study=STUDY) for _ in range(3)]


def odil(command: str, port: int, *arguments: object, cwd: Path | None = None) -> Result:
    return dcmtk.run("odil", command, LOOPBACK, port, "ASKER", "TARGET", *arguments, cwd=cwd)


def test_odil_with_orthanc(route: Route, files: list[DicomFile], tmp_path: Path) -> None:
    with Orthanc(route.scp_port, tmp_path / "archive"):
        odil("echo", route.port).ok()
        odil("store", route.port, *(file.path for file in files)).ok()
        keys = ("QueryRetrieveLevel=STUDY", "PatientID=OTHER", f"StudyInstanceUID={STUDY}")
        found = route.same(lambda port: odil("find", port, "study", *keys)).ok()
        assert STUDY in found.output
        got = tmp_path / "got"
        got.mkdir()
        odil("get", route.port, "-d", got, "study", *keys, cwd=got).ok()
    received = dicom_files.received(got)
    assert {file.sop_instance for file in received} == {file.sop_instance for file in files}


def test_odil_with_dcmqrscp(route: Route, files: list[DicomFile], tmp_path: Path) -> None:
    with dcmtk.dcmqrscp(route.scp_port, tmp_path / "archive"):
        odil("echo", route.port).ok()
        odil("store", route.port, *(file.path for file in files)).ok()
        keys = ("QueryRetrieveLevel=STUDY", "PatientID=OTHER", f"StudyInstanceUID={STUDY}")
        found = route.same(lambda port: odil("find", port, "study", *keys)).ok()
    assert STUDY in found.output


def ctn(program: str, port: int, *arguments: object, options: tuple[object, ...] = ()) -> Result:
    return dcmtk.run(program, "-a", "ASKER", "-c", "TARGET", *options, LOOPBACK, port, *arguments)


def test_central_test_node_as_scu(route: Route, files: list[DicomFile], tmp_path: Path) -> None:
    with dcmtk.storescp(route.scp_port, tmp_path) as scp:
        echoed = route.same(lambda port: ctn("dicom_echo", port, options=("-r", 3))).ok()
        assert echoed.output.count("Successful operation") == 3
        ctn("send_image", route.port, *(file.path for file in files), options=("-q", "-r")).ok()
        received = dicom_files.received(tmp_path / "received")
        assert "Association Abort" not in scp.log()
    assert {file.sop_instance for file in received} == {file.sop_instance for file in files}


def test_central_test_node_as_scp(route: Route, files: list[DicomFile], tmp_path: Path) -> None:
    """It rejects most of the 120 contexts that storescu proposes, and writes bare data sets."""
    folder = tmp_path / "received"
    folder.mkdir()
    arguments = ("-s", "-f", "-c", "TARGET", "-x", folder, route.scp_port)

    def store(port: int) -> tuple[str, list[str]]:
        result = dcmtk.scu("storescu", port, "-xi", files=[file.path for file in files]).ok()
        dcmtk.scu("echoscu", port).ok()
        written = sorted(path for path in folder.rglob("*") if path.is_file())
        digests = [dicom_files.digest(path.read_bytes()) for path in written]
        for path in written:
            path.unlink()
        return result.output, digests

    with dcmtk.Scp("simple_storage", route.scp_port, tmp_path / "out", *arguments):
        _, digests = route.same(store)
    assert len(digests) == len(files)

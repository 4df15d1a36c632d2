"""DCMTK's verification and storage tools: echoscu, storescu, dcmsend, storescp, dcmrecv."""

from collections import Counter
from pathlib import Path

import pytest

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.routes import Route

TRANSFER_SYNTAX_OPTIONS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}


def stored(folder: Path) -> Counter[tuple[str, str, str]]:
    """SOP instance, transfer syntax and digest of what the SCP wrote, emptying its folder for the next run."""
    files = dicom_files.received(folder / "received")
    found = Counter((file.sop_instance, file.transfer_syntax, file.digest()) for file in files)
    for file in files:
        file.path.unlink()
    return found


def test_echoscu_is_answered(route: Route, tmp_path: Path) -> None:
    with dcmtk.storescp(route.scp_port, tmp_path):
        result = route.same(lambda port: dcmtk.scu("echoscu", port, "--repeat", 5)).ok()
    assert result.output.count("Received Echo Response (Success)") == 5


def test_echoscu_with_every_transfer_syntax_in_128_contexts(route: Route, tmp_path: Path) -> None:
    options = ("--propose-ts", 38, "--propose-pc", 128)
    with dcmtk.storescp(route.scp_port, tmp_path):
        route.same(lambda port: dcmtk.scu("echoscu", port, *options)).ok()


@pytest.mark.parametrize("file", dicom_files.one_per_transfer_syntax(), ids=lambda file: file.path.name)
def test_storescu_stores_each_transfer_syntax(route: Route, tmp_path: Path, file: DicomFile) -> None:
    def store(port: int) -> Counter[tuple[str, str, str]]:
        dcmtk.scu("storescu", port, TRANSFER_SYNTAX_OPTIONS[file.transfer_syntax], "-R", files=[file.path]).ok()
        return stored(tmp_path)

    with dcmtk.storescp(route.scp_port, tmp_path):
        assert route.same(store).total() == 1


def test_dcmsend_stores_many_files_in_several_associations(route: Route, tmp_path: Path) -> None:
    files = dicom_files.one_per_transfer_syntax()

    def send(port: int) -> Counter[tuple[str, str, str]]:
        dcmtk.scu("dcmsend", port, "-dn", files=[file.path for file in files]).ok()
        return stored(tmp_path)

    with dcmtk.storescp(route.scp_port, tmp_path):
        received = route.same(send)
    assert received.total() == len(files)


def test_dcmrecv_receives_what_dcmsend_sends(route: Route, tmp_path: Path) -> None:
    files = [dicom_files.write_object(tmp_path / "sent", patient_id=f"P{number}") for number in range(20)]

    def send(port: int) -> Counter[tuple[str, str, str]]:
        dcmtk.scu("dcmsend", port, files=[file.path for file in files]).ok()
        return stored(tmp_path)

    with dcmtk.dcmrecv(route.scp_port, tmp_path):
        received = route.same(send)
    assert received == Counter((file.sop_instance, file.transfer_syntax, file.digest()) for file in files)


@pytest.mark.parametrize("size", [4096, 131072])
def test_smallest_and_largest_pdus_at_both_ends(route: Route, tmp_path: Path, size: int) -> None:
    file = dicom_files.named("examples_jpeg2k.dcm")
    options = ("-pdu", size, "--max-send-pdu", size, "-xv", "-R")

    def store(port: int) -> Counter[tuple[str, str, str]]:
        dcmtk.scu("storescu", port, *options, files=[file.path]).ok()
        return stored(tmp_path)

    with dcmtk.storescp(route.scp_port, tmp_path, "-pdu", size):
        assert route.same(store).total() == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--refuse", "F: Association Rejected:"),
        ("--abort-after", "Store Failed"),
        ("--abort-during", "Store Failed"),
    ],
)
def test_storescp_that_does_not_cooperate(route: Route, tmp_path: Path, option: str, said: str) -> None:
    file = dicom_files.named("MR_small.dcm")

    def store(port: int) -> tuple[bool, str]:
        # When no response came, storescu's exit code is whatever was in memory; only that it is not 0 says something.
        result = dcmtk.scu("storescu", port, files=[file.path])
        return result.code == 0, result.output

    with dcmtk.storescp(route.scp_port, tmp_path, option):
        succeeded, output = route.same(store)
    assert not succeeded
    assert said in output


def test_storescu_that_aborts_at_the_end(route: Route, tmp_path: Path) -> None:
    file = dicom_files.named("MR_small.dcm")
    with dcmtk.storescp(route.scp_port, tmp_path) as scp:
        route.same(lambda port: dcmtk.scu("storescu", port, "--abort", files=[file.path])).ok()
        dcmtk.scu("echoscu", route.port).ok()
    assert "Association Aborted" in scp.log()


def test_user_identity_crosses(route: Route, tmp_path: Path) -> None:
    file = dicom_files.named("MR_small.dcm")
    with dcmtk.storescp(route.scp_port, tmp_path, "-d") as scp:
        dcmtk.scu("storescu", route.port, "-usr", "somebody", "-pwd", "something", files=[file.path]).ok()
    assert "Authentication mode 2: Username/Password" in scp.log()

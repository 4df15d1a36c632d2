"""DCMTK's print spooler and print server: Basic Grayscale Print Management with real images."""

from pathlib import Path

import pytest
from pydicom import dcmread

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.routes import Route

FOLDERS = ("database", "spool", "lut", "log", "reports")

CONFIG = r"""
[[GENERAL]]
[APPLICATION]
LogDirectory = {folder}/log
LogLevel = DEBUG
[PRINT]
Directory = {folder}/spool
DetailedLog = true
BinaryLog = false
DeletePrintJobs = false
AlwaysDeleteTerminateJobs = true
[DATABASE]
Directory = {folder}/database
[LUT]
Directory = {folder}/lut
[NETWORK]
aetitle = ASKER
[[COMMUNICATION]]
"""

PRINTER = r"""
[{kind}]
Type = {kind}
Aetitle = TARGET
Description = a printer
Hostname = 127.0.0.1
Port = {port}
DisableNewVRs = false
DisplayFormat=1,1\1,2\2,2
FilmDestination = MAGAZINE\PROCESSOR
FilmSizeID = 8INX10IN\14INX17IN
ImplicitOnly = false
MagnificationType = REPLICATE\BILINEAR\CUBIC\NONE
MaxPDU = 32768
MediumType = PAPER\CLEAR FILM
OmitSOPClassUIDFromCreateResponse = false
PresentationLUTMatchRequired = false
PresentationLUTinFilmSession = false
Supports12Bit = true
SupportsPresentationLUT = true
SupportsTrim = true
"""


def configure(folder: Path, *, kind: str, port: int) -> Path:
    """Writes the configuration of a print SCU (`kind` PRINTER) or SCP (LOCALPRINTER), and makes its folders."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    path = folder / "print.cfg"
    path.write_text(CONFIG.format(folder=folder) + PRINTER.format(kind=kind, port=port))
    return path


def images(folder: Path) -> list[bytes]:
    """Pixel data of the hardcopy images in a database."""
    return [dcmread(path).PixelData for path in sorted((folder / "database").glob("HG_*.dcm"))]


@pytest.mark.parametrize("option", [(), ("--session-print",), ("--noprint",)], ids=["film-box", "session", "no-print"])
def test_dcmprscu_prints_a_film(route: Route, tmp_path: Path, option: tuple[str, ...]) -> None:
    scu = configure(tmp_path / "scu", kind="PRINTER", port=route.port)
    scp = configure(tmp_path / "scp", kind="LOCALPRINTER", port=route.scp_port)
    files = [dicom_files.named("MR_small.dcm").path, dicom_files.named("CT_small.dcm").path]
    dcmtk.run("dcmpsprt", "-c", scu, "-p", "PRINTER", "-l", 1, 2, *files).ok()
    jobs = sorted((tmp_path / "scu" / "database").glob("SP_*.dcm"))
    with dcmtk.Scp("dcmprscp", route.scp_port, tmp_path / "out", "-v", "-c", scp, "-p", "LOCALPRINTER", "+d"):
        result = dcmtk.run("dcmprscu", "-v", "+d", "-c", scu, "-p", "PRINTER", *option, *jobs).ok()
    assert "failed" not in result.output
    assert sorted(images(tmp_path / "scp")) == sorted(images(tmp_path / "scu"))
    stored_prints = list((tmp_path / "scp" / "database").glob("SP_*.dcm"))
    assert len(stored_prints) == (0 if "--noprint" in option else 1)
    for message in ("N-CREATE RQ", "N-SET RQ", "N-DELETE RQ", "N-GET RQ"):
        assert message in result.output

"""The DICOM files that ship inside pydicom, and objects made on the fly, with the digests of their data sets.

The digest is of the bytes after the file meta information: what a C-STORE carries. Nothing is downloaded.
"""

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pydicom
import pydicom.data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom.dsutils import split_dataset

_ROOT: Final = Path(pydicom.data.__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomFile:
    """A DICOM file on disk."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    offset: int
    """Of the data set in the file, bytes."""

    def data_set(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read()

    def digest(self) -> str:
        return digest(self.data_set())


def load(file: DicomFile) -> Dataset:
    """The whole object, decoded."""
    return pydicom.dcmread(file.path)


def digest(data_set: bytes) -> str:
    """SHA-256 of an encoded data set."""
    return hashlib.sha256(data_set).hexdigest()


def read(path: Path) -> DicomFile:
    """Looks at the file meta information of `path`.

    Raises:
        ValueError: it has not all that a C-STORE needs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            meta, offset = split_dataset(path)
        except (InvalidDicomError, OSError, NotImplementedError) as error:
            raise ValueError(f"{path.name}: {error}") from error
    wanted = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
    if not all(meta.get(keyword) for keyword in wanted):
        raise ValueError(f"{path.name}: file meta information lacks a UID")
    return DicomFile(
        path=path,
        sop_class=str(meta.MediaStorageSOPClassUID),
        sop_instance=str(meta.MediaStorageSOPInstanceUID),
        transfer_syntax=str(meta.TransferSyntaxUID),
        offset=offset,
    )


@cache
def shipped() -> tuple[DicomFile, ...]:
    """Every file inside pydicom's package that a C-STORE can carry, in order of their paths."""
    found = []
    for path in sorted(_ROOT.rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc", ".json", ".txt", ".md"):
            try:
                file = read(path)
            except ValueError:
                continue
            if "DICOMDIR" not in path.name:
                found.append(file)
    return tuple(found)


def named(name: str) -> DicomFile:
    """The shipped file of this name."""
    return next(file for file in shipped() if file.path.name == name)


@cache
def one_per_transfer_syntax() -> tuple[DicomFile, ...]:
    """The smallest well-formed shipped file of each transfer syntax, all of different SOP instances."""
    chosen: dict[str, DicomFile] = {}
    for file in sorted(shipped(), key=lambda file: file.path.stat().st_size):
        instances = {other.sop_instance for other in chosen.values()}
        if file.transfer_syntax not in chosen and file.sop_instance not in instances and _is_consistent(file):
            chosen[file.transfer_syntax] = file
    return tuple(chosen.values())


def _is_consistent(file: DicomFile) -> bool:
    """Whether the data set has the UIDs of the file meta information, on which DCMTK and Orthanc insist."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(file.path, stop_before_pixels=True)
    uids = (data_set.get("SOPClassUID"), data_set.get("SOPInstanceUID"))
    return uids == (file.sop_class, file.sop_instance) and bool(data_set.get("Rows"))


def write_object(
    folder: Path,
    *,
    patient_id: str,
    study: str | None = None,
    sop_class: str = CTImageStorage,
    pixel_bytes: int = 512,
) -> DicomFile:
    """Writes a small, complete object with UIDs of its own into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    data_set = Dataset()
    data_set.SOPClassUID = sop_class
    data_set.SOPInstanceUID = generate_uid()
    data_set.PatientID = patient_id
    data_set.PatientName = f"Test^{patient_id}"
    data_set.PatientBirthDate = ""
    data_set.PatientSex = ""
    data_set.StudyInstanceUID = study or generate_uid()
    data_set.SeriesInstanceUID = generate_uid()
    data_set.StudyID = "1"
    data_set.SeriesNumber = 1
    data_set.InstanceNumber = 1
    data_set.StudyDate = "20240101"
    data_set.StudyTime = "120000"
    data_set.AccessionNumber = ""
    data_set.ReferringPhysicianName = ""
    data_set.Modality = "CT"
    data_set.Rows = 1
    data_set.Columns = pixel_bytes
    data_set.SamplesPerPixel = 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.BitsAllocated = 8
    data_set.BitsStored = 8
    data_set.HighBit = 7
    data_set.PixelRepresentation = 0
    data_set.PixelData = bytes(range(256)) * (pixel_bytes // 256)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.file_meta = meta
    path = folder / f"{data_set.SOPInstanceUID}.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return read(path)


def digests(files: Iterable[DicomFile]) -> dict[str, str]:
    """SOP Instance UID to digest."""
    return {file.sop_instance: file.digest() for file in files}


def received(folder: Path) -> list[DicomFile]:
    """The DICOM files that a storage SCP has written into `folder`, in order of their names."""
    return [read(path) for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]

"""The DICOM files of the demonstration: some of those that are installed with pydicom.

They are read as bytes: what is sent, and compared with what comes back, is the data set as the file has it. Nothing
is downloaded, and no file is changed.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
import pydicom.data
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.dsutils import split_dataset

from dimse_proxy.cli.demonstration.failure import StepFailed

FOLDER: Final = Path(pydicom.data.__file__).parent / "test_files"

_EACH: Final = 3
"""Files of each transfer syntax, at most: enough to show all of them in a table that fits a screen."""

_WANTED: Final = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """One DICOM file on disk."""

    path: Path
    sop_class: UID
    sop_instance: UID
    study: UID
    transfer_syntax: UID
    data_set: bytes
    """All that follows the file meta information, as it is encoded in the file."""


def sample_files(folder: Path = FOLDER) -> tuple[SampleFile, ...]:
    """Chooses files of every transfer syntax that there is.

    Raises:
        StepFailed: `folder` has none that could be used.
    """
    found = [file for path in sorted(folder.iterdir()) if (file := _read(path)) is not None]
    if not found:
        raise StepFailed(f"there are no DICOM files in {folder}: is pydicom installed whole?")
    return tuple(sorted(choose(found), key=lambda file: (file.transfer_syntax, file.path.name)))


def choose(files: Iterable[SampleFile]) -> list[SampleFile]:
    """Three of each transfer syntax, of different SOP classes, the largest; no SOP instance twice.

    The files hold some SOP instances in several encodings, and an archive would keep only one of them. So the rarest
    transfer syntax chooses first.
    """
    by_syntax: defaultdict[UID, list[SampleFile]] = defaultdict(list)
    for file in files:
        by_syntax[file.transfer_syntax].append(file)
    chosen: dict[UID, SampleFile] = {}
    for group in sorted(by_syntax.values(), key=lambda group: (len({file.sop_instance for file in group}), len(group))):
        sop_classes: set[UID] = set()
        for file in sorted(group, key=lambda file: (-len(file.data_set), file.path.name)):
            if len(sop_classes) < _EACH and file.sop_class not in sop_classes and file.sop_instance not in chosen:
                sop_classes.add(file.sop_class)
                chosen[file.sop_instance] = file
    return list(chosen.values())


def _read(path: Path) -> SampleFile | None:
    """The file, or None if a C-STORE could not carry it or a C-FIND not find it again."""
    try:
        with warnings.catch_warnings():
            # Some of these files are there because they break rules; that is no news here.
            warnings.simplefilter("ignore")
            meta, offset = split_dataset(path)
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_WANTED))
    except (InvalidDicomError, NotImplementedError, OSError):
        return None
    if any(not header.get(keyword) for keyword in _WANTED) or not meta.get("TransferSyntaxUID"):
        return None
    identity = (header.SOPClassUID, header.SOPInstanceUID)
    if identity != (meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID")):
        return None
    return SampleFile(
        path=path,
        sop_class=header.SOPClassUID,
        sop_instance=header.SOPInstanceUID,
        study=header.StudyInstanceUID,
        transfer_syntax=meta.TransferSyntaxUID,
        data_set=path.read_bytes()[offset:],
    )

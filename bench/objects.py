"""The DICOM objects that are stored: CT images of 512 KiB and of 10 KiB, and one multi-frame object.

They are made once a run, of a pattern: no patient, and nothing that compresses by chance, since nobody compresses.
"""

import struct
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

FRAME: Final = 512 * 512 * 2
"""Bytes of a CT image, and of each frame of the multi-frame object."""
_PATTERN: Final = bytes(range(256))


def write_object(path: Path, number: int, *, rows: int, columns: int, frames: int = 1) -> None:
    """Write an image of 16 bits a pixel, explicit VR little endian, its UIDs made of `number`."""
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = f"1.2.826.0.1.3680043.10.1553.{number}"
    image.PatientID = "BENCH"
    image.PatientName = "Bench"
    image.StudyInstanceUID = "1.2.826.0.1.3680043.10.1553.1.1"
    image.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1553.1.2"
    image.Modality = "CT"
    image.NumberOfFrames = frames
    image.Rows, image.Columns = rows, columns
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    beginning = BytesIO()
    image.save_as(beginning, enforce_file_format=True)
    length = rows * columns * 2
    pixels = (_PATTERN * (length // len(_PATTERN) + 1))[:length]
    with path.open("wb") as file:
        file.write(beginning.getvalue())
        file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, frames * length))
        for _ in range(frames):
            file.write(pixels)


def series(folder: Path, count: int, *, rows: int = 512, columns: int = 512, frames: int = 1) -> Path:
    """Write `count` images into `folder`, and return it; those that are there already are not written again."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        path = folder / f"{number:05}.dcm"
        if not path.exists():
            write_object(path, 1000 + number, rows=rows, columns=columns, frames=frames)
    return folder

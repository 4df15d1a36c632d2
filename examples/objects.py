"""Small, complete DICOM objects for the examples: CT images, and what an AI application makes of them.

Nothing here is from a person: names and identifiers are invented, pixels are a ramp. No script sends anything here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    generate_uid,
)

SIZE: Final = 16
"""Rows and columns of an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Whose study it is, and which."""

    patient: str
    """Patient ID; the name is made of it."""
    day: date = date(2024, 1, 1)
    description: str = "Example"
    uid: str = field(default_factory=generate_uid)
    frame_of_reference: str = field(default_factory=generate_uid)


def write(folder: Path, objects: Iterable[Dataset]) -> list[Path]:
    """Writes each object to a file named by its modality and its number, explicit VR little endian."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, data_set in enumerate(objects, 1):
        path = folder / f"{number:03d}-{data_set.Modality}.dcm"
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
        data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
        data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data_set.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def ct_series(study: Study, count: int) -> list[Dataset]:
    """A series of CT images, 1 mm apart."""
    series = generate_uid()
    return [_ct_image(study, series, number) for number in range(1, count + 1)]


def results_of(study: Study, images: list[Dataset]) -> list[Dataset]:
    """What an AI application makes of a CT series: a structured report, a segmentation, a secondary capture."""
    segmentation = _segmentation(study, images)
    return [_structured_report(study, images, segmentation), segmentation, _secondary_capture(study)]


def _ct_image(study: Study, series: str, number: int) -> Dataset:
    data_set = _object(study, CTImageStorage, "CT", series, number)
    data_set.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data_set.BodyPartExamined = "CHEST"
    data_set.FrameOfReferenceUID = study.frame_of_reference
    data_set.PositionReferenceIndicator = ""
    data_set.PatientPosition = "HFS"
    data_set.ImagePositionPatient = [0, 0, number - 1]
    data_set.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data_set.PixelSpacing = [1, 1]
    data_set.SliceThickness = 1
    data_set.KVP = 120
    data_set.AcquisitionNumber = 1
    data_set.RescaleIntercept = -1024
    data_set.RescaleSlope = 1
    data_set.RescaleType = "HU"
    _pixels(data_set, bits=16, data=b"".join(value.to_bytes(2, "little") for value in range(SIZE * SIZE)))
    return data_set


def _secondary_capture(study: Study) -> Dataset:
    data_set = _object(study, SecondaryCaptureImageStorage, "OT", generate_uid(), 1)
    data_set.ImageType = ["DERIVED", "SECONDARY"]
    data_set.BodyPartExamined = "CHEST"
    data_set.ConversionType = "WSD"
    data_set.PatientOrientation = ""
    _pixels(data_set, bits=8, data=bytes(range(SIZE * SIZE)))
    return data_set


def _pixels(data_set: Dataset, *, bits: int, data: bytes) -> None:
    data_set.SamplesPerPixel = 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.Rows = data_set.Columns = SIZE
    data_set.BitsAllocated = data_set.BitsStored = bits
    data_set.HighBit = bits - 1
    data_set.PixelRepresentation = 0
    data_set.PixelData = data
    data_set["PixelData"].VR = "OW" if bits == 16 else "OB"


def _segmentation(study: Study, images: list[Dataset]) -> Dataset:
    """One segment, a frame for each image: the left half of it."""
    data_set = _object(study, SegmentationStorage, "SEG", generate_uid(), 1)
    data_set.FrameOfReferenceUID = study.frame_of_reference
    data_set.PositionReferenceIndicator = ""
    data_set.ImageType = ["DERIVED", "PRIMARY"]
    data_set.ContentLabel = "FINDING"
    data_set.ContentDescription = "An example"
    data_set.ContentCreatorName = "Example^Application"
    data_set.LossyImageCompression = "00"
    data_set.SegmentationType = "BINARY"
    data_set.NumberOfFrames = len(images)
    half_rows = (b"\xff" + b"\x00") * SIZE  # eight pixels a byte
    _pixels(data_set, bits=8, data=half_rows * len(images))
    data_set.BitsAllocated = data_set.BitsStored = 1
    data_set.HighBit = 0
    data_set.SegmentSequence = [_segment()]
    data_set.ReferencedSeriesSequence = [_referenced_series(images)]
    dimensions = generate_uid()
    data_set.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=dimensions)]
    data_set.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=dimensions,
            DimensionIndexPointer=0x00200032,  # Image Position (Patient)
            FunctionalGroupPointer=0x00209113,  # Plane Position Sequence
        )
    ]
    data_set.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=[1, 1], SliceThickness=1, SpacingBetweenSlices=1)],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=1)],
        )
    ]
    data_set.PerFrameFunctionalGroupsSequence = [_frame(image, number) for number, image in enumerate(images, 1)]
    return data_set


def _segment() -> Dataset:
    return _item(
        SegmentNumber=1,
        SegmentLabel="Finding",
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName="Example",
        SegmentedPropertyCategoryCodeSequence=[_code(codes.SCT.MorphologicallyAbnormalStructure)],
        SegmentedPropertyTypeCodeSequence=[_code(codes.SCT.Nodule)],
    )


def _frame(image: Dataset, number: int) -> Dataset:
    source = _reference(image)
    source.PurposeOfReferenceCodeSequence = [_code(codes.DCM.SourceImageForImageProcessingOperation)]
    return _item(
        DerivationImageSequence=[
            _item(
                SourceImageSequence=[source],
                DerivationCodeSequence=[_code(codes.DCM.Segmentation)],
            )
        ],
        FrameContentSequence=[_item(DimensionIndexValues=[number])],
        PlanePositionSequence=[_item(ImagePositionPatient=list(image.ImagePositionPatient))],
    )


def _structured_report(study: Study, images: list[Dataset], segmentation: Dataset) -> Dataset:
    data_set = _object(study, ComprehensiveSRStorage, "SR", generate_uid(), 1)
    data_set.ReferencedPerformedProcedureStepSequence = Sequence()
    data_set.CompletionFlag = "COMPLETE"
    data_set.VerificationFlag = "UNVERIFIED"
    data_set.PerformedProcedureCodeSequence = Sequence()
    data_set.CurrentRequestedProcedureEvidenceSequence = [
        _item(
            StudyInstanceUID=study.uid,
            ReferencedSeriesSequence=[_evidence(images), _evidence([segmentation])],
        )
    ]
    data_set.ValueType = "CONTAINER"
    data_set.ConceptNameCodeSequence = [_code(codes.DCM.ImagingMeasurementReport)]
    data_set.ContinuityOfContent = "SEPARATE"
    data_set.ContentSequence = [
        _item(
            RelationshipType="CONTAINS",
            ValueType="NUM",
            ConceptNameCodeSequence=[_code(codes.SCT.Volume)],
            MeasuredValueSequence=[
                _item(NumericValue="12.5", MeasurementUnitsCodeSequence=[_code(codes.UCUM.CubicMillimeter)])
            ],
        ),
        _item(
            RelationshipType="CONTAINS",
            ValueType="IMAGE",
            ConceptNameCodeSequence=[_code(codes.DCM.ReferencedSegment)],
            ReferencedSOPSequence=[_segment_reference(segmentation)],
        ),
    ]
    return data_set


def _evidence(instances: list[Dataset]) -> Dataset:
    return _item(
        SeriesInstanceUID=instances[0].SeriesInstanceUID,
        ReferencedSOPSequence=[_reference(instance) for instance in instances],
    )


def _referenced_series(instances: list[Dataset]) -> Dataset:
    return _item(
        SeriesInstanceUID=instances[0].SeriesInstanceUID,
        ReferencedInstanceSequence=[_reference(instance) for instance in instances],
    )


def _segment_reference(segmentation: Dataset) -> Dataset:
    reference = _reference(segmentation)
    reference.ReferencedSegmentNumber = 1
    return reference


def _reference(instance: Dataset) -> Dataset:
    return _item(ReferencedSOPClassUID=instance.SOPClassUID, ReferencedSOPInstanceUID=instance.SOPInstanceUID)


def _code(code: Code) -> Dataset:
    return _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _object(study: Study, sop_class: str, modality: str, series: str, number: int) -> Dataset:
    """What all of them have: patient, study, series, equipment, instance."""
    day = study.day.strftime("%Y%m%d")
    return _item(
        SOPClassUID=sop_class,
        SOPInstanceUID=generate_uid(),
        PatientName=f"Example^{study.patient}",
        PatientID=study.patient,
        PatientBirthDate="19700101",
        PatientSex="O",
        StudyInstanceUID=study.uid,
        StudyDate=day,
        StudyTime="120000",
        StudyID="1",
        StudyDescription=study.description,
        AccessionNumber="",
        ReferringPhysicianName="",
        SeriesInstanceUID=series,
        SeriesNumber={"CT": 1, "SEG": 101, "SR": 102}.get(modality, 103),
        SeriesDate=day,
        SeriesTime="120000",
        ContentDate=day,
        ContentTime="120000",
        InstanceNumber=number,
        Modality=modality,
        Manufacturer="Example",
        ManufacturerModelName="Example",
        DeviceSerialNumber="1",
        SoftwareVersions="1",
    )

"""Writes a worklist of three steps, two of them for the station CT1, in the layout that DCMTK's wlmscpfs reads."""

import sys
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from examples.dicom import say

STEPS = (("CT", "CT1", "Chest CT"), ("CT", "CT1", "Abdomen CT"), ("MR", "MR1", "Head MR"))


def main(folder: Path) -> None:
    """Writes a file a step."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lockfile").touch()
    for number, (modality, station, description) in enumerate(STEPS, 1):
        item = worklist_item(number, modality, station, description)
        item.file_meta = FileMetaDataset()
        item.file_meta.MediaStorageSOPClassUID = ModalityWorklistInformationFind
        item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.save_as(folder / f"step{number}.wl", enforce_file_format=True)
    say(f"{len(STEPS)} steps in {folder}")


def worklist_item(number: int, modality: str, station: str, description: str) -> Dataset:
    """One scheduled procedure step, with all that wlmscpfs wants to see."""
    step = Dataset()
    step.Modality = modality
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = "20240502"
    step.ScheduledProcedureStepStartTime = f"{8 + number:02d}0000"
    step.ScheduledPerformingPhysicianName = "Example^Physician"
    step.ScheduledProcedureStepDescription = description
    step.ScheduledProcedureStepID = f"STEP-{number}"
    item = Dataset()
    item.AccessionNumber = f"ACC-{number}"
    item.ReferringPhysicianName = "Example^Referrer"
    item.PatientName = f"Example^Patient{number}"
    item.PatientID = f"EXAMPLE-{number}"
    item.PatientBirthDate = "19700101"
    item.PatientSex = "O"
    item.StudyInstanceUID = generate_uid()
    item.RequestedProcedureDescription = description
    item.RequestedProcedureID = f"PROC-{number}"
    item.ScheduledProcedureStepSequence = [step]
    return item


if __name__ == "__main__":
    main(Path(sys.argv[1]))

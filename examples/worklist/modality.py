"""The modality: asks what it has to do, says that it has begun the first step, and that it has completed it.

Modality worklist is PS3.4 Annex K, the performed procedure step Annex F.
"""

import sys
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
)

from examples.dicom import PENDING, Application, NotAcceptedError, contexts_for, options_parser, say, status_of

MPPS = ModalityPerformedProcedureStep
WORKLIST = ModalityWorklistInformationFind


def worklist(association: Association, station: str) -> list[Dataset]:
    """The scheduled steps of a station, the earliest first."""
    step = Dataset()
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = step.ScheduledProcedureStepStartTime = ""
    step.ScheduledProcedureStepID = step.ScheduledProcedureStepDescription = step.Modality = ""
    keys = Dataset()
    keys.PatientName = keys.PatientID = keys.PatientBirthDate = keys.PatientSex = ""
    keys.StudyInstanceUID = keys.AccessionNumber = keys.RequestedProcedureID = ""
    keys.RequestedProcedureDescription = ""
    keys.ScheduledProcedureStepSequence = [step]
    answers = [(status_of(answer), item) for answer, item in association.send_c_find(keys, WORKLIST)]
    if answers[-1][0] != 0x0000:
        raise NotAcceptedError(f"worklist: {answers[-1][0]:04X}H")
    items = [item for status, item in answers if status in PENDING and item is not None]
    items.sort(key=lambda item: str(item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime))
    say(f"{station} has {len(items)} to do: " + ", ".join(_described(item) for item in items))
    return items


def begun(item: Dataset, station: str, now: datetime) -> Dataset:
    """What an N-CREATE says of a step that has begun (PS3.4 Table F.7.2-1)."""
    scheduled = item.ScheduledProcedureStepSequence[0]
    reference = Dataset()
    reference.StudyInstanceUID = item.StudyInstanceUID
    reference.AccessionNumber = item.AccessionNumber
    reference.RequestedProcedureID = item.RequestedProcedureID
    reference.RequestedProcedureDescription = item.RequestedProcedureDescription
    reference.ScheduledProcedureStepID = scheduled.ScheduledProcedureStepID
    reference.ScheduledProcedureStepDescription = scheduled.ScheduledProcedureStepDescription
    reference.ReferencedStudySequence = reference.ScheduledProtocolCodeSequence = []
    result = Dataset()
    result.ScheduledStepAttributesSequence = [reference]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(result, keyword, item[keyword].value)
    result.ReferencedPatientSequence = result.ProcedureCodeSequence = []
    result.PerformedProcedureStepID = scheduled.ScheduledProcedureStepID
    result.PerformedStationAETitle = station
    result.PerformedStationName = result.PerformedLocation = ""
    result.PerformedProcedureStepStartDate = now.strftime("%Y%m%d")
    result.PerformedProcedureStepStartTime = now.strftime("%H%M%S")
    result.PerformedProcedureStepStatus = "IN PROGRESS"
    result.PerformedProcedureStepDescription = scheduled.ScheduledProcedureStepDescription
    result.PerformedProcedureTypeDescription = ""
    result.PerformedProcedureStepEndDate = result.PerformedProcedureStepEndTime = ""
    result.Modality = scheduled.Modality
    result.StudyID = item.RequestedProcedureID
    result.PerformedProtocolCodeSequence = result.PerformedSeriesSequence = []
    return result


def completed(now: datetime) -> Dataset:
    """What an N-SET says of a step that is done: a series of two images."""
    images = []
    for _ in range(2):
        image = Dataset()
        image.ReferencedSOPClassUID = CTImageStorage
        image.ReferencedSOPInstanceUID = generate_uid()
        images.append(image)
    series = Dataset()
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = series.RetrieveAETitle = ""
    series.ProtocolName = "Example"
    series.SeriesInstanceUID = generate_uid()
    series.ReferencedImageSequence = images
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    result = Dataset()
    result.PerformedProcedureStepStatus = "COMPLETED"
    result.PerformedProcedureStepEndDate = now.strftime("%Y%m%d")
    result.PerformedProcedureStepEndTime = now.strftime("%H%M%S")
    result.PerformedSeriesSequence = [series]
    return result


def perform(association: Association, item: Dataset, station: str) -> None:
    """Begins and completes one step."""
    instance = generate_uid()
    answer, _ = association.send_n_create(begun(item, station, datetime.now()), MPPS, instance)
    say(f"{_described(item)}, IN PROGRESS: N-CREATE {status_of(answer):04X}H")
    answer, _ = association.send_n_set(completed(datetime.now()), MPPS, instance)
    say(f"{_described(item)}, COMPLETED: N-SET {status_of(answer):04X}H")


def _described(item: Dataset) -> str:
    step = item.ScheduledProcedureStepSequence[0]
    return f"{step.ScheduledProcedureStepID} {step.ScheduledProcedureStepDescription}"


def main(application: Application) -> int:
    """Performs the first step; returns the exit code."""
    try:
        with application.associate(contexts_for(WORKLIST)) as association:
            items = worklist(association, application.title)
        if not items:
            return 1
        with application.associate(contexts_for(MPPS)) as association:
            perform(association, items[0], application.title)
        with application.associate(contexts_for(WORKLIST)) as association:
            worklist(association, application.title)
    except NotAcceptedError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    parser = options_parser("Performs the first step of a station's worklist.", title="CT1", called="RIS")
    sys.exit(main(Application.of(parser.parse_args())))

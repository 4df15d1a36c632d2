"""The research application: selects studies by date, has each moved to itself, and tells what did not come.

It takes CT images and nothing else, so that whatever else is in a study is a sub-operation that fails: the PACS counts
it in its C-MOVE-RSP, and names it there if it is a good one (PS3.4 C.4.2.1.4.2). Exit code 1: not all came.
"""

import sys
import threading
from argparse import Namespace
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from examples.dicom import PENDING, Application, NotAcceptedError, contexts_for, options_parser, say, status_of

FIND = StudyRootQueryRetrieveInformationModelFind
MOVE = StudyRootQueryRetrieveInformationModelMove


@dataclass(slots=True)
class Store:
    """What has come, by SOP Instance UID."""

    received: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, event: Event) -> int:
        """C-STORE."""
        with self._lock:
            self.received.add(str(event.request.AffectedSOPInstanceUID))  # type: ignore[union-attr]
        return 0x0000


def select(application: Application, days: str) -> list[Dataset]:
    """The studies of a range of days, in order of their dates."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyDate = days
    keys.StudyInstanceUID = keys.PatientID = ""
    with application.associate(contexts_for(FIND)) as association:
        answers = [(status_of(answer), found) for answer, found in association.send_c_find(keys, FIND)]
    last = answers[-1][0]
    if last != 0x0000:
        raise NotAcceptedError(f"C-FIND: {last:04X}H")
    found = [each for status, each in answers if status in PENDING and each is not None]
    return sorted(found, key=lambda study: (str(study.StudyDate), str(study.PatientID)))


def pull(association: Association, study: Dataset, title: str) -> bool:
    """Has a study moved to `title`; returns whether all of it came, and otherwise says what the PACS says."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyInstanceUID = study.StudyInstanceUID
    *_, (answer, identifier) = association.send_c_move(keys, title, MOVE)
    status = status_of(answer)
    failed = int(answer.get("NumberOfFailedSuboperations", 0) or 0)
    if status == 0x0000 and not failed:
        return True
    completed = int(answer.get("NumberOfCompletedSuboperations", 0) or 0)
    say(f"{study.PatientID}, {study.StudyDate}: C-MOVE {status:04X}H, {completed} completed, {failed} failed")
    uids = None if identifier is None else identifier.get("FailedSOPInstanceUIDList")
    for uid in [uids] if isinstance(uids, str) else uids or []:
        say(f"  did not come: {uid}")
    return False


def main(options: Namespace) -> int:
    """Selects and pulls; returns the exit code."""
    application = Application.of(options)
    store = Store()
    with application.listening(contexts_for(CTImageStorage), [(evt.EVT_C_STORE, store.take)]):
        try:
            studies = select(application, options.days)
            say(f"{len(studies)} studies of {options.days}")
            with application.associate(contexts_for(MOVE)) as association:
                whole = sum(pull(association, study, application.title) for study in studies)
        except NotAcceptedError as error:
            say(str(error))
            return 1
    say(f"{whole} of {len(studies)} studies are whole; {len(store.received)} images are here")
    return 0 if studies and whole == len(studies) else 1


if __name__ == "__main__":
    parser = options_parser("Selects studies and pulls them.", title="COHORT", called="PACS")
    parser.add_argument("--days", default="20240101-20241231", help="range of Study Dates (20240101-20241231)")
    sys.exit(main(parser.parse_args()))

"""The reader in the cloud: takes studies, and for each that comes unasked fetches the patient's other ones.

A sub-operation of a C-MOVE names its Move Originator; a study that comes without one is new, unless it was asked for.
Its association's end is when it is looked at: an archive tells nothing else.
"""

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from examples.dicom import (
    PENDING,
    Application,
    Handlers,
    NotAcceptedError,
    contexts_for,
    options_parser,
    say,
    status_of,
)

FIND: Final = StudyRootQueryRetrieveInformationModelFind
MOVE: Final = StudyRootQueryRetrieveInformationModelMove


class Arrivals:
    """What has come: objects a study, and the studies that nobody asked for."""

    def __init__(self) -> None:
        self.new: Final[queue.Queue[tuple[str, str]]] = queue.Queue()
        """Patient ID and Study Instance UID of each new study whose association has ended."""
        self.asked_for: Final[set[str]] = set()
        """Studies that are priors."""
        self._lock: Final = threading.Lock()
        self._counts: Final[dict[str, int]] = {}
        self._unasked: Final[dict[object, set[tuple[str, str]]]] = {}

    def count(self, study: str) -> int:
        """Objects of a study that have arrived."""
        return self._counts.get(study, 0)

    def handlers(self) -> Handlers:
        """Of the listener."""
        return [(evt.EVT_C_STORE, self._store), (evt.EVT_CONN_CLOSE, self._closed)]

    def _store(self, event: Event) -> int:
        request: Any = event.request
        data_set = event.dataset
        study = str(data_set.StudyInstanceUID)
        with self._lock:
            self._counts[study] = self._counts.get(study, 0) + 1
            if not request.MoveOriginatorApplicationEntityTitle and study not in self.asked_for:
                self._unasked.setdefault(event.assoc, set()).add((str(data_set.PatientID), study))
        return 0x0000

    def _closed(self, event: Event) -> None:
        with self._lock:
            for found in self._unasked.pop(event.assoc, set()):
                self.new.put(found)


def priors_of(application: Application, patient: str, study: str) -> Iterator[Dataset]:
    """The patient's studies at the PACS other than `study`."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.PatientID = patient
    keys.StudyInstanceUID = keys.StudyDate = keys.StudyDescription = ""
    with application.associate(contexts_for(FIND)) as association:
        for answer, found in association.send_c_find(keys, FIND):
            if status_of(answer) in PENDING and found is not None and found.StudyInstanceUID != study:
                yield found


def move(application: Application, study: str) -> Dataset:
    """Has a study moved to the reader itself; returns the last response."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyInstanceUID = study
    with application.associate(contexts_for(MOVE)) as association:
        *_, (last, _) = association.send_c_move(keys, application.title, MOVE)
    return last


def fetch(application: Application, arrivals: Arrivals, patient: str, study: str) -> None:
    """Fetches the priors of a study that has arrived, the latest first."""
    say(f"{patient}: a new study of {arrivals.count(study)} objects")
    priors = sorted(priors_of(application, patient, study), key=lambda prior: str(prior.StudyDate), reverse=True)
    for prior in priors:
        arrivals.asked_for.add(str(prior.StudyInstanceUID))
        answer = move(application, str(prior.StudyInstanceUID))
        say(
            f"{patient}: prior of {prior.StudyDate}, {prior.get('StudyDescription', '')}: "
            f"C-MOVE {status_of(answer):04X}H, "
            f"{answer.get('NumberOfCompletedSuboperations', 0)} completed, "
            f"{answer.get('NumberOfFailedSuboperations', 0)} failed, {arrivals.count(prior.StudyInstanceUID)} here"
        )


def main(application: Application) -> None:
    """Takes studies until it is interrupted."""
    arrivals = Arrivals()
    accepted = [*contexts_for(Verification), *AllStoragePresentationContexts]
    with application.listening(accepted, arrivals.handlers()):
        say(f"{application.title} listens on port {application.listen_port}")
        while True:
            patient, study = arrivals.new.get()
            try:
                fetch(application, arrivals, patient, study)
            except NotAcceptedError as error:
                say(f"{patient}: no priors, {error}")


if __name__ == "__main__":
    parser = options_parser("Takes studies and fetches their priors.", title="READER", called="PACS")
    with suppress(KeyboardInterrupt):
        main(Application.of(parser.parse_args()))
    sys.exit(0)

"""A RIS for the example: a worklist from a folder of files, and the procedure steps that modalities perform."""

import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)

from examples.dicom import Application, Handlers, contexts_for, options_parser, say

Reply = tuple[int | Dataset, Dataset | None]

DUPLICATE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
PROCESSING_FAILURE: Final = 0x0110
MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
"""Error ID (PS3.4 F.7.2.2.3)."""


class Ris:
    """Scheduled and performed steps."""

    def __init__(self, folder: Path) -> None:
        """Reads the worklist."""
        self._scheduled: Final = [pydicom.dcmread(path) for path in sorted(folder.glob("*.wl"))]
        self._performed: Final[dict[str, Dataset]] = {}
        self._lock: Final = threading.Lock()

    def handlers(self) -> Handlers:
        """Of the listener."""
        return [(evt.EVT_C_FIND, self._find), (evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set)]

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset]]:
        """C-FIND: the steps of the station that is asked for, unless they have begun."""
        asked = event.identifier.ScheduledProcedureStepSequence[0]
        with self._lock:
            begun = {str(step.PerformedProcedureStepID) for step in self._performed.values()}
        for item in self._scheduled:
            step = item.ScheduledProcedureStepSequence[0]
            station = str(asked.get("ScheduledStationAETitle", "") or "")
            if station in ("", step.ScheduledStationAETitle) and step.ScheduledProcedureStepID not in begun:
                yield 0xFF00, _asked_for(event.identifier, item)

    def _create(self, event: Event) -> Reply:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        with self._lock:
            if uid in self._performed:
                return DUPLICATE, None
            self._performed[uid] = event.attribute_list
        self._tell(uid, event)
        return 0x0000, event.attribute_list

    def _set(self, event: Event) -> Reply:
        request: Any = event.request
        uid = str(request.RequestedSOPInstanceUID)
        with self._lock:
            step = self._performed.get(uid)
            if step is None:
                return NO_SUCH_INSTANCE, None
            if step.PerformedProcedureStepStatus != "IN PROGRESS":
                refused = Dataset()
                refused.Status = PROCESSING_FAILURE
                refused.ErrorID = MAY_NO_LONGER_BE_UPDATED
                refused.ErrorComment = "Performed Procedure Step Object may no longer be updated"
                return refused, None
            step.update(event.modification_list)
        self._tell(uid, event)
        return 0x0000, event.modification_list

    def _tell(self, uid: str, event: Event) -> None:
        step = self._performed[uid]
        images = sum(len(series.ReferencedImageSequence) for series in step.get("PerformedSeriesSequence", []))
        say(
            f"{event.assoc.requestor.ae_title} says: {step.PerformedProcedureStepID} "
            f"{step.PerformedProcedureStepStatus}, {images} images"
        )


def _asked_for(keys: Dataset, item: Dataset) -> Dataset:
    """The attributes of `item` that `keys` names, sequences included."""
    found = Dataset()
    for key in keys:
        if key.tag not in item:
            found.add_new(key.tag, key.VR, None)
        elif key.VR == "SQ" and key.value:
            found.add_new(key.tag, "SQ", [_asked_for(key.value[0], each) for each in item[key.tag].value])
        else:
            found.add(item[key.tag])
    return found


def main(options: Namespace) -> None:
    """Answers until it is interrupted."""
    application = Application.of(options)
    contexts = contexts_for(Verification, ModalityWorklistInformationFind, ModalityPerformedProcedureStep)
    with application.listening(contexts, Ris(options.worklist).handlers()):
        say(f"{application.title} listens on port {application.listen_port}")
        threading.Event().wait()


if __name__ == "__main__":
    parser = options_parser("A small RIS.", title="RIS")
    parser.add_argument("--worklist", type=Path, required=True, help="folder with .wl files")
    with suppress(KeyboardInterrupt):
        main(parser.parse_args())
    sys.exit(0)

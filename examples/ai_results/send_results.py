"""The AI application: stores results in the PACS, asks it to commit itself to them, and waits for its report.

Storage commitment is PS3.4 Annex J: the PACS may report on the association of the request or on one of its own, which
it opens to the AE title that asked. Both are taken here. Exit code 1: not all of it is safely stored.
"""

import queue
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from examples.dicom import Application, Handlers, NotAcceptedError, contexts_for, options_parser, say, status_of

REQUEST_COMMITMENT: Final = 1
"""Action Type ID of the N-ACTION."""


class Reports:
    """The N-EVENT-REPORTs that come, on whichever association."""

    def __init__(self) -> None:
        self._arrived: Final[queue.Queue[tuple[str, Dataset]]] = queue.Queue()

    def handlers(self, association: str) -> Handlers:
        """The handler for one kind of association, which `association` describes."""

        def handle(event: Event) -> tuple[int, None]:
            self._arrived.put((association, event.event_information))
            return 0x0000, None

        return [(evt.EVT_N_EVENT_REPORT, handle)]

    def wait_for(self, transaction: str, seconds: float) -> tuple[str, Dataset]:
        """The report of a transaction, and the association it came on.

        Raises:
            queue.Empty: it did not come.
        """
        while True:
            association, report = self._arrived.get(timeout=seconds)
            if transaction == report.TransactionUID:
                return association, report


def store(application: Application, results: list[Dataset]) -> list[Dataset]:
    """Stores the results; returns those that the PACS took."""
    stored = []
    with application.associate(contexts_for(*(result.SOPClassUID for result in results))) as association:
        for result in results:
            status = status_of(association.send_c_store(result))
            say(f"C-STORE {result.SOPClassUID.name}: {status:04X}H")
            if status == 0x0000 or status & 0xF000 == 0xB000:
                stored.append(result)
    return stored


def commit(application: Application, results: list[Dataset], seconds: float) -> bool:
    """Asks for storage commitment; returns whether the PACS has committed itself to all of the results."""
    transaction = generate_uid()
    request = Dataset()
    request.TransactionUID = transaction
    request.ReferencedSOPSequence = [_reference(result) for result in results]
    reports = Reports()
    contexts = contexts_for(StorageCommitmentPushModel)
    with (
        application.listening(contexts, reports.handlers("an association of its own")),
        application.associate(contexts, handlers=reports.handlers("the same association")) as association,
    ):
        answer, _ = association.send_n_action(
            request, REQUEST_COMMITMENT, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        status = status_of(answer)
        say(f"N-ACTION, {len(results)} instances to commit: {status:04X}H")
        if status != 0x0000:
            return False
        try:
            where, report = reports.wait_for(transaction, seconds)
        except queue.Empty:
            say(f"no N-EVENT-REPORT within {seconds:g} s")
            return False
    committed, failed = report.get("ReferencedSOPSequence", []), report.get("FailedSOPSequence", [])
    say(f"N-EVENT-REPORT on {where}: {len(committed)} committed, {len(failed)} failed")
    for item in failed:
        say(f"  failed: {item.ReferencedSOPInstanceUID}, reason {item.FailureReason:04X}H")
    return len(committed) == len(results)


def _reference(result: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = result.SOPClassUID
    item.ReferencedSOPInstanceUID = result.SOPInstanceUID
    return item


def main(options: Namespace) -> int:
    """Stores, asks, waits; returns the exit code."""
    application = Application.of(options)
    results: list[Any] = [pydicom.dcmread(path) for path in options.files]
    try:
        stored = results if options.commit_only else store(application, results)
        is_committed = commit(application, results, options.wait)
    except NotAcceptedError as error:
        say(str(error))
        return 1
    return 0 if is_committed and len(stored) == len(results) else 1


if __name__ == "__main__":
    parser = options_parser("Stores AI results and asks for storage commitment.", title="AI", called="PACS")
    parser.add_argument("files", nargs="+", type=Path, help="DICOM files to store")
    parser.add_argument("--wait", type=float, default=30.0, help="seconds to wait for the report (30)")
    parser.add_argument("--commit-only", action="store_true", help="store nothing, only ask for commitment")
    sys.exit(main(parser.parse_args()))

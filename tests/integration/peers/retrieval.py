"""pynetdicom as archive: C-FIND, C-GET and C-MOVE answered from a list of objects, and an SCU's storage SCP.

What is left to a test: which responses are given, and when.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import build_context

from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.pynetdicom_peers import BOTH_LITTLE_ENDIAN
from tests.integration.peers.waiting import LOOPBACK

Answer = tuple[int | Dataset, Dataset | None]

STEP_SECONDS: Final = 20


class Steps:
    """Lock step: one side goes on only when the other has said that it has seen what was sent.

    A response that is held back anywhere between them therefore fails the test, without any timing.
    """

    def __init__(self) -> None:
        self._seen: Final = threading.Semaphore(0)

    def seen(self) -> None:
        """The receiving side: I have it."""
        self._seen.release()

    def wait(self) -> None:
        """The sending side: waits until the other side has it."""
        assert self._seen.acquire(timeout=STEP_SECONDS), "what was sent did not arrive while the sender waited for it"


@dataclass(slots=True)
class Store:
    """A storage SCP's memory: digests of what arrived, and what it answers."""

    status: int | Dataset = 0x0000
    """The answer to each C-STORE that is not in `statuses`."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Answers of their own, by SOP Instance UID."""
    received: dict[str, str] = field(default_factory=dict)
    """SOP Instance UID to digest."""
    digests: list[str] = field(default_factory=list)
    """Digest of each C-STORE, in order."""
    originators: list[tuple[str | None, int | None]] = field(default_factory=list)
    """Move Originator AE Title and Message ID of each C-STORE-RQ, in order."""
    calling: list[str] = field(default_factory=list)
    """Calling AE title of the association of each, in order."""

    def handle_store(self, event: Event) -> int | Dataset:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        self.received[uid] = dicom_files.digest(request.DataSet.getvalue())
        self.digests.append(self.received[uid])
        self.originators.append((request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID))
        self.calling.append(event.assoc.requestor.ae_title)
        return self.statuses.get(uid, self.status)

    def handlers(self) -> list[tuple[Any, ...]]:
        return [(evt.EVT_C_STORE, self.handle_store)]


def identifier(number: int) -> Dataset:
    """A study-level response."""
    found = Dataset()
    found.QueryRetrieveLevel = "STUDY"
    found.PatientID = f"PAT{number}"
    found.StudyInstanceUID = f"1.2.3.{number}"
    return found


def query(**keys: str) -> Dataset:
    """A study-level query."""
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.StudyInstanceUID = ""
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def destination(port: int, sop_classes: list[str]) -> tuple[str, int, dict[str, Any]]:
    """What a pynetdicom C-MOVE handler yields first."""
    contexts = [build_context(UID(uid), list(BOTH_LITTLE_ENDIAN)) for uid in dict.fromkeys(sop_classes)]
    return LOOPBACK, port, {"contexts": contexts}


def retrieve(files: list[DicomFile]) -> Iterator[Answer]:
    """A pending answer for each object."""
    for file in files:
        yield 0xFF00, dicom_files.load(file)

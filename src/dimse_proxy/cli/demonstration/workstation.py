"""The workstation: the SCU that stores, finds and retrieves, and the storage SCP that a C-MOVE comes back to.

It stands in for whatever DICOM application is behind proxy A. It calls one address, that of proxy A, and knows nothing
of what is behind. Each verb raises `StepFailed` if the answer is not what it must be.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from dimse_proxy.cli.demonstration.failure import StepFailed
from dimse_proxy.cli.demonstration.files import SampleFile

_LONGEST_SILENCE: Final = 15.0
"""Seconds to wait for an answer. Everything happens on one machine, so that a longer wait is a failure."""

_ECHO_PAUSE: Final = 0.02
"""Seconds between two attempts to get through."""

Handlers = list[Any]
Responses = Iterator[tuple[Dataset, Dataset | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An object as it came back."""

    data_set: bytes
    transfer_syntax: UID
    at: float
    """When, on the clock of `time.perf_counter`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """An object that was asked for, and how long it took from the request."""

    data_set: bytes
    transfer_syntax: UID
    seconds: float

    def is_identical(self, file: SampleFile) -> bool:
        """Whether it is `file`, bit for bit and in the same transfer syntax."""
        return self.data_set == file.data_set and self.transfer_syntax == file.transfer_syntax


class Arrivals:
    """What a storage SCP received, by SOP Instance UID; its handler runs in threads of pynetdicom."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._arrived: dict[str, Arrival] = {}

    def handle_store(self, event: Event) -> int:
        """C-STORE: keeps the bytes of the data set as they came."""
        request: Any = event.request
        arrival = Arrival(
            data_set=event.encoded_dataset(include_meta=False),
            transfer_syntax=UID(event.context.transfer_syntax),
            at=time.perf_counter(),
        )
        with self._lock:
            self._arrived[str(request.AffectedSOPInstanceUID)] = arrival
        return 0x0000

    def take(self, asked_at: float) -> dict[str, Retrieved]:
        """Hands out what has arrived and forgets it."""
        with self._lock:
            arrived, self._arrived = self._arrived, {}
        return {
            uid: Retrieved(data_set=it.data_set, transfer_syntax=it.transfer_syntax, seconds=it.at - asked_at)
            for uid, it in arrived.items()
        }


class Workstation:
    """The workstation; its storage SCP listens from `start` to `stop`."""

    def __init__(self, ae_title: str, files: Sequence[SampleFile]) -> None:
        """Prepares a workstation.

        Args:
            ae_title: its own, both calling and called.
            files: what it has to store; it proposes presentation contexts for these and no others.
        """
        self._files: Final = tuple(files)
        self._moved: Final = Arrivals()
        self._ae: Final = AE(ae_title=ae_title)
        self._ae.require_called_aet = True
        self._ae.acse_timeout = _LONGEST_SILENCE
        self._ae.dimse_timeout = _LONGEST_SILENCE
        self._address: tuple[str, int] = ("", 0)
        self._called = ""

    def start(self, host: str) -> int:
        """Lets the storage SCP listen on a free port of `host` and returns it."""
        for sop_class, transfer_syntaxes in self._pairs().items():
            self._ae.add_supported_context(sop_class, transfer_syntaxes)
        handlers: Handlers = [(evt.EVT_C_STORE, self._moved.handle_store)]
        server = self._ae.start_server((host, 0), block=False, evt_handlers=handlers)
        assert server is not None
        assert server.socket is not None
        return int(server.socket.getsockname()[1])

    def stop(self) -> None:
        """Aborts what is open and stops listening; does nothing the second time."""
        self._ae.shutdown()

    def call(self, host: str, port: int, ae_title: str) -> None:
        """Says where the archive is, as the workstation sees it."""
        self._address, self._called = (host, port), ae_title

    def echo_until_answered(self, deadline: float) -> int:
        """Asks with C-ECHO until the archive answers, which it does once both proxies have found each other.

        Args:
            deadline: when to give up, on the clock of `time.perf_counter`.

        Returns:
            How many attempts it took.
        """
        attempts = 1
        while not self._echo():
            if time.perf_counter() > deadline:
                raise StepFailed(f"no answer to {attempts} C-ECHOs")
            attempts += 1
            time.sleep(_ECHO_PAUSE)
        return attempts

    def store(self) -> dict[str, float]:
        """Stores every file on one association; returns the seconds of each C-STORE by SOP Instance UID."""
        seconds = {}
        with self._association(self._storage_contexts()) as association:
            for number, file in enumerate(self._files, start=1):
                before = time.perf_counter()
                answer = association.send_c_store(file.path, msg_id=number)
                seconds[str(file.sop_instance)] = time.perf_counter() - before
                _must_succeed(answer, f"the C-STORE of {file.path.name}")
        return seconds

    def find(self) -> int:
        """Finds every study, and in each of them every image that was stored; returns the number of answers."""
        answers = 0
        with self._association([build_context(StudyRootQueryRetrieveInformationModelFind)]) as association:
            studies = _find(association, _query("STUDY", StudyInstanceUID="", PatientName="", StudyDate=""))
            found = {str(answer.StudyInstanceUID) for answer in studies}
            if found != set(self._studies()):
                raise StepFailed(f"{len(found)} studies were found, {len(self._studies())} were stored")
            answers += len(studies)
            for study, stored in self._studies().items():
                images = _find(association, _query("IMAGE", StudyInstanceUID=study, SOPInstanceUID="", SOPClassUID=""))
                if {str(answer.SOPInstanceUID) for answer in images} != stored:
                    raise StepFailed(f"{len(images)} images were found in study {study}, {len(stored)} were stored")
                answers += len(images)
        return answers

    def move(self) -> dict[str, Retrieved]:
        """Lets the archive send every study to this workstation; returns what came, by SOP Instance UID."""
        retrieved: dict[str, Retrieved] = {}
        self._moved.take(0)
        with self._association([build_context(StudyRootQueryRetrieveInformationModelMove)]) as association:
            for study, stored in self._studies().items():
                asked_at = time.perf_counter()
                query = _query("STUDY", StudyInstanceUID=study)
                responses = association.send_c_move(
                    query, self._ae.ae_title, StudyRootQueryRetrieveInformationModelMove
                )
                _must_be_complete(responses, len(stored), f"the C-MOVE of study {study}")
                retrieved |= self._moved.take(asked_at)
        return retrieved

    def get(self) -> dict[str, Retrieved]:
        """Lets the archive send every study on the association that asks; returns what came, by SOP Instance UID."""
        retrieved: dict[str, Retrieved] = {}
        arrivals = Arrivals()
        contexts = [build_context(StudyRootQueryRetrieveInformationModelGet), *self._storage_contexts()]
        with self._association(contexts, storage_scp=arrivals) as association:
            for study, stored in self._studies().items():
                asked_at = time.perf_counter()
                query = _query("STUDY", StudyInstanceUID=study)
                responses = association.send_c_get(query, StudyRootQueryRetrieveInformationModelGet)
                _must_be_complete(responses, len(stored), f"the C-GET of study {study}")
                retrieved |= arrivals.take(asked_at)
        return retrieved

    def _echo(self) -> bool:
        association = self._ae.associate(*self._address, contexts=[build_context(Verification)], ae_title=self._called)
        if not association.is_established:
            return False
        answer = association.send_c_echo()
        association.release()
        return "Status" in answer and answer.Status == 0x0000

    @contextmanager
    def _association(
        self, contexts: list[PresentationContext], *, storage_scp: Arrivals | None = None
    ) -> Iterator[Association]:
        """An association with the archive, released at the end; as storage SCP too if `storage_scp` is given."""
        handlers: Handlers = [] if storage_scp is None else [(evt.EVT_C_STORE, storage_scp.handle_store)]
        roles = [] if storage_scp is None else [build_role(uid, scp_role=True) for uid in self._pairs()]
        association = self._ae.associate(
            *self._address, contexts=contexts, ae_title=self._called, ext_neg=[*roles], evt_handlers=handlers
        )
        if not association.is_established:
            raise StepFailed(f"the association was {'rejected' if association.is_rejected else 'aborted'}")
        try:
            yield association
        except (RuntimeError, ValueError) as error:
            # What pynetdicom raises when the association is gone, or has no presentation context for a file.
            association.abort()
            raise StepFailed(str(error)) from error
        except BaseException:
            association.abort()
            raise
        association.release()
        if not association.is_released:
            raise StepFailed("the association could not be released")

    def _pairs(self) -> dict[UID, list[UID]]:
        """The transfer syntaxes of each SOP class among the files."""
        pairs: defaultdict[UID, dict[UID, None]] = defaultdict(dict)
        for file in self._files:
            pairs[file.sop_class][file.transfer_syntax] = None
        return {sop_class: list(transfer_syntaxes) for sop_class, transfer_syntaxes in pairs.items()}

    def _storage_contexts(self) -> list[PresentationContext]:
        """A context for each pair: with several transfer syntaxes in one, the archive would choose among them."""
        return [
            build_context(uid, transfer_syntax) for uid, group in self._pairs().items() for transfer_syntax in group
        ]

    def _studies(self) -> dict[str, set[str]]:
        """The SOP Instance UIDs of each study."""
        studies: defaultdict[str, set[str]] = defaultdict(set)
        for file in self._files:
            studies[str(file.study)].add(str(file.sop_instance))
        return studies


def _query(level: str, **keys: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _find(association: Association, query: Dataset) -> list[Dataset]:
    """The identifiers of the pending responses."""
    responses = list(association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind))
    _must_succeed(responses[-1][0], f"the C-FIND at level {query.QueryRetrieveLevel}")
    return [identifier for _, identifier in responses if identifier is not None]


def _must_be_complete(responses: Responses, expected: int, what: str) -> None:
    """Waits for the final response of a C-MOVE or C-GET; raises unless all sub-operations were completed."""
    *_, (status, _) = responses
    _must_succeed(status, what)
    if status.NumberOfCompletedSuboperations != expected:
        raise StepFailed(f"{what} completed {status.NumberOfCompletedSuboperations} sub-operations, not {expected}")


def _must_succeed(status: Dataset, what: str) -> None:
    if "Status" not in status:
        raise StepFailed(f"{what} was not answered")
    if status.Status != 0x0000:
        raise StepFailed(f"{what} was answered with status 0x{status.Status:04X}")

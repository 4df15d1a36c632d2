"""Which instances of whom pass over one association, from the heads of C-STORE-RQs and the statuses that answer them.

Pure: time comes in. It tells when a study begins, and what was transferred of a patient once that seems to be over:
the association has ended, or nothing of the patient came for a while. Memory is bounded, whatever a peer sends.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.data_set_head import StudyHead
from dimse_proxy.dimse.status import StatusClass, status_class
from dimse_proxy.observability.audit.events import Patient

QUIET: Final = 60.0
"""Seconds without an instance of a patient after which a transfer counts as over, though the association goes on."""
PATIENTS_LIMIT: Final = 64
"""Transfers of one association that are open; beyond it the oldest counts as over."""
STUDIES_LIMIT: Final = 32
"""Pairs of study and SOP class in one message, which so stays below 32 KiB (PS3.15 A.6)."""
KNOWN_STUDIES_LIMIT: Final = 1024
"""Studies of one patient whose beginning is remembered."""
FAILURES_LIMIT: Final = 8
"""Kinds of failure that one message names."""
AWAITED_LIMIT: Final = 4096
"""Instances without an answer, as in `dimse.tracking`."""
_STORED: Final = frozenset({StatusClass.SUCCESS, StatusClass.WARNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferKey:
    """What has a message of its own."""

    from_requestor: bool
    """Sent by the association's requestor, not by its acceptor."""
    originator: str | None
    """Move Originator AE title."""
    patient: Patient | None
    """None: the heads could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyBegins:
    """The first instance of a study in a transfer."""

    key: TransferKey
    study: str | None
    sop_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What was transferred of one patient, with one kind of outcome."""

    key: TransferKey
    studies: Mapping[str | None, Mapping[str, int]]
    """Study -> SOP class UID -> number of instances."""
    failure: str | None
    """Why they were not stored; None: they were."""
    when: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instance:
    """A C-STORE-RQ that has no answer."""

    key: TransferKey
    study: str | None
    sop_class: str
    now: float
    when: datetime


@dataclass(slots=True, kw_only=True)
class _Open:
    """A transfer that is not over."""

    last: float
    when: datetime
    studies: set[str | None] = field(default_factory=set)
    """Those whose beginning was told of."""
    stored: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    failures: dict[str, None] = field(default_factory=dict)
    """Why, each kind once."""
    awaited: int = 0


class Transfers:
    """Of one association."""

    def __init__(self) -> None:
        self._open: Final[OrderedDict[TransferKey, _Open]] = OrderedDict()
        self._awaited: Final[dict[tuple[bool, int | None], _Instance]] = {}
        """By who answers, and the message ID."""
        self._over: Final[list[Transfer]] = []

    def instance(
        self, command: CommandSet, head: StudyHead | None, *, from_requestor: bool, now: float, when: datetime
    ) -> StudyBegins | None:
        """Note a C-STORE-RQ; say so if it begins a study.

        Args:
            command: the request.
            head: whose it is; None if that could not be read.
            from_requestor: sent by the association's requestor.
            now: seconds of any monotonic clock.
            when: the time of day.
        """
        patient = None if head is None else Patient(head.patient_id, head.patient_name)
        study = None if head is None else head.study_instance_uid
        originator = command.move_originator_ae_title or None
        key = TransferKey(from_requestor=from_requestor, originator=originator, patient=patient)
        sop_class = command.affected_sop_class_uid or ""
        answer = (not from_requestor, command.message_id)
        self._unanswered(answer, "another request came under its message ID")
        if len(self._awaited) >= AWAITED_LIMIT:
            self._unanswered(next(iter(self._awaited)), "no answer was seen")
        self._awaited[answer] = _Instance(key=key, study=study, sop_class=sop_class, now=now, when=when)
        transfer = self._transfer(key, now, when)
        transfer.awaited += 1
        if study in transfer.studies:
            return None
        if len(transfer.studies) >= KNOWN_STUDIES_LIMIT:
            transfer.studies.clear()
        transfer.studies.add(study)
        return StudyBegins(key=key, study=study, sop_class=sop_class)

    def answer(self, command: CommandSet, *, from_requestor: bool, now: float, when: datetime) -> None:
        """Note a C-STORE-RSP."""
        instance = self._awaited.pop((from_requestor, command.message_id_being_responded_to), None)
        if instance is None:
            return
        status = command.status
        if status is None:
            failure: str | None = "an answer without status"
        else:
            failure = None if status_class(status) in _STORED else f"status {status:04X}H"
        self._count(instance, failure, now, when)

    def over(self, now: float) -> list[Transfer]:
        """Return what is over by now."""
        for key, transfer in list(self._open.items()):
            if not transfer.awaited and now - transfer.last >= QUIET:
                self._close(key)
        return self._taken()

    def rest(self) -> list[Transfer]:
        """Return everything that is left: the association has ended."""
        for answer in list(self._awaited):
            self._unanswered(answer, "the association ended before an answer")
        for key in list(self._open):
            self._close(key)
        return self._taken()

    def _transfer(self, key: TransferKey, now: float, when: datetime) -> _Open:
        transfer = self._open.get(key)
        if transfer is None:
            if len(self._open) >= PATIENTS_LIMIT:
                self._close(next(iter(self._open)))
            transfer = self._open[key] = _Open(last=now, when=when)
        transfer.last = max(transfer.last, now)
        return transfer

    def _unanswered(self, answer: tuple[bool, int | None], failure: str) -> None:
        instance = self._awaited.pop(answer, None)
        if instance is not None:
            self._count(instance, failure, instance.now, instance.when)

    def _count(self, instance: _Instance, failure: str | None, now: float, when: datetime) -> None:
        transfer = self._transfer(instance.key, now, when)
        transfer.awaited = max(0, transfer.awaited - 1)
        transfer.when = max(transfer.when, when)
        counted = transfer.stored if failure is None else transfer.failed
        counted[instance.study, instance.sop_class] += 1
        if failure is not None and len(transfer.failures) < FAILURES_LIMIT:
            transfer.failures[failure] = None
        if len(transfer.stored) + len(transfer.failed) >= STUDIES_LIMIT:
            self._tell(instance.key, transfer)

    def _close(self, key: TransferKey) -> None:
        self._tell(key, self._open.pop(key))

    def _tell(self, key: TransferKey, transfer: _Open) -> None:
        """One message for what was stored and one for what was not (A.5.2, EventOutcomeIndicator)."""
        for counted, failure in ((transfer.stored, None), (transfer.failed, ", ".join(transfer.failures))):
            if counted:
                self._over.append(Transfer(key=key, studies=by_study(counted), failure=failure, when=transfer.when))
        transfer.stored.clear()
        transfer.failed.clear()
        transfer.failures.clear()

    def _taken(self) -> list[Transfer]:
        over = self._over[:]
        self._over.clear()
        return over


def by_study(counted: Counter[tuple[str | None, str]]) -> dict[str | None, dict[str, int]]:
    """Return study -> SOP class -> number of instances."""
    return dict(_grouped(counted))


def _grouped(counted: Counter[tuple[str | None, str]]) -> Iterator[tuple[str | None, dict[str, int]]]:
    for study in dict.fromkeys(study for study, _ in counted):
        yield study, {sop_class: number for (each, sop_class), number in counted.items() if each == study}

"""Each event's message with what PS3.15 A.5.3 wants in it: one function an event, pure but for the clock it is given.

When something is an event is for `observer` to say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dimse_proxy.observability.audit import codes
from dimse_proxy.observability.audit.codes import Action, Code, Outcome
from dimse_proxy.observability.audit.messages import AuditMessage, AuditSource, Participant, ParticipantObject

NONE: Final = "<none>"
"""Stands for a value that the data set does not have."""
UNKNOWN: Final = "<unknown>"
"""Stands for a value that could not be read, or is known at the other side only."""

_PERSON, _SYSTEM = 1, 2
_PATIENT, _REPORT, _SECURITY_RESOURCE = 1, 3, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """This process, as a participant."""

    instance: str
    """Its name in logs and metrics (A.5.2.1)."""
    host: str
    """One name or address, the same in all messages (A.5.2.4)."""
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of an association."""

    titles: tuple[str, ...]
    """Its AE title, and the other ones that it goes by at one of the two sides."""
    host: str | None = None
    """None where only the other side knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Who gives what to whom."""

    source: End
    destination: End
    is_source_requestor: bool
    third: End | None = None
    """Another AE at whose request it happens (the Move Originator), or for whom (the Move Destination)."""
    is_third_requestor: bool = False


@dataclass(frozen=True, slots=True)
class Patient:
    """Whose it is; empty values are missing ones. None in its place: that could not be read."""

    number: str
    name: str

    def __repr__(self) -> str:
        return "Patient(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that endangers security."""

    kind: Code
    outcome: Outcome
    subject: str
    """Address, name or URI of what it is about."""
    subject_type: Code
    description: str
    performer: End | None = None
    """Who did it."""


class Events:
    """Makes the messages of one process."""

    def __init__(self, node: Node, source: AuditSource, clock: Callable[[], datetime]) -> None:
        """Makes messages.

        Args:
            node: this process.
            source: who writes.
            clock: the time, with its zone.
        """
        self._node: Final = node
        self._source: Final = source
        self._clock: Final = clock

    def started(self) -> AuditMessage:
        """Application Activity: this process started (A.5.3.1)."""
        return self._activity(codes.APPLICATION_START, self._node.instance, Outcome.SUCCESS, None, self._clock())

    def stopped(self, trouble: str | None = None) -> AuditMessage:
        """Application Activity: this process stops, because it is told to or because of `trouble`."""
        outcome = Outcome.SUCCESS if trouble is None else Outcome.MAJOR_FAILURE
        return self._activity(codes.APPLICATION_STOP, self._node.instance, outcome, trouble, self._clock())

    def vanished(self, instance: str, last_seen: datetime) -> AuditMessage:
        """Application Activity: the process before this one never said that it stops."""
        text = "It did not stop in order: killed, or the machine went down. The time is that of its last sign of life."
        return self._activity(codes.APPLICATION_STOP, instance, Outcome.MAJOR_FAILURE, text, last_seen)

    def attached(self) -> AuditMessage:
        """Network Entry: connected to NATS (A.5.3.9)."""
        return self._network_entry(codes.ATTACH, None)

    def detached(self, trouble: str | None = None) -> AuditMessage:
        """Network Entry: no longer connected, because it stops or because of `trouble`."""
        return self._network_entry(codes.DETACH, trouble)

    def alert(self, alert: Alert) -> AuditMessage:
        """Security Alert (A.5.3.11)."""
        performers = () if alert.performer is None else (_participant(alert.performer),)
        return AuditMessage(
            event=codes.SECURITY_ALERT,
            event_type=alert.kind,
            outcome=alert.outcome,
            when=self._clock(),
            participants=(self._own(), *performers),
            source=self._source,
            objects=(
                ParticipantObject(
                    object_id=alert.subject,
                    id_type=alert.subject_type,
                    type_code=_SYSTEM,
                    role=_SECURITY_RESOURCE,
                    name=alert.subject,
                    details=(("Alert Description", alert.description.encode(errors="replace")),),
                ),
            ),
        )

    def transfer_begins(
        self, exchange: Exchange, patient: Patient | None, study: str | None, sop_class: str
    ) -> AuditMessage:
        """Begin Transferring DICOM Instances (A.5.3.3): the first instance of a study; its SOP class is known."""
        return AuditMessage(
            event=codes.BEGIN_TRANSFERRING,
            when=self._clock(),
            participants=self._participants(exchange),
            source=self._source,
            objects=(_study(study, {sop_class: 1}), _patient(patient)),
        )

    def transferred(
        self,
        exchange: Exchange,
        patient: Patient | None,
        studies: Mapping[str | None, Mapping[str, int]],
        *,
        failure: str | None,
        when: datetime,
        note: str = "",
        outcome: Outcome = Outcome.MINOR_FAILURE,
    ) -> AuditMessage:
        """DICOM Instances Transferred (A.5.3.7).

        Args:
            exchange: who to whom.
            patient: one.
            studies: study -> SOP class UID -> number of instances.
            failure: why they were not stored; None: they were.
            when: the last of them had its answer.
            note: what else is to be said.
            outcome: of a failure.
        """
        return AuditMessage(
            event=codes.INSTANCES_TRANSFERRED,
            action=Action.READ,
            outcome=Outcome.SUCCESS if failure is None else outcome,
            description="; ".join(filter(None, (failure, note))) or None,
            when=when,
            participants=self._participants(exchange),
            source=self._source,
            objects=(*(_study(study, classes) for study, classes in studies.items()), _patient(patient)),
        )

    def query(
        self, exchange: Exchange, sop_class: str, identifier: bytes, transfer_syntax: str, *, length: int
    ) -> AuditMessage:
        """Query (A.5.3.10).

        Args:
            exchange: who asks whom.
            sop_class: UID.
            identifier: the data set, or its beginning.
            transfer_syntax: UID of it.
            length: bytes of all of it.
        """
        details: Sequence[tuple[str, bytes]] = [("TransferSyntax", transfer_syntax.encode())]
        if length > len(identifier):
            details = [*details, ("CutOffAt", b"%d of %d bytes" % (len(identifier), length))]
        return AuditMessage(
            event=codes.QUERY,
            when=self._clock(),
            participants=self._participants(exchange),
            source=self._source,
            objects=(
                ParticipantObject(
                    object_id=sop_class,
                    id_type=codes.SOP_CLASS_UID,
                    type_code=_SYSTEM,
                    role=_REPORT,
                    query=identifier,
                    details=tuple(details),
                ),
            ),
        )

    def _activity(
        self, kind: Code, instance: str, outcome: Outcome, description: str | None, when: datetime
    ) -> AuditMessage:
        return AuditMessage(
            event=codes.APPLICATION_ACTIVITY,
            event_type=kind,
            outcome=outcome,
            description=description,
            when=when,
            participants=(self._own(instance),),
            source=self._source,
        )

    def _network_entry(self, kind: Code, trouble: str | None) -> AuditMessage:
        return AuditMessage(
            event=codes.NETWORK_ENTRY,
            event_type=kind,
            outcome=Outcome.SUCCESS if trouble is None else Outcome.MINOR_FAILURE,
            description=trouble,
            when=self._clock(),
            participants=(self._own(),),
            source=self._source,
        )

    def _participants(self, exchange: Exchange) -> tuple[Participant, ...]:
        source_asks = exchange.is_source_requestor and not exchange.is_third_requestor
        destination_asks = not exchange.is_source_requestor and not exchange.is_third_requestor
        third = exchange.third
        return (
            _participant(exchange.source, role=codes.SOURCE, is_requestor=source_asks),
            _participant(exchange.destination, role=codes.DESTINATION, is_requestor=destination_asks),
            *(() if third is None else (_participant(third, is_requestor=exchange.is_third_requestor),)),
            self._own(),
        )

    def _own(self, instance: str | None = None) -> Participant:
        node = self._node
        return Participant(
            user_id=node.instance if instance is None else instance,
            titles=node.titles,
            user_name="DIMSE Proxy",
            role=codes.APPLICATION,
            host=node.host,
        )


def _participant(end: End, *, role: Code | None = None, is_requestor: bool = False) -> Participant:
    titles = tuple(dict.fromkeys(title for title in end.titles if title))
    return Participant(
        user_id=titles[0] if titles else end.host or UNKNOWN,
        titles=titles,
        is_requestor=is_requestor,
        role=role,
        host=end.host,
    )


def _study(uid: str | None, sop_classes: Mapping[str, int]) -> ParticipantObject:
    text = UNKNOWN if uid is None else uid
    return ParticipantObject(
        object_id=text,
        id_type=codes.STUDY_INSTANCE_UID,
        type_code=_SYSTEM,
        role=_REPORT,
        name=text,
        sop_classes=sop_classes,
    )


def _patient(patient: Patient | None) -> ParticipantObject:
    number, name = (UNKNOWN, UNKNOWN) if patient is None else (patient.number or NONE, patient.name or NONE)
    return ParticipantObject(
        object_id=number, id_type=codes.PATIENT_NUMBER, type_code=_PERSON, role=_PATIENT, name=name
    )

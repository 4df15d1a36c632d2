"""An audit message as a value: the elements and attributes of PS3.15 A.5.1, under names of ours.

What stands in the message of an event is for `events` to say, how it is written for `rendering`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dimse_proxy.observability.audit.codes import Action, Code, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """ActiveParticipant: a node or process that took part."""

    user_id: str
    titles: tuple[str, ...] = ()
    """AE titles, for the AlternativeUserID (A.5.2.2)."""
    user_name: str | None = None
    is_requestor: bool = False
    role: Code | None = None
    host: str | None = None
    """Address or name, for the NetworkAccessPointID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantObject:
    """ParticipantObjectIdentification: what it was about. May identify a patient."""

    object_id: str = field(repr=False)
    id_type: Code
    type_code: int
    """1 person, 2 system object."""
    role: int
    """1 patient, 3 report, 13 security resource (A.5.1.2.2)."""
    name: str = field(default="", repr=False)
    """Empty where there is a query."""
    query: bytes | None = field(default=None, repr=False)
    details: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    """Type and value of each."""
    sop_classes: Mapping[str, int] = field(default_factory=dict)
    """SOP class UID -> number of instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSource:
    """AuditSourceIdentification: who writes the messages."""

    source_id: str
    site_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMessage:
    """One message."""

    event: Code
    event_type: Code | None = None
    action: Action = Action.EXECUTE
    outcome: Outcome = Outcome.SUCCESS
    description: str | None = None
    """EventOutcomeDescription."""
    when: datetime
    """With its time zone."""
    participants: tuple[Participant, ...]
    source: AuditSource
    objects: tuple[ParticipantObject, ...] = ()

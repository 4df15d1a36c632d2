"""What an association tells its user: PS3.8 indications and confirmations, as frozen values.

P-DATA is the one that matters for speed: `PDataReceived.data` is the chunk as it was read from the socket, whatever
number of PDUs it holds, begins or ends; only the command PDVs in it and the ends of data sets become objects.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from dimse_proxy.upper_layer.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ReleaseRequest,
    ReleaseResponse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a PDV ends."""

    end: int
    """Offset behind it, in the `data` of the `PDataReceived` that it was in."""
    pdu_left: int
    """Bytes of its PDU behind it: further PDVs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFragment:
    """A PDV that carries (part of) a command set (PS3.8 E.2: bit 0 of the message control header is 1)."""

    context_id: int
    data: bytes
    """The fragment, without the PDV's header."""
    is_last: bool
    place: Place | None = field(default=None, compare=False, repr=False)
    """None of a command that did not come in a stream, but was made here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetEnd:
    """The last PDV of a data set was seen (bit 0 of the message control header is 0, bit 1 is 1)."""

    context_id: int
    length: int
    """Bytes of all fragments of this data set, PDV headers not counted."""


PdvMark: TypeAlias = CommandFragment | DataSetEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class PDataReceived:
    """P-DATA indication: bytes of P-DATA-TF PDUs, to be relayed as they are."""

    data: bytes | memoryview
    """Begins and ends anywhere in a PDU."""
    marks: tuple[PdvMark, ...]
    """What was completed within `data`, in order; empty for most chunks of a large data set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequestReceived:
    """A-ASSOCIATE indication."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateAcceptReceived:
    """A-ASSOCIATE confirmation, accept."""

    accept: AssociateAccept


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRejectReceived:
    """A-ASSOCIATE confirmation, reject."""

    reject: AssociateReject


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequestReceived:
    """A-RELEASE indication."""

    request: ReleaseRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseResponseReceived:
    """A-RELEASE confirmation."""

    response: ReleaseResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortReceived:
    """A-ABORT or A-P-ABORT indication: the peer sent an A-ABORT PDU."""

    abort: Abort


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolViolated:
    """A-P-ABORT indication: the peer broke the protocol; the A-ABORT that answers it is already queued."""

    source: int
    """Of the A-ABORT sent."""
    reason: int
    """Of the A-ABORT sent (PS3.8 Table 9-26)."""
    description: str
    """What was wrong, for the log; never sent to a peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost:
    """A-P-ABORT indication: the transport connection ended while the association was not over (AA-4)."""

    description: str
    """How it ended, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportCloses:
    """The association has no more use for the transport connection: close it once what is queued is written.

    The last event of an association, whatever became of it.
    """


Event: TypeAlias = (
    PDataReceived
    | AssociateRequestReceived
    | AssociateAcceptReceived
    | AssociateRejectReceived
    | ReleaseRequestReceived
    | ReleaseResponseReceived
    | AbortReceived
    | ProtocolViolated
    | ConnectionLost
    | TransportCloses
)

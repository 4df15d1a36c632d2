"""What a tunnel tells its user, as frozen values, and what it hands out to be published.

A session's life, as seen in events: SessionOpened (at the side that was asked) or SessionAcknowledged (at the side
that asked), then DataReceived, then EndReceived or AbortReceived, and last, always exactly one of SessionClosed and
SessionFailed. Nothing follows the last one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from dimse_proxy.tunnel.session import Session


class Message(NamedTuple):
    """Something to publish: the payload is `parts`, one after the other, never joined by the tunnel."""

    subject: str
    parts: tuple[bytes | memoryview, ...]


class TunnelCode(StrEnum):
    """Why a session failed or a peer is gone; the same words on the wire and in logs."""

    NO_PEER = "no-peer"
    """Nobody is present on the asked channel."""
    DISCONNECTED = "disconnected"
    """We are not connected to the message bus, so nobody can be asked."""
    OPEN_TIMEOUT = "open-timeout"
    """Nobody acknowledged the open."""
    REFUSED_LIMIT = "refused-limit"
    """Every instance present is full."""
    GOING_AWAY = "going-away"
    """Every instance present is about to stop."""
    VERSION_MISMATCH = "version-mismatch"
    """Every instance present speaks other versions of the tunnel's protocol."""
    KEY_MISMATCH = "key-mismatch"
    """Every instance present uses another tunnel key, or one of the two sides uses none."""
    CANCELLED = "cancelled"
    """The side that asked gave this instance up and asks another one."""
    SILENT = "silent"
    """A peer missed its hellos; its sessions wait for it."""
    PEER_LOST = "peer-lost"
    """The peer was silent for longer than the resume time-out."""
    PEER_RESTARTED = "peer-restarted"
    """The same instance came back with a new epoch."""
    RESET = "reset"
    """The peer does not know the session."""
    DISCONNECTED_TOO_LONG = "disconnected-too-long"
    """We were disconnected for longer than the resume time-out."""
    UNACKNOWLEDGED = "unacknowledged"
    """A present peer did not acknowledge our END within the resume time-out."""
    PROTOCOL = "protocol"
    """The peer refused with a code this version does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A process on another channel, as it was when this value was made."""

    channel: str
    instance: str
    epoch: int
    version: str
    """Of its program; empty until its first hello."""
    load: int
    """Associations it has, by its last hello."""
    limit: int | None
    """Associations it takes at most; None for no limit."""
    accepts: bool
    """It can be picked for opens, unless it is full, going away or silent."""
    going_away: bool
    present: bool
    """Heard of within the presence time-out."""
    compatible: bool
    """It speaks a version of the tunnel's protocol that we speak."""
    last_seen: float
    sessions: int
    """Sessions that we share with it."""
    in_flight: int = 0
    """Bytes sent to it and not acknowledged."""
    time: int | None = None
    """Its wall clock at its last hello, milliseconds since 1970 UTC; None if it does not tell."""
    round_trip: float | None = None
    """Shortest one measured of late, seconds; None before there was data to measure with."""
    late_at: float = math.inf
    """From then on it is late, unless something is heard of it: it may be gone. Opens still go to it, if need be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAppeared:
    """A peer was heard of for the first time, or again after silence."""

    peer: Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLost:
    """A peer is gone: `silent` (its sessions wait), `peer-lost` or `peer-restarted` (its sessions failed)."""

    peer: Peer
    code: TunnelCode


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRefused:
    """An instance said hello that we cannot talk to (`key-mismatch`); told once in a while for a channel."""

    channel: str
    instance: str
    """As it says, which proves nothing."""
    code: TunnelCode


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """A peer opened a session with us."""

    session: "Session"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAcknowledged:
    """An instance took the session that we opened; `session.peer` names it from now on."""

    session: "Session"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReceived:
    """The next bytes of a session, in order; tell `session.consumed()` when they left for the local socket."""

    session: "Session"
    data: bytes | memoryview
    """A slice of the message it came in, which stays alive as long as this does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndReceived:
    """The peer sends no more bytes; all it sent have been handed out."""

    session: "Session"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortReceived:
    """The peer aborted the session; SessionClosed follows."""

    session: "Session"
    detail: Mapping[str, object]
    """What the peer gave to `send_abort`, as JSON carries it."""
    complete: bool
    """All bytes sent before the abort have been handed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWritable:
    """There is room again after `session.writable` was False: resume reading the local socket."""

    session: "Session"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFailed:
    """The session is over although it was not finished. Its last event."""

    session: "Session"
    code: TunnelCode
    text: str
    """For the log; never sent to anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed:
    """Both sides finished and know it of each other. Its last event."""

    session: "Session"


TunnelEvent: TypeAlias = (
    PeerAppeared
    | PeerLost
    | PeerRefused
    | SessionOpened
    | SessionAcknowledged
    | DataReceived
    | EndReceived
    | AbortReceived
    | SessionWritable
    | SessionFailed
    | SessionClosed
)


@dataclass(slots=True, kw_only=True)
class TunnelCounters:
    """What was received and not used, and what had to be sent again; only ever grows."""

    bad_subjects: int = 0
    """Messages on a subject that is not ours, or from a channel that is not a peer's."""
    bad_frames: int = 0
    """Too short, of an unknown type, with unknown flags, or with a body that is not what its type asks for."""
    unknown_versions: int = 0
    bad_hellos: int = 0
    stale_epochs: int = 0
    """Frames or hellos from or for a process that is no more."""
    strangers: int = 0
    """Frames from an instance that was never heard of."""
    unknown_sessions: int = 0
    forged_offsets: int = 0
    """Offsets that cannot be: beyond what was sent, or beyond an END."""
    beyond_limit: int = 0
    """DATA beyond the credit given."""
    duplicates: int = 0
    """DATA that had been received before."""
    gaps: int = 0
    """Times that bytes were found to be missing, and asked for."""
    resends: int = 0
    """Times that bytes were sent again because the peer asked for them."""
    resent_bytes: int = 0
    probes: int = 0
    credit_stalls: int = 0
    """Times that a session had sent all that its peer allows: it waits for the other side's end point."""
    resumes: int = 0
    """Sessions that went on after a reconnect of ours."""
    resets_sent: int = 0
    resets_received: int = 0
    forged: int = 0
    """Sealed messages that were not as a holder of the tunnel key made them for us."""
    replayed: int = 0
    """Sealed messages that had come before."""
    mismatches: int = 0
    """Hellos made with another tunnel key, or with none where we have one, or with one where we have none."""

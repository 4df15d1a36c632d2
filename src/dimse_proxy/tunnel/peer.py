"""What one tunnel knows of one process on another channel, and what it shares among the sessions with it."""

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import Message, Peer
from dimse_proxy.tunnel.frames import (
    INITIAL_CREDIT,
    NO_SESSION,
    TAIL,
    FrameType,
    KeyId,
    encode_body,
    instance_tag,
    make_prefix,
    make_route,
)
from dimse_proxy.tunnel.hello import Hello
from dimse_proxy.tunnel.pacing import SMALLEST, Pace
from dimse_proxy.tunnel.timers import Alarm

if TYPE_CHECKING:
    from dimse_proxy.tunnel.sealing import PairSeal
    from dimse_proxy.tunnel.session import Session

RESET_SPACING: Final = 0.1
"""Seconds between two RESET frames to one peer."""
MOST_RESETS: Final = 100
"""Sessions in one RESET frame; what is beyond is asked for again by whoever needs it."""
LONGEST_ENTRY: Final = 128
"""Bytes of JSON that one session takes in a SYNC frame."""
MOST_ENTRIES: Final = 100
LATENESS: Final = 0.25
"""Seconds that a hello may be late, beyond those that are missing."""


class PeerState:
    """One peer: presence, flow to it, and its sessions."""

    def __init__(
        self,
        context: TunnelContext,
        channel: str,
        instance: str,
        epoch: int,
        now: float,
        on_timer: Callable[["PeerState", float], None],
        seal: "PairSeal | None" = None,
    ) -> None:
        own = context.identity
        self._context: Final = context
        self.channel: Final = channel
        self.instance: Final = instance
        self.epoch: Final = epoch
        tag = instance_tag(instance)
        self._tag: Final = int.from_bytes(tag, "big")
        self.route_in: Final = make_route(tag, epoch, own.epoch)
        self.route_out: Final = make_route(instance_tag(own.instance), own.epoch, epoch)
        self.subject: Final = context.subjects.instance(channel, instance)
        self.seal: Final = seal
        """Of control frames; None without a tunnel key."""
        self.hello: Hello | None = None
        self.last_seen = now
        self.is_silent = False
        self.opened_since_hello = 0
        self.sessions: Final[dict[bytes, Session]] = {}
        self.last_session_at = -math.inf
        self.doubted_at = -math.inf
        """When an open was found not to have been answered in time."""
        self.ready: Final[deque[Session]] = deque()
        """Sessions that may have something to send, in turn."""
        self.ready_small: Final[deque[Session]] = deque()
        """Those that have only little to send, which have their turn first: with eight large sessions and frames of
        256 KiB, a turn takes two seconds of a 10 Mbit/s link."""
        self.in_flight = 0
        """Bytes sent to it and not acknowledged, of all sessions."""
        self.untold = 0
        """Bytes received from it and not acknowledged, of all sessions."""
        self.pace: Final = Pace()
        self.is_answer_wanted = False
        self.alarm: Final = Alarm(lambda at: on_timer(self, at))
        self._counter = 0
        self._sync_position = 0
        self._resets: dict[bytes, int] = {}
        self._reset_at = 0.0
        self._reset_alarm: Final = Alarm(self.flush_resets)

    @property
    def bound(self) -> int:
        """Bytes that may be in flight to it: what it allows us, or less if the way is slow."""
        share = SMALLEST if self.hello is None else self.hello.share
        return min(share, self.pace.bound)

    @property
    def initial_credit(self) -> int:
        """Bytes of a session that may be sent before the peer named a limit."""
        return INITIAL_CREDIT if self.hello is None else min(INITIAL_CREDIT, self.hello.window)

    @property
    def is_welcome(self) -> bool:
        """It takes opens, if it is there and has room."""
        return self.hello is not None and self.hello.accepts and self.hello.is_compatible and not self.hello.going_away

    @property
    def is_full(self) -> bool:
        """It has no room."""
        return self.hello is not None and self.hello.is_full

    @property
    def is_heard(self) -> bool:
        """It was heard of lately, and since our last reconnect."""
        return not self.is_silent and self.last_seen >= self._context.connected_at

    @property
    def late_at(self) -> float:
        """When it counts as late: two of its hellos are missing by then, and nothing else came of it either."""
        context = self._context
        patience = context.settings.presence_timeout
        if self.hello is not None and self.hello.interval is not None:
            patience = min(patience, 2 * self.hello.interval / 1000 + LATENESS)
        return max(self.last_seen, context.clock_from) + patience

    def is_doubted(self, now: float) -> bool:
        """Tell whether it is late, or did not answer an open and nothing was heard of it since."""
        return self.doubted_at > self.last_seen or now >= self.late_at

    @property
    def load(self) -> int:
        """Associations it has, as far as we know."""
        return (0 if self.hello is None else self.hello.load) + self.opened_since_hello

    def distance(self, session_id: bytes) -> int:
        """Return a number that orders equally loaded peers differently for each session."""
        return self._tag ^ int.from_bytes(session_id[:8], "big")

    def snapshot(self) -> Peer:
        """Return what the user may see."""
        hello = self.hello
        return Peer(
            channel=self.channel,
            instance=self.instance,
            epoch=self.epoch,
            version="" if hello is None else hello.version,
            load=self.load,
            limit=None if hello is None else hello.limit,
            accepts=hello is not None and hello.accepts,
            going_away=hello is not None and hello.going_away,
            present=not self.is_silent,
            compatible=hello is None or hello.is_compatible,
            last_seen=self.last_seen,
            sessions=len(self.sessions),
            in_flight=self.in_flight,
            time=None if hello is None else hello.time,
            round_trip=self.pace.round_trip,
            late_at=self.late_at,
        )

    def reconnected(self) -> None:
        """Prepare for a new way to it: measure again, and exchange offsets."""
        self.pace.restart()
        self.is_answer_wanted = True
        self._context.syncs_due[self] = None
        self._context.resets_due[self] = None

    def add_reset(self, session_id: bytes, counter: int, now: float) -> None:
        """Tell it, rate-limited, that we do not know the session of its frame number `counter`."""
        if session_id in self._resets or len(self._resets) < MOST_RESETS:
            self._resets[session_id] = max(counter, self._resets.get(session_id, 0))
        if now >= self._reset_at:
            self._context.resets_due[self] = None
        else:
            self._context.arm(self._reset_alarm, self._reset_at)

    def flush_resets(self, now: float) -> None:
        """Send the RESET frame that is due."""
        if self._resets and self._context.is_connected:
            entries = [[session_id.hex(), counter] for session_id, counter in self._resets.items()]
            self._context.queue(self._frame(FrameType.RESET, encode_body({"sessions": entries})))
            self._context.counters.resets_sent += 1
            self._reset_at = now + RESET_SPACING
            self._resets = {}

    def answer(self, frame_type: FrameType, session_id: bytes, offset: int, body: bytes) -> None:
        """Send a frame of a session that is not there."""
        self._context.queue(self._frame(frame_type, body, session_id, offset))

    def sync_frames(self) -> list[Message]:
        """Return the frames that tell it the offsets of all sessions with it."""
        batches = self._batches(list(self.sessions.values()))
        if not batches and self.is_answer_wanted:
            batches.append([])
        frames = [self._sync(batch, self.is_answer_wanted) for batch in batches]
        self.is_answer_wanted = False
        return frames

    def sync_some(self) -> None:
        """Tell it the offsets of some sessions, the next ones with each call."""
        sessions = list(self.sessions.values())
        if sessions:
            size = self._batch_size()
            start = self._sync_position % len(sessions)
            self._sync_position = start + size
            self._context.queue(self._sync(sessions[start : start + size], False))

    def _batches(self, sessions: "list[Session]") -> "list[list[Session]]":
        size = self._batch_size()
        return [sessions[start : start + size] for start in range(0, len(sessions), size)]

    def _batch_size(self) -> int:
        return max(1, min(MOST_ENTRIES, self._context.max_data // LONGEST_ENTRY))

    def _sync(self, sessions: "list[Session]", is_answer_wanted: bool) -> Message:
        entries = [session.sync_entry() for session in sessions if session.opening is None]
        return self._frame(FrameType.SYNC, encode_body({"sessions": entries, "answer": is_answer_wanted}))

    def _frame(self, frame_type: FrameType, body: bytes, session_id: bytes = NO_SESSION, offset: int = 0) -> Message:
        self._counter += 1
        return self.control_frame(frame_type, session_id, self._counter, offset, body)

    def control_frame(
        self, frame_type: FrameType, session_id: bytes, counter: int, offset: int, body: bytes
    ) -> Message:
        """Return a frame for it, any but DATA."""
        tail = TAIL.pack(counter, offset)
        if self.seal is None:
            return Message(self.subject, (make_prefix(frame_type, session_id, self.route_out) + tail, body))
        header = make_prefix(frame_type, session_id, self.route_out, key=KeyId.PAIR) + tail
        return Message(self.subject, (header, self.seal.seal(header, body)))

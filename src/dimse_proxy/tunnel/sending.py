"""The sending direction of a session: data within credit, END and ABORT until acknowledged, probes, resends.

A timer never sends data again. It asks, and what the peer misses it asks for; the counter of the frame that told it so
says whether that was before or after the last resend, so that no loss is made good twice.
"""

from typing import TYPE_CHECKING, Final

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import Message, SessionWritable
from dimse_proxy.tunnel.frames import FrameType, forged_offset
from dimse_proxy.tunnel.line import Line
from dimse_proxy.tunnel.send_queue import SendQueue

if TYPE_CHECKING:
    from dimse_proxy.tunnel.peer import PeerState
    from dimse_proxy.tunnel.session import Session

FIRST_PROBE: Final = 0.5
"""Seconds without progress after which the peer is asked what it has."""
SMALL: Final = 16384
"""Bytes waiting, at most, with which a session goes before those that have more."""
LONGEST_PROBE: Final = 5.0
"""Seconds between two such questions at most."""


class Sender:
    """What a session sends."""

    __slots__ = (
        "_asked_at",
        "_context",
        "_is_end_sent",
        "_line",
        "_patience",
        "_queue",
        "_resent_from",
        "_session",
        "_unanswered",
        "abort",
        "armed",
        "ends",
        "is_blocked",
        "is_end_known",
        "is_ready",
    )

    def __init__(self, session: "Session", context: TunnelContext, line: Line) -> None:
        self.armed: float | None = None
        """When progress is looked for; None: nobody looks."""
        self.is_blocked = False
        """The user was told to stop, and has not been told to resume."""
        self.is_ready = False
        """The session has a place in its peer's turn."""
        self.ends = False
        """An END was or is to be sent."""
        self.is_end_known = False
        """The peer acknowledged the END."""
        self.abort: bytes | None = None
        """Detail of the ABORT that is sent until acknowledged, as JSON."""
        self._session: Final = session
        self._context: Final = context
        self._line: Final = line
        self._queue: Final = SendQueue(0)
        self._is_end_sent = False
        self._resent_from = 0
        self._asked_at = 0.0
        self._patience = FIRST_PROBE
        self._unanswered = 0.0

    @property
    def sent(self) -> int:
        """Offset of the next byte to send."""
        return self._queue.sent

    @property
    def has_data(self) -> bool:
        """A DATA frame can be taken."""
        queue = self._queue
        return queue.sent < queue.queued and queue.sent < queue.limit

    @property
    def is_small(self) -> bool:
        """So little waits that it goes before what others have."""
        return self._queue.queued - self._queue.sent <= SMALL

    @property
    def is_end_due(self) -> bool:
        """The last byte has been sent and the END has not."""
        return self.ends and not self._is_end_sent and self._queue.sent == self._queue.queued and self.abort is None

    def append(self, data: bytes | memoryview, now: float) -> None:
        """Queue bytes."""
        if self.ends or self.abort is not None:
            raise LocalProtocolError("data after the end of a session")
        queue = self._queue
        if len(data) == 0:
            return
        queue.append(data)
        if queue.queued - queue.sent >= 2 * self._context.settings.chunk_size or queue.queued >= queue.limit:
            self.is_blocked = True
        if queue.sent < queue.limit:
            self.schedule()
        else:
            self._watch(now)

    def schedule(self) -> None:
        """Take a place in the peer's turn if there is something to send."""
        peer = self._line.peer
        if peer is not None and not self.is_ready and (self.has_data or self.is_end_due):
            self.is_ready = True
            (peer.ready_small if self.is_small else peer.ready).append(self._session)
            self._context.sending[peer] = None

    def end(self) -> None:
        """Send an END behind the bytes queued."""
        if self.abort is None:
            self.ends = True
            self.schedule()

    def start_abort(self, detail: bytes, now: float) -> None:
        """Send an ABORT at once, and the bytes before it as credit allows."""
        self.abort = detail
        self._unanswered = 0.0
        self._send_abort()
        self._watch_closely(now)

    def bound(self, limit: int) -> None:
        """Start to send to the peer that the line leads to; it allows `limit` bytes."""
        self._queue.limit = limit
        self.schedule()
        self._note_room()

    def unbind(self) -> None:
        """Start from the first byte again: the peer never acknowledged the session."""
        self._queue.rewind(0)
        self._is_end_sent = False
        self.is_ready = False

    def forget(self) -> None:
        """Let go of all bytes: the session is over."""
        self._queue.clear()

    def leave(self, peer: "PeerState") -> None:
        """Free the peer from what is in flight to it."""
        peer.in_flight -= self._queue.sent - self._queue.acked
        peer.pace.discard(self._session)

    def data_frame(self, peer: "PeerState", now: float) -> Message:
        """Return the next DATA frame; `has_data` must hold."""
        queue = self._queue
        offset = queue.sent
        if offset == queue.acked:
            self._asked_at = now
        parts = queue.take(self._context.max_data)
        end = queue.sent
        pace = peer.pace
        is_marked = pace.wants_mark(end - offset, now)
        if is_marked:
            pace.start(self._session, end, peer.in_flight, now)
        peer.in_flight += end - offset
        if end == queue.limit:
            self._context.counters.credit_stalls += 1
        if self.armed is None:
            self._watch(now)
        self._note_room()
        return self._line.data_frame(offset, parts, is_marked)

    def end_frame(self, now: float) -> Message:
        """Return the END; `is_end_due` must hold."""
        self._is_end_sent = True
        self._watch(now)
        return self._line.frame(FrameType.END, self._queue.queued)

    def acknowledged(self, received: int, limit: int, now: float) -> None:
        """Take the peer's two numbers, in whatever order they come.

        Raises:
            TunnelError: it acknowledges what was not sent.
        """
        queue = self._queue
        if received > queue.highest:
            raise forged_offset("more acknowledged than was sent")
        is_progress = False
        if received > queue.acked:
            is_progress = True
            in_flight = queue.sent - queue.acked
            freed = queue.acknowledge(received)
            peer = self._line.peer
            assert peer is not None  # only a peer acknowledges
            peer.in_flight += queue.sent - queue.acked - in_flight
            peer.pace.acknowledged(self._session, received, freed, now)
        if limit > queue.limit:
            is_progress = True
            queue.limit = limit
        if is_progress:
            self._asked_at = now
            self._unanswered = 0.0
            if self._patience > FIRST_PROBE:
                self._watch_closely(now)
            self.schedule()
            self._note_room()

    def asked_again(self, received: int, limit: int, seen: int, now: float) -> None:
        """Send again from `received`, if the peer's frame that showed the loss, number `seen`, is newer than that.

        Raises:
            TunnelError: it asks for what was not sent.
        """
        self.acknowledged(received, limit, now)
        queue = self._queue
        if received != queue.acked or received >= queue.sent or seen < self._resent_from:
            return
        self._context.counters.resends += 1
        moved = queue.rewind(received)
        self._context.counters.resent_bytes += moved
        self._resent_from = self._line.counter + 1
        self._is_end_sent = False
        peer = self._line.peer
        assert peer is not None  # only a peer asks
        peer.in_flight -= moved
        peer.pace.discard(self._session)
        self.schedule()

    def closed(self, final: int, is_abort: bool, now: float) -> None:
        """Take the acknowledgement of the END or the ABORT.

        Raises:
            TunnelError: there was none, or it was at another offset.
        """
        queue = self._queue
        if final != queue.queued or not (self.abort is not None if is_abort else self.ends):
            raise forged_offset("an end acknowledged that was not sent")
        if is_abort:
            self._session.close(now)
            return
        self.acknowledged(final, queue.limit, now)
        self.is_end_known = True
        self._session.close_if_done(now)

    def reconnected(self, now: float) -> None:
        """Repeat what may have been lost with the old connection, and ask again soon."""
        if self.abort is not None:
            self._send_abort()
        elif self._is_end_sent and not self.is_end_known:
            self._context.queue(self.end_frame(now))
        self.watch(now)

    def watch(self, now: float) -> None:
        """Look for progress, if some is expected."""
        if self._is_outstanding():
            self._watch_closely(now)

    def handle_timer(self, now: float) -> None:
        """Ask the peer if nothing moved for too long."""
        session = self._session
        if session.is_over or session.opening or not self._context.is_connected or not self._is_outstanding():
            return
        due = self._asked_at + self._patience
        if now < due:
            self._context.arm(self, due)
        elif self._unanswered > self._context.settings.resume_timeout:
            session.unanswered(now)
        else:
            self._ask(now)
            self._asked_at = now
            self._patience = min(2 * self._patience, LONGEST_PROBE)
            self._context.arm(self, now + self._patience)

    def _ask(self, now: float) -> None:
        if self.abort is not None:
            self._unanswered += self._patience
            self._send_abort()
        elif self._is_end_sent:
            self._unanswered += self._patience
            self._context.queue(self.end_frame(now))
        else:
            self._context.counters.probes += 1
            self._line.send(FrameType.PROBE, self._queue.sent)

    def _send_abort(self) -> None:
        assert self.abort is not None
        body = b'{"sent":%d,"detail":%b}' % (self._queue.sent, self.abort)
        self._line.send(FrameType.ABORT, self._queue.queued, body)

    def _is_outstanding(self) -> bool:
        """Something is expected of the peer."""
        queue = self._queue
        if self.abort is not None or queue.acked < queue.sent or queue.limit <= queue.sent < queue.queued:
            return True
        return self._is_end_sent and not self.is_end_known

    def _watch(self, now: float) -> None:
        """Look for progress, unless somebody is looking."""
        if self.armed is None:
            self._watch_closely(now)

    def _watch_closely(self, now: float) -> None:
        """Look for progress soon."""
        self._asked_at = now
        self._patience = FIRST_PROBE
        self._context.arm(self, now + FIRST_PROBE)

    def _note_room(self) -> None:
        """Tell the user, who was told to stop, to resume if there is room."""
        queue = self._queue
        if (
            self.is_blocked
            and queue.queued < queue.limit
            and queue.queued - queue.sent <= self._context.settings.chunk_size
        ):
            self.is_blocked = False
            if not self.ends and self.abort is None:
                self._context.emit(SessionWritable(session=self._session))

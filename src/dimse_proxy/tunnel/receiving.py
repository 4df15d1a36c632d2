"""The receiving direction of a session: bytes in order, what is missing asked for, END and ABORT behind the bytes.

A frame that shows a loss is answered with one request, which names that frame's counter. Nothing here repeats the
request: the sender, who has bytes that are not acknowledged, asks, and is answered with a request again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import AbortReceived, DataReceived, EndReceived, Message
from dimse_proxy.tunnel.frames import FrameType, forged_offset
from dimse_proxy.tunnel.line import Line
from dimse_proxy.tunnel.receive_window import ReceiveWindow

if TYPE_CHECKING:
    from dimse_proxy.tunnel.session import Session

CLOSED_BY_END: Final = b'{"of":"end"}'
CLOSED_BY_ABORT: Final = b'{"of":"abort"}'


class Receiver:
    """What a session receives."""

    __slots__ = ("_abort", "_abort_at", "_context", "_line", "_session", "_window", "armed", "is_done")

    def __init__(self, session: "Session", context: TunnelContext, line: Line) -> None:
        self.armed: float | None = None
        self.is_done = False
        """The peer's END was handed out."""
        self._session: Final = session
        self._context: Final = context
        self._line: Final = line
        self._window: Final = ReceiveWindow(context.settings.window)
        self._abort: Mapping[str, object] | None = None
        self._abort_at = 0.0

    @property
    def received(self) -> int:
        """Every byte before this has arrived."""
        return self._window.received

    @property
    def limit(self) -> int:
        """Offset up to which the peer may send."""
        return self._window.limit

    def data(self, offset: int, data: memoryview, flags: int, counter: int, now: float) -> None:
        """Take the bytes of a DATA frame.

        Raises:
            TunnelError: no honest sender sends this.
        """
        window = self._window
        context = self._context
        session = self._session
        new = window.accept(offset, data)
        if new is None:
            if offset > window.received:
                self._note_gap(counter)
            else:
                context.counters.duplicates += 1
                context.acks_due[session] = None
            return
        context.events.append(DataReceived(session=session, data=new))
        peer = session.bound
        assert peer is not None
        peer.untold += len(new)
        if window.received == window.final:
            self._complete(now)
        elif flags:
            context.acks_due[session] = None
        else:
            self.note_news(now)
        if peer.untold >= context.largest_untold:
            context.ack_now(peer)

    def consumed(self, length: int, now: float) -> None:
        """Note that bytes left for the local socket."""
        self._window.consume(length)
        if self._window.received != self._window.final:
            self.note_news(now)

    def note_news(self, now: float) -> None:
        """Have the peer told the latest numbers, at once if they changed much, else soon."""
        if self._window.is_ack_due:
            self._context.acks_due[self._session] = None
        elif self._session not in self._context.lazy_acks:
            self._context.ack_soon(self._session, now)

    def probe(self, sent: int, counter: int, is_answer_wanted: bool) -> None:
        """Take the peer's word that it sent everything before `sent`, in frames before number `counter`.

        Raises:
            TunnelError: it cannot have.
        """
        window = self._window
        if sent > window.limit:
            raise forged_offset("more sent than was allowed")
        if sent > window.received:
            window.is_gap_asked = False
            self._note_gap(counter)
        elif is_answer_wanted:
            self._context.acks_due[self._session] = None

    def end(self, final: int, counter: int, now: float) -> None:
        """Take an END.

        Raises:
            TunnelError: its offset cannot be.
        """
        window = self._window
        if final > window.limit:
            raise forged_offset("an END beyond the limit")
        window.finish(final)
        if self.is_done:
            self._line.send(FrameType.CLOSED, final, CLOSED_BY_END)
        elif window.received == final:
            self._complete(now)
        else:
            self.probe(final, counter, False)

    def abort(self, final: int, sent: int, detail: Mapping[str, object], counter: int, now: float) -> None:
        """Take an ABORT, the bytes before it having been sent up to `sent`.

        Raises:
            TunnelError: one of its offsets cannot be.
        """
        window = self._window
        if sent > final:
            raise forged_offset("more sent than there is")
        if sent > window.limit:
            raise forged_offset("more sent than was allowed")
        window.finish(final)
        if self._abort is None:
            self._abort = detail
            self._abort_at = now + self._context.settings.abort_bound
        if window.received == final:
            self._complete(now)
        else:
            self._context.arm(self, self._abort_at)
            self.probe(sent, counter, False)

    def ack_frame(self) -> Message:
        """Return an ACK with the latest numbers."""
        window = self._window
        self.told()
        return self._line.frame(FrameType.ACK, window.received, b'{"limit":%d}' % window.limit)

    def told(self) -> None:
        """Note that the peer is being told the latest numbers, or need not be any more."""
        window = self._window
        peer = self._session.bound
        assert peer is not None
        peer.untold -= window.received - window.told_received
        window.told()

    def handle_timer(self, now: float) -> None:
        """Hand out an ABORT that has waited long enough for the bytes before it."""
        if not self._session.is_over:
            self._complete(now)

    def _note_gap(self, counter: int) -> None:
        window = self._window
        if not window.is_gap_asked:
            window.is_gap_asked = True
            self.told()
            self._context.counters.gaps += 1
            body = b'{"limit":%d,"seen":%d}' % (window.limit, counter)
            self._line.send(FrameType.GAP, window.received, body)

    def _complete(self, now: float) -> None:
        """Hand out the ABORT or END, which is now behind all bytes that come."""
        window = self._window
        assert window.final is not None
        session = self._session
        if self._abort is not None:
            is_complete = window.received == window.final
            self._context.emit(AbortReceived(session=session, detail=self._abort, complete=is_complete))
            self._line.send(FrameType.CLOSED, window.final, CLOSED_BY_ABORT)
            session.close(now)
            return
        self.is_done = True
        self._context.emit(EndReceived(session=session))
        self._line.send(FrameType.CLOSED, window.final, CLOSED_BY_END)
        session.close_if_done(now)

"""One session: a reliable pipe of bytes each way, over messages that may be lost, doubled or late.

This is what its user calls, and the ways a session ends; the two directions are in `sending` and `receiving`. A session
knows nothing of what its bytes mean.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import SessionAcknowledged, SessionClosed, SessionFailed, TunnelCode
from dimse_proxy.tunnel.frames import LARGEST_DETAIL, FrameType, encode_body
from dimse_proxy.tunnel.graveyard import Ending, Tombstone
from dimse_proxy.tunnel.line import Line
from dimse_proxy.tunnel.receiving import CLOSED_BY_ABORT, Receiver
from dimse_proxy.tunnel.sending import Sender

if TYPE_CHECKING:
    from dimse_proxy.tunnel.opening import Opening
    from dimse_proxy.tunnel.peer import PeerState


def encode_detail(detail: Mapping[str, object]) -> bytes:
    """Return what a user wants to be carried, as JSON.

    Raises:
        LocalProtocolError: it has no JSON, or too much of it.
    """
    try:
        encoded = encode_body(detail)
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(f"cannot be sent as JSON: {error}") from None
    if len(encoded) > LARGEST_DETAIL:
        raise LocalProtocolError(f"{len(encoded)} bytes of JSON, {LARGEST_DETAIL} are allowed")
    return encoded


def _make_line(context: TunnelContext, session_id: bytes) -> Line:
    if context.keyring is None:
        return Line(context, session_id)
    from dimse_proxy.tunnel.sealed_line import SealedLine  # loads `cryptography`

    return SealedLine(context, session_id)


class Session:
    """One session, as both its user and the tunnel see it.

    The user calls `send_data`, `send_end`, `send_abort` and `consumed`, which do nothing once the session is over, and
    reads `id`, `id_text`, `channel`, `info`, `peer`, `is_opener`, `is_over` and `writable`. The rest is the tunnel's.
    """

    def __init__(
        self, context: TunnelContext, session_id: bytes, channel: str, info: Mapping[str, str], is_opener: bool
    ) -> None:
        self.id: Final = session_id
        self.id_text: Final = session_id.hex()[:12]
        """For logs."""
        self.channel: Final = channel
        """The other side's."""
        self.info: Final[Mapping[str, str]] = MappingProxyType(dict(info))
        """What the side that opened says of the session."""
        self.peer: str | None = None
        """Instance that the session is or was with; None as long as none was asked."""
        self.is_opener: Final = is_opener
        self.is_over = False
        """SessionClosed or SessionFailed is on its way to the user, or was there."""
        self.bound: PeerState | None = None
        """The peer, as long as the session lives."""
        self.opening: Opening | None = None
        """The search for an instance that takes the session; None when there is one."""
        self.line: Final = _make_line(context, session_id)
        self.sender: Final = Sender(self, context, self.line)
        self.receiver: Final = Receiver(self, context, self.line)
        self._context: Final = context
        self._known_since = 0

    def __repr__(self) -> str:
        return f"Session({self.id_text}, {self.channel}/{self.peer})"

    @property
    def writable(self) -> bool:
        """False: stop reading the local socket until SessionWritable."""
        return not self.sender.is_blocked

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Send bytes, which must not change any more: they are kept until acknowledged, not copied.

        Raises:
            LocalProtocolError: after `send_end` or `send_abort`.
        """
        if not self.is_over:
            self.sender.append(data, now)

    def send_end(self, now: float) -> None:
        """Say that no more bytes follow."""
        if not self.is_over:
            self.sender.end()

    def send_abort(self, detail: Mapping[str, object], now: float) -> None:
        """Give up both directions; the peer gets `detail`, which must have JSON, behind the bytes sent before.

        Raises:
            LocalProtocolError: `detail` cannot be sent.
        """
        if self.is_over or self.sender.abort is not None:
            return
        encoded = encode_detail(detail)
        self._forget_acks()
        self._settle()
        if self.bound is None:
            self.close(now)
        else:
            self.sender.start_abort(encoded, now)

    def consumed(self, length: int, now: float) -> None:
        """Note that `length` of the bytes received left for the local socket: the peer may send as many more.

        Raises:
            LocalProtocolError: that is more than was received.
        """
        if not self.is_over and self.sender.abort is None:
            self.receiver.consumed(length, now)

    # What follows is for the tunnel.

    def bind(self, peer: "PeerState", limit: int) -> None:
        """Make it a session with `peer`, which allows `limit` bytes."""
        self.bound = peer
        self.peer = peer.instance
        peer.sessions[self.id] = self
        self.line.connect(peer)
        self.sender.bound(limit)

    def unbind(self, now: float) -> None:
        """Take it back from a peer that did not acknowledge it: another one gets everything from the first byte."""
        self._leave(now)
        self.sender.unbind()

    def acknowledge(self, now: float) -> bool:
        """Note a frame that shows that the peer took the session.

        Returns:
            False if its OPENED, which brings the key of the session, is still to come or was lost: it is asked for.
        """
        if self.opening is not None:
            if not self.line.is_keyed:
                self.opening.hint(now)
                return False
            self._settle()
            self._context.emit(SessionAcknowledged(session=self))
            self.sender.watch(now)
        return True

    def aborted(self, final: int, sent: int, detail: Mapping[str, object], counter: int, now: float) -> None:
        """Take an ABORT.

        Raises:
            TunnelError: one of its offsets cannot be.
        """
        if self.sender.abort is None:
            self.receiver.abort(final, sent, detail, counter, now)
        else:  # they crossed
            self.line.send(FrameType.CLOSED, final, CLOSED_BY_ABORT)
            self.close(now)

    def sync_entry(self) -> list[object]:
        """Return what a SYNC says of this session: an ACK and a PROBE in one."""
        self.receiver.told()
        self.line.counter += 1
        return [self.id.hex(), self.receiver.received, self.receiver.limit, self.sender.sent, self.line.counter]

    def reconnected(self, now: float) -> None:
        """Repeat what may have been lost with the old connection."""
        if self.opening is not None:
            self.opening.reconnected(now)
        else:
            self._context.counters.resumes += 1
            self.sender.reconnected(now)

    def reset(self, seen: int, now: float) -> None:
        """Take the peer's word that it did not know the session when it saw our frame number `seen`."""
        if self.opening is not None:
            self.opening.hint(now)
        elif seen <= self._known_since:
            return  # a frame that was faster than our OPEN
        elif self.sender.abort is not None:
            self.close(now)
        else:
            self.fail(TunnelCode.RESET, "the peer does not know the session any more", now)

    def peer_gone(self, code: TunnelCode, text: str, now: float) -> None:
        """Take the loss of the peer."""
        if self.opening is not None:
            self.opening.peer_gone(now)
        elif self.sender.abort is not None:
            self.close(now, Ending.FAILED)
        else:
            self.fail(code, text, now)

    def unanswered(self, now: float) -> None:
        """Stop to repeat an END or ABORT that is never acknowledged."""
        if self.sender.abort is not None:
            self.close(now, Ending.FAILED)
        else:
            self.fail(TunnelCode.UNACKNOWLEDGED, "the peer does not acknowledge the end", now)

    def close_if_done(self, now: float) -> None:
        """End it if both directions ended."""
        if self.receiver.is_done and self.sender.is_end_known:
            self.close(now)

    def close(self, now: float, ending: Ending = Ending.CLOSED) -> None:
        """End it, finished."""
        self._retire(ending, now)
        self._context.emit(SessionClosed(session=self))

    def fail(self, code: TunnelCode, text: str, now: float) -> None:
        """End it, not finished; whatever the peer still sends tells it so."""
        self._retire(Ending.FAILED, now)
        self._context.emit(SessionFailed(session=self, code=code, text=text))

    def _retire(self, ending: Ending, now: float) -> None:
        context = self._context
        stone = Tombstone(self.channel, self.line.route_in, ending, now)
        self._leave(now)
        self.is_over = True
        self._settle()
        self.sender.forget()
        self._forget_acks()
        del context.sessions[self.id]
        context.graveyard.bury(self.id, stone)

    def _settle(self) -> None:
        """End the search for an instance."""
        if self.opening is not None:
            self.opening.stop()
            self.opening = None
            self._known_since = self.line.counter

    def _leave(self, now: float) -> None:
        peer = self.bound
        if peer is not None:
            self.sender.leave(peer)
            self.receiver.told()
            del peer.sessions[self.id]
            peer.last_session_at = now
        self.bound = None
        self.line.disconnect()

    def _forget_acks(self) -> None:
        self._context.acks_due.pop(self, None)
        self._context.lazy_acks.pop(self, None)

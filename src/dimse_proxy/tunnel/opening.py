"""The search for an instance that takes a session: ask one, ask again, cancel and ask another, or wait for a hello.

It ends when an instance acknowledges the open, or with the session's failure.
"""

from typing import TYPE_CHECKING, Final

from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import TunnelCode
from dimse_proxy.tunnel.frames import FrameType
from dimse_proxy.tunnel.presence import Presence
from dimse_proxy.tunnel.session import encode_detail

if TYPE_CHECKING:
    from dimse_proxy.tunnel.peer import PeerState
    from dimse_proxy.tunnel.session import Session

HINT_SPACING: Final = 0.1
"""Seconds between two opens at least, when resets say that the first one was lost."""


class Opening:
    """The open of one session."""

    def __init__(self, context: TunnelContext, presence: Presence, session: "Session", now: float) -> None:
        settings = context.settings
        self.armed: float | None = None
        self._context: Final = context
        self._presence: Final = presence
        self._session: Final = session
        self._deadline: Final = now + settings.open_timeout
        self._body: Final = encode_detail(
            {"instance": context.identity.instance, "limit": settings.window, "info": dict(session.info)}
        )
        self._tried: Final[set[PeerState]] = set()
        self._attempts = 0
        self._asked_at = now
        self._wait_until: float | None = None
        self._code: TunnelCode | None = None
        self._is_done = False

    @property
    def channel(self) -> str:
        """Channel that the session is for."""
        return self._session.channel

    def begin(self, now: float) -> None:
        """Ask the best instance, or wait for one, or fail."""
        session = self._session
        peer = self._presence.pick(session.channel, self._tried, session.id, now)
        if peer is not None:
            self._context.waiting.pop(self, None)
            self._wait_until = None
            self._tried.add(peer)
            self._attempts = 0
            peer.opened_since_hello += 1
            session.bind(peer, peer.initial_credit)
            self._presence.share_out(now)
            self._ask(now)
            return
        code, is_somebody_expected = self._presence.why_nobody(session.channel, self._tried, now)
        if is_somebody_expected:
            if self._wait_until is None:
                self._wait_until = min(now + self._context.settings.wait_for_peer, self._deadline)
            if now < self._wait_until:
                self._context.waiting[self] = None
                self._context.arm(self, self._wait_until)
                return
        self._fail(self._code or code, now)

    def stop(self) -> None:
        """End the search: an instance was found, or none is needed any more."""
        self._is_done = True
        self._context.waiting.pop(self, None)

    def reconnected(self, now: float) -> None:
        """Ask again after our reconnect, or begin to wait for the hellos that come now."""
        self._attempts = 0
        if self._session.bound is not None:
            self._ask(now)
        else:
            self._wait_until = None
            self.begin(now)

    def refused(self, code: TunnelCode, now: float) -> None:
        """Take the instance's refusal, and try another one."""
        self._code = code
        self.peer_gone(now)

    def peer_gone(self, now: float) -> None:
        """Take the loss of the instance, and try another one."""
        self._session.unbind(now)
        self.begin(now)

    def hint(self, now: float) -> None:
        """Ask again: the instance does not know the session, so the open was lost or is late."""
        if self._attempts < self._context.settings.open_attempts and now - self._asked_at >= HINT_SPACING:
            self._ask(now)

    def handle_timer(self, now: float) -> None:
        """Ask again, or another instance, or give up."""
        if self._is_done:
            return
        settings = self._context.settings
        session = self._session
        if session.bound is None:
            self.begin(now)
        elif now >= self._deadline:
            session.line.send(FrameType.CANCEL, 0)
            self._fail(TunnelCode.OPEN_TIMEOUT, now)
        elif not self._context.is_connected:
            self._context.arm(self, self._deadline)
        elif now < self._due(session.bound, now):
            self._arm(session.bound, now)
        else:
            session.bound.doubted_at = now
            if self._attempts < settings.open_attempts and not self._may_be_dead(session.bound, now):
                self._ask(now)
            else:
                session.line.send(FrameType.CANCEL, 0)
                self.refused(TunnelCode.OPEN_TIMEOUT, now)

    def _ask(self, now: float) -> None:
        self._attempts += 1
        self._asked_at = now
        session = self._session
        assert session.bound is not None
        session.line.send(FrameType.OPEN, session.sender.sent, session.line.introduce(self._body))
        self._arm(session.bound, now)

    def _due(self, peer: "PeerState", now: float) -> float:
        """When the instance has had its time; one that may be dead has little, but twice what the way takes."""
        settings = self._context.settings
        if not self._may_be_dead(peer, now):
            return self._asked_at + settings.open_retry
        round_trip = peer.pace.round_trip or 0.0
        return self._asked_at + min(max(settings.open_patience, 2 * round_trip), settings.open_retry)

    def _may_be_dead(self, peer: "PeerState", now: float) -> bool:
        """Nothing was heard of it since it was asked, and there is another one, of which more is to be hoped for."""
        if peer.last_seen > self._asked_at:
            return False
        other = self._presence.pick(self._session.channel, self._tried, self._session.id, now)
        return other is not None and not other.is_doubted(now)

    def _arm(self, peer: "PeerState", now: float) -> None:
        self._context.arm(self, min(self._due(peer, now), self._deadline))

    def _fail(self, code: TunnelCode, now: float) -> None:
        self._session.fail(code, f"no instance of channel {self.channel} takes the session: {code}", now)

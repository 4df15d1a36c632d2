"""The tunnel's driver: joins the tunnel core to the NATS connection and to the users of its sessions.

It decides nothing. Everything is synchronous: a frame that arrives is delivered, and what that causes is published,
within the callback of the socket it came from.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, assert_never

from dimse_proxy.proxy.alarm import Alarm
from dimse_proxy.tunnel.events import (
    AbortReceived,
    DataReceived,
    EndReceived,
    Message,
    PeerAppeared,
    PeerLost,
    PeerRefused,
    SessionAcknowledged,
    SessionClosed,
    SessionFailed,
    SessionOpened,
    SessionWritable,
    TunnelEvent,
)
from dimse_proxy.tunnel.session import Session
from dimse_proxy.tunnel.tunnel import Tunnel

log: Final = logging.getLogger(__name__)


class Publisher(Protocol):
    """What frames leave through."""

    def publish(self, messages: Sequence[Message]) -> bool:
        """Sends messages together; false if none was sent."""


class SessionUser(Protocol):
    """Who is told what becomes of a session."""

    def session_acknowledged(self) -> None:
        """An instance of the other side took the session."""

    def session_received(self, data: bytes | memoryview) -> None:
        """Bytes, in order."""

    def session_ended(self) -> None:
        """The other side will send no more."""

    def session_aborted(self, detail: Mapping[str, object]) -> None:
        """The other side ended the session."""

    def session_failed(self, code: str, text: str) -> None:
        """The tunnel gave the session up."""

    def session_writable(self) -> None:
        """There is credit again."""


class PeerObserver(Protocol):
    """Who is told of peers and of the NATS connection."""

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """A proxy instance on another channel is present."""

    def peer_lost(self, channel: str, instance: str, code: str) -> None:
        """It is no longer."""

    def peer_refused(self, channel: str, instance: str, code: str) -> None:
        """An instance on another channel said hello that cannot be talked to; said once in a while."""

    def nats_connected(self, server: str, max_payload: int) -> None:
        """Connected, subscribed and flushed."""

    def nats_disconnected(self, reason: str) -> None:
        """The connection is gone; it is being made again."""

    def nats_error(self, text: str, fatal: bool) -> None:
        """The server said something, or refused us."""


class Exchange:
    """All sessions of one process, on one NATS connection."""

    def __init__(
        self,
        tunnel: Tunnel,
        *,
        loop: asyncio.AbstractEventLoop,
        session_opened: Callable[[Session], SessionUser],
        observer: PeerObserver,
    ) -> None:
        self.tunnel: Final = tunnel
        self._loop: Final = loop
        self._session_opened: Final = session_opened
        self._observer: Final = observer
        self._users: Final[dict[bytes, SessionUser]] = {}
        self._link: Publisher | None = None
        self._alarm: Final = Alarm(loop, self._timer_due)
        self._is_flushing = False
        self._is_in_batch = False
        self._is_closing = False
        self.refused: Callable[[str], None] = lambda _text: None
        """Called when the NATS server refuses who we are or what we may, and has never been connected before."""
        self.was_connected: Final = asyncio.Event()
        """Set once NATS has been connected for the first time."""

    def attach(self, link: Publisher) -> None:
        """Publishes through `link` from now on."""
        self._link = link

    def open_session(self, channel: str, info: Mapping[str, str], user: SessionUser) -> Session:
        """Opens a session to an instance on `channel`; the news of it goes to `user`."""
        session = self.tunnel.open_session(channel, info, self._loop.time())
        self._users[session.id] = user
        return session

    def flush(self) -> None:
        """Publishes what the tunnel has to send and delivers its news, until there is none.

        Called after everything that may have given the tunnel something to do; a call from within does nothing,
        since the outer one goes round again.
        """
        if self._is_flushing or self._is_in_batch:
            return
        self._is_flushing = True
        try:
            tunnel, link = self.tunnel, self._link
            while True:
                messages = tunnel.messages_to_send(self._loop.time())
                if messages and link is not None:
                    link.publish(messages)
                if not (events := tunnel.events_received()):
                    break  # only news, delivered, gives more to send
                for event in events:
                    self._deliver(event)
        finally:
            self._is_flushing = False
        self._alarm.set(self.tunnel.next_timer())

    # What the NATS connection does.

    def connected(self, max_payload: int, server: str) -> None:
        """Connected, subscribed and flushed."""
        self._observer.nats_connected(server, max_payload)
        self.was_connected.set()
        self.tunnel.connected(max_payload, self._loop.time())
        self.flush()

    def disconnected(self, reason: str) -> None:
        """The connection is gone."""
        if self._is_closing:
            return
        self._observer.nats_disconnected(reason)
        self.tunnel.disconnected(self._loop.time())
        self.flush()

    def message(self, subject: str, payload: bytes) -> None:
        """A frame or a hello."""
        self._is_in_batch = True
        self.tunnel.receive_message(subject, payload, self._loop.time())
        for event in self.tunnel.events_received():
            self._deliver(event)

    def batch_done(self) -> None:
        """All that one read brought has been given to `message`."""
        self._is_in_batch = False
        self.flush()

    def error(self, text: str, fatal: bool) -> None:
        """The server said something."""
        self._observer.nats_error(text, fatal)
        if fatal and not self.was_connected.is_set():
            self.refused(text)

    # Inside.

    def _deliver(self, event: TunnelEvent) -> None:
        match event:
            case DataReceived(session=session, data=data):
                if (user := self._users.get(session.id)) is not None:
                    user.session_received(data)
            case SessionOpened(session=session):
                user = self._session_opened(session)
                self._users[session.id] = user
            case SessionAcknowledged(session=session):
                if (user := self._users.get(session.id)) is not None:
                    user.session_acknowledged()
            case EndReceived(session=session):
                if (user := self._users.get(session.id)) is not None:
                    user.session_ended()
            case AbortReceived(session=session, detail=detail):
                if (user := self._users.pop(session.id, None)) is not None:
                    user.session_aborted(detail)
            case SessionFailed(session=session, code=code, text=text):
                if (user := self._users.pop(session.id, None)) is not None:
                    user.session_failed(code, text)
            case SessionWritable(session=session):
                if (user := self._users.get(session.id)) is not None:
                    user.session_writable()
            case SessionClosed(session=session):
                self._users.pop(session.id, None)
            case PeerAppeared(peer=peer):
                if peer.accepts:  # `dimse-proxy doctor` and `echo` come and go
                    self._observer.peer_appeared(peer.channel, peer.instance, peer.version)
            case PeerLost(peer=peer, code=code):
                if peer.accepts:
                    self._observer.peer_lost(peer.channel, peer.instance, code)
            case PeerRefused(channel=channel, instance=instance, code=code):
                self._observer.peer_refused(channel, instance, code)
            case unreachable:
                assert_never(unreachable)

    def _timer_due(self) -> None:
        self.tunnel.handle_timer(self._loop.time())
        self.flush()

    def close(self) -> None:
        """Stops the timer; the tunnel is not used any more, and the end of the connection is no news."""
        self._is_closing = True
        self._alarm.set(None)

"""What all parts of one tunnel share: identity, settings, connection, queues, timers. It decides nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from dimse_proxy.tunnel.events import Message, TunnelCounters, TunnelEvent
from dimse_proxy.tunnel.frames import HEADER_SIZE, LARGEST_SEAL
from dimse_proxy.tunnel.graveyard import Graveyard
from dimse_proxy.tunnel.receive_window import LARGEST_STEP
from dimse_proxy.tunnel.settings import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.subjects import Subjects
from dimse_proxy.tunnel.timers import Alarm, Timed, Timers

if TYPE_CHECKING:
    from dimse_proxy.tunnel.opening import Opening
    from dimse_proxy.tunnel.peer import PeerState
    from dimse_proxy.tunnel.sealing import Keyring
    from dimse_proxy.tunnel.session import Session

ACK_DELAY: Final = 0.1
"""Seconds that an acknowledgement of little news waits for more."""


class TunnelContext:
    """The shared state of a tunnel's parts; only they touch it."""

    def __init__(
        self, identity: TunnelIdentity, settings: TunnelSettings, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.identity: Final = identity
        self.settings: Final = settings
        self.random_bytes: Final = random_bytes
        self.keyring: Final = self._make_keyring()
        """None without a tunnel key."""
        self.subjects: Final = Subjects(settings.root, identity.channel, identity.instance)
        self.counters: Final = TunnelCounters()
        self.timers: Final = Timers()
        self.graveyard: Final = Graveyard(2 * settings.resume_timeout)
        self.sessions: Final[dict[bytes, Session]] = {}
        self.events: list[TunnelEvent] = []
        self.control: list[Message] = []
        """Control frames to be published before any data."""
        self.acks_due: dict[Session, None] = {}
        """Sessions whose peer is told the latest numbers with this batch."""
        self.lazy_acks: dict[Session, None] = {}
        """Sessions whose peer is told the latest numbers soon."""
        self.largest_untold = LARGEST_STEP
        """Bytes from one peer, over all sessions, after which no acknowledgement waits for the timer."""
        self.sending: Final[dict[PeerState, None]] = {}
        """Peers with sessions that may have something to send."""
        self.syncs_due: dict[PeerState, None] = {}
        """Peers that are told the offsets of all sessions with this batch."""
        self.resets_due: dict[PeerState, None] = {}
        """Peers that are told with this batch which sessions we do not know."""
        self.waiting: Final[dict[Opening, None]] = {}
        """Opens that wait for a peer's hello."""
        self.is_connected = False
        self.was_connected = False
        self.connected_at = 0.0
        self.clock_from = 0.0
        """Silence counts from here at the earliest: our own reconnect, or the end of a suspension."""
        self.max_data = settings.chunk_size
        """Longest DATA payload that fits a message."""
        self._lazy_alarm: Final = Alarm(self._flush_lazy_acks)

    def set_max_payload(self, max_payload: int) -> None:
        """Take the longest message the connected server allows, bytes."""
        overhead = HEADER_SIZE if self.keyring is None else HEADER_SIZE + LARGEST_SEAL
        self.max_data = max(1, min(self.settings.chunk_size, max_payload - overhead))

    def arm(self, timed: Timed, when: float) -> None:
        """Have something called at a time."""
        self.timers.arm(timed, when)

    def emit(self, event: TunnelEvent) -> None:
        """Tell the user."""
        self.events.append(event)

    def queue(self, message: Message) -> None:
        """Publish a control frame; without a connection it is dropped, as it could be lost on the way as well."""
        if self.is_connected:
            self.control.append(message)

    def ack_soon(self, session: "Session", now: float) -> None:
        """Have a session's numbers told within `ACK_DELAY`."""
        self.lazy_acks[session] = None
        self.timers.arm(self._lazy_alarm, now + ACK_DELAY)

    def ack_now(self, peer: "PeerState") -> None:
        """Have the numbers of all sessions with a peer told with this batch: it may be waiting for their sum."""
        self.acks_due.update((session, None) for session in self.lazy_acks if session.bound is peer)

    def _make_keyring(self) -> "Keyring | None":
        settings = self.settings
        if not settings.keys:
            return None
        from dimse_proxy.tunnel.sealing import Keyring  # `cryptography` is loaded only where there is a tunnel key

        return Keyring(settings.keys, settings.root, self.identity, self.random_bytes)

    def _flush_lazy_acks(self, now: float) -> None:
        self.acks_due.update(self.lazy_acks)
        self.lazy_acks.clear()

    def forget(self, peer: "PeerState") -> None:
        """Drop a peer from all queues."""
        self.sending.pop(peer, None)
        self.syncs_due.pop(peer, None)
        self.resets_due.pop(peer, None)

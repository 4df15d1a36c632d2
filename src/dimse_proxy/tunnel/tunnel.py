"""The tunnel of one process: all its peers and sessions, behind the verbs that every core has.

Bytes and time are arguments, messages and events are results; who publishes and subscribes is not known here.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from dimse_proxy.errors import LocalProtocolError, TunnelError
from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.dispatch import Dispatcher
from dimse_proxy.tunnel.events import Message, Peer, TunnelCode, TunnelCounters, TunnelEvent
from dimse_proxy.tunnel.frames import FORGED, REPLAYED
from dimse_proxy.tunnel.opening import Opening
from dimse_proxy.tunnel.peer import PeerState
from dimse_proxy.tunnel.presence import Presence
from dimse_proxy.tunnel.session import Session
from dimse_proxy.tunnel.settings import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.timers import Alarm

LATE: Final = 1.0
"""Seconds after which a timer that fires means that the process did not run: silence is counted anew."""


def _make_dispatcher(context: TunnelContext, presence: Presence) -> Dispatcher:
    if context.keyring is None:
        return Dispatcher(context, presence)
    from dimse_proxy.tunnel.unsealing import SealedDispatcher  # loads `cryptography`

    return SealedDispatcher(context, presence, context.keyring)


class Tunnel:
    """Opens and takes sessions, and finds who is there.

    Args:
        identity: who this process is.
        settings: the numbers.
        peer_channels: channels whose instances it talks to; what comes from another one is not believed. `talk_to`
            adds to them.
        random_bytes: returns that many unpredictable bytes; session ids are made of them.
    """

    def __init__(
        self,
        identity: TunnelIdentity,
        settings: TunnelSettings,
        peer_channels: Collection[str],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        context = TunnelContext(identity, settings, random_bytes)
        self.identity: Final = identity
        self.settings: Final = settings
        self._context: Final = context
        self._presence: Final = Presence(context, peer_channels)
        self._dispatcher: Final = _make_dispatcher(context, self._presence)
        self._hello_alarm: Final = Alarm(self._say_hello)
        self._sync_alarm: Final = Alarm(self._tell_offsets)
        self._outage_alarm: Final = Alarm(self._check_outage)
        self._disconnected_at = 0.0

    @property
    def counters(self) -> TunnelCounters:
        """What was received and not used, and what was sent again."""
        return self._context.counters

    @property
    def is_connected(self) -> bool:
        """Messages can be sent."""
        return self._context.is_connected

    def subscriptions(self) -> tuple[str, ...]:
        """Return what to subscribe to, before `connected` is called."""
        return self._context.subjects.subscriptions()

    def peers(self) -> tuple[Peer, ...]:
        """Return who is known."""
        return tuple(peer.snapshot() for peer in self._presence.peers())

    def sessions(self) -> tuple[Session, ...]:
        """Return the sessions that are not over."""
        return tuple(self._context.sessions.values())

    # The connection.

    def connected(self, max_payload: int, now: float) -> None:
        """Note that the subscriptions are in force at a server that takes messages of `max_payload` bytes."""
        context = self._context
        context.set_max_payload(max_payload)
        context.is_connected = True
        context.connected_at = context.clock_from = now
        self._presence.start()
        self._presence.reconnected()
        for session in list(context.sessions.values()):
            session.reconnected(now)
        context.arm(self._hello_alarm, now + self.settings.hello_interval)
        context.arm(self._sync_alarm, now + self.settings.sync_interval)

    def disconnected(self, now: float) -> None:
        """Note that nothing can be sent or received, and that what was handed out may be lost."""
        context = self._context
        if context.is_connected:
            context.is_connected = False
            context.control.clear()
            self._disconnected_at = now
            context.arm(self._outage_alarm, now + self.settings.resume_timeout)

    def receive_message(self, subject: str, payload: bytes, now: float) -> None:
        """Take a message; whatever it is, it never raises."""
        origin = self._context.subjects.parse(subject)
        if origin is None or origin.channel not in self._presence.channels:
            self._context.counters.bad_subjects += 1
            return
        if origin.is_hello:
            try:
                self._presence.receive_hello(origin.channel, payload, now)
            except TunnelError as error:
                if error.code in (FORGED, REPLAYED):
                    self._dispatcher.count(error)
                else:
                    self._context.counters.bad_hellos += 1
            return
        try:
            self._dispatcher.frame(origin.channel, payload, now)
        except TunnelError as error:
            self._dispatcher.count(error)

    def messages_to_send(self, now: float) -> list[Message]:
        """Return what to publish now, in this order; call it after every batch of anything."""
        context = self._context
        if not context.is_connected:
            return []
        messages = self._presence.hellos()
        if context.resets_due:
            for peer in list(context.resets_due):
                peer.flush_resets(now)
            context.resets_due.clear()
        if context.control:
            messages += context.control
            context.control = []
        if context.acks_due:
            messages += [session.receiver.ack_frame() for session in context.acks_due]
            for session in context.acks_due:
                context.lazy_acks.pop(session, None)
            context.acks_due.clear()
        if context.syncs_due:
            for peer in context.syncs_due:
                messages += peer.sync_frames()
            context.syncs_due.clear()
        for peer in list(context.sending):
            self._send_data(peer, messages, now)
        return messages

    def _send_data(self, peer: PeerState, messages: list[Message], now: float) -> None:
        """Take frames of the sessions that have something to send, in turn, as long as the peer may be sent more."""
        ready = peer.ready
        small = peer.ready_small
        bound = peer.bound
        while (ready or small) and peer.in_flight < bound:
            is_favoured = bool(small)
            session = small.popleft() if is_favoured else ready.popleft()
            if session.bound is not peer:
                continue
            sender = session.sender
            if is_favoured and not sender.is_small:  # more came while it waited: it is no small one any more
                ready.append(session)
                continue
            if sender.has_data:
                messages.append(sender.data_frame(peer, now))
            if sender.has_data:
                ready.append(session)
                continue
            sender.is_ready = False
            if sender.is_end_due:
                messages.append(sender.end_frame(now))
        if not ready and not small:
            del self._context.sending[peer]

    def events_received(self) -> list[TunnelEvent]:
        """Return what happened since the last call."""
        events, self._context.events = self._context.events, []
        return events

    # What the user wants.

    def talk_to(self, channels: Collection[str]) -> None:
        """Add channels to those whose instances it talks to. None is ever taken away: sessions may run on it."""
        self._presence.add(channels)

    def open_session(self, channel: str, info: Mapping[str, str], now: float) -> Session:
        """Open a session with the least loaded instance of `channel`; how that goes is told by events.

        Raises:
            LocalProtocolError: `channel` is not a peer's, or `info` cannot be sent.
        """
        if channel not in self._presence.channels:
            raise LocalProtocolError(f"{channel!r} is not one of the peers' channels")
        context = self._context
        session = Session(context, context.random_bytes(16), channel, info, is_opener=True)
        opening = Opening(context, self._presence, session, now)
        context.sessions[session.id] = session
        session.opening = opening
        opening.begin(now)
        return session

    def go_away(self, now: float) -> None:
        """Take no more sessions, and say so."""
        self._presence.go_away()

    def set_load(self, active: int, limit: int | None) -> None:
        """Say how many associations there are, and how many there may be: full instances are not asked."""
        self._presence.set_load(active, limit)

    # Time.

    def next_timer(self) -> float | None:
        """Return when to call `handle_timer` at the latest."""
        return self._context.timers.next()

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        due = self._context.timers.next()
        if due is not None and now - due > LATE:
            self._context.clock_from = now
        self._context.timers.run(now)

    def _say_hello(self, now: float) -> None:
        if self._context.is_connected:
            self._context.arm(self._hello_alarm, now + self.settings.hello_interval)
            self._presence.say_hello()

    def _tell_offsets(self, now: float) -> None:
        """Tell offsets of some sessions, divide the budget anew, and forget what is old."""
        context = self._context
        context.graveyard.expire(now)
        if context.is_connected:
            context.arm(self._sync_alarm, now + self.settings.sync_interval)
            self._presence.share_out(now)
            for peer in self._presence.peers():
                peer.sync_some()

    def _check_outage(self, now: float) -> None:
        """End all sessions if we are disconnected for too long."""
        context = self._context
        if context.is_connected:
            return
        end = max(self._disconnected_at, context.clock_from) + self.settings.resume_timeout
        if now < end:
            context.arm(self._outage_alarm, end)
            return
        for session in list(context.sessions.values()):
            session.peer_gone(TunnelCode.DISCONNECTED_TOO_LONG, "we were disconnected for too long", now)

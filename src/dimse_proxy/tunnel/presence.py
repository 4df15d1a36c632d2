"""Who is there: the peers of one tunnel, by their hellos, and what our own hello says.

It decides which instance an open goes to and when a peer is silent or lost; what that means for a session is not its
business.
"""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from dimse_proxy.errors import TunnelError
from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import Message, PeerAppeared, PeerLost, PeerRefused, TunnelCode
from dimse_proxy.tunnel.frames import REPLAYED, VERSION, bad_frame, instance_tag, make_route
from dimse_proxy.tunnel.hello import Hello, add_codes, decode_hello, encode_hello, split_codes
from dimse_proxy.tunnel.peer import PeerState
from dimse_proxy.tunnel.receive_window import LARGEST_STEP

if TYPE_CHECKING:
    from dimse_proxy.tunnel.sealing import Keyring, PairSeal

MOST_PEERS: Final = 1024
SMALLEST_SHARE: Final = 65536
"""Bytes that every peer may have in flight, however many there are."""
MISMATCH_SPACING: Final = 600.0
"""Seconds between two complaints about another tunnel key on one channel."""


class Presence:
    """The directory of peers."""

    def __init__(self, context: TunnelContext, channels: Collection[str]) -> None:
        self.channels: Final = dict.fromkeys(channels)
        """In the order in which they came; the values mean nothing."""
        self.is_going_away = False
        self._context: Final = context
        self._peers: Final[dict[tuple[str, str], PeerState]] = {}
        self._routes: Final[dict[tuple[str, bytes], PeerState]] = {}
        self._active = 0
        self._limit: int | None = None
        self._taken_since = 0
        self._patience: Final = context.settings.resume_timeout + context.settings.sync_interval
        """Silence after which a peer is lost: it may have fallen out just before we did."""
        self._share = context.settings.receive_budget // 2
        self._hellos_due: dict[str, bool] = {}
        self._mismatches: Final[dict[str, float]] = {}
        """When a hello with another tunnel key came last, for each channel."""
        self._mismatch_told: Final[dict[str, float]] = {}

    def peers(self) -> list[PeerState]:
        """Return all peers known."""
        return list(self._peers.values())

    def find(self, channel: str, route: bytes) -> PeerState | None:
        """Return the peer whose frames carry `route`."""
        return self._routes.get((channel, route))

    # What we say.

    @property
    def is_full(self) -> bool:
        """An open has to be refused."""
        return self._limit is not None and self._active + self._taken_since >= self._limit

    def set_load(self, active: int, limit: int | None) -> None:
        """Take the number of our associations, and how many there may be."""
        was_full = self.is_full
        self._active, self._limit, self._taken_since = active, limit, 0
        if self.is_full != was_full:
            self.say_hello()

    def taken(self) -> None:
        """Count a session that our user has not counted yet."""
        self._taken_since += 1
        if self.is_full:
            self.say_hello()

    def go_away(self) -> None:
        """Say that we take no more sessions."""
        self.is_going_away = True
        self.say_hello()

    def start(self) -> None:
        """Say hello to everybody and ask who is there."""
        self._hellos_due = dict.fromkeys(self.channels, True)

    def add(self, channels: Collection[str]) -> None:
        """Talk to these channels too, beginning with a hello that asks who is there."""
        for channel in channels:
            if channel not in self.channels:
                self.channels[channel] = None
                self.ask(channel)

    def ask(self, channel: str) -> None:
        """Say hello to a channel and ask who is there."""
        self._hellos_due[channel] = True

    def say_hello(self) -> None:
        """Say hello to everybody."""
        for channel in self.channels:
            self._hellos_due.setdefault(channel, False)

    def hellos(self) -> list[Message]:
        """Return the hellos that are due."""
        if not self._hellos_due:
            return []
        due, self._hellos_due = self._hellos_due, {}
        subjects = self._context.subjects
        return [
            Message(subjects.hello(channel), (self._hello(channel, is_start),)) for channel, is_start in due.items()
        ]

    def _hello(self, channel: str, is_start: bool) -> bytes:
        identity = self._context.identity
        keyring = self._context.keyring
        hello = encode_hello(
            Hello(
                instance=identity.instance,
                epoch=identity.epoch,
                version=identity.version,
                protocols=(VERSION,),
                load=self._active + self._taken_since,
                limit=self._limit,
                accepts=identity.accepts,
                going_away=self.is_going_away,
                start=is_start,
                window=self._context.settings.window,
                share=self._share,
                key=None if keyring is None else keyring.public,
                number=0 if keyring is None else keyring.next_number(),
                time=None if identity.wall_clock is None else identity.wall_clock(),
                interval=round(self._context.settings.hello_interval * 1000),
            )
        )
        return hello if keyring is None else add_codes(hello, keyring.sign(channel, hello))

    def share_out(self, now: float) -> None:
        """Divide the budget among the peers that send to us, keeping one share for a newcomer.

        Who sent lately still counts, so that the shares do not change with every session.
        """
        settings = self._context.settings
        recent = now - settings.resume_timeout
        count = sum(1 for peer in self._peers.values() if peer.sessions or peer.last_session_at > recent)
        share = max(SMALLEST_SHARE, settings.receive_budget // (count + 1))
        if share < self._share:
            self.say_hello()
        self._share = share
        self._context.largest_untold = min(LARGEST_STEP, share // 2)

    # What the peers say.

    def receive_hello(self, channel: str, payload: bytes, now: float) -> None:
        """Take a hello.

        Raises:
            TunnelError: it is none.
        """
        keyring = self._context.keyring
        seal = None
        if keyring is None:
            hello = decode_hello(payload)
            if hello.key is not None:
                self._mismatch(channel, hello, now)
                return
        else:
            signed, codes = split_codes(payload)
            hello = decode_hello(signed)
            index = keyring.verify(channel, signed, codes)
            if index is None or hello.key is None:
                self._mismatch(channel, hello, now)
                return
            seal = self._seal(keyring, channel, hello, index)
        peer = self.meet(channel, hello.instance, hello.epoch, now, seal)
        if peer is None:
            return
        self._mismatches.pop(channel, None)
        is_first = peer.hello is None
        peer.hello = hello
        # What it has not acknowledged, it may have been asked for since it said this.
        peer.opened_since_hello = sum(session.opening is not None for session in peer.sessions.values())
        if is_first:
            self._context.emit(PeerAppeared(peer=peer.snapshot()))
        self.heard(peer, now)
        if hello.start:
            self._hellos_due.setdefault(channel, False)
        self._ask_again(channel, now)

    def _seal(self, keyring: "Keyring", channel: str, hello: Hello, index: int) -> "PairSeal":
        """Return the seal of the peer that a hello, made with our tunnel key number `index`, is from.

        Raises:
            TunnelError: the hello has come before, or names another key than the peer has.
        """
        route = make_route(instance_tag(hello.instance), hello.epoch, self._context.identity.epoch)
        known = self.find(channel, route)
        key = hello.key or b""
        seal = keyring.pair(channel, route, key, index) if known is None or known.seal is None else known.seal
        if seal.public != key:
            raise bad_frame("another key of the same epoch")
        if hello.number <= seal.hello_number:
            raise TunnelError("a hello that has come before", code=REPLAYED)
        seal.hello_number = hello.number
        return seal

    def _mismatch(self, channel: str, hello: Hello, now: float) -> None:
        """Note a hello that was not made with one of our tunnel keys, if it is not one of a known peer, altered."""
        self._context.counters.mismatches += 1
        known = self._peers.get((channel, hello.instance))
        if known is not None and known.epoch == hello.epoch:
            return
        self._mismatches[channel] = now
        if hello.start:
            self._hellos_due.setdefault(channel, False)
        if now >= self._mismatch_told.get(channel, -math.inf) + MISMATCH_SPACING:
            self._mismatch_told[channel] = now
            self._context.emit(PeerRefused(channel=channel, instance=hello.instance, code=TunnelCode.KEY_MISMATCH))
        self._ask_again(channel, now)

    def _ask_again(self, channel: str, now: float) -> None:
        """Have the opens that wait for somebody on a channel look again."""
        for opening in [opening for opening in self._context.waiting if opening.channel == channel]:
            opening.begin(now)

    def meet(
        self, channel: str, instance: str, epoch: int, now: float, seal: "PairSeal | None" = None
    ) -> PeerState | None:
        """Return the peer, a new one if need be; None if it is not to be believed, which is counted.

        An older epoch is a late message of a process that is no more, unless the newer one has fallen silent:
        then it is a process whose clock went back.
        """
        known = self._peers.get((channel, instance))
        if known is not None and known.epoch == epoch:
            return known
        if known is not None and epoch < known.epoch and not known.is_silent:
            self._context.counters.stale_epochs += 1
            return None
        if known is None and len(self._peers) >= MOST_PEERS:
            self._context.counters.strangers += 1
            return None
        peer = PeerState(self._context, channel, instance, epoch, now, self._check, seal)
        if known is not None:
            del self._routes[channel, known.route_in]
        self._peers[channel, instance] = peer
        self._routes[channel, peer.route_in] = peer
        self._arm(peer)
        if known is not None:
            self._end(known, TunnelCode.PEER_RESTARTED, "the peer has restarted", now)
        return peer

    def heard(self, peer: PeerState, now: float) -> None:
        """Note a sign of life."""
        peer.last_seen = now
        if peer.is_silent:
            peer.is_silent = False
            self._arm(peer)
            self._context.emit(PeerAppeared(peer=peer.snapshot()))

    # Whom to ask.

    def pick(self, channel: str, tried: Collection[PeerState], session_id: bytes, now: float) -> PeerState | None:
        """Return the least loaded instance of `channel` that takes opens, other than those `tried`.

        Among equals each session prefers another one, so that many proxies do not all choose the same. Who is late,
        or did not answer an open, comes last until it is heard of again: it may be dead.
        """
        if not self._context.is_connected:
            return None
        candidates = [
            peer
            for peer in self._peers.values()
            if peer.channel == channel and peer.is_welcome and peer.is_heard and not peer.is_full and peer not in tried
        ]
        if not candidates:
            return None
        return min(
            candidates,
            key=lambda peer: (peer.is_doubted(now), peer.load, peer.distance(session_id)),
        )

    def why_nobody(self, channel: str, tried: Collection[PeerState], now: float) -> tuple[TunnelCode, bool]:
        """Return why `pick` found nobody, and whether somebody may be there soon."""
        context = self._context
        peers = [peer for peer in self._peers.values() if peer.channel == channel and peer not in tried]
        is_expected = any(peer.is_welcome and not (peer.is_heard and context.is_connected) for peer in peers)
        if not context.is_connected:
            return TunnelCode.DISCONNECTED, is_expected
        if any(peer.is_welcome and peer.is_full for peer in peers):
            return TunnelCode.REFUSED_LIMIT, is_expected
        if any(peer.hello is not None and peer.hello.going_away for peer in peers):
            return TunnelCode.GOING_AWAY, is_expected
        if any(peer.hello is not None and not peer.hello.is_compatible for peer in peers):
            return TunnelCode.VERSION_MISMATCH, is_expected
        if now < self._mismatches.get(channel, -math.inf) + context.settings.presence_timeout:
            return TunnelCode.KEY_MISMATCH, is_expected
        is_fresh = now < context.connected_at + context.settings.wait_for_peer
        return TunnelCode.NO_PEER, is_expected or is_fresh

    # Who is lost.

    def reconnected(self) -> None:
        """Look after all peers again, counting from now, and exchange offsets with those we share sessions with."""
        for peer in self._peers.values():
            peer.reconnected()
            self._arm(peer)

    def _arm(self, peer: PeerState) -> None:
        lost_at = self._lost_at(peer)
        self._context.arm(peer.alarm, lost_at if peer.is_silent else min(lost_at, self._silent_at(peer)))

    def _silent_at(self, peer: PeerState) -> float:
        return max(peer.last_seen, self._context.clock_from) + self._context.settings.presence_timeout

    def _lost_at(self, peer: PeerState) -> float:
        return max(peer.last_seen, self._context.clock_from) + self._patience

    def _check(self, peer: PeerState, now: float) -> None:
        """Look whether a peer is silent or lost. Silence counts only while we are connected ourselves."""
        if not self._context.is_connected or self._peers.get((peer.channel, peer.instance)) is not peer:
            return
        if now >= self._lost_at(peer):
            self._remove(peer, TunnelCode.PEER_LOST, now)
            return
        if now >= self._silent_at(peer) and not peer.is_silent:
            peer.is_silent = True
            if peer.hello is not None and peer.hello.going_away and not peer.sessions:
                self._remove(peer, TunnelCode.GOING_AWAY, now)
                return
            self._context.emit(PeerLost(peer=peer.snapshot(), code=TunnelCode.SILENT))
        self._arm(peer)

    def _remove(self, peer: PeerState, code: TunnelCode, now: float) -> None:
        del self._peers[peer.channel, peer.instance]
        del self._routes[peer.channel, peer.route_in]
        self._end(peer, code, "the peer was silent for too long", now)

    def _end(self, peer: PeerState, code: TunnelCode, text: str, now: float) -> None:
        self._context.emit(PeerLost(peer=peer.snapshot(), code=code))
        for session in list(peer.sessions.values()):
            session.peer_gone(code, text, now)
        self._context.forget(peer)
        if peer.seal is not None:
            peer.seal.part()

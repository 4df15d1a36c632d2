"""Where a received frame goes: to its session, to what is remembered of it, or to the peer as a whole.

The hot path is DATA of a session that lives: one look-up and one comparison prove whom it is from and for. Frames that
cannot be are raised as errors, which `tunnel` counts.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from dimse_proxy.errors import TunnelError
from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import SessionOpened, TunnelCode
from dimse_proxy.tunnel.frames import (
    BEYOND_LIMIT,
    FORGED,
    FORGED_OFFSET,
    HEADER,
    HEADER_SIZE,
    LARGEST_NUMBER,
    NO_SESSION,
    REPLAYED,
    VERSION,
    FrameFlag,
    FrameType,
    bad_frame,
    decode_body,
    encode_body,
    flag,
    instance_tag,
    number,
    text,
)
from dimse_proxy.tunnel.graveyard import Ending, Tombstone
from dimse_proxy.tunnel.hello import instance_name
from dimse_proxy.tunnel.peer import PeerState
from dimse_proxy.tunnel.presence import Presence
from dimse_proxy.tunnel.receiving import CLOSED_BY_ABORT, CLOSED_BY_END
from dimse_proxy.tunnel.session import Session

if TYPE_CHECKING:
    from dimse_proxy.tunnel.sealing import PairSeal

_DATA: Final = int(FrameType.DATA)
KNOWN_FLAGS: Final = int(FrameFlag.ACK_NOW)
_TYPES: Final = {int(frame_type): frame_type for frame_type in FrameType}
_CODES: Final = {code.value: code for code in TunnelCode}


class ControlFrame(NamedTuple):
    """A frame that is not DATA of a session that lives."""

    kind: FrameType
    session_id: bytes
    counter: int
    offset: int
    body: dict[str, object]
    """Empty for DATA, whose bytes nobody wants here."""


class Dispatcher:
    """Takes frames apart and calls whom they concern."""

    def __init__(self, context: TunnelContext, presence: Presence) -> None:
        self._context: Final = context
        self._sessions: Final = context.sessions
        self._presence: Final = presence
        self._own_epoch: Final = context.identity.epoch.to_bytes(8, "big")

    def frame(self, channel: str, payload: bytes, now: float) -> None:
        """Take a frame that came from `channel`.

        Raises:
            TunnelError: it cannot be.
        """
        if len(payload) < HEADER_SIZE:
            raise bad_frame("shorter than a header")
        version, kind, flags, key, session_id, route, counter, offset = HEADER.unpack_from(payload)
        if version != VERSION:
            self._context.counters.unknown_versions += 1
            return
        if key or flags & ~KNOWN_FLAGS:
            raise bad_frame("sealed, or with flags that are not known")
        session = self._sessions.get(session_id)
        if session is None or session.line.route_in != route or session.channel != channel:
            self._stray(channel, route, _control_frame(kind, session_id, counter, offset, payload), now)
            return
        peer = session.bound
        assert peer is not None  # or it would have no route
        peer.last_seen = now
        if peer.is_silent:
            self._presence.heard(peer, now)
        if kind != _DATA:
            self._control(session, _control_frame(kind, session_id, counter, offset, payload), now)
            return
        if session.opening is not None:
            session.acknowledge(now)
        if session.sender.abort is None:
            session.receiver.data(offset, memoryview(payload)[HEADER_SIZE:], flags, counter, now)

    def count(self, error: TunnelError) -> None:
        """Count a frame that cannot be."""
        counters = self._context.counters
        match error.code:
            case x if x == FORGED_OFFSET:
                counters.forged_offsets += 1
            case x if x == BEYOND_LIMIT:
                counters.beyond_limit += 1
            case x if x == FORGED:
                counters.forged += 1
            case x if x == REPLAYED:
                counters.replayed += 1
            case _:
                counters.bad_frames += 1

    # A session that lives.

    def _control(self, session: Session, frame: ControlFrame, now: float) -> None:
        match frame.kind:
            case FrameType.OPEN:
                _require(not session.is_opener, "an OPEN for our own session")
                self._opened(session)
                session.receiver.probe(frame.offset, frame.counter, False)
            case FrameType.CANCEL:
                _require(not session.is_opener, "a CANCEL of our own session")
                session.fail(TunnelCode.CANCELLED, "the other side gave us up and asks another instance", now)
            case FrameType.REFUSED:
                code = _CODES.get(text(frame.body, "code"), TunnelCode.PROTOCOL)
                if session.opening is not None:
                    session.opening.refused(code, now)
            case FrameType.SYNC | FrameType.RESET:
                raise bad_frame("a frame for a process, with a session")
            case _:
                if frame.kind is FrameType.OPENED:
                    session.line.take_key(frame.body)
                if session.acknowledge(now):
                    self._progress(session, frame, now)

    def _progress(self, session: Session, frame: ControlFrame, now: float) -> None:
        body = frame.body
        is_listening = session.sender.abort is None
        match frame.kind:
            case FrameType.OPENED | FrameType.ACK:
                session.sender.acknowledged(frame.offset, number(body, "limit"), now)
            case FrameType.GAP:
                session.sender.asked_again(frame.offset, number(body, "limit"), number(body, "seen"), now)
            case FrameType.CLOSED:
                session.sender.closed(frame.offset, text(body, "of") == "abort", now)
            case FrameType.ABORT:
                detail = _object(body, "detail")
                session.aborted(frame.offset, number(body, "sent"), detail, frame.counter, now)
            case FrameType.PROBE:
                if is_listening:
                    session.receiver.probe(frame.offset, frame.counter, True)
            case _:  # END
                if is_listening:
                    session.receiver.end(frame.offset, frame.counter, now)

    def _opened(self, session: Session) -> None:
        line = session.line
        body = line.introduce(b'{"limit":%d}' % session.receiver.limit)
        line.send(FrameType.OPENED, session.receiver.received, body)
        session.receiver.told()

    # Everything else.

    def _stray(self, channel: str, route: bytes, frame: ControlFrame, now: float) -> None:
        peer = self._presence.find(channel, route)
        if peer is None:
            if route[16:] != self._own_epoch:
                self._context.counters.stale_epochs += 1
                return
            peer = self._meet(channel, route, frame, now)
            if peer is None:
                return
        self._presence.heard(peer, now)
        match frame.kind:
            case FrameType.SYNC:
                self._sync(peer, frame.body, now)
            case FrameType.RESET:
                self._reset(peer, frame.body, now)
            case FrameType.OPEN:
                self._open(peer, frame, now)
            case _:
                self._context.counters.unknown_sessions += 1
                self._unknown(peer, frame, now)

    def _meet(
        self, channel: str, route: bytes, frame: ControlFrame, now: float, seal: "PairSeal | None" = None
    ) -> PeerState | None:
        """Return the peer that a frame is from, which we did not know until now: only an OPEN names it."""
        if frame.kind is not FrameType.OPEN:
            self._context.counters.strangers += 1
            return None
        instance = instance_name(frame.body)
        if instance_tag(instance) != route[:8]:
            raise bad_frame("the instance is not that of the header")
        self._presence.ask(channel)
        return self._presence.meet(channel, instance, int.from_bytes(route[8:16], "big"), now, seal)

    def _open(self, peer: PeerState, frame: ControlFrame, now: float) -> None:
        context = self._context
        session_id = frame.session_id
        info = _info(frame.body)
        limit = number(frame.body, "limit")
        if session_id == NO_SESSION or session_id in self._sessions:
            raise bad_frame("an OPEN with the id of another session")
        stone = context.graveyard.find(session_id)
        if stone is not None:  # late, or sent again by somebody else
            context.counters.unknown_sessions += 1
            if stone.ending is Ending.REFUSED and stone.route == peer.route_in:
                self._refuse(peer, session_id, stone.code)
            elif not self._is_settled(peer, stone, now):
                peer.add_reset(session_id, frame.counter, now)
            return
        refusal = self._refusal()
        if refusal is not None:
            context.graveyard.bury(session_id, Tombstone(peer.channel, peer.route_in, Ending.REFUSED, now, refusal))
            self._refuse(peer, session_id, refusal)
            return
        session = Session(context, session_id, peer.channel, info, is_opener=False)
        session.line.accept(peer, frame.body)
        self._sessions[session_id] = session
        session.bind(peer, limit)
        self._presence.share_out(now)
        self._presence.taken()
        context.emit(SessionOpened(session=session))
        self._opened(session)
        session.receiver.probe(frame.offset, frame.counter, False)

    def _refusal(self) -> TunnelCode | None:
        presence = self._presence
        limit = self._context.settings.session_limit
        if presence.is_going_away:
            return TunnelCode.GOING_AWAY
        if not self._context.identity.accepts:
            return TunnelCode.NO_PEER
        if presence.is_full or (limit is not None and len(self._sessions) >= limit):
            return TunnelCode.REFUSED_LIMIT
        return None

    def _refuse(self, peer: PeerState, session_id: bytes, code: TunnelCode | None) -> None:
        peer.answer(FrameType.REFUSED, session_id, 0, encode_body({"code": code}))

    def _unknown(self, peer: PeerState, frame: ControlFrame, now: float) -> None:
        """Answer a frame of a session that we do not have with this peer."""
        session_id = frame.session_id
        graveyard = self._context.graveyard
        stone = graveyard.find(session_id)
        match frame.kind:
            case FrameType.CLOSED | FrameType.REFUSED:
                return
            case FrameType.ABORT | FrameType.CANCEL:
                if stone is None and session_id not in self._sessions:  # its OPEN may be late
                    graveyard.bury(session_id, Tombstone(peer.channel, peer.route_in, Ending.CLOSED, now))
                peer.answer(FrameType.CLOSED, session_id, frame.offset, CLOSED_BY_ABORT)
            case _ if not self._is_settled(peer, stone, now):
                peer.add_reset(session_id, frame.counter, now)
            case FrameType.END:
                peer.answer(FrameType.CLOSED, session_id, frame.offset, CLOSED_BY_END)
            case _:
                return

    def _is_settled(self, peer: PeerState, stone: Tombstone | None, now: float) -> bool:
        """Tell whether the peer will learn, or has learnt, by other frames that a session is over."""
        return (
            stone is not None
            and stone.ending is not Ending.FAILED
            and stone.route == peer.route_in
            and stone.channel == peer.channel
            and self._context.graveyard.is_fresh(stone, now)
        )

    def _sync(self, peer: PeerState, body: dict[str, object], now: float) -> None:
        for entry in _list(body):
            try:
                self._sync_one(peer, entry, now)
            except TunnelError as error:
                self.count(error)
        if flag(body, "answer"):
            self._context.syncs_due[peer] = None

    def _sync_one(self, peer: PeerState, entry: object, now: float) -> None:
        if not isinstance(entry, list) or len(entry) != 5:
            raise bad_frame("an entry of a SYNC is not a list of five")
        session_id = _session_id(entry[0])
        received, limit, sent, counter = (_number(value) for value in entry[1:])
        session = self._sessions.get(session_id)
        if session is not None and session.bound is peer:
            if not session.acknowledge(now):
                return
            session.sender.acknowledged(received, limit, now)
            if session.sender.abort is None:
                session.receiver.probe(sent, counter, False)
        elif session is not None or not self._is_settled(peer, self._context.graveyard.find(session_id), now):
            self._context.counters.unknown_sessions += 1
            peer.add_reset(session_id, counter, now)

    def _reset(self, peer: PeerState, body: dict[str, object], now: float) -> None:
        self._context.counters.resets_received += 1
        for entry in _list(body):
            if not isinstance(entry, list) or len(entry) != 2:
                raise bad_frame("an entry of a RESET is not a list of two")
            seen = _number(entry[1])
            session = self._sessions.get(_session_id(entry[0]))
            if session is not None and session.bound is peer:
                session.reset(seen, now)


def frame_type_of(kind: int) -> FrameType:
    """Return the type of a frame.

    Raises:
        TunnelError: it is none.
    """
    frame_type = _TYPES.get(kind)
    if frame_type is None:
        raise bad_frame("a type that is not known")
    return frame_type


def _control_frame(kind: int, session_id: bytes, counter: int, offset: int, payload: bytes) -> ControlFrame:
    frame_type = frame_type_of(kind)
    body = {} if kind == _DATA else decode_body(payload[HEADER_SIZE:])
    return ControlFrame(frame_type, session_id, counter, offset, body)


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise bad_frame(why)


def _object(body: Mapping[str, object], name: str) -> dict[str, object]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise bad_frame(f"{name} is not an object")
    return value


def _info(body: Mapping[str, object]) -> dict[str, str]:
    info: dict[str, str] = {}
    for name, value in _object(body, "info").items():
        if type(value) is not str:
            raise bad_frame("a value of info is not text")
        info[name] = value
    return info


def _list(body: Mapping[str, object]) -> list[object]:
    value = body.get("sessions")
    if not isinstance(value, list):
        raise bad_frame("no list of sessions")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_NUMBER:
        raise bad_frame("not a number")
    return value


def _session_id(value: object) -> bytes:
    if type(value) is not str or len(value) != 32:
        raise bad_frame("not a session id")
    try:
        session_id = bytes.fromhex(value)
    except ValueError:
        raise bad_frame("not a session id") from None
    if len(session_id) != 16:
        raise bad_frame("not a session id")
    return session_id

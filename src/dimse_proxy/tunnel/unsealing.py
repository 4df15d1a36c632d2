"""Where a received frame goes when there is a tunnel key: first through its seal, then as every frame does.

A frame whose seal is not right, or that comes a second time, changes nothing at all: it is no sign of life, and no
answer goes out but the rate-limited "unknown session" to DATA that no session is there for.
"""

from typing import Final

from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.dispatch import KNOWN_FLAGS, ControlFrame, Dispatcher, frame_type_of
from dimse_proxy.tunnel.frames import HEADER, HEADER_SIZE, VERSION, FrameType, KeyId, bad_frame, decode_body
from dimse_proxy.tunnel.presence import Presence
from dimse_proxy.tunnel.sealed_line import SealedLine
from dimse_proxy.tunnel.sealing import Keyring

_PLAIN: Final = int(KeyId.PLAIN)
_PAIR: Final = int(KeyId.PAIR)


class SealedDispatcher(Dispatcher):
    """Takes sealed frames apart, and no others."""

    def __init__(self, context: TunnelContext, presence: Presence, keyring: Keyring) -> None:
        super().__init__(context, presence)
        self._keyring: Final = keyring

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
        frame_type = frame_type_of(kind)
        if flags & ~KNOWN_FLAGS or key == _PLAIN or (frame_type is FrameType.DATA) is (key == _PAIR):
            raise bad_frame("not sealed as its type is, or with flags that are not known")
        if frame_type is not FrameType.DATA:
            self._sealed_control(channel, route, frame_type, session_id, payload, now)
            return
        session = self._sessions.get(session_id)
        if session is None or session.line.route_in != route or session.channel != channel:
            peer = self._presence.find(channel, route)
            if peer is not None:
                self._context.counters.unknown_sessions += 1
                self._unknown(peer, ControlFrame(FrameType.DATA, session_id, counter, offset, {}), now)
            return
        line = session.line
        assert isinstance(line, SealedLine)
        if not line.is_keyed:  # the OPENED with its key is still to come
            self._context.counters.unknown_sessions += 1
            return
        data = line.open_data(key, counter, payload)
        assert session.bound is not None
        self._presence.heard(session.bound, now)
        if session.sender.abort is None:
            session.receiver.data(offset, memoryview(data), flags, counter, now)

    def _sealed_control(
        self, channel: str, route: bytes, frame_type: FrameType, session_id: bytes, payload: bytes, now: float
    ) -> None:
        *_, counter, offset = HEADER.unpack_from(payload)
        peer = self._presence.find(channel, route)
        if peer is None:
            if route[16:] != self._own_epoch:
                self._context.counters.stale_epochs += 1
                return
            if frame_type is not FrameType.OPEN:
                self._context.counters.strangers += 1
                return
            seal = self._keyring.pair_of_open(channel, route, payload)
            frame = ControlFrame(frame_type, session_id, counter, offset, decode_body(seal.open(payload)))
            seal.answer_alike()
            if self._meet(channel, route, frame, now, seal) is None:
                return
        else:
            assert peer.seal is not None
            frame = ControlFrame(frame_type, session_id, counter, offset, decode_body(peer.seal.open(payload)))
            self._presence.heard(peer, now)
        session = self._sessions.get(session_id)
        if session is None or session.line.route_in != route or session.channel != channel:
            self._stray(channel, route, frame, now)
        else:
            self._control(session, frame, now)

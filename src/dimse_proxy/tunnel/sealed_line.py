"""The line of a session when there is a tunnel key: its DATA has keys of its own, all else goes under the peer's seal.

Imported only where there is a tunnel key.
"""

from typing import TYPE_CHECKING

from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import Message
from dimse_proxy.tunnel.frames import TAIL, FrameFlag, FrameType, KeyId, make_prefix
from dimse_proxy.tunnel.hello import public_key
from dimse_proxy.tunnel.line import Line
from dimse_proxy.tunnel.sealing import SessionSeal

if TYPE_CHECKING:
    from dimse_proxy.tunnel.peer import PeerState


class SealedLine(Line):
    """See `Line`; a session that is bound to another peer gets other keys."""

    __slots__ = ("_seal",)

    def __init__(self, context: TunnelContext, session_id: bytes) -> None:
        super().__init__(context, session_id)
        self._seal: SessionSeal | None = None

    @property
    def is_keyed(self) -> bool:
        """Both sides' keys of the session are known."""
        return self._seal is not None and self._seal.is_complete

    def accept(self, peer: "PeerState", body: dict[str, object]) -> None:
        """Take the key that an OPEN of `peer` brought, before the line is connected."""
        assert peer.seal is not None
        self._seal = peer.seal.accept(self._id, public_key(body))

    def connect(self, peer: "PeerState") -> None:
        """Lead to `peer`."""
        super().connect(peer)
        assert peer.seal is not None
        if self._seal is None:
            self._seal = peer.seal.offer(self._id)
        self._set_key(self._seal.key_id)

    def disconnect(self) -> None:
        """Lead nowhere, and forget all keys."""
        super().disconnect()
        self._seal = None

    def introduce(self, body: bytes) -> bytes:
        """Return the body of an OPEN or OPENED with this side's key for the session."""
        assert self._seal is not None
        return body[:-1] + b',"public_key":"%b"}' % self._seal.public.hex().encode()

    def take_key(self, body: dict[str, object]) -> None:
        """Take the key that an OPENED brought: from now on, DATA is sealed with both sides' keys."""
        assert self._seal is not None
        self._seal.complete(public_key(body))
        self._set_key(KeyId.SESSION)

    def data_frame(self, offset: int, parts: list[bytes | memoryview], is_marked: bool) -> Message:
        """Return a DATA frame."""
        assert self._seal is not None
        self.counter += 1
        header = (self._marked_start if is_marked else self._data_start) + TAIL.pack(self.counter, offset)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return Message(self._subject, (header, self._seal.seal(self.counter, data, header)))

    def open_data(self, key_id: int, counter: int, payload: bytes) -> bytes:
        """Return the bytes of a DATA frame.

        Raises:
            TunnelError: it is not as the peer sealed it.
        """
        assert self._seal is not None
        return self._seal.open(key_id, counter, payload)

    def frame(self, frame_type: FrameType, offset: int, body: bytes = b"{}") -> Message:
        """Return a control frame."""
        assert self.peer is not None
        self.counter += 1
        return self.peer.control_frame(frame_type, self._id, self.counter, offset, body)

    def _set_key(self, key_id: KeyId) -> None:
        self._data_start = make_prefix(FrameType.DATA, self._id, self._route_out, key=key_id)
        self._marked_start = make_prefix(FrameType.DATA, self._id, self._route_out, FrameFlag.ACK_NOW, key_id)

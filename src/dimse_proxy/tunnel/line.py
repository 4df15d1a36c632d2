"""The line of a session: builds its frames for the peer it is with, and counts them."""

from typing import TYPE_CHECKING, Final

from dimse_proxy.tunnel.context import TunnelContext
from dimse_proxy.tunnel.events import Message
from dimse_proxy.tunnel.frames import TAIL, FrameFlag, FrameType, make_prefix

if TYPE_CHECKING:
    from dimse_proxy.tunnel.peer import PeerState


class Line:
    """Where a session's frames go. Without a peer, control frames go nowhere and no other ones may be asked for."""

    __slots__ = (
        "_context",
        "_data_start",
        "_id",
        "_marked_start",
        "_route_out",
        "_subject",
        "counter",
        "peer",
        "route_in",
    )

    def __init__(self, context: TunnelContext, session_id: bytes) -> None:
        self.counter = 0
        """Frames built so far: the number of the last one."""
        self.peer: PeerState | None = None
        self.route_in = b""
        """What the header of the peer's frames has to say."""
        self._context: Final = context
        self._id: Final = session_id
        self._subject = ""
        self._route_out = b""
        self._data_start = b""
        self._marked_start = b""

    def connect(self, peer: "PeerState") -> None:
        """Lead to `peer`."""
        self.peer = peer
        self.route_in = peer.route_in
        self._subject = peer.subject
        self._route_out = peer.route_out
        self._data_start = make_prefix(FrameType.DATA, self._id, peer.route_out)
        self._marked_start = make_prefix(FrameType.DATA, self._id, peer.route_out, FrameFlag.ACK_NOW)

    def disconnect(self) -> None:
        """Lead nowhere."""
        self.peer = None
        self.route_in = b""

    @property
    def is_keyed(self) -> bool:
        """The keys of the session are known, if it needs any."""
        return True

    def accept(self, peer: "PeerState", body: dict[str, object]) -> None:
        """Take what an OPEN of `peer` says for the line, before it is connected.

        Raises:
            TunnelError: it is not right.
        """

    def introduce(self, body: bytes) -> bytes:
        """Return the body of an OPEN or OPENED with what this side has to say for the line."""
        return body

    def take_key(self, body: dict[str, object]) -> None:
        """Take what an OPENED says for the line.

        Raises:
            TunnelError: it is not right.
        """

    def data_frame(self, offset: int, parts: list[bytes | memoryview], is_marked: bool) -> Message:
        """Return a DATA frame; nothing is copied."""
        self.counter += 1
        start = self._marked_start if is_marked else self._data_start
        return Message(self._subject, (start + TAIL.pack(self.counter, offset), *parts))

    def frame(self, frame_type: FrameType, offset: int, body: bytes = b"{}") -> Message:
        """Return a control frame."""
        self.counter += 1
        header = make_prefix(frame_type, self._id, self._route_out) + TAIL.pack(self.counter, offset)
        return Message(self._subject, (header, body))

    def send(self, frame_type: FrameType, offset: int, body: bytes = b"{}") -> None:
        """Publish a control frame before any data."""
        if self.peer is not None:
            self._context.queue(self.frame(frame_type, offset, body))

"""The offsets of one direction of a session at its receiver: what arrived, what may come, what the sender was told.

Bytes pass through and are not kept: in order only, whatever the borders of the frames they come in.
"""

from typing import Final

from dimse_proxy.errors import LocalProtocolError, TunnelError
from dimse_proxy.tunnel.frames import BEYOND_LIMIT, bad_frame, forged_offset

LARGEST_STEP: Final = 524288
"""Bytes after which an acknowledgement does not wait for the timer."""


class ReceiveWindow:
    """Two absolute numbers to tell the sender: `received`, and `limit` which grows as bytes leave."""

    __slots__ = (
        "_consumed",
        "_step",
        "_window",
        "final",
        "is_gap_asked",
        "limit",
        "received",
        "told_limit",
        "told_received",
    )

    def __init__(self, window: int) -> None:
        self._window: Final = window
        self._step: Final = max(1, min(LARGEST_STEP, window // 4))
        self._consumed = 0
        self.received = 0
        """Every byte before this has arrived and was handed out."""
        self.limit = window
        """Offset up to which the sender may send."""
        self.told_received = 0
        self.told_limit = window
        self.final: int | None = None
        """Offset at which the sender's END or ABORT is, once known."""
        self.is_gap_asked = False
        """Missing bytes were asked for and have not come yet."""

    @property
    def is_ack_due(self) -> bool:
        """The latest numbers are so far from what the sender knows that it should be told at once."""
        return self.received - self.told_received >= self._step or self.limit - self.told_limit >= self._step

    def accept(self, offset: int, data: memoryview) -> memoryview | None:
        """Return what of `data` is new and next in order; None if nothing is.

        Raises:
            TunnelError: no honest sender sends this.
        """
        end = offset + len(data)
        if end == offset:
            raise bad_frame("DATA without bytes")
        if end > self.limit:
            raise TunnelError("DATA beyond the limit", code=BEYOND_LIMIT)
        if self.final is not None and end > self.final:
            raise forged_offset("DATA beyond the final offset")
        if offset > self.received or end <= self.received:
            return None
        if offset != self.received:
            data = data[self.received - offset :]
        self.received = end
        self.is_gap_asked = False
        return data

    def consume(self, length: int) -> None:
        """Note that `length` bytes left for the local socket."""
        self._consumed += length
        if length < 0 or self._consumed > self.received:
            raise LocalProtocolError("more bytes consumed than were received")
        self.limit = self._consumed + self._window

    def finish(self, final: int) -> None:
        """Take the final offset that an END or ABORT brought.

        Raises:
            TunnelError: it cannot be.
        """
        if final < self.received or (self.final is not None and final != self.final):
            raise forged_offset("the final offset cannot be")
        self.final = final

    def told(self) -> None:
        """Note that the sender is being told the latest numbers."""
        self.told_received = self.received
        self.told_limit = self.limit

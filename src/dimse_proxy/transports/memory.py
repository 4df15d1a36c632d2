"""Two connected streams without a network, for tests of what is written against `streams`.

Bytes arrive in the order and the pieces they were written in, a turn of the event loop later. Unlike TCP, closing with
unread bytes does not reset.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from dimse_proxy.transports.streams import Address, StreamHandler

WRITE_HIGH: Final = 1024 * 1024
WRITE_LOW: Final = 512 * 1024
"""Marks of unsent bytes, as TCP connections have them."""


class MemoryConnection:
    """One end of a pair; a `StreamConnection`."""

    def __init__(self, local: Address, peer: Address) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._local: Final = local
        self._peer_address: Final = peer
        self._peer: MemoryConnection | None = None
        self._handler: StreamHandler | None = None
        self._inbox: Final[deque[bytes | None]] = deque()
        """What the peer has sent, None being the end of it."""
        self._inbox_size = 0
        self._is_paused = False
        self._is_scheduled = False
        self._is_above_high = False
        self._has_sent_eof = False
        self._closing_text = ""
        self._is_lost = False

    @property
    def peer_address(self) -> Address:
        """An address for logs."""
        return self._peer_address

    @property
    def local_address(self) -> Address:
        """An address for logs."""
        return self._local

    @property
    def unsent(self) -> int:
        """Bytes that the peer has not been given yet."""
        return 0 if self._peer is None else self._peer._inbox_size

    def start(self, handler: StreamHandler) -> None:
        """Sets this end's user; nothing is delivered before."""
        self._handler = handler
        self._schedule()

    def write(self, data: bytes | memoryview) -> None:
        """Queues bytes; after `close` or `reset` they are dropped."""
        if self._closing_text or self._is_lost or self._has_sent_eof or not data:
            return
        peer = self._peer
        if peer is None or peer._closing_text or peer._is_lost:
            self._loop.call_soon(self._lose, "reset by peer")
            return
        peer._inbox.append(bytes(data))
        peer._inbox_size += len(data)
        self._is_above_high = self._is_above_high or peer._inbox_size > WRITE_HIGH
        peer._schedule()

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Queues several pieces."""
        for part in parts:
            self.write(part)

    def write_eof(self) -> None:
        """Ends this direction; the other goes on."""
        if self._has_sent_eof or self._closing_text or self._is_lost:
            return
        self._has_sent_eof = True
        if self._peer is not None:
            self._peer._inbox.append(None)
            self._peer._schedule()

    def pause_reading(self) -> None:
        """Holds everything back until `resume_reading`."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""
        self._is_paused = False
        self._schedule()

    def close(self) -> None:
        """Closes once the peer has been given everything."""
        if self._closing_text or self._is_lost:
            return
        self.write_eof()
        self._closing_text = "closed by this side"
        self._inbox.clear()
        self._inbox_size = 0
        self._close_if_sent()

    def reset(self) -> None:
        """Drops everything; the peer loses the connection at once, also while it is paused."""
        if self._is_lost:
            return
        self._closing_text = "reset by this side"
        if self._peer is not None:
            self._peer._inbox.clear()
            self._peer._inbox_size = 0
            self._loop.call_soon(self._peer._lose, "reset by peer")
        self._loop.call_soon(self._lose, self._closing_text)

    def _schedule(self) -> None:
        if self._inbox and not (self._is_scheduled or self._is_paused or self._handler is None or self._closing_text):
            self._is_scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._is_scheduled = False
        handler = self._handler
        if not self._inbox or self._is_paused or self._is_lost or self._closing_text or handler is None:
            return
        piece = self._inbox.popleft()
        if piece is None:
            handler.eof_received()
        else:
            self._inbox_size -= len(piece)
            handler.data_received(piece)
        if self._peer is not None:
            self._peer._delivered()
        self._schedule()

    def _delivered(self) -> None:
        """The peer was given something of ours."""
        if self._is_above_high and self.unsent <= WRITE_LOW and not self._closing_text and self._handler is not None:
            self._is_above_high = False
            self._handler.write_drained()
        self._close_if_sent()

    def _close_if_sent(self) -> None:
        if self._closing_text and not (self._peer is not None and self._peer._inbox):
            self._loop.call_soon(self._lose, self._closing_text)

    def _lose(self, text: str) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._closing_text = self._closing_text or text
        if self._handler is not None:
            self._handler.connection_lost(self._closing_text)


def memory_pair() -> tuple[MemoryConnection, MemoryConnection]:
    """Returns two ends that are connected to each other; `start` each of them."""
    one, other = Address("memory", 1), Address("memory", 2)
    left, right = MemoryConnection(one, other), MemoryConnection(other, one)
    left._peer, right._peer = right, left
    return left, right

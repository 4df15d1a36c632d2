"""The bytes of one direction of a session at its sender: what waits, what was sent and may have to be sent again.

Chunks are kept as they were given and cut by slices, so nothing is copied. No frames, no time here.
"""

from collections import deque
from typing import Final

Chunk = bytes | memoryview
MOST_PARTS: Final = 64
"""Chunks joined in one frame: the kernel takes at most 1024 pieces a call."""


class SendQueue:
    """Two queues, one behind the other: `acked <= sent <= queued`, all of them offsets from the session's start."""

    __slots__ = ("_retained", "_retained_start", "_waiting", "acked", "highest", "limit", "queued", "sent")

    def __init__(self, limit: int) -> None:
        self.acked = 0
        """The peer has every byte before this."""
        self.sent = 0
        """Next byte to send."""
        self.queued = 0
        """Where the next chunk given will begin."""
        self.highest = 0
        """The furthest that `sent` ever was."""
        self.limit = limit
        """Offset up to which the peer allows us to send."""
        self._waiting: Final[deque[Chunk]] = deque()
        self._retained: Final[deque[Chunk]] = deque()
        self._retained_start = 0

    def append(self, data: Chunk) -> None:
        """Queue bytes; not empty."""
        self._waiting.append(data)
        self.queued += len(data)

    def take(self, size: int) -> list[Chunk]:
        """Take at most `size` bytes to send, within the limit; there must be some."""
        return self._move(min(size, self.limit - self.sent))

    def acknowledge(self, received: int) -> int:
        """Let go of what the peer has, and return how many bytes that were; `received` is at most `highest`."""
        freed = received - self.acked
        while self.sent < received:  # sent again from further back than was needed
            self._move(received - self.sent)
        self.acked = received
        retained = self._retained
        start = self._retained_start
        while retained and start + len(retained[0]) <= received:
            start += len(retained.popleft())
        self._retained_start = start
        return freed

    def rewind(self, offset: int) -> int:
        """Go back to send from `offset` again, which is not before `acked`; return by how many bytes."""
        moved = self.sent - offset
        start = self.sent
        while start > offset:
            chunk = self._retained.pop()
            start -= len(chunk)
            if start < offset:
                view = memoryview(chunk)
                self._retained.append(view[: offset - start])
                chunk = view[offset - start :]
                start = offset
            self._waiting.appendleft(chunk)
        self.sent = offset
        return moved

    def clear(self) -> None:
        """Let go of all bytes."""
        self._waiting.clear()
        self._retained.clear()

    def _move(self, size: int) -> list[Chunk]:
        waiting = self._waiting
        retained = self._retained
        parts: list[Chunk] = []
        room = size
        while room and waiting and len(parts) < MOST_PARTS:
            chunk = waiting.popleft()
            if len(chunk) > room:
                view = memoryview(chunk)
                waiting.appendleft(view[room:])
                chunk = view[:room]
            room -= len(chunk)
            retained.append(chunk)
            parts.append(chunk)
        self.sent += size - room
        if self.sent > self.highest:
            self.highest = self.sent
        return parts

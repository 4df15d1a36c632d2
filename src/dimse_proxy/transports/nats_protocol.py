"""The receiving half of the NATS client protocol, as far as speed needs it: cuts our messages out of the byte stream.

Everything that is not a MSG of one of our subscriptions is handed on byte for byte; nothing is answered here.
"""

from collections.abc import Callable
from typing import Final

from dimse_proxy.errors import TransportError

BUFFER_SIZE: Final = 4 * 1024 * 1024
"""One read may bring many messages; a page of it costs memory only once it was used (design section 6)."""

MAX_LINE: Final = 1024 * 1024
"""Longest control line: an INFO names every server of a cluster."""

MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Largest payload: nats-server allows no larger `max_payload`."""

_MIN_READ: Final = 64 * 1024
"""With less room than this behind the unread bytes, they are moved to the front."""

_CACHED_SUBJECTS: Final = 4096
"""Subjects remembered as text: two for each instance that ever sent something."""


class MessageReader:
    """Cuts a server's bytes into our messages and all the rest.

    Used as the two halves of a `BufferedProtocol`: `get_buffer` says where the next bytes go, `buffer_updated` that
    they are there. A message's payload is copied once, out of the buffer; a message that does not fit the buffer is
    read into memory of its own.
    """

    def __init__(
        self,
        *,
        on_message: Callable[[str, bytes], None],
        on_other: Callable[[bytes], None],
        on_error: Callable[[bytes], None],
        capacity: int = BUFFER_SIZE,
    ) -> None:
        """Makes a reader.

        Args:
            on_message: Takes the subject and payload of each message of ours.
            on_other: Takes everything else, in order: whole lines, and the payloads of messages that are not ours.
            on_error: Is shown each -ERR line before `on_other` takes it.
            capacity: Bytes of the buffer.
        """
        self._on_message: Final = on_message
        self._on_other: Final = on_other
        self._on_error: Final = on_error
        self._capacity: Final = capacity
        self._min_read: Final = min(_MIN_READ, capacity // 4)
        self._own: Final[set[bytes]] = set()
        self._subjects: Final[dict[bytes, str]] = {}
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._wanted = 0
        """Index up to which bytes are needed before it makes sense to look again."""
        self._skip = 0
        """Bytes still to come of a message that is not ours."""
        self._large: _LargeMessage | None = None
        self._is_stopped = False

    def add_subscription(self, sid: int) -> None:
        """Messages of this subscription are ours."""
        self._own.add(b"%d" % sid)

    def stop(self) -> None:
        """Hands out nothing more, also in the middle of a batch."""
        self._is_stopped = True

    def get_buffer(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._large is not None:
            return self._large.rest()
        if not self._buffer:
            self._buffer = bytearray(self._capacity)
            self._view = memoryview(self._buffer)
        if self._start == self._end or self._is_stopped:
            self._start = self._end = self._wanted = 0
        elif self._start and (self._wanted > self._capacity or self._capacity - self._end < self._min_read):
            held = self._end - self._start
            self._view[:held] = self._view[self._start : self._end]
            self._wanted -= self._start
            self._start, self._end = 0, held
        return self._view[self._end :]

    def buffer_updated(self, count: int) -> None:
        """Takes note of `count` bytes and hands out what they complete.

        Raises:
            TransportError: What came is not the NATS protocol.
        """
        large = self._large
        if large is not None:
            large.filled += count
            if large.filled == len(large.memory):
                self._large = None
                self._on_message(large.subject, large.payload())
            return
        self._end += count
        if self._end >= self._wanted:
            self._cut()

    def _cut(self) -> None:
        buffer, view, end = self._buffer, self._view, self._end
        own, on_message = self._own, self._on_message
        while self._start < end and not self._is_stopped:
            start = self._start
            if self._skip:
                self._pass_on(min(self._skip, end - start))
                continue
            stop = buffer.find(b"\r\n", start, end) + 2
            if stop == 1:
                if end - start >= min(MAX_LINE, self._capacity - self._min_read):
                    raise TransportError("the NATS server sent a line without end")
                self._wanted = end + 1
                break
            if not buffer.startswith(b"MSG ", start):
                self._take_other_line(start, stop)
                continue
            fields = bytes(view[start + 4 : stop - 2]).split()
            if len(fields) < 3 or fields[1] not in own:
                self._take_other_line(start, stop)
                continue
            length = _length(fields[-1])
            after = stop + length + 2
            if after > end:
                self._await_payload(fields[0], stop, length)
                break
            if buffer[after - 2] != 13 or buffer[after - 1] != 10:
                raise TransportError("the NATS server sent a message without its end")
            self._start = after
            on_message(self._subjects.get(fields[0]) or self._subject(fields[0]), bytes(view[stop : after - 2]))

    def _await_payload(self, subject: bytes, body: int, length: int) -> None:
        """The rest of a payload is still to come: into the buffer if it fits, else into memory of its own."""
        start, end = self._start, self._end
        if body - start + length + 2 <= self._capacity:
            self._wanted = body + length + 2
            return
        self._large = _LargeMessage(self._subject(subject), length, self._view[body:end])
        self._start = self._end = self._wanted = 0

    def _take_other_line(self, start: int, stop: int) -> None:
        line = bytes(self._view[start:stop])
        if line.startswith((b"MSG ", b"HMSG ")):
            # Passed on with its payload, in which there may be anything.
            self._skip = _length(line.split()[-1]) + 2
        elif line.startswith(b"-ERR"):
            self._on_error(line)
        self._start = stop
        self._on_other(line)

    def _pass_on(self, count: int) -> None:
        piece = bytes(self._view[self._start : self._start + count])
        self._start += count
        self._skip -= count
        self._on_other(piece)

    def _subject(self, raw: bytes) -> str:
        subject = self._subjects.get(raw)
        if subject is None:
            if len(self._subjects) >= _CACHED_SUBJECTS:
                self._subjects.clear()
            subject = self._subjects[raw] = raw.decode("utf-8", "replace")
        return subject


class _LargeMessage:
    """A message of ours that does not fit the buffer, on its way into memory of its own."""

    __slots__ = ("filled", "memory", "subject")

    def __init__(self, subject: str, length: int, first: memoryview) -> None:
        self.subject: Final = subject
        self.memory: Final = bytearray(length + 2)
        self.filled = len(first)
        self.memory[: self.filled] = first

    def rest(self) -> memoryview:
        return memoryview(self.memory)[self.filled :]

    def payload(self) -> bytes:
        if not self.memory.endswith(b"\r\n"):
            raise TransportError("the NATS server sent a message without its end")
        return bytes(memoryview(self.memory)[:-2])


def _length(field: bytes) -> int:
    if not field.isdigit() or len(field) > 9 or int(field) > MAX_MESSAGE:
        raise TransportError("the NATS server sent a message of impossible length")
    return int(field)

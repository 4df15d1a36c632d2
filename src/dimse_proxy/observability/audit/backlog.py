"""What one target has not got yet: on disk where there is a spool and it works, in memory where not. Bounded both.

Order is kept: what is in memory is younger than what is on disk. Used by two threads, each under the lock of its
`delivery`; nothing here waits for anything but the disk.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from dimse_proxy.observability.audit.spool import Batch, Spool, SpoolError

MEMORY_LIMIT: Final = 4 << 20
"""Bytes of records in memory."""
BATCH: Final = 100
BATCH_BYTES: Final = 256 * 1024


class Backlog:
    """Records of one target, oldest first."""

    def __init__(
        self, spool: Spool | None, troubled: Callable[[str | None], None], *, memory_limit: int = MEMORY_LIMIT
    ) -> None:
        """Begin with what the spool has.

        Args:
            spool: a file, or None.
            troubled: told why the file cannot be used, and of None when it can be used again; each once.
            memory_limit: bytes of records in memory.
        """
        self._spool: Final = spool
        self._troubled: Final = troubled
        self._memory_limit: Final = memory_limit
        self._memory: Final[deque[bytes]] = deque()
        self._memory_size = 0
        self._first = 0
        """Number of the first record in memory, counted from the beginning."""
        self._trouble: str | None = None
        self.dropped = 0
        """Records that had to make room; only ever grows."""

    @property
    def count(self) -> int:
        """Records that wait."""
        return len(self._memory) + (0 if self._spool is None else self._spool.count)

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return self._memory_size + (0 if self._spool is None else self._spool.size)

    @property
    def in_memory(self) -> int:
        """Records that would not survive the process."""
        return len(self._memory)

    def append(self, record: bytes) -> None:
        """Add a record."""
        self._memory.append(record)
        self._memory_size += len(record)
        if self._spool is not None:
            self._move_to(self._spool)
        while self._memory_size > self._memory_limit and len(self._memory) > 1:
            self._memory_size -= len(self._memory.popleft())
            self._first += 1
            self.dropped += 1

    def head(self) -> "tuple[bool, Batch] | None":
        """Return whether they are on disk, and the oldest records; None where nothing waits."""
        if self._spool is not None and self._spool.count:
            batch = self._read(self._spool)
            if batch is not None:
                return True, batch
        records: list[bytes] = []
        for record in self._memory:
            if len(records) >= BATCH or (records and sum(map(len, records)) + len(record) > BATCH_BYTES):
                break
            records.append(record)
        return (False, Batch(records=tuple(records), last=self._first + len(records))) if records else None

    def forget(self, is_on_disk: bool, batch: Batch) -> None:
        """Take out the records of a batch; those that had to make room meanwhile are gone already."""
        if is_on_disk and self._spool is not None:
            try:
                self._spool.forget(batch.last)
            except SpoolError as error:
                self._say(str(error))
            return
        while self._first < batch.last:
            self._memory_size -= len(self._memory.popleft())
            self._first += 1

    def close(self) -> None:
        """Close the file."""
        if self._spool is not None:
            self._spool.close()

    def _move_to(self, spool: Spool) -> None:
        try:
            while self._memory:
                self.dropped += spool.append(self._memory[0])
                self._memory_size -= len(self._memory.popleft())
                self._first += 1
        except SpoolError as error:
            self._say(str(error))
        else:
            self._say(None)

    def _read(self, spool: Spool) -> Batch | None:
        try:
            return spool.head(BATCH, BATCH_BYTES)
        except SpoolError as error:
            self._say(str(error))
            return None

    def _say(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._troubled(trouble)

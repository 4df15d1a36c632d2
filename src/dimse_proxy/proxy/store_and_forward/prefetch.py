"""Fetches the records and chunks of an association ahead of their use: a slow link is filled, memory is bounded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar

from dimse_proxy.queueing.records import QueuedObject, RecordError, chunk_lengths

AHEAD: Final = 8 * 1024 * 1024
"""Bytes of chunks that are fetched or wait for their use, of one association; 80 ms allow 100 MB/s."""
RECORDS_AHEAD: Final = 128
"""Records that are fetched ahead: at 80 ms, objects of 10 KiB still fill 100 Mbit/s."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A record that was fetched."""

    record: QueuedObject
    sequence: int
    """By which it is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A record that is not there, or cannot be read."""

    number: int
    error: RecordError


class Item:
    """An object whose chunks are on their way."""

    def __init__(self, fetched: Fetched, budget: "_Budget") -> None:
        self.record: Final = fetched.record
        self.sequence: Final = fetched.sequence
        self._budget: Final = budget
        self._coming: Final[asyncio.Queue[tuple[asyncio.Task[bytes], int]]] = asyncio.Queue()
        self._first: tuple[asyncio.Task[bytes], int] | None = None

    def expect(self, chunk: asyncio.Task[bytes], length: int) -> None:
        """Another chunk is being fetched."""
        self._coming.put_nowait((chunk, length))

    async def first(self) -> None:
        """Wait for the first chunk, so that what is not there is found before anything is sent.

        Raises:
            RecordError: it cannot be had.
        """
        self._first = await self._coming.get()
        await asyncio.wait({self._first[0]})
        self._first[0].result()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the data set, chunk by chunk.

        Raises:
            RecordError: one cannot be had.
        """
        for index in range(self.record.chunks):
            chunk, length = self._first if index == 0 and self._first is not None else await self._coming.get()
            data = await chunk
            self._budget.give(length)
            yield data


class _Budget:
    """Bytes that may be taken; who wants more than there ever are gets all of them."""

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self._free = size
        self._changed: Final = asyncio.Event()

    async def take(self, count: int) -> None:
        count = min(count, self._size)
        while self._free < count:
            self._changed.clear()
            await self._changed.wait()
        self._free -= count

    def give(self, count: int) -> None:
        self._free += min(count, self._size)
        self._changed.set()


FetchRecord: TypeAlias = Callable[[int], Coroutine[Any, Any, Fetched]]
FetchChunk: TypeAlias = Callable[[QueuedObject, int], Coroutine[Any, Any, bytes]]


class Prefetch:
    """The objects of an association, in order; use `async with`, which ends everything that is on its way."""

    def __init__(
        self,
        numbers: Sequence[int],
        fetch_record: FetchRecord,
        fetch_chunk: FetchChunk,
        is_wanted: Callable[[QueuedObject], bool],
    ) -> None:
        """Fetch nothing yet.

        Args:
            numbers: of the objects.
            fetch_record: gets a record; may raise RecordError.
            fetch_chunk: gets a chunk; may raise RecordError.
            is_wanted: asked of each record before its chunks are fetched.
        """
        self._numbers: Final = numbers
        self._fetch_record: Final = fetch_record
        self._fetch_chunk: Final = fetch_chunk
        self._is_wanted: Final = is_wanted
        self._budget: Final = _Budget(AHEAD)
        self._ready: Final[asyncio.Queue[Item | Unusable | None]] = asyncio.Queue(RECORDS_AHEAD)
        self._tasks: Final[set[asyncio.Task[Any]]] = set()

    async def __aenter__(self) -> Self:
        """Begin to fetch."""
        self._task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Fetch no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def next(self) -> Item | Unusable | None:
        """Return the next object, None behind the last one."""
        return await self._ready.get()

    async def _run(self) -> None:
        waiting = deque(self._numbers)
        records: deque[tuple[int, asyncio.Task[Fetched]]] = deque()
        while waiting or records:
            while waiting and len(records) < RECORDS_AHEAD:
                number = waiting.popleft()
                records.append((number, self._task(self._fetch_record(number))))
            number, record = records.popleft()
            try:
                await self._fetch_chunks(await record)
            except RecordError as error:
                await self._ready.put(Unusable(number=number, error=error))
        await self._ready.put(None)

    async def _fetch_chunks(self, fetched: Fetched) -> None:
        lengths = chunk_lengths(fetched.record)
        item = Item(fetched, self._budget)
        await self._ready.put(item)
        if not self._is_wanted(fetched.record):
            return
        for index, length in enumerate(lengths):
            await self._budget.take(length)
            item.expect(self._task(self._fetch_chunk(fetched.record, index)), length)

    def _task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

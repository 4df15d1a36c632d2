"""One object on its way into JetStream: its chunks, at most 16 of them unacknowledged for each association."""

import asyncio
from collections.abc import Callable
from typing import Final

from dimse_proxy.dimse.data_set_head import HeadReader
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.accepting import ObjectBegun
from dimse_proxy.queueing.records import Seal
from dimse_proxy.queueing.subjects import AssociationKey
from dimse_proxy.queueing.upkeep import UPLOAD_GAP
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble

MOST_UNACKNOWLEDGED: Final = 16
"""Chunks of one association that are published and not acknowledged."""
MOST_IN_PROCESS: Final = 100
"""The same of all associations of a process: 64 MiB with chunks of 640 KiB, what a NATS connection may have unsent."""


class Window:
    """How many chunks one writer, and all of them together, may have under way."""

    def __init__(self, shared: asyncio.Semaphore, changed: Callable[[], None]) -> None:
        """Begin with nothing under way.

        Args:
            shared: of the process.
            changed: called when fewer wait than before.
        """
        self._own: Final = asyncio.Semaphore(MOST_UNACKNOWLEDGED)
        self._shared: Final = shared
        self._changed: Final = changed
        self.waiting = 0
        """Chunks that wait for their turn: what comes beyond them is not read."""

    async def __aenter__(self) -> None:
        """Wait for the turn of a chunk."""
        self.waiting += 1
        try:
            await self._own.acquire()
            try:
                await self._shared.acquire()
            except BaseException:
                self._own.release()
                raise
        finally:
            self.waiting -= 1
            self._changed()

    async def __aexit__(self, *_error: object) -> None:
        """It is acknowledged, or has failed."""
        self._shared.release()
        self._own.release()


class Upload:
    """The chunks of one object."""

    def __init__(
        self, queue: Queue, key: AssociationKey, begun: ObjectBegun, seal: Seal | None, window: Window, chunk_size: int
    ) -> None:
        self.begun: Final = begun
        self.seal: Final = seal
        self.chunk_size: Final = chunk_size
        self._head: Final = HeadReader(begun.transfer_syntax)
        self.failure = ""
        """Why the object cannot be stored; empty as long as it can."""
        self._queue: Final = queue
        self._key: Final = key
        self._window: Final = window
        self._place: Final = queue.codec.place(key, begun.number)
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._loop: Final = asyncio.get_running_loop()
        self._stored_at = self._loop.time()

    def add(self, index: int, data: bytes) -> None:
        """Begin to store a chunk."""
        self._head.feed(data)
        self._check_gap()
        if not self.failure:
            task = self._loop.create_task(self._store(index, data))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @property
    def study(self) -> str:
        """Study Instance UID, once all is there; empty if it could not be read."""
        self._head.finish()
        return "" if self._head.head is None else self._head.head.study_instance_uid

    async def finish(self) -> None:
        """Wait until every chunk is acknowledged, or one has failed: see `failure`."""
        while self._tasks and not self.failure:
            await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)
        self._check_gap()
        if self.failure:
            await self.give_up()

    async def give_up(self) -> None:
        """Store no more, and purge what was stored."""
        self.failure = self.failure or "given up"
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._queue.purge_chunks(self._key, self.begun.number)

    async def _store(self, index: int, data: bytes) -> None:
        number = self.begun.number
        try:
            async with self._window:
                sealed = data if self.seal is None else self.seal.seal_chunk(index, data, self._place)
                await self._queue.put(self._queue.flow.chunk(self._key, number, index), sealed, is_chunk=True)
        except JetStreamError as error:
            text = f"the queue is full: {error}" if error.trouble is Trouble.FULL else str(error)
            self.failure = self.failure or text
        else:
            self._stored_at = self._loop.time()

    def _check_gap(self) -> None:
        """Chunks that were waited for so long may have been swept."""
        if not self.failure and self._loop.time() - self._stored_at > UPLOAD_GAP:
            self.failure = f"no chunk of it was stored for more than {UPLOAD_GAP:g} s"

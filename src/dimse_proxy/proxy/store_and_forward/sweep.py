"""Looks through a flow from time to time, and puts right what crashes have left behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from dimse_proxy.proxy.store_and_forward.delivery import Delivery
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.subjects import AssociationKey, Kind
from dimse_proxy.queueing.upkeep import ORPHAN_AGE, Census, note_chunks
from dimse_proxy.transports.jetstream_link import JetStreamError

SWEEP_INTERVAL: Final = 600.0
"""Seconds between sweeps: each lists every subject, half a second of the server's time for 100,000."""
FIRST_SWEEP: Final = 15.0
"""Seconds after the start; what the process before has left lying is wanted soon."""
_AT_A_TIME: Final = 1000
"""Subjects that are looked at before associations have their turn: some milliseconds."""
_KINDS: Final = (Kind.WORK, Kind.LEASE, Kind.ASSOCIATION, Kind.DEAD, Kind.ATTEMPT, Kind.RECORD)
"""In this order: what has work when it is looked at has no need of us, though it may be done before the records are."""


class Sweep:
    """The upkeep of one flow, by its receiver."""

    def __init__(self, queue: Queue, delivery: Delivery) -> None:
        self._queue: Final = queue
        self._delivery: Final = delivery

    async def run(self) -> None:
        """Sweep until cancelled."""
        pause = FIRST_SWEEP
        while True:
            await asyncio.sleep(pause)
            pause = SWEEP_INTERVAL
            if self._queue.trouble():
                continue
            try:
                await self.sweep()
            except JetStreamError as error:
                self._queue.observer.queue_trouble(self._queue.channel, f"it could not be swept: {error}")

    async def sweep(self) -> None:
        """Look through it once."""
        census = Census()
        for kind in _KINDS:
            async for page in self._queue.record_pages(kind):
                async for some in _slices(page):
                    census.add(self._queue.flow, some)
        now = await self._queue.server_time()
        if now is None:
            return
        await self._sweep_chunks(census, now)
        for key in census.left_over(now):
            await self._queue.clear(Kind.ASSOCIATION, Kind.END, Kind.LEASE, key=key)
        for kind, key, number in census.without_record():
            await self._queue.clear_object(kind, key=key, number=number)
        for key in census.without_work():
            if not self._delivery.is_active(key) and await self._has_no_work(key):
                self._tell(f"association {key.association} had objects and nobody to deliver them: it is taken up")
                await self._delivery.take_up(key)

    async def _has_no_work(self, key: AssociationKey) -> bool:
        """Look again: the list is some time old."""
        queue = self._queue
        return await queue.get(Kind.WORK, key) is None and bool(await queue.numbers(Kind.RECORD, key))

    async def _sweep_chunks(self, census: Census, now: float) -> None:
        queue, purged = self._queue, 0
        async for page in queue.chunk_pages():
            found: dict[tuple[AssociationKey, int], int] = {}
            async for some in _slices(page):
                note_chunks(found, queue.flow, some)
            for (key, number), last in found.items():
                if number in census.records.get(key, ()) or now - key.began < ORPHAN_AGE:
                    continue
                stored = await queue.get_chunk(key, number, last)
                if stored is None or now - stored.time < ORPHAN_AGE:
                    continue
                if await queue.get(Kind.RECORD, key, number) is None:
                    await queue.purge_chunks(key, number)
                    purged += 1
        if purged:
            self._tell(f"the chunks of {purged} objects that were never completed are purged")

    def _tell(self, text: str) -> None:
        self._queue.observer.swept(self._queue.channel, text)


async def _slices(page: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    for begin in range(0, len(page), _AT_A_TIME):
        yield page[begin : begin + _AT_A_TIME]
        await asyncio.sleep(0)

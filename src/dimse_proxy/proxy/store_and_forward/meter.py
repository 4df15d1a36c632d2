"""How much waits in a flow: asked for in the background, so that whoever wants to know it waits for nobody.

Objects are counted by the server; nothing is consumed. What is asked for is what both sides may (STREAM.INFO), and,
where records may be read, the record of the object that waits longest.
"""

import asyncio
import time
from contextlib import suppress
from typing import Final

from dimse_proxy.proxy.depth import Depth
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.ages import Ages
from dimse_proxy.queueing.subjects import Kind
from dimse_proxy.transports.jetstream import StreamState
from dimse_proxy.transports.jetstream_link import JetStreamError

REFRESH: Final = 2.0
"""Seconds between two counts."""
LONGEST_REFRESH: Final = 60.0
_SHARE: Final = 100.0
"""Times as long as the server took to count it is left alone: 100,000 objects take it about 60 ms."""
_LISTED_A_SECOND: Final = 400.0
"""Objects are listed so seldom that they are no more than this a second, to find the oldest: a list of 100,000 is 6 MB,
and takes the server 0.1 s and us as long, so it is made every four minutes."""
_LONGEST_LISTING: Final = 600.0
_SLICE: Final = 2000
"""Subjects that are looked at without letting others have their turn: about a millisecond."""
_CANDIDATES: Final = 8
"""Associations whose first object may be the one that waits longest."""


class Meter:
    """Of one flow."""

    def __init__(self, queue: Queue, *, may_read: bool) -> None:
        """Measure nothing yet.

        Args:
            queue: the flow.
            may_read: this side may read records.
        """
        self._queue: Final = queue
        self._may_read: Final = may_read
        self._oldest: float | None = None
        self._list_at = float("-inf")
        self._counting = 0.0
        """Seconds that the server took last."""
        self.depth: Depth | None = None
        """What was found last; None before the first time."""

    @property
    def channel(self) -> str:
        """At the other end."""
        return self._queue.channel

    @property
    def said(self) -> str:
        """What was said last that is wrong with the flow, also if it can be used; empty if nothing is."""
        return self._queue.said

    def trouble(self) -> str:
        """Return why the flow cannot be used at all; empty if it can."""
        return self._queue.trouble()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            if not self._queue.trouble():
                with suppress(JetStreamError):  # Whoever looks after the streams finds out, and says so.
                    await self.measure()
            await asyncio.sleep(min(LONGEST_REFRESH, max(REFRESH, self._counting * _SHARE)))

    async def measure(self) -> None:
        """Measure once.

        Raises:
            JetStreamError: it could not be done.
        """
        flow, jetstream, began = self._queue.flow, self._queue.jetstream, asyncio.get_running_loop().time()
        chunks = await jetstream.stream(flow.chunk_stream)
        if chunks is None:
            return  # Whoever looks after the streams says so.
        records = await jetstream.count_subjects(flow.record_stream, flow.every(Kind.RECORD))
        dead = await jetstream.count_subjects(flow.record_stream, flow.every(Kind.DEAD))
        waiting = max(0, records - dead)
        now = asyncio.get_running_loop().time()
        self._counting = now - began
        if not waiting:
            self._oldest, self._list_at = None, now
        elif now >= self._list_at:
            self._oldest = await self._find_oldest(chunks, has_dead=dead > 0)
            self._list_at = now + min(_LONGEST_LISTING, records / _LISTED_A_SECOND)
        self.depth = Depth(
            waiting=waiting,
            dead=dead,
            bytes=chunks.bytes,
            limit=max(0, int(chunks.config.get("max_bytes", 0))),
            oldest=self._oldest,
            at=time.time(),
        )

    async def _find_oldest(self, chunks: StreamState, *, has_dead: bool) -> float | None:
        """Return when the object that waits longest was accepted."""
        queue = self._queue
        ages = Ages(queue.flow)
        if has_dead:
            async for page in queue.record_pages(Kind.DEAD):
                ages.add_dead(page)
        async for page in queue.record_pages(Kind.RECORD):
            for start in range(0, len(page), _SLICE):
                ages.add_records(page[start : start + _SLICE])
                await asyncio.sleep(0)
        oldest = ages.oldest(_CANDIDATES)
        if not oldest:
            return None
        ahead = 0.0 if chunks.now is None else time.time() - chunks.now
        if not self._may_read:
            # It came neither before its association began, nor before the first chunk that is still there.
            return max(oldest[0][0].began, (chunks.first or 0.0) + ahead)
        found: float | None = None
        for key, number in oldest:
            if found is not None and key.began >= found:
                break
            stored = await queue.get(Kind.RECORD, key, number)
            if stored is not None:
                accepted = stored.time + ahead
                found = accepted if found is None else min(found, accepted)
        return found

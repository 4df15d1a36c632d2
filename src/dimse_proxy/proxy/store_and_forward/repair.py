"""Does by hand what is asked for of a flow: tries anew, moves, deletes.

What is written, and in which order, is in `queueing.repair`. The receiver's side holds an association's lease meanwhile
so that no proxy delivers what is moved or deleted. The sender's side cannot; it passes by whatever has one, and leaves
what is to be written to the proxies of the other side.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from typing import Final

from dimse_proxy.proxy.store_and_forward.lease import HeldLease, LeaseLostError
from dimse_proxy.proxy.store_and_forward.listing import Reading
from dimse_proxy.queueing.claims import RENEW_INTERVAL
from dimse_proxy.queueing.listing import Listed, State
from dimse_proxy.queueing.records import (
    SALT_SIZE,
    RecordError,
    decode_asked,
    encode_asked,
    encode_work,
)
from dimse_proxy.queueing.repair import (
    MOST_NAMED,
    Step,
    anew,
    may_purge,
    may_retry,
    steps_to_purge,
    steps_to_purge_all,
    steps_to_retry,
)
from dimse_proxy.queueing.subjects import AssociationKey, Kind

_AT_ONCE: Final = 16
"""Objects that are worked on at the same time."""
_FRESH: Final = 60.0
"""Seconds for which an earlier call to try something at once is kept in a later one."""


class Repair:
    """Changes in one flow."""

    def __init__(self, reading: Reading, *, is_sender: bool, told: Callable[[int], None] = lambda _done: None) -> None:
        """Change nothing yet.

        Args:
            reading: of the flow.
            is_sender: this side accepts what is in it.
            told: is told how many objects have been done.
        """
        self._reading: Final = reading
        self._queue: Final = reading.queue
        self._is_sender: Final = is_sender
        self._told: Final = told
        self._done = 0

    async def retry(self, found: Sequence[Listed]) -> int:
        """Let the tries of dead and resting objects begin anew, and have them tried at once; return their number.

        Raises:
            JetStreamError: it cannot be written; what was done stays so.
        """
        for key, group in _by_association(found):
            todo = [one for one in group if may_retry(one.state)]
            if not self._is_sender:
                await self._each(todo, self._steps_to_retry)
            elif any(one.state is not State.DELIVERING for one in group):
                # Those that wait for their first try are named too: then nothing of theirs rests any longer.
                await self._ask_receiver(key, group)
                self._count(len(todo))
        if not self._is_sender:
            await self.try_at_once([one.key for one in found])
        return self._done

    async def move(self, found: Sequence[Listed], called: str) -> int:
        """Let objects go to another AE title that is asked for here; return their number.

        One message is written for each, and a dead letter is deleted behind it: an object is in one place at any time.

        Raises:
            JetStreamError: it cannot be written; what was done stays so.
        """

        async def steps(one: Listed) -> tuple[Step, ...]:
            before = await self._reading.attempt(one.key, one.number) if one.is_tried else None
            hidden = self._queue.codec.hide_title(one.key, one.number, called, os.urandom(SALT_SIZE))
            attempt = anew(before, time.time(), called=hidden)
            return steps_to_retry(self._queue.flow, one.key, one.number, attempt, is_dead=one.state is State.DEAD)

        for key, group in _by_association(found):
            with suppress(LeaseLostError):
                async with self._held(key) as keep:
                    if keep is not None:
                        await self._each(group, steps, keep)
        await self.try_at_once([one.key for one in found])
        return self._done

    async def purge(self, found: Sequence[Listed]) -> int:
        """Delete objects; return their number.

        Raises:
            JetStreamError: they cannot be deleted; what is gone is gone.
        """

        async def steps(one: Listed) -> tuple[Step, ...]:
            return steps_to_purge(self._queue.flow, one)

        for key, group in _by_association(found):
            todo = [one for one in group if may_purge(one.state)]
            with suppress(LeaseLostError):
                async with self._held(key) as keep:
                    if keep is None:
                        todo = [one for one in todo if one.state is State.DEAD]  # Nobody sends those.
                    elif await self._is_all(key, len(todo)):
                        await self._queue.take(steps_to_purge_all(self._queue.flow, key))
                        self._count(len(todo))
                        continue
                    await self._each(todo, steps, keep)
        return self._done

    async def try_at_once(self, keys: Iterable[AssociationKey]) -> None:
        """Ask this side's proxies, who look every other second, to let nothing rest of these associations."""
        queue, flow = self._queue, self._queue.flow
        named = dict.fromkeys(keys)
        stored = await queue.jetstream.get(flow.record_stream, flow.asked_again)
        if stored is not None and time.time() - stored.time < _FRESH:
            with suppress(RecordError):
                named |= dict.fromkeys(decode_asked(stored.data))
        if named:
            await queue.replace(flow.asked_again, encode_asked(time.time(), list(named)[:MOST_NAMED]))

    # Inside.

    async def _is_all(self, key: AssociationKey, number: int) -> bool:
        """Whether so many objects are all that an association has and ever will have."""
        jetstream, flow = self._queue.jetstream, self._queue.flow
        has_ended = await jetstream.count_subjects(flow.record_stream, flow.of_association(Kind.END, key))
        return bool(has_ended) and number == await jetstream.count_subjects(
            flow.record_stream, flow.every(Kind.RECORD, key)
        )

    async def _steps_to_retry(self, one: Listed) -> tuple[Step, ...]:
        before = await self._reading.attempt(one.key, one.number) if one.is_tried else None
        attempt = anew(before, time.time())
        return steps_to_retry(self._queue.flow, one.key, one.number, attempt, is_dead=one.state is State.DEAD)

    async def _ask_receiver(self, key: AssociationKey, group: Sequence[Listed]) -> None:
        """Write `work` anew; whoever takes it up at the other side makes the objects deliverable."""
        queue = self._queue
        work = encode_work(time.time(), "", [one.number for one in group])
        await queue.replace(queue.flow.of_association(Kind.WORK, key), work)

    async def _each(
        self,
        todo: Sequence[Listed],
        steps: Callable[[Listed], Awaitable[tuple[Step, ...]]],
        keep: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        async def one_of(one: Listed) -> None:
            await self._queue.take(await steps(one))

        for begin in range(0, len(todo), _AT_ONCE):
            if keep is not None:
                await keep()
            some = todo[begin : begin + _AT_ONCE]
            await asyncio.gather(*map(one_of, some))
            self._count(len(some))

    def _count(self, number: int) -> None:
        self._done += number
        self._told(self._done)

    @asynccontextmanager
    async def _held(self, key: AssociationKey) -> AsyncIterator[Callable[[], Awaitable[None]] | None]:
        """Keep proxies from delivering an association; gives None if one does, else what is to be called meanwhile."""
        if self._is_sender:
            yield None if await self._has_lease(key) else _nothing
            return
        lease = HeldLease(self._queue, key)
        if not (await lease.claim()).is_free:
            yield None
            return
        try:
            yield _Held(lease).keep
        finally:
            await lease.release()

    async def _has_lease(self, key: AssociationKey) -> bool:
        flow = self._queue.flow
        subject = flow.of_association(Kind.LEASE, key)
        return bool(await self._queue.jetstream.count_subjects(flow.record_stream, subject))


class _Held:
    """An association's lease, for as long as something of it is changed."""

    def __init__(self, lease: HeldLease) -> None:
        self._lease: Final = lease
        self._renewed = time.monotonic()

    async def keep(self) -> None:
        """Renew it, if that is due.

        Raises:
            LeaseLostError: it was lost.
        """
        now = time.monotonic()
        if now - self._renewed >= RENEW_INTERVAL:
            await self._lease.renew()
            self._renewed = now


async def _nothing() -> None:
    """There is no lease to keep."""


def _by_association(found: Sequence[Listed]) -> Iterable[tuple[AssociationKey, list[Listed]]]:
    """Yield the objects of each association; they come in that order."""
    for key, group in groupby(found, key=lambda one: one.key):
        yield key, list(group)

"""One queued association on its way to the target: its objects in order, and what becomes of each.

It runs as long as it holds the lease; `delivery` decides when it runs, and what its end means for the work list.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from dimse_proxy.proxy.store_and_forward.closings import Closings
from dimse_proxy.proxy.store_and_forward.outgoing import AssociationLostError, OutgoingAssociation
from dimse_proxy.proxy.store_and_forward.prefetch import Fetched, Item, Prefetch, Unusable
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.backoff import Backoff
from dimse_proxy.queueing.claims import CLAIM_IDLE, CONSECUTIVE_FAILURES, Limits, plan
from dimse_proxy.queueing.outcome import Outcome, judge_status
from dimse_proxy.queueing.records import (
    Attempt,
    DeadLetter,
    Parties,
    QueuedObject,
    RecordError,
    SealError,
    decode_attempt,
    encode_attempt,
    encode_dead_letter,
)
from dimse_proxy.queueing.subjects import AssociationKey, Kind
from dimse_proxy.transports.jetstream_link import JetStreamError

RESULT_TIMEOUT: Final = 300.0
"""Seconds for writing down what became of an object, while JetStream does not answer."""
_MISSING_TRIES: Final = 4
"""Reads of something that should be there: a replica that answers may be behind."""
_MISSING_PAUSE: Final = 0.5
_UNPURGED: Final = 32 * 1024 * 1024
"""Bytes of chunks that were delivered and are not purged yet: with `sync_interval: always` each purge waits for the
disk, and one for a whole association costs no more than one for an object."""
_POLLS: Final = (0.1, 0.2, 0.5, 1.0)
"""Seconds between looks for more objects of an association that goes on."""
_STOPPING_PAUSE: Final = 1.0
"""Seconds after which another process may go on where this one stops."""
_CONTEXTS_OF: Final = 256
"""Records that contexts are made of, where the association's own entry is gone."""

T = TypeVar("T")


class DataLostError(RecordError):
    """Chunks that should be there are not, by the word of the stream's leader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How objects are delivered."""

    associations: int
    """With the target, at the same time, of one process."""
    idle: float
    """Seconds to wait for more objects of an association that has not ended."""
    response_timeout: float
    """Seconds for a C-STORE-RSP, and for the target to take a few megabytes."""
    limits: Limits
    backoff: Backoff


class Interrupted(Exception):
    """The association has to rest.

    Attributes:
        pause: seconds after which to go on.
    """

    def __init__(self, pause: float) -> None:
        super().__init__(f"again in {pause:g} s")
        self.pause: Final = pause


Associate = Callable[[OutgoingAssociation, str], Awaitable[None]]
"""Asks the target that was called by an AE title for an association; raises Interrupted if it cannot be had now."""


class AssociationDelivery:
    """The objects of one association."""

    def __init__(
        self,
        queue: Queue,
        key: AssociationKey,
        options: DeliveryOptions,
        associate: Associate,
        *,
        turn: int,
        is_taken_over: bool,
        is_stopping: Callable[[], bool],
        is_asked_again: Callable[[], bool] = lambda: False,
    ) -> None:
        """Deliver nothing yet.

        Args:
            queue: where the objects are.
            key: of the association.
            options: of the delivery.
            associate: asks the target.
            turn: how often it was taken up, this time included.
            is_taken_over: somebody else may have delivered what is still there.
            is_stopping: no further object is to be sent.
            is_asked_again: somebody has changed by hand, since this was called last, what was tried.
        """
        self._queue: Final = queue
        self._key: Final = key
        self._options: Final = options
        self._associate: Final = associate
        self._turn: Final = turn
        self._is_taken_over: Final = is_taken_over
        self._is_stopping: Final = is_stopping
        self._is_asked_again: Final = is_asked_again
        self._outgoing: OutgoingAssociation | None = None
        self._outgoing_to = ""
        """What that goes to instead of what the SCU called; empty if it does not."""
        self._attempts: dict[int, Attempt] = {}
        self._unreadable: Final[set[int]] = set()
        self._failures = 0
        self._closings: Final = Closings()
        self._delivered: Final[dict[int, int]] = {}
        """Bytes of objects whose records are gone and whose chunks are still there."""
        self._loop: Final = asyncio.get_running_loop()
        self.is_empty = False
        """There is no object of it any more, not even a dead one."""

    @property
    def has_moved(self) -> bool:
        """Objects of it go to something else than the SCU called."""
        return any(attempt.called for attempt in self._attempts.values())

    async def run(self) -> float | None:
        """Deliver what is due; return the seconds until more is due, None if nothing will be.

        Raises:
            Interrupted: the target has to rest.
        """
        try:
            return await self._run()
        finally:
            if self._outgoing is not None:
                self._outgoing.abort()
            await self._closings.finish()
            await self._purge()

    async def _run(self) -> float | None:
        idle_since = self._loop.time()
        polls = 0
        has_ended = False
        while True:
            records, dead = await self._survey()
            todo = plan(records - self._unreadable, dead, self._attempts, time.time())
            if todo.due:
                await self._send(todo.due)
                idle_since, polls = self._loop.time(), 0
                continue
            idle = self._loop.time() - idle_since
            if has_ended or idle >= max(self._options.idle, CLAIM_IDLE):
                break
            if idle >= self._options.idle and self._outgoing is not None:
                await self._outgoing.release()
                self._outgoing = None
            if self._is_stopping():
                raise Interrupted(_STOPPING_PAUSE)
            if await self._has_ended():
                has_ended = True  # One more look: the last object came before the end, and perhaps after this look.
                continue
            await asyncio.sleep(_POLLS[min(polls, len(_POLLS) - 1)])
            polls += 1
        if self._outgoing is not None:
            await self._outgoing.release()
        await self._closings.finish()
        self.is_empty = not records
        if has_ended and self.is_empty:
            # Nothing is being uploaded any more: one purge for all.
            self._delivered.clear()
            await self._queue.purge_all_chunks(self._key)
        if self._unreadable:
            return self._options.backoff.longest
        return None if todo.next_due is None else max(0.1, todo.next_due - time.time())

    # What there is.

    async def _survey(self) -> tuple[set[int], set[int]]:
        """Return the objects that are there, and those that are dead; learn of those that were tried."""
        await self._closings.finish()  # What was delivered must not be found again.
        if self._is_asked_again():
            self._attempts.clear()
        queue, key = self._queue, self._key
        records, dead, tried = await self._patiently(
            lambda: asyncio.gather(
                queue.numbers(Kind.RECORD, key), queue.numbers(Kind.DEAD, key), queue.numbers(Kind.ATTEMPT, key)
            )
        )
        for number in (tried & records) - set(self._attempts):
            stored = await self._patiently(partial(queue.get, Kind.ATTEMPT, key, number))
            if stored is not None:
                with suppress(RecordError):
                    self._attempts[number] = decode_attempt(stored.data)
        return records, dead

    async def _has_ended(self) -> bool:
        return await self._patiently(lambda: self._queue.get(Kind.END, self._key)) is not None

    async def _fetch_record(self, number: int) -> Fetched:
        stored = await self._there(lambda: self._queue.get(Kind.RECORD, self._key, number))
        if stored is None:
            raise RecordError("it is gone")
        record = self._queue.codec.decode_object(self._key, number, stored.data)
        return Fetched(record=record, sequence=stored.sequence)

    async def _fetch_chunk(self, record: QueuedObject, index: int) -> bytes:
        queue, key, number = self._queue, self._key, record.number
        stored = await self._there(lambda: queue.get_chunk(key, number, index))
        if stored is None:
            if await self._patiently(lambda: queue.count_chunks(key, number)) < record.chunks:
                raise DataLostError(f"{record.chunks} chunks were stored, and not all of them are there any more")
            raise RecordError(f"chunk {index} cannot be read")
        if record.seal is None:
            return stored.data
        return record.seal.open_chunk(index, stored.data, queue.codec.place(key, number))

    async def _there(self, read: Callable[[], Awaitable[T | None]]) -> T | None:
        """Read what should be there, again if it is not."""
        for _ in range(_MISSING_TRIES):
            found = await self._patiently(read)
            if found is not None:
                return found
            await asyncio.sleep(_MISSING_PAUSE)
        return None

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read, again and again while JetStream does not answer: who holds the lease decides how long that is."""
        while True:
            try:
                return await read()
            except JetStreamError as error:
                self._queue.note(error)
                await asyncio.sleep(1.0)

    # Sending.

    async def _send(self, due: tuple[int, ...]) -> None:
        if await self._bury(due):
            return
        resting: Interrupted | None = None
        for called, numbers in self._by_target(due).items():
            try:
                await self._send_to(called, numbers)
            except Interrupted as interrupted:
                if self._is_stopping():
                    raise
                if resting is None or interrupted.pause < resting.pause:
                    resting = interrupted
        if resting is not None:
            raise resting

    def _by_target(self, due: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return what is due by what it was moved to; behind all those what goes where the SCU called."""
        groups: dict[str, list[int]] = {}
        for number in due:
            tried = self._attempts.get(number)
            called = ""
            if tried is not None and tried.called:
                try:
                    called = self._queue.codec.read_title(self._key, number, tried.called)
                except RecordError as error:
                    self._cannot_read(number, error)
                    continue
            groups.setdefault(called, []).append(number)
        return {called: tuple(numbers) for called, numbers in sorted(groups.items(), reverse=True)}

    async def _send_to(self, called: str, due: tuple[int, ...]) -> None:
        outgoing = await self._usable(due, called)
        left_out = False
        async with Prefetch(due, self._fetch_record, self._fetch_chunk, self._is_wanted) as fetch:
            while (found := await fetch.next()) is not None:
                if self._is_stopping():
                    await outgoing.release()
                    raise Interrupted(_STOPPING_PAUSE)
                if isinstance(found, Unusable):
                    self._cannot_read(found.number, found.error)
                    continue
                record = found.record
                pair = (record.sop_class, record.transfer_syntax)
                if outgoing.core.has_context(record):
                    if not await self._send_one(outgoing, found):
                        return
                elif pair in outgoing.core.proposed:
                    text = "the target has accepted no presentation context for it"
                    await self._dead(record, "no-context", text, None)
                else:
                    left_out = True
        if left_out:
            # Another association proposes what this one had no room for.
            await outgoing.release()
            self._outgoing = None

    async def _bury(self, due: tuple[int, ...]) -> bool:
        """Give up what is too old or was tried too often, before the target is asked; true if there was any."""
        limits = self._options.limits
        may_be_old = limits.age and time.time() - self._key.began >= limits.age
        found = False
        for number in due:
            tried = self._attempts.get(number)
            if not may_be_old and (tried is None or not limits.tries or tried.tries < limits.tries):
                continue
            try:
                record = (await self._fetch_record(number)).record
            except RecordError as error:
                self._cannot_read(number, error)
                found = True
                continue
            if (reason := self._over(record, tried)) is not None:
                await self._dead(record, reason, _REASONS[reason], None if tried is None else tried.status)
                found = True
        return found

    def _is_wanted(self, record: QueuedObject) -> bool:
        outgoing = self._outgoing
        return outgoing is not None and outgoing.core.has_context(record)

    def _over(self, record: QueuedObject, tried: Attempt | None) -> str | None:
        limits, now = self._options.limits, time.time()
        return limits.over(record, 0, now) if tried is None else limits.over(record, tried.tries, now, tried.begun)

    async def _usable(self, due: tuple[int, ...], called: str) -> OutgoingAssociation:
        """Return the association with the target, a new one if need be."""
        if self._outgoing is not None and self._outgoing.is_usable:
            if self._outgoing_to == called:
                return self._outgoing
            await self._outgoing.release()
        self._outgoing_to = called
        parties, contexts = await self._parties(due)
        if called:
            parties = replace(parties, called=called)
        outgoing = OutgoingAssociation(self._key.association[-12:], self._queue.channel, parties, contexts)
        self._outgoing = outgoing
        await self._associate(outgoing, parties.called)
        return outgoing

    async def _parties(self, due: tuple[int, ...]) -> tuple[Parties, tuple[tuple[str, str], ...]]:
        """Return who asks, and the contexts to propose: as the original association had them."""
        stored = await self._patiently(lambda: self._queue.get(Kind.ASSOCIATION, self._key))
        if stored is not None and not self._attempts:
            with suppress(RecordError):
                entry = self._queue.codec.decode_association(self._key, stored.data)
                return entry.parties, entry.contexts
        records = await asyncio.gather(
            *(self._fetch_record(number) for number in due[:_CONTEXTS_OF]), return_exceptions=True
        )
        found = [fetched.record for fetched in records if isinstance(fetched, Fetched)]
        if not found:
            for number, error in zip(due, records, strict=False):
                if isinstance(error, RecordError):
                    self._cannot_read(number, error)
            raise Interrupted(self._options.backoff.longest)
        pairs = dict.fromkeys((record.sop_class, record.transfer_syntax) for record in found)
        return found[0].parties, tuple(pairs)

    async def _send_one(self, outgoing: OutgoingAssociation, item: Item) -> bool:
        """Send an object; false if the next one cannot be sent on this association."""
        record, number = item.record, item.record.number
        is_redelivery = self._is_taken_over or number in self._attempts
        try:
            await item.first()
            status = await outgoing.store(record, item.chunks(), self._options.response_timeout)
        except AssociationLostError as error:
            await self._try_again(number, f"the association was lost: {error}", None)
            raise Interrupted(self._pause()) from None
        except DataLostError as error:
            outgoing.abort()
            await self._dead(record, "data-lost", str(error), None)
            return False
        except RecordError as error:
            outgoing.abort()
            self._cannot_read(number, error)
            return False
        verdict = judge_status(status, is_redelivery=is_redelivery)
        match verdict.outcome:
            case Outcome.DELIVERED:
                self._failures = 0
                self._queue.observer.object_delivered(
                    self._queue.channel, self._key, record, verdict.text, verdict.is_warning
                )
                await self._closings.begin(self._forget(item))
            case Outcome.TRY_AGAIN:
                await self._try_again(number, verdict.text, status)
                self._failures += 1
                if self._failures >= CONSECUTIVE_FAILURES:
                    await outgoing.release()
                    raise Interrupted(self._pause())
            case Outcome.DEAD:
                self._failures = 0
                await self._dead(record, "status", verdict.text, status)
        return True

    # What became of it.

    async def _forget(self, item: Item) -> None:
        """Write down that an object was delivered."""
        queue, key, number = self._queue, self._key, item.record.number
        try:
            await queue.remove(item.sequence, RESULT_TIMEOUT)
            self._delivered[number] = item.record.length
            if sum(self._delivered.values()) >= _UNPURGED:
                await self._purge()
            if number in self._attempts:
                await queue.clear_object(Kind.ATTEMPT, key=key, number=number)
        except JetStreamError as error:
            queue.observer.queue_trouble(
                queue.channel, f"an object was delivered and stays in the queue, so it will come twice: {error}"
            )

    async def _purge(self) -> None:
        """Purge the chunks of what was delivered."""
        numbers = list(self._delivered)
        self._delivered.clear()
        await asyncio.gather(*(self._queue.purge_chunks(self._key, number) for number in numbers))

    async def _try_again(self, number: int, text: str, status: int | None) -> None:
        tried = self._attempts.get(number)
        tries = 1 if tried is None else tried.tries + 1
        pause = self._options.backoff.pause(tries, random.random())
        now = time.time()
        attempt = Attempt(tries=tries, last=text, status=status, at=now, not_before=now + pause)
        if tried is not None:
            attempt = replace(attempt, begun=tried.begun, called=tried.called)
        self._attempts[number] = attempt
        queue = self._queue
        subject = queue.flow.of_object(Kind.ATTEMPT, self._key, number)
        queue.observer.object_put_off(queue.channel, self._key, number, text, pause)
        with suppress(JetStreamError):  # It is tried again all the same, if sooner than it should.
            await queue.insist(subject, encode_attempt(attempt), RESULT_TIMEOUT)

    async def _dead(self, record: QueuedObject, reason: str, text: str, status: int | None) -> None:
        queue, number = self._queue, record.number
        tried = self._attempts.get(number)
        letter = DeadLetter(
            reason=reason, text=text, status=status, tries=1 if tried is None else tried.tries, at=time.time()
        )
        subject = queue.flow.of_object(Kind.DEAD, self._key, number)
        await queue.insist(subject, encode_dead_letter(letter), RESULT_TIMEOUT)
        queue.observer.object_dead(queue.channel, self._key, record, letter)

    def _cannot_read(self, number: int, error: RecordError) -> None:
        """Leave an object where it is; whoever has the right key will find it."""
        self._unreadable.add(number)
        what = str(error) if isinstance(error, SealError) else f"it cannot be read: {error}"
        self._queue.observer.object_unreadable(self._queue.channel, self._key, number, what)

    def _pause(self) -> float:
        """How long the association rests; the longer, the more often it has."""
        return self._options.backoff.pause(self._turn, random.random())


_REASONS: Final = {"tries": "it was tried too often", "age": "it is too old"}

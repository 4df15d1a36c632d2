"""Reads what is in a flow, for people: from lists of subjects, and from records only where those do not say it.

Nothing is consumed, claimed or changed. What state an object is in is decided in `queueing.listing`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.listing import LISTED, Entry, Ledger, Listed, State, Wanted
from dimse_proxy.queueing.records import (
    Attempt,
    DeadLetter,
    QueuedAssociation,
    RecordError,
    decode_attempt,
    decode_dead_letter,
    length_of,
)
from dimse_proxy.queueing.subjects import AssociationKey, Kind

_AT_ONCE: Final = 128
"""Messages that are asked for at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the streams say of themselves."""

    chunk_bytes: int
    chunk_limit: int
    """-1 for none."""
    now: float | None
    """The server's clock."""


class Reading:
    """One flow, read."""

    def __init__(self, queue: Queue) -> None:
        self.queue: Final = queue

    async def totals(self) -> Totals | None:
        """Return what is stored; None if there are no streams.

        Raises:
            JetStreamError: nobody knows.
        """
        chunks = await self.queue.jetstream.stream(self.queue.flow.chunk_stream)
        if chunks is None:
            return None
        return Totals(chunk_bytes=chunks.bytes, chunk_limit=int(chunks.config.get("max_bytes", -1)), now=chunks.now)

    async def ledger(self) -> Ledger:
        """List everything.

        Raises:
            JetStreamError: it cannot be listed.
        """
        ledger = Ledger(self.queue.flow)
        for kind in LISTED:
            async for page in self.queue.record_pages(kind):
                ledger.add(kind, page)
        return ledger

    async def association(self, key: AssociationKey) -> QueuedAssociation | RecordError | None:
        """Return who called whom; None if that is not there, an error if it cannot be read."""
        stored = await self.queue.get(Kind.ASSOCIATION, key)
        if stored is None:
            return None
        try:
            return self.queue.codec.decode_association(key, stored.data)
        except RecordError as error:
            return error

    async def associations(
        self, keys: Sequence[AssociationKey]
    ) -> dict[AssociationKey, QueuedAssociation | RecordError | None]:
        """Return who called whom in each of these."""
        found: dict[AssociationKey, QueuedAssociation | RecordError | None] = {}
        for begin in range(0, len(keys), _AT_ONCE):
            some = keys[begin : begin + _AT_ONCE]
            found |= dict(zip(some, await asyncio.gather(*map(self.association, some)), strict=True))
        return found

    async def entries(self, found: Iterable[Listed]) -> AsyncIterator[Entry]:
        """Yield what these objects are, in their order; those that are gone meanwhile are left out."""
        pending: list[Listed] = []
        for listed in found:
            pending.append(listed)
            if len(pending) == _AT_ONCE:
                for entry in await self._read(pending):
                    yield entry
                pending.clear()
        for entry in await self._read(pending):
            yield entry

    async def wanted(
        self, ledger: Ledger, wanted: Wanted, told: Callable[[int], None] = lambda _read: None
    ) -> list[tuple[Listed, Entry | None]]:
        """Return the objects that are meant; an entry with each if records had to be read to know it.

        Args:
            ledger: of everything.
            wanted: what is meant.
            told: is told how many have been read, from time to time.
        """
        listed = list(ledger.objects(wanted))
        if wanted.called:
            listed = await self._called(listed, wanted.called)
        if not wanted.needs_records:
            return [(one, None) for one in listed]
        found: list[tuple[Listed, Entry | None]] = []
        places = {(one.key, one.number): one for one in listed}
        count = 0
        async for entry in self.entries(listed):
            count += 1
            if not count % _AT_ONCE:
                told(count)
            if wanted.fits_entry(entry):
                one = places[entry.key, entry.number]
                found.append((replace(one, state=entry.state), entry))
        return found

    async def _called(self, listed: list[Listed], called: str) -> list[Listed]:
        """Leave out what cannot be for an AE title, by what its association called; what was moved was tried."""
        keys = list(dict.fromkeys(one.key for one in listed))
        entries = await self.associations(keys)
        out = {
            key
            for key, entry in entries.items()
            if isinstance(entry, QueuedAssociation) and entry.parties.called != called
        }
        return [one for one in listed if one.key not in out or one.is_tried]

    async def _read(self, pending: Sequence[Listed]) -> list[Entry]:
        entries = await asyncio.gather(*map(self.entry, pending))
        return [entry for entry in entries if entry is not None]

    async def entry(self, listed: Listed) -> Entry | None:
        """Return what an object is; None if it is gone.

        Raises:
            JetStreamError: it cannot be asked for.
        """
        key, number = listed.key, listed.number
        stored = await self.queue.get(Kind.RECORD, key, number)
        if stored is None:
            return None
        codec = self.queue.codec
        attempt = await self.attempt(key, number) if listed.is_tried else None
        dead = await self._dead(key, number) if listed.state is State.DEAD else None
        entry = Entry(key=key, number=number, state=listed.state, attempt=attempt, dead=dead)
        try:
            record = codec.decode_object(key, number, stored.data)
            called = record.parties.called
            if attempt is not None and attempt.called:
                called = codec.read_title(key, number, attempt.called)
        except RecordError as error:
            # A dead letter is one whether it can be read or not.
            state = listed.state if listed.state is State.DEAD else State.UNREADABLE
            return replace(entry, state=state, trouble=str(error))
        return replace(entry, record=record, called=called)

    async def attempt(self, key: AssociationKey, number: int) -> Attempt | None:
        """Return what became of an object's last try; None if there is nothing that can be read."""
        stored = await self.queue.get(Kind.ATTEMPT, key, number)
        try:
            return None if stored is None else decode_attempt(stored.data)
        except RecordError:
            return None

    async def _dead(self, key: AssociationKey, number: int) -> DeadLetter | None:
        stored = await self.queue.get(Kind.DEAD, key, number)
        try:
            return None if stored is None else decode_dead_letter(stored.data)
        except RecordError:
            return None

    async def bytes_of(self, listed: Sequence[Listed]) -> int:
        """Return the bytes of the data sets of objects; they can be read without a key.

        Raises:
            JetStreamError: the records cannot be read.
        """
        total = 0
        for begin in range(0, len(listed), _AT_ONCE):
            total += sum(await asyncio.gather(*map(self._bytes, listed[begin : begin + _AT_ONCE])))
        return total

    async def _bytes(self, listed: Listed) -> int:
        stored = await self.queue.get(Kind.RECORD, listed.key, listed.number)
        return 0 if stored is None else length_of(stored.data)

    async def undelivered(self) -> tuple[int, int]:
        """Return how many objects there are, and how many of them are dead letters."""
        jetstream, flow = self.queue.jetstream, self.queue.flow
        records = await jetstream.count_subjects(flow.record_stream, flow.every(Kind.RECORD))
        dead = await jetstream.count_subjects(flow.record_stream, flow.every(Kind.DEAD))
        return records, min(dead, records)

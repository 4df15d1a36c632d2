"""Fetching ahead: in order, bounded, and over when nobody wants it any more."""

import asyncio
from dataclasses import dataclass, field

import pytest

from dimse_proxy.proxy.store_and_forward import prefetch
from dimse_proxy.proxy.store_and_forward.prefetch import Fetched, Item, Prefetch, Unusable
from dimse_proxy.queueing.records import Parties, QueuedObject, RecordError

CHUNK = 1000


def record(number: int, length: int) -> QueuedObject:
    return QueuedObject(
        number=number,
        parties=Parties(calling="", called="", peer=""),
        sop_class="1.2",
        sop_instance=str(number),
        transfer_syntax="1.2",
        priority=0,
        length=length,
        chunks=max(1, -(-length // CHUNK)),
        chunk_size=CHUNK,
        accepted=0.0,
    )


@dataclass
class Shelf:
    """Objects by number, and what was fetched of them."""

    lengths: dict[int, int]
    missing: set[tuple[int, int]] = field(default_factory=set)
    fetched: int = 0
    """Bytes."""
    records: int = 0

    async def fetch_record(self, number: int) -> Fetched:
        await asyncio.sleep(0)
        self.records += 1
        if number not in self.lengths:
            raise RecordError("it is gone")
        return Fetched(record=record(number, self.lengths[number]), sequence=number * 10)

    async def fetch_chunk(self, found: QueuedObject, index: int) -> bytes:
        await asyncio.sleep(0)
        if (found.number, index) in self.missing:
            raise RecordError("not there")
        data = bytes([found.number]) * min(CHUNK, found.length - index * CHUNK)
        self.fetched += len(data)
        return data

    def ahead(self, *numbers: int, unwanted: int = 0) -> Prefetch:
        return Prefetch(numbers, self.fetch_record, self.fetch_chunk, lambda found: found.number != unwanted)


async def taken(item: Item) -> bytes:
    return b"".join([data async for data in item.chunks()])


async def test_objects_come_in_order_and_whole() -> None:
    shelf = Shelf({1: 2500, 2: 0, 3: 1000})
    async with shelf.ahead(1, 2, 9, 3) as fetch:
        first = await fetch.next()
        assert isinstance(first, Item)
        assert (first.record.number, first.sequence) == (1, 10)
        await first.first()
        assert await taken(first) == b"\1" * 2500
        second = await fetch.next()
        assert isinstance(second, Item)
        assert await taken(second) == b""
        gone = await fetch.next()
        assert isinstance(gone, Unusable)
        assert gone.number == 9
        third = await fetch.next()
        assert isinstance(third, Item)
        assert await taken(third) == b"\3" * 1000
        assert await fetch.next() is None


async def test_no_more_is_fetched_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "AHEAD", 3 * CHUNK)
    shelf = Shelf({1: 10 * CHUNK, 2: 10 * CHUNK})
    async with shelf.ahead(1, 2) as fetch:
        item = await fetch.next()
        assert isinstance(item, Item)
        for _ in range(50):
            await asyncio.sleep(0)
        assert shelf.fetched == 3 * CHUNK
        chunks = item.chunks()
        await anext(chunks)
        await anext(chunks)
        for _ in range(50):
            await asyncio.sleep(0)
        assert shelf.fetched == 5 * CHUNK


async def test_records_are_fetched_ahead_but_not_without_end() -> None:
    shelf = Shelf(dict.fromkeys(range(1, 1000), 10))
    async with shelf.ahead(*shelf.lengths):
        for _ in range(100):
            await asyncio.sleep(0)
        assert shelf.records <= 3 * prefetch.RECORDS_AHEAD


async def test_chunks_of_what_is_not_wanted_are_not_fetched() -> None:
    shelf = Shelf({1: 5000, 2: 10})
    async with shelf.ahead(1, 2, unwanted=1) as fetch:
        await fetch.next()
        wanted = await fetch.next()
        assert isinstance(wanted, Item)
        assert await taken(wanted) == b"\2" * 10
        assert shelf.fetched == 10


async def test_a_missing_chunk_is_found_before_it_is_too_late_if_it_is_the_first() -> None:
    shelf = Shelf({1: 2000, 2: 2000}, missing={(1, 0), (2, 1)})
    async with shelf.ahead(1) as fetch:
        item = await fetch.next()
        assert isinstance(item, Item)
        with pytest.raises(RecordError):
            await item.first()
    async with shelf.ahead(2) as fetch:
        item = await fetch.next()
        assert isinstance(item, Item)
        await item.first()
        with pytest.raises(RecordError):
            await taken(item)

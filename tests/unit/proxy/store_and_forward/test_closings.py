"""Notes on what was delivered: beside the next object, but not for long."""

import asyncio

import pytest

from dimse_proxy.proxy.store_and_forward import closings
from dimse_proxy.proxy.store_and_forward.closings import Closings


class Note:
    """One that is written when the test says so."""

    def __init__(self) -> None:
        self._may = asyncio.Event()
        self.is_written = False

    async def __call__(self) -> None:
        await self._may.wait()
        self.is_written = True

    def write(self) -> None:
        self._may.set()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_note_is_written_beside_what_comes_next() -> None:
    found, notes = Closings(), [Note() for _ in range(3)]
    for note in notes:
        await found.begin(note())
    assert not any(note.is_written for note in notes)
    finishing = asyncio.create_task(found.finish())
    await settled()
    assert not finishing.done()
    for note in notes:
        note.write()
    await finishing
    assert all(note.is_written for note in notes)
    await found.finish()


async def test_while_a_note_takes_long_nothing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closings, "PATIENCE", -1.0)
    found, note = Closings(), Note()
    beginning = asyncio.create_task(found.begin(note()))
    await settled()
    assert not beginning.done()
    monkeypatch.setattr(closings, "PATIENCE", 1.0)
    note.write()
    await beginning


async def test_where_notes_are_slow_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closings, "PATIENCE", 0.0)
    monkeypatch.setattr(closings, "_TIMES", 1e9)
    found, first, second = Closings(), Note(), Note()
    beginning = asyncio.create_task(found.begin(first()))
    await settled()
    first.write()
    await beginning
    await found.begin(second())
    second.write()
    await found.finish()


async def test_there_are_so_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closings, "MOST", 2)
    found, notes = Closings(), [Note(), Note()]
    await found.begin(notes[0]())
    beginning = asyncio.create_task(found.begin(notes[1]()))
    await settled()
    assert not beginning.done()
    notes[1].write()
    await beginning
    notes[0].write()
    await found.finish()

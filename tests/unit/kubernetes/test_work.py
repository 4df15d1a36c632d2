"""Turns: one pass at a time for each key, again when asked for meanwhile, later after a failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from dimse_proxy.kubernetes.work import AT_ONCE, Work


class Expected(Exception):
    pass


def work_of(do: Callable[[str], Awaitable[None]], *pauses: float) -> Work[str]:
    return Work(do, expected=Expected, pauses=pauses or (0.0,))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_asked_for_many_times_is_done_once() -> None:
    done: list[str] = []

    async def do(key: str) -> None:
        done.append(key)

    work = work_of(do)
    for _ in range(10):
        work.ask("a")
    work.ask("b")
    await settled()
    assert sorted(done) == ["a", "b"]


async def test_what_is_asked_for_during_its_pass_has_another_and_never_two_at_once() -> None:
    running = 0
    passes = 0
    go = asyncio.Event()

    async def do(key: str) -> None:
        nonlocal running, passes
        running += 1
        passes += 1
        assert running == 1
        await go.wait()
        running -= 1

    work = work_of(do)
    work.ask("a")
    await settled()
    work.ask("a")
    work.ask("a")
    await settled()
    assert passes == 1
    go.set()
    await settled()
    assert passes == 2


async def test_a_few_passes_at_once() -> None:
    running: set[str] = set()
    go = asyncio.Event()

    async def do(key: str) -> None:
        running.add(key)
        await go.wait()

    work = work_of(do)
    for number in range(AT_ONCE + 3):
        work.ask(str(number))
    await settled()
    assert len(running) == AT_ONCE
    go.set()
    await settled()
    assert len(running) == AT_ONCE + 3


async def test_what_fails_is_repeated_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[str] = []
    over = asyncio.Event()

    async def do(key: str) -> None:
        tries.append(key)
        if len(tries) == 1:
            raise Expected("the API is away")
        if len(tries) == 2:
            raise ZeroDivisionError("a bug")
        over.set()

    with caplog.at_level(logging.WARNING):
        work_of(do, 0.0).ask("a")
        await over.wait()
    first, second = caplog.records
    assert (first.levelname, first.exc_info) == ("WARNING", None)
    assert "the API is away" in first.getMessage()
    assert second.levelname == "ERROR"
    assert second.exc_info is not None


async def test_an_event_does_not_wait_for_the_repetition() -> None:
    tries: list[str] = []

    async def do(key: str) -> None:
        tries.append(key)
        if len(tries) == 1:
            raise Expected

    work = work_of(do, 3600.0)
    work.ask("a")
    await settled()
    assert len(tries) == 1
    work.ask("a")
    await settled()
    assert len(tries) == 2


async def test_nothing_after_the_end() -> None:
    cancelled = False

    async def do(key: str) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    work = work_of(do)
    work.ask("a")
    await settled()
    await work.close()
    work.ask("b")
    await settled()
    assert cancelled

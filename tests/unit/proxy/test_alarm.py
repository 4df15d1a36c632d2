import asyncio
from collections.abc import Callable
from typing import cast

from dimse_proxy.proxy.alarm import Alarm


class Handle:
    """What a loop gives back; uvloop's own does not tell its time."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.handles: list[Handle] = []

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        self.asked.append(when)
        self.handles.append(Handle(callback))
        return self.handles[-1]


def test_it_is_set_anew_only_for_an_earlier_time() -> None:
    loop = Loop()
    alarm = Alarm(cast(asyncio.AbstractEventLoop, loop), lambda: None)
    alarm.set(None)
    assert loop.asked == []
    for due in (100.0, 101.0, 100.0, 99.0):
        alarm.set(due)
    assert loop.asked == [100.0, 99.0]
    assert loop.handles[0].is_cancelled
    alarm.set(None)
    assert loop.handles[1].is_cancelled
    alarm.set(105.0)
    assert loop.asked == [100.0, 99.0, 105.0]


def test_it_can_be_set_again_once_it_has_rung() -> None:
    loop, rung = Loop(), []
    alarm = Alarm(cast(asyncio.AbstractEventLoop, loop), lambda: rung.append(1))
    alarm.set(100.0)
    loop.handles[0].callback()
    assert rung == [1]
    alarm.set(103.0)
    assert loop.asked == [100.0, 103.0]

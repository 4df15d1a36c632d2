import asyncio

from dimse_proxy.proxy.alarm import Alarm


class Clock(asyncio.SelectorEventLoop):
    """An event loop that only remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def call_at(self, when, callback, *args, context=None):  # type: ignore[no-untyped-def]
        self.asked.append(when)
        return super().call_at(when, callback, *args, context=context)


def test_it_is_set_anew_only_for_an_earlier_time() -> None:
    loop, rung = Clock(), []
    try:
        alarm = Alarm(loop, lambda: rung.append(1))
        alarm.set(None)
        assert loop.asked == []
        for due in (100.0, 101.0, 100.0, 99.0):
            alarm.set(due)
        assert loop.asked == [100.0, 99.0]
        alarm.set(None)
        alarm.set(105.0)
        assert loop.asked == [100.0, 99.0, 105.0]
        alarm.set(loop.time() - 1.0)
        loop.run_until_complete(asyncio.sleep(0.001))
        assert rung == [1]
        alarm.set(loop.time() + 50.0)
        assert loop.asked[-1] > loop.time()
    finally:
        loop.close()

from dimse_proxy.tunnel.timers import Alarm, Timers


def test_timers_fire_in_time_and_once() -> None:
    fired: list[tuple[str, float]] = []
    timers = Timers()
    first = Alarm(lambda now: fired.append(("first", now)))
    second = Alarm(lambda now: fired.append(("second", now)))
    assert timers.next() is None
    timers.arm(second, 2.0)
    timers.arm(first, 1.0)
    assert timers.next() == 1.0
    timers.run(0.5)
    assert fired == []
    timers.run(3.0)
    timers.run(4.0)
    assert fired == [("first", 3.0), ("second", 3.0)]
    assert timers.next() is None


def test_armed_earlier_but_never_later() -> None:
    fired: list[float] = []
    timers = Timers()
    alarm = Alarm(fired.append)
    timers.arm(alarm, 5.0)
    timers.arm(alarm, 9.0)
    timers.arm(alarm, 3.0)
    assert timers.next() == 3.0
    timers.run(3.0)
    timers.run(20.0)
    assert fired == [3.0]


def test_what_is_armed_while_firing_waits_for_the_next_call() -> None:
    timers = Timers()
    count = 0

    def again(now: float) -> None:
        nonlocal count
        count += 1
        timers.arm(alarm, now)

    alarm = Alarm(again)
    timers.arm(alarm, 1.0)
    timers.run(1.0)
    assert count == 1
    timers.run(1.0)
    assert count == 2

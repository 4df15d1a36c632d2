"""Every number is taken once."""

import random

from dimse_proxy.tunnel.replay import SIZE, ReplayWindow


def take(window: ReplayWindow, number: int) -> bool:
    is_new = window.is_new(number)
    if is_new:
        window.note(number)
    return is_new


def test_numbers_in_order_are_new_once() -> None:
    window = ReplayWindow(0)
    assert [take(window, number) for number in (1, 2, 2, 3, 1, 3)] == [True, True, False, True, False, False]
    assert window.highest == 3


def test_nothing_up_to_the_floor_is_new() -> None:
    window = ReplayWindow(100)
    assert not any(window.is_new(number) for number in (0, 1, 99, 100))
    assert take(window, 105)
    assert [take(window, number) for number in (100, 101, 104, 101, 99)] == [False, True, True, False, False]


def test_late_numbers_are_new_as_far_as_the_window_goes() -> None:
    window = ReplayWindow(0)
    assert take(window, 10 * SIZE)
    assert not window.is_new(9 * SIZE)
    assert take(window, 9 * SIZE + 1)
    assert not window.is_new(9 * SIZE + 1)
    assert take(window, 10 * SIZE + SIZE - 1)
    assert not window.is_new(10 * SIZE)
    assert take(window, 20 * SIZE)
    assert not window.is_new(10 * SIZE + SIZE - 1)


def test_whatever_the_order_no_number_is_taken_twice() -> None:
    source = random.Random(3)
    window, taken = ReplayWindow(50), set[int]()
    at, highest = 60, 50
    for _ in range(20_000):
        at += source.choice([0, 1, 1, 2, 700])
        number = max(0, at - source.choice([0, 0, 1, 5, 300, SIZE - 1, SIZE, 2 * SIZE]))
        expected = number > 50 and number not in taken and number > highest - SIZE
        assert take(window, number) is expected
        if expected:
            taken.add(number)
            highest = max(highest, number)

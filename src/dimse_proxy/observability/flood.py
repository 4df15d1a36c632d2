"""Keeps a flood of equal lines out of the log: a line a second, which tells how many were left out before it."""

import time
from collections.abc import Callable
from typing import Final


class Flood:
    """One kind of line that a stranger could write as often as he likes."""

    __slots__ = ("_clock", "_interval", "_left_out", "_next")

    def __init__(self, interval: float = 1.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a line that may be written.

        Args:
            interval: seconds between two lines.
            clock: seconds of any monotonic clock.
        """
        self._interval: Final = interval
        self._clock: Final = clock
        self._left_out = 0
        self._next: float | None = None

    def left_out(self) -> int | None:
        """Ask for one more line: None if it is to be left out, else how many were since the last that was written."""
        now = self._clock()
        if self._next is not None and now < self._next:
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        self._next = now + self._interval
        return left_out

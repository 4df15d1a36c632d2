"""One heap of timers for a whole tunnel: what has nothing to wait for costs nothing.

A timer can be armed earlier, never later: whoever needs it later looks at its own time when it fires and arms it again.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Protocol


class Timed(Protocol):
    """Something that wants to be called at a time."""

    armed: float | None
    """When it will be called; belongs to `Timers`."""

    def handle_timer(self, now: float) -> None:
        """Do what is due."""


class Alarm:
    """A timer that calls a function."""

    __slots__ = ("_callback", "armed")

    def __init__(self, callback: Callable[[float], None]) -> None:
        self._callback: Final = callback
        self.armed: float | None = None

    def handle_timer(self, now: float) -> None:
        """Call the function."""
        self._callback(now)


class Timers:
    """The heap."""

    __slots__ = ("_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: Final[list[tuple[float, int, Timed]]] = []
        self._sequence = 0

    def arm(self, timed: Timed, when: float) -> None:
        """Have `timed` called at `when`, or earlier if it is already armed for earlier."""
        if timed.armed is None or when < timed.armed:
            timed.armed = when
            self._sequence += 1
            heappush(self._heap, (when, self._sequence, timed))

    def next(self) -> float | None:
        """Return when to call `run`; perhaps a little early, never late."""
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Call everything that is due; what it arms again waits for the next call."""
        due: list[Timed] = []
        while self._heap and self._heap[0][0] <= now:
            when, _, timed = heappop(self._heap)
            if timed.armed == when:
                timed.armed = None
                due.append(timed)
        for timed in due:
            timed.handle_timer(now)

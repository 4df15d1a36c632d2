"""How much may be in flight to one peer: about twice rate times round trip, so that no queue builds up on the way.

A queue on a slow link would delay every small association behind a large one. Rate and round trip are measured with one
marked frame at a time, which the peer acknowledges at once. Less than `SMALLEST` is never asked for, so a fast local
network needs no measurement at all.
"""

import math
from typing import Final

SMALLEST: Final = 1 << 20
"""Bytes in flight that are always allowed: a second of a 10 Mbit/s link."""
DECAY: Final = 0.9
"""What is left of the best rate with each measurement that is slower: an idle time must not forget the link."""
LARGE: Final = 65536
"""Bytes of a frame that is worth an acknowledgement of its own."""
SPACING: Final = 0.005
"""Seconds between two measurements. Where a round trip takes less, `SMALLEST` alone allows 200 MB/s."""
SPACING_SMALL: Final = 0.25
"""The same with smaller frames."""
STALE: Final = 10.0
"""Seconds after which a round trip measured with nothing else in flight replaces the shortest one."""


class Pace:
    """The measurement of one peer."""

    __slots__ = (
        "_clean",
        "_delivered_before",
        "_rate",
        "_round_trip_at",
        "_started",
        "_target",
        "delivered",
        "round_trip",
    )

    def __init__(self) -> None:
        self.delivered = 0
        """Bytes acknowledged, ever."""
        self.round_trip: float | None = None
        """Shortest round trip, seconds."""
        self._rate = 0.0
        self._round_trip_at = 0.0
        self._target: tuple[object, int] | None = None
        self._started = -math.inf
        self._delivered_before = 0
        self._clean = False

    def wants_mark(self, length: int, now: float) -> bool:
        """Tell whether to measure with the next frame, of `length` bytes: one at a time, and few small ones."""
        spacing = SPACING if length >= LARGE else SPACING_SMALL
        return self._target is None and now - self._started >= spacing

    @property
    def bound(self) -> int:
        """Bytes that may be in flight."""
        return max(SMALLEST, int(2 * self._rate * (self.round_trip or 0.0)))

    def start(self, session: object, end: int, in_flight: int, now: float) -> None:
        """Measure with the frame of `session` that ends at offset `end`; `in_flight` is what was before it."""
        self._target = (session, end)
        self._started = now
        self._delivered_before = self.delivered
        self._clean = in_flight == 0

    def acknowledged(self, session: object, received: int, length: int, now: float) -> None:
        """Count `length` bytes of `session`, now acknowledged up to `received`."""
        self.delivered += length
        if self._target is None or self._target[0] is not session or received < self._target[1]:
            return
        self._target = None
        elapsed = max(now - self._started, 1e-4)  # a clock that stands still within a batch is no infinite rate
        self._rate = max(self._rate * DECAY, (self.delivered - self._delivered_before) / elapsed)
        is_stale = self._clean and now - self._round_trip_at > STALE
        if self.round_trip is None or elapsed <= self.round_trip or is_stale:
            self.round_trip = elapsed
            self._round_trip_at = now

    def discard(self, session: object) -> None:
        """Forget the marked frame if it is of `session`: it was lost, or cannot be told from its resend."""
        if self._target is not None and self._target[0] is session:
            self._target = None

    def restart(self) -> None:
        """Forget everything: a reconnect may have changed the way."""
        self._target = None
        self._started = -math.inf
        self._rate = 0.0
        self.round_trip = None

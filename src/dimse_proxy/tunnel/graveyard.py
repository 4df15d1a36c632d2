"""Tombstones: what is remembered of sessions that are over.

A tombstone answers a peer that does not know yet, and keeps the session's id from being taken a second time. Bounded by
number and by age.
"""

from collections import OrderedDict
from enum import Enum, auto
from typing import Final, NamedTuple

from dimse_proxy.tunnel.events import TunnelCode

MOST: Final = 32768
"""Tombstones kept: about 10 MB."""
LONGEST: Final = 3600.0
"""Seconds that an id is remembered as taken."""


class Ending(Enum):
    """How a session ended here."""

    CLOSED = auto()
    """As both sides know or will know: repeated ENDs and ABORTs are acknowledged again."""
    FAILED = auto()
    """Without the other side: whatever it still sends is answered with a reset."""
    REFUSED = auto()
    """It was never taken: repeated opens are refused again."""


class Tombstone(NamedTuple):
    """What is left of one session."""

    channel: str
    route: bytes
    """Of the frames of the peer it was with."""
    ending: Ending
    at: float
    code: TunnelCode | None = None
    """Why it was refused."""


class Graveyard:
    """All tombstones of one tunnel."""

    __slots__ = ("_fresh_for", "_stones")

    def __init__(self, fresh_for: float) -> None:
        self._fresh_for: Final = fresh_for
        self._stones: Final[OrderedDict[bytes, Tombstone]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stones)

    def bury(self, session_id: bytes, stone: Tombstone) -> None:
        """Remember a session."""
        self._stones[session_id] = stone
        self._stones.move_to_end(session_id)
        if len(self._stones) > MOST:
            self._stones.popitem(last=False)

    def find(self, session_id: bytes) -> Tombstone | None:
        """Return the tombstone of a session."""
        return self._stones.get(session_id)

    def is_fresh(self, stone: Tombstone, now: float) -> bool:
        """Tell whether a peer may still be repeating something that the tombstone answers."""
        return now - stone.at <= self._fresh_for

    def expire(self, now: float) -> None:
        """Forget what is old."""
        while self._stones:
            session_id, stone = next(iter(self._stones.items()))
            if now - stone.at <= LONGEST:
                return
            del self._stones[session_id]

"""The numbers seen of one sender: each is taken once, and one that is too old is not taken at all.

Only numbers of messages whose seal was right may be noted. Nothing here knows what a message is.
"""

from typing import Final

SIZE: Final = 4096
"""Numbers before the highest that may still come late: more messages than a change of route can overtake."""
_MASK: Final = (1 << SIZE) - 1


class ReplayWindow:
    """Which of the latest `SIZE` numbers have come."""

    __slots__ = ("_seen", "highest")

    def __init__(self, floor: int) -> None:
        """Start with every number up to `floor` taken."""
        self.highest = floor
        """The highest number taken."""
        self._seen = _MASK
        """Bit n: the number `highest - n` has come."""

    def is_new(self, number: int) -> bool:
        """Tell whether `number` has not come yet, and is not too old to know."""
        behind = self.highest - number
        return behind < 0 or (behind < SIZE and not self._seen >> behind & 1)

    def note(self, number: int) -> None:
        """Take `number`, which must be new."""
        behind = self.highest - number
        if behind >= 0:
            self._seen |= 1 << behind
        elif behind <= -SIZE:
            self._seen = 1
            self.highest = number
        else:
            self._seen = (self._seen << -behind | 1) & _MASK
            self.highest = number

"""How long to wait before the next try: exponential, with jitter, never longer than a limit."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The pauses between tries."""

    first: float
    """Seconds after the first failure."""
    longest: float
    """Seconds that no pause exceeds."""

    def pause(self, failures: int, chance: float) -> float:
        """Return the seconds to wait.

        Args:
            failures: in a row, from 1.
            chance: from 0 to 1, at random: between half of the pause and all of it.
        """
        pause = min(self.longest, self.first * 2.0 ** min(failures - 1, 60))
        return pause * (0.5 + 0.5 * chance)


class TargetGate:
    """Whether the target may be asked for an association now.

    After a failure everything rests; then one association tries alone, and its success opens the gate for all.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff: Final = backoff
        self._failures = 0
        self._opens_at = 0.0
        self._is_trying = False
        self.reason = ""
        """Why it is closed; empty when it is open."""
        self.is_alarmed = False
        """The target, or our own configuration, said that it will not do: somebody has to change something."""

    @property
    def is_open(self) -> bool:
        """Any number of associations may be asked for."""
        return not self._failures

    def wait(self, now: float) -> float:
        """Return the seconds until an association may be asked for: 0 for now, at most the rest of a pause.

        While one association tries alone, others are told to look again soon.
        """
        if not self._failures:
            return 0.0
        if now < self._opens_at:
            return self._opens_at - now
        return min(1.0, self._backoff.first) if self._is_trying else 0.0

    def hurry(self) -> None:
        """Somebody asks for a try at once; whether it stays closed is up to the target."""
        self._opens_at = 0.0

    def enter(self) -> None:
        """An association is being asked for."""
        self._is_trying = bool(self._failures)

    def leave(self) -> None:
        """It was given up before there was an answer."""
        self._is_trying = False

    def accepted(self) -> bool:
        """An association was accepted; true if that opens the gate."""
        was_closed = bool(self._failures)
        self._failures = 0
        self._is_trying = self.is_alarmed = False
        self.reason = ""
        return was_closed

    def refused(self, reason: str, *, is_lasting: bool, now: float, chance: float) -> float:
        """An association was refused; return the seconds that everything rests.

        What is lasting is tried again after the longest pause only, so that who mends it need not come here.
        """
        if now < self._opens_at:
            return self._opens_at - now  # Several were under way; the first has said it.
        self._failures += 1
        self._is_trying = False
        self.is_alarmed = is_lasting
        self.reason = reason
        pause = self._backoff.longest if is_lasting else self._backoff.pause(self._failures, chance)
        self._opens_at = now + pause
        return pause

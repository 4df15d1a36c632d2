"""Who may deliver an association, and which of its objects are due: judgements on what was read, and nothing else."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from dimse_proxy.queueing.records import Attempt, Lease, QueuedObject

RENEW_INTERVAL: Final = 10.0
"""Seconds between the renewals of a lease, and between in-progress signals."""
LEASE_TIME: Final = 30.0
"""Seconds after which a lease that was not renewed is stale."""
CONSECUTIVE_FAILURES: Final = 3
"""Objects in a row that were to be tried again, after which an association rests: the target is full, or ill."""
MARK_INTERVAL: Final = 5.0
"""Seconds since the last record after which a sender writes `work` again."""
CLAIM_IDLE: Final = 15.0
"""Seconds that a receiver waits for more at least, before it acknowledges the work of an association that has not
ended: longer than a record without work of its own can take, which is twice the interval before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Whether an association can be had."""

    is_free: bool
    is_taken_over: bool = False
    """Somebody else had it before, and may have delivered what is still there."""
    wait: float = 0.0
    """Seconds after which to ask again."""


def judge_lease(held: Lease | None, ours: Lease, age: float) -> Claim:
    """Say whether we may take an association.

    Args:
        held: the lease that is there; None for none.
        ours: this process.
        age: seconds since it was written, by the server's clock.
    """
    if held is None:
        return Claim(is_free=True)
    if held.instance == ours.instance:
        # Of this epoch, it is left over from a claim that ended badly; of an earlier one, that process is gone.
        return Claim(is_free=True, is_taken_over=True)
    if age >= LEASE_TIME:
        return Claim(is_free=True, is_taken_over=True)
    return Claim(is_free=False, wait=max(1.0, LEASE_TIME - age))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done of an association."""

    due: tuple[int, ...]
    """Numbers of objects to send now: those that were never tried in their order, then the others."""
    next_due: float | None
    """When the next of the others is due, seconds since 1970; None if there are no others."""


def plan(records: Collection[int], dead: Collection[int], attempts: Mapping[int, Attempt], now: float) -> Plan:
    """Say which objects of an association are due.

    Args:
        records: objects that are there.
        dead: those that were given up.
        attempts: what is known of those that were tried.
        now: seconds since 1970.
    """
    living = sorted(set(records) - set(dead))
    later = [attempts[number].not_before for number in living if number in attempts]
    later = [time for time in later if time > now]
    new = [number for number in living if number not in attempts]
    again = [number for number in living if number in attempts and attempts[number].not_before <= now]
    return Plan(due=(*new, *again), next_due=min(later, default=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an object is given up; 0 for never."""

    tries: int = 0
    age: float = 0.0
    """Seconds since the SCU was told success."""

    def over(self, record: QueuedObject, tries: int, now: float, begun: float = 0.0) -> str | None:
        """Return the reason of the dead letter, None as long as the object is to be tried.

        Args:
            record: of the object.
            tries: that were in vain.
            now: seconds since 1970.
            begun: when its tries began anew, if they did.
        """
        if self.tries and tries >= self.tries:
            return "tries"
        if self.age and now - max(record.accepted, begun) >= self.age:
            return "age"
        return None

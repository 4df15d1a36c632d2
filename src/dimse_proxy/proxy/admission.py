"""Whether this process takes one more association: one object, shared by all relays of a process, on both sides."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from dimse_proxy.proxy.hooks import Side
from dimse_proxy.proxy.refusals import RefusalCode, Refused

_KeyT = TypeVar("_KeyT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who asks for an association."""

    side: Side
    calling: str
    """Calling AE title."""
    host: str = ""
    """Address of the association's requestor where it is this side's own; the other side counts its hosts itself."""
    target: str = ""
    """Name of the target that is to be called, on the side that calls it."""
    target_limit: int = 0
    """Associations with that target at the same time; 0 for no limit."""


class Admission:
    """Counts the associations of a process against its limits. Each limit is 0 for none."""

    def __init__(
        self,
        limit: int = 0,
        *,
        per_calling_ae: int = 0,
        per_host: int = 0,
        rate: float = 0.0,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with no association.

        Args:
            limit: associations at the same time.
            per_calling_ae: of one calling AE title and side.
            per_host: of one host of this side's network.
            rate: new associations in a second, on each side; a second's worth may come at once.
            changed: called after each change of `active`.
        """
        self.limit: Final = limit
        self.active = 0
        self.is_shutting_down = False
        self.changed = changed
        self._per_calling_ae: Final = per_calling_ae
        self._per_host: Final = per_host
        self._rate: Final = rate
        self._calling: Final[Counter[tuple[Side, str]]] = Counter()
        self._hosts: Final[Counter[str]] = Counter()
        self._targets: Final[Counter[str]] = Counter()
        self._buckets: Final = {side: _Bucket(rate) for side in Side}

    def enter(self, applicant: Applicant) -> None:
        """One more association."""
        self.active += 1
        self._calling[applicant.side, applicant.calling] += 1
        self._hosts[applicant.host] += 1
        self._targets[applicant.target] += 1
        self.changed()

    def leave(self, applicant: Applicant) -> None:
        """One association fewer."""
        self.active -= 1
        _decrease(self._calling, (applicant.side, applicant.calling))
        _decrease(self._hosts, applicant.host)
        _decrease(self._targets, applicant.target)
        self.changed()

    def refusal(self, applicant: Applicant, now: float) -> Refused | None:
        """Why one more is not taken, None if it is. What is taken counts towards the rate."""
        if self.is_shutting_down:
            return Refused(code=RefusalCode.SHUTTING_DOWN, text="the proxy is shutting down")
        if self.limit and self.active >= self.limit:
            return _limit(f"{self.limit} associations (DIMSE_MAX_ASSOCIATIONS)")
        calling = self._calling[applicant.side, applicant.calling]
        if self._per_calling_ae and calling >= self._per_calling_ae:
            return _limit(
                f"{self._per_calling_ae} associations of one calling AE title (DIMSE_MAX_ASSOCIATIONS_PER_CALLING_AE)"
            )
        if self._per_host and applicant.host and self._hosts[applicant.host] >= self._per_host:
            return _limit(f"{self._per_host} associations of one host (DIMSE_MAX_ASSOCIATIONS_PER_HOST)")
        if applicant.target_limit and self._targets[applicant.target] >= applicant.target_limit:
            return _limit(
                f"{applicant.target_limit} associations with {applicant.target} (max_associations of the routes file)"
            )
        if self._rate and not self._buckets[applicant.side].take(now):
            return Refused(
                code=RefusalCode.RATE,
                text=f"the limit of {self._rate:g} new associations a second (DIMSE_MAX_ASSOCIATION_RATE) is reached",
            )
        return None


class _Bucket:
    """A token bucket: a second's worth of tokens at most, one at least."""

    __slots__ = ("_filled", "_rate", "_size", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate: Final = rate
        self._size: Final = max(1.0, rate)
        self._tokens = self._size
        self._filled: float | None = None

    def take(self, now: float) -> bool:
        """Take one token, if there is one."""
        if self._filled is not None:
            self._tokens = min(self._size, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _limit(what: str) -> Refused:
    return Refused(code=RefusalCode.LIMIT, text=f"the limit of {what} is reached")


def _decrease(counter: Counter[_KeyT], key: _KeyT) -> None:
    """Count one fewer, and keep nothing of who is gone: names come from peers, and there is no end of them."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]

"""What is in a queue, told from subjects alone: which objects there are, and what state each is in.

Records are needed only for what subjects do not say: study, called AE title, whether a key fits. Nothing is read here.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dimse_proxy.queueing.records import Attempt, DeadLetter, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind

LISTED: Final = (Kind.LEASE, Kind.DEAD, Kind.ATTEMPT, Kind.RECORD)
"""What a list is made of; records last, so that nothing is listed that was delivered meanwhile."""


class State(StrEnum):
    """What an object of the queue waits for."""

    WAITING = "waiting"
    """It was never tried."""
    RESTING = "resting"
    """It was tried, or begins anew, and will be tried again."""
    DELIVERING = "delivering"
    """A proxy works on its association, and so perhaps on it."""
    DEAD = "dead"
    """It is not tried any more."""
    UNREADABLE = "unreadable"
    """No key of this proxy opens it, or it is damaged: it is left where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object, as far as it was read."""

    key: AssociationKey
    number: int
    state: State
    record: QueuedObject | None = None
    called: str = ""
    """AE title that it is delivered to; empty if that was not read."""
    attempt: Attempt | None = None
    dead: DeadLetter | None = None
    trouble: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which objects are asked for; what is empty does not matter."""

    states: frozenset[State] = frozenset()
    askers: frozenset[str] = frozenset()
    """Tokens that stand for the calling AE title."""
    called: str = ""
    study: str = ""
    association: str = ""
    """The beginning or the end of its id."""
    number: int = 0
    """Of the object, with `association`."""
    began_before: float | None = None
    """Seconds since 1970."""
    began_after: float | None = None

    @property
    def needs_records(self) -> bool:
        """Subjects are not enough."""
        return bool(self.called or self.study or State.UNREADABLE in self.states)

    def fits_association(self, key: AssociationKey) -> bool:
        """Whether objects of an association can be meant."""
        if self.askers and key.asker not in self.askers:
            return False
        if not (key.association.startswith(self.association) or key.association.endswith(self.association)):
            return False
        if self.began_before is not None and key.began > self.began_before:
            return False
        return self.began_after is None or key.began >= self.began_after

    def fits(self, place: "Listed") -> bool:
        """Whether an object of a fitting association can be meant, by its subjects."""
        if self.number and place.number != self.number:
            return False
        # Which one is unreadable shows only when it is read.
        return not self.states or place.state in self.states or State.UNREADABLE in self.states

    def fits_entry(self, entry: Entry) -> bool:
        """Whether an object is meant, now that it has been read."""
        if self.states and entry.state not in self.states:
            return False
        if self.study and (entry.record is None or entry.record.study != self.study):
            return False
        return not self.called or entry.called == self.called


@dataclass(frozen=True, slots=True)
class Listed:
    """One object, by its subjects."""

    key: AssociationKey
    number: int
    state: State
    is_tried: bool
    """There is an `attempt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """An association in numbers of objects."""

    key: AssociationKey
    counts: dict[State, int]
    """By state; only those that there are."""

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


@dataclass(slots=True)
class Ledger:
    """All subjects of a queue that a list is made of."""

    flow: Flow
    records: dict[AssociationKey, set[int]] = field(default_factory=dict)
    dead: dict[AssociationKey, set[int]] = field(default_factory=dict)
    tried: dict[AssociationKey, set[int]] = field(default_factory=dict)
    leases: set[AssociationKey] = field(default_factory=set)

    def add(self, kind: Kind, subjects: Iterable[str]) -> None:
        """Take subjects of one kind."""
        match kind:
            case Kind.RECORD:
                self._add_objects(self.records, subjects)
            case Kind.DEAD:
                self._add_objects(self.dead, subjects)
            case Kind.ATTEMPT:
                self._add_objects(self.tried, subjects)
            case _:
                found = (self.flow.parse(subject) for subject in subjects)
                self.leases |= {place.key for place in found if place is not None and place.kind is Kind.LEASE}

    def _add_objects(self, into: dict[AssociationKey, set[int]], subjects: Iterable[str]) -> None:
        """Take subjects that end in the number of an object; each association's own part is read once."""
        known: dict[str, set[int] | None] = {}
        for subject in subjects:
            head, _, tail = subject.rpartition(".")
            if head not in known:
                place = self.flow.parse(subject)
                known[head] = None if place is None else into.setdefault(place.key, set())
            numbers = known[head]
            if numbers is not None and tail.isdecimal():
                numbers.add(int(tail))

    def objects(self, wanted: Wanted) -> Iterator[Listed]:
        """Yield the objects that can be meant, the oldest association first."""
        for key in self._keys(wanted):
            dead, tried = self.dead.get(key, set()), self.tried.get(key, set())
            is_leased = key in self.leases
            for number in sorted(self.records[key]):
                state = _state(number in dead, number in tried, is_leased)
                listed = Listed(key, number, state, number in tried)
                if wanted.fits(listed):
                    yield listed

    def summaries(self, wanted: Wanted) -> list[Summary]:
        """Return what there is of each association, the oldest first; for what subjects can tell only."""
        found = []
        for key in self._keys(wanted):
            records = self.records[key]
            if wanted.number:
                records = records & {wanted.number}
            dead = len(self.dead.get(key, set()) & records)
            tried = len((self.tried.get(key, set()) & records) - self.dead.get(key, set()))
            others = len(records) - dead - tried
            counts = {State.DEAD: dead}
            if key in self.leases:
                counts[State.DELIVERING] = others + tried
            else:
                counts |= {State.WAITING: others, State.RESTING: tried}
            counts = {state: number for state, number in counts.items() if number and _is_asked(state, wanted.states)}
            if counts:
                found.append(Summary(key=key, counts=counts))
        return found

    def _keys(self, wanted: Wanted) -> list[AssociationKey]:
        return sorted(
            (key for key, numbers in self.records.items() if numbers and wanted.fits_association(key)),
            key=lambda key: key.association,
        )


def _is_asked(state: State, states: Collection[State]) -> bool:
    return not states or state in states


def _state(is_dead: bool, is_tried: bool, is_leased: bool) -> State:
    if is_dead:
        return State.DEAD
    if is_leased:
        return State.DELIVERING
    return State.RESTING if is_tried else State.WAITING

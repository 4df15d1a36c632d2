"""What lies about in the streams that nobody will fetch: judged from lists of subjects, page by page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind

ORPHAN_AGE: Final = 3600.0
"""Seconds since the last chunk of an object without a record after which the chunks are purged."""
UPLOAD_GAP: Final = 900.0
"""Seconds without a new chunk after which the sender gives an upload up: so far below `ORPHAN_AGE` that no record is
ever written for chunks that were purged."""


@dataclass(slots=True)
class Census:
    """What there is, as far as upkeep needs it: some bytes for each object, whatever its size."""

    records: dict[AssociationKey, set[int]] = field(default_factory=dict)
    dead: dict[AssociationKey, set[int]] = field(default_factory=dict)
    tried: dict[AssociationKey, set[int]] = field(default_factory=dict)
    work: set[AssociationKey] = field(default_factory=set)
    leases: set[AssociationKey] = field(default_factory=set)
    associations: set[AssociationKey] = field(default_factory=set)

    def add(self, flow: Flow, subjects: Iterable[str]) -> None:
        """Take a page of subjects of the stream of records."""
        for subject in subjects:
            place = flow.parse(subject)
            match place:
                case None:
                    continue
                case _ if place.kind is Kind.RECORD:
                    self.records.setdefault(place.key, set()).add(place.number)
                case _ if place.kind is Kind.DEAD:
                    self.dead.setdefault(place.key, set()).add(place.number)
                case _ if place.kind is Kind.ATTEMPT:
                    self.tried.setdefault(place.key, set()).add(place.number)
                case _ if place.kind is Kind.WORK:
                    self.work.add(place.key)
                case _ if place.kind is Kind.LEASE:
                    self.leases.add(place.key)
                case _ if place.kind is Kind.ASSOCIATION:
                    self.associations.add(place.key)
                case _:
                    continue

    def without_work(self) -> list[AssociationKey]:
        """Return associations with objects to deliver that nobody is going to be told of, oldest first."""
        return sorted(
            (
                key
                for key, numbers in self.records.items()
                if key not in self.work and numbers - self.dead.get(key, set())
            ),
            key=lambda key: key.association,
        )

    def left_over(self, now: float) -> list[AssociationKey]:
        """Return associations that have no object any more and began long ago."""
        return [
            key
            for key in self.associations | self.leases
            if key not in self.records and key not in self.work and now - key.began >= ORPHAN_AGE
        ]

    def without_record(self) -> Iterator[tuple[Kind, AssociationKey, int]]:
        """Yield dead letters and attempts whose object is gone."""
        for kind, found in ((Kind.DEAD, self.dead), (Kind.ATTEMPT, self.tried)):
            for key, numbers in found.items():
                for number in numbers - self.records.get(key, set()):
                    yield kind, key, number


def note_chunks(found: dict[tuple[AssociationKey, int], int], flow: Flow, subjects: Iterable[str]) -> None:
    """Take subjects of the stream of chunks: `found` is the highest index of a chunk of each object."""
    for subject in subjects:
        place = flow.parse(subject)
        if place is not None and place.kind is Kind.CHUNK:
            name = (place.key, place.number)
            found[name] = max(found.get(name, 0), place.index)

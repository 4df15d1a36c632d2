"""Which objects have waited longest, from lists of subjects: the first object of each association that is not dead.

Lists may hold 100,000 subjects, so it is done without a value for each. Nothing is read or asked for here.
"""

from collections.abc import Iterable
from heapq import nsmallest
from typing import Final

from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind

_TOKENS: Final = 3
"""Of a record's subject behind its prefix: asker, association, number."""


class Ages:
    """Takes the subjects of one flow: the dead letters first, then the records."""

    def __init__(self, flow: Flow) -> None:
        """Begin with nothing."""
        self._records: Final = f"{flow.prefix(Kind.RECORD)}."
        self._letters: Final = f"{flow.prefix(Kind.DEAD)}."
        self._dead: Final[set[str]] = set()
        self._first: Final[dict[str, tuple[int, str]]] = {}
        """By association: its first object, and who asked."""

    def add_dead(self, subjects: Iterable[str]) -> None:
        """Take subjects of dead letters."""
        self._dead.update(subject.removeprefix(self._letters) for subject in subjects)

    def add_records(self, subjects: Iterable[str]) -> None:
        """Take subjects of records."""
        first, prefix, dead = self._first, self._records, self._dead
        for subject in subjects:
            place = subject.removeprefix(prefix)
            tokens = place.split(".")
            if len(tokens) != _TOKENS or place in dead or not tokens[2].isdecimal():
                continue
            number, known = int(tokens[2]), first.get(tokens[1])
            if known is None or number < known[0]:
                first[tokens[1]] = number, tokens[0]

    def oldest(self, most: int) -> list[tuple[AssociationKey, int]]:
        """Return the associations that began first, with the first object of each; at most `most`."""
        return [
            (AssociationKey(asker, association), number)
            for association, (number, asker) in nsmallest(most, self._first.items())
        ]

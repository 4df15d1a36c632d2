"""Which objects of whom became dead letters, gathered by original association: a study is a message, and no flood.

Pure: time comes in. What is open is bounded, whatever becomes of a queue.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dimse_proxy.observability.audit.transfers import FAILURES_LIMIT, QUIET, STUDIES_LIMIT, by_study

ASSOCIATIONS_LIMIT: Final = 64
"""Associations whose dead letters are not told yet; beyond it the oldest is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The association that brought the objects."""

    session: str
    """Its name in logs, at both sides."""
    channel: str
    """Whose queue it is in."""
    calling: str
    called: str
    host: str
    """Of the requestor, at the other side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Some of an association's."""

    original: Original
    studies: dict[str | None, dict[str, int]]
    """Study, SOP class UID, number of instances; None: the study is not known."""
    reasons: str
    when: datetime


@dataclass(slots=True, kw_only=True)
class _Open:
    last: float
    when: datetime
    counted: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    reasons: dict[str, None] = field(default_factory=dict)


class DeadLetterOffice:
    """Of one process."""

    def __init__(self) -> None:
        self._open: Final[OrderedDict[Original, _Open]] = OrderedDict()
        self._over: Final[list[DeadLetters]] = []

    def add(
        self, original: Original, study: str | None, sop_class: str, reason: str, *, now: float, when: datetime
    ) -> None:
        """Note one.

        Args:
            original: the association that brought it.
            study: UID; None if it is not known.
            sop_class: UID.
            reason: why it is tried no more.
            now: seconds of any monotonic clock.
            when: the time of day.
        """
        found = self._open.get(original)
        if found is None:
            if len(self._open) >= ASSOCIATIONS_LIMIT:
                self._close(next(iter(self._open)))
            found = self._open[original] = _Open(last=now, when=when)
        found.last, found.when = now, when
        found.counted[study, sop_class] += 1
        if len(found.reasons) < FAILURES_LIMIT:
            found.reasons[reason] = None
        if len(found.counted) >= STUDIES_LIMIT:
            self._close(original)

    def over(self, now: float) -> list[DeadLetters]:
        """Return those of associations of which there was no new one for a while."""
        for original, found in list(self._open.items()):
            if now - found.last >= QUIET:
                self._close(original)
        return self._taken()

    def rest(self) -> list[DeadLetters]:
        """Return all that are left."""
        for original in list(self._open):
            self._close(original)
        return self._taken()

    def _close(self, original: Original) -> None:
        found = self._open.pop(original)
        self._over.append(
            DeadLetters(
                original=original,
                studies=by_study(found.counted),
                reasons=", ".join(found.reasons),
                when=found.when,
            )
        )

    def _taken(self) -> list[DeadLetters]:
        over = self._over[:]
        self._over.clear()
        return over

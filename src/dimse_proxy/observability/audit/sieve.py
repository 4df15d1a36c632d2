"""Keeps a stranger from filling the audit trail: an alert a minute of each subject, and one a second of each kind."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from dimse_proxy.observability.flood import Flood

SUBJECT_INTERVAL: Final = 60.0
KIND_INTERVAL: Final = 1.0
SUBJECTS_LIMIT: Final = 1024
"""Subjects that are remembered; the one that alerted longest ago is forgotten first."""


class AlertSieve:
    """Says which alerts are sent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with nothing held back; `clock`: seconds of any monotonic clock."""
        self._clock: Final = clock
        self._subjects: Final[OrderedDict[tuple[Hashable, str], Flood]] = OrderedDict()
        self._kinds: Final[dict[Hashable, Flood]] = {}

    def left_out(self, kind: Hashable, subject: str) -> int | None:
        """Ask for one more alert: None if it is to be left out, else how many were since the last that was sent."""
        of_subject = self._subjects.pop((kind, subject), None) or Flood(SUBJECT_INTERVAL, clock=self._clock)
        if len(self._subjects) >= SUBJECTS_LIMIT:
            self._subjects.popitem(last=False)
        self._subjects[kind, subject] = of_subject
        by_subject = of_subject.left_out()
        if by_subject is None:
            return None
        by_kind = self._kinds.setdefault(kind, Flood(KIND_INTERVAL, clock=self._clock)).left_out()
        return None if by_kind is None else by_subject + by_kind

"""Everything that was measured in one run, and what is compared with what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.measurement import Ratio, Series, ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One work load's figures."""

    name: str
    title: str
    what: str
    base: str
    is_later: bool = False
    """It was measured after the others, by itself."""
    series: Sequence[Series]

    def of(self, contender: str) -> Series | None:
        """Its runs, if it ran."""
        return next((one for one in self.series if one.contender == contender), None)

    def against(self, contender: str, base: str, figure: str) -> Ratio | None:
        """Ratio of the same figure of two contenders, if both ran."""
        upper, lower = self.of(contender), self.of(base)
        if upper is None or lower is None:
            return None
        return ratio(upper.values(figure), lower.values(figure))


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One run of the benchmark."""

    machine: Mapping[str, str]
    is_quick: bool
    minutes: float
    tables: Sequence[Table]

    def table(self, name: str) -> Table | None:
        """A work load's figures, if it ran."""
        return next((table for table in self.tables if table.name == name), None)

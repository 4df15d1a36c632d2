"""Runs and what is made of them: medians, spreads, ratios of neighbours, and the rule when a run counts.

Contenders take turns, so what the machine does beside them hits all alike; a ratio is that of two neighbours in one
round, and its median is told. A spread of more than a quarter of the median says so, and all contenders of that work
load run again.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

WIDE: Final = 0.25
"""Spread, as a part of the median, above which runs are repeated."""
ATTEMPTS: Final = 3
"""How often, at most."""
MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contender's work, once."""

    figures: Mapping[str, float]
    """By name of the figure, which has its unit; the first one is what the work load is about."""
    cpu: Mapping[str, float]
    """Seconds, by process."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Resident bytes afterwards, by process."""
    length: int = 0
    """Bytes that were carried; 0 if that is not what counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The runs of one contender that count."""

    workload: str
    contender: str
    runs: Sequence[Run]
    attempts: int = 1
    """How often all runs were made until their spread was small enough, or it was enough."""

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures."""
        return tuple(self.runs[0].figures)

    def values(self, figure: str) -> list[float]:
        """The figure of every run."""
        return [run.figures[figure] for run in self.runs]

    def median(self, figure: str) -> float:
        """The figure's median."""
        return statistics.median(self.values(figure))

    def spread(self, figure: str) -> float:
        """Largest less smallest, as a part of the median."""
        return spread(self.values(figure))

    @property
    def is_wide(self) -> bool:
        """The spread of what the work load is about is so large that the median says little."""
        return self.spread(self.figures[0]) > WIDE

    def cpu(self, process: str) -> float:
        """Median seconds of a process."""
        return statistics.median(run.cpu[process] for run in self.runs)

    def cpu_per_gigabyte(self, process: str) -> float:
        """Median seconds of a process for 10^9 bytes."""
        return statistics.median(run.cpu[process] * 1e9 / run.length for run in self.runs)


def spread(values: Sequence[float]) -> float:
    """Largest less smallest, as a part of the median."""
    median = statistics.median(values)
    return (max(values) - min(values)) / median if median else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How one figure compares with another, round by round."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Largest less smallest, as a part of the median."""
        return spread(self.values)


def ratio(upper: Sequence[float], lower: Sequence[float]) -> Ratio:
    """Ratios of the same rounds."""
    return Ratio(values=[above / below for above, below in zip(upper, lower, strict=True)])


def take_turns(
    workload: str,
    contenders: Mapping[str, Callable[[], Run]],
    *,
    rounds: int,
    deadline: float,
    is_warmed_up: bool = True,
    say: Callable[[str], None],
) -> list[Series]:
    """Run all contenders in turn, `rounds` times, and again if a spread is wide and there is time for it.

    Args:
        workload: its name.
        contenders: what to run, by name.
        rounds: how many turns.
        is_warmed_up: each runs once before that.
        deadline: of the monotonic clock; after it nothing is run again.
        say: is told what happens.
    """
    for contender in contenders.values() if is_warmed_up else ():
        contender()  # the first run pays for what the later ones find done
    attempt = 0
    while True:
        attempt += 1
        begun = time.monotonic()
        runs: dict[str, list[Run]] = {name: [] for name in contenders}
        for number in range(rounds):
            say(f"{workload}: round {number + 1} of {rounds}")
            for name, contender in contenders.items():
                runs[name].append(contender())
        series = [Series(workload=workload, contender=name, runs=made, attempts=attempt) for name, made in runs.items()]
        wide = [one.contender for one in series if one.is_wide]
        is_time_left = 2 * time.monotonic() - begun < deadline
        if not wide or attempt == ATTEMPTS or not is_time_left:
            return series
        say(f"{workload}: a spread of more than {WIDE:.0%} ({', '.join(wide)}): once more")

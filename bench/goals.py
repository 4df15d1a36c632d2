"""The figures to reach, and what was reached."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bench.crowd import ALONE, BESIDE, FASTEST, PROXIES, SLOWEST, at_first, each, more
from bench.links import MEGABITS
from bench.measurement import Ratio, ratio
from bench.objects import FRAME
from bench.queues import NO_LINK
from bench.results import Results, Table
from bench.workload import (
    ACCEPTED,
    DIRECT,
    FORWARDER,
    MEDIAN,
    OBJECT_MILLISECONDS,
    OBJECTS,
    P99,
    PAIR,
    PAIR_WITH_KEY,
    PAIR_WITH_TLS,
    QUEUE,
    QUEUE_SYNC_ALWAYS,
    RATE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One line of the table of figures to reach."""

    what: str
    measured: float
    spread: float | None
    """None of a figure that was measured once."""
    least: float
    aspired: float | None = None
    is_upper: bool = False
    """The figure must not be larger, instead of not smaller."""
    unit: str = "x"

    @property
    def is_reached(self) -> bool:
        """The least that is asked for."""
        return self.measured <= self.least if self.is_upper else self.measured >= self.least

    @property
    def is_aspired_reached(self) -> bool:
        """What is aspired to; false where nothing is."""
        if self.aspired is None:
            return False
        return self.measured <= self.aspired if self.is_upper else self.measured >= self.aspired


def goals(results: Results) -> list[Goal]:
    """Every figure to reach that was measured."""
    return [goal for find in _GOALS for goal in find(results)]


def _of_ratio(what: str, found: Ratio | None, least: float, aspired: float | None = None) -> Iterator[Goal]:
    if found is not None:
        yield Goal(what=what, measured=found.median, spread=found.spread, least=least, aspired=aspired)


def _compared(
    results: Results, name: str, contender: str, base: str, what: str, least: float, aspired: float | None = None
) -> Iterator[Goal]:
    table = results.table(name)
    if table is not None:
        figure = table.series[0].figures[0]
        yield from _of_ratio(what, table.against(contender, base, figure), least, aspired)


def _storage(results: Results) -> Iterator[Goal]:
    yield from _compared(
        results, "as-shipped", PAIR, DIRECT, "CT series, DCMTK as shipped at both ends, of direct", 6.0
    )
    yield from _compared(
        results, "ct", PAIR, DIRECT, "CT series, TCP_NODELAY at both ends, one association, of direct", 0.30, 0.40
    )
    yield from _compared(results, "large", PAIR, DIRECT, "large object, one association, of direct", 0.50, 0.60)
    yield from _compared(results, "small", PAIR, DIRECT, "10 KiB objects, one association, of direct", 0.25)
    yield from _compared(results, "ct", PAIR_WITH_KEY, PAIR, "tunnel key on, CT series, of without", 0.8)
    yield from _compared(
        results, "ct", PAIR_WITH_TLS, PAIR, "TLS on both DICOM legs and on NATS, CT series, of without", 0.6
    )
    yield from _compared(results, "pynetdicom-find", PAIR, DIRECT, "C-FIND, pynetdicom at both ends, of direct", 0.5)


def _at_once(results: Results) -> Iterator[Goal]:
    one, sixteen = results.table("at-once-1"), results.table("at-once-16")
    if one is None or sixteen is None:
        return
    single, many = one.of(PAIR), sixteen.of(PAIR)
    if single is None or many is None:
        return
    median = single.median(RATE)
    yield from _of_ratio(
        "16 associations at once, CT, of the throughput of one",
        ratio(many.values(RATE), [median] * len(many.runs)),
        1.0,
    )
    for figure, least, is_upper in ((SLOWEST, 0.8, False), (FASTEST, 1.2, True)):
        yield Goal(
            what=f"16 associations at once: {figure}, of their mean",
            measured=many.median(figure),
            spread=many.spread(figure),
            least=least,
            is_upper=is_upper,
        )


def _cpu(results: Results) -> Iterator[Goal]:
    table = results.table("ct")
    if table is None:
        return
    pair, forwarder = table.of(PAIR), table.of(FORWARDER)
    if pair is None or forwarder is None:
        return
    for proxy in PROXIES:
        found = ratio([run.cpu[proxy] for run in pair.runs], [run.cpu[FORWARDER] for run in forwarder.runs])
        yield Goal(
            what=f"CPU of {proxy}, CT series, of a plain forwarder's",
            measured=found.median,
            spread=found.spread,
            least=1.8,
            aspired=1.3,
            is_upper=True,
        )


def _latency(results: Results) -> Iterator[Goal]:
    for name, figure, what, least in (
        ("echo", MEDIAN, "C-ECHO, added, median", 0.5),
        ("echo", P99, "C-ECHO, added, 99th percentile", 2.0),
        ("association", MEDIAN, "association set-up and release, added, median", 2.0),
    ):
        table = results.table(name)
        if table is None:
            continue
        pair, direct = table.of(PAIR), table.of(DIRECT)
        if pair is not None and direct is not None:
            added = [above - below for above, below in zip(pair.values(figure), direct.values(figure), strict=True)]
            median = statistics.median(added)
            yield Goal(
                what=what,
                measured=median,
                spread=(max(added) - min(added)) / median if median else None,
                least=least,
                is_upper=True,
                unit="ms",
            )


def _idle(results: Results) -> Iterator[Goal]:
    table = results.table("idle")
    pair = None if table is None else table.of(PAIR)
    if table is not None and pair is not None:
        for proxy in PROXIES:
            yield Goal(
                what=f"{table.title}: memory of each in {proxy}",
                measured=pair.median(each(proxy)),
                spread=pair.spread(each(proxy)),
                least=40,
                is_upper=True,
                unit="KiB",
            )
        beside = ratio(pair.values(BESIDE), pair.values(ALONE))
        yield Goal(
            what=f"{table.title}: a new one, of the time it takes without them",
            measured=beside.median,
            spread=beside.spread,
            least=1.25,
            is_upper=True,
        )


def _memory(results: Results) -> Iterator[Goal]:
    table = results.table("memory")
    if table is None:
        return
    series = table.series[0]
    for figure, what, least in (
        (at_first, "resident memory of {}, idle, everything on", 90.0),
        (more, "resident memory of {}, more after a large object", 24.0),
    ):
        for proxy in PROXIES:
            yield Goal(
                what=what.format(proxy),
                measured=series.median(figure(proxy)),
                spread=series.spread(figure(proxy)),
                least=least,
                is_upper=True,
                unit="MiB",
            )


def _links(results: Results) -> Iterator[Goal]:
    for milliseconds in (20, 80):
        series = results.table(f"link-{milliseconds}")
        if series is not None:
            yield _of_link(series, milliseconds)
        large = results.table(f"link-{milliseconds}-large")
        if large is not None:
            rates = [rate * 8 / MEGABITS for rate in large.series[0].values(RATE)]
            yield Goal(
                what=f"{milliseconds} ms, {MEGABITS} Mbit/s: large object, of the bandwidth",
                measured=statistics.median(rates),
                spread=large.series[0].spread(RATE),
                least=0.9,
            )


def _of_link(table: Table, milliseconds: int) -> Goal:
    """An object costs a round trip and its time on the wire."""
    allowed = milliseconds + FRAME * 8 / MEGABITS / 1000
    series = table.series[0]
    return Goal(
        what=f"{milliseconds} ms, {MEGABITS} Mbit/s: C-STORE of 512 KiB, of {allowed:.0f} ms (round trip + bandwidth)",
        measured=series.median(OBJECT_MILLISECONDS) / allowed,
        spread=series.spread(OBJECT_MILLISECONDS),
        least=1.1,
        is_upper=True,
    )


def _queues(results: Results) -> Iterator[Goal]:
    for contender, what in ((QUEUE, "sync as by default"), (QUEUE_SYNC_ALWAYS, "sync always")):
        yield from _compared(
            results, "accept", contender, DIRECT, f"accepted by store and forward, CT series, {what}, of direct", 0.25
        )
    for milliseconds in (20, 80):
        over = f"{milliseconds} ms, {MEGABITS} Mbit/s: stored and forwarded"
        table = results.table(f"queue-link-{milliseconds}")
        series = None if table is None else table.of(QUEUE)
        if table is not None and series is not None:
            yield Goal(
                what=f"{over}, CT series, delivered, of the bandwidth",
                measured=series.median(RATE) * 8 / MEGABITS,
                spread=series.spread(RATE),
                least=0.9,
            )
            found = table.against(QUEUE, NO_LINK, ACCEPTED)
            yield from _of_ratio(f"{over}, CT series, accepted, of without a link", found, 0.9)
        table = results.table(f"queue-link-{milliseconds}-small")
        if table is not None:
            least = 8.0 if milliseconds == 80 else 2.0
            yield from _of_ratio(f"{over}, 50 KiB objects, of relay mode", table.against(QUEUE, PAIR, OBJECTS), least)


_GOALS: Final[tuple[Callable[[Results], Iterator[Goal]], ...]] = (
    _storage,
    _at_once,
    _cpu,
    _latency,
    _idle,
    _memory,
    _links,
    _queues,
)

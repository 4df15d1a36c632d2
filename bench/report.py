"""The report: a JSON file with every run, and a Markdown page with tables and charts."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.goals import Goal, goals
from bench.measurement import MEBIBYTE, Series, spread
from bench.plot import Bar, chart, short
from bench.record import RECORD, as_json
from bench.results import Results, Table

PAGE: Final = "benchmarks.md"
CHARTS: Final = "benchmarks"


def write(results: Results, folder: Path) -> None:
    """Write `benchmarks.md`, `benchmarks/results.json` and a chart for each table into `folder`."""
    charts = folder / CHARTS
    if charts.exists():
        shutil.rmtree(charts)
    charts.mkdir(parents=True)
    (charts / RECORD).write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    for table in results.tables:
        if len(table.series) > 1:
            (charts / f"{table.name}.svg").write_text(_chart(table), encoding="utf-8")
    (folder / PAGE).write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """The Markdown page."""
    machine = ", ".join(
        f"{name} {value}" if name[0].isupper() or "-" in name else value for name, value in _machine(results)
    )
    parts = [
        "# Benchmarks",
        "",
        "`make bench` measured this and wrote this page; `make bench QUICK=1` takes less than three minutes and writes "
        "to `build/bench/`. "
        + ("This is a quick run: too few rounds to quote it. " if results.is_quick else "")
        + "All contenders of a table took turns in one run, over the loopback interface, all on the same cores.",
        "",
        f"Measured on: {machine}. The run took {results.minutes:.0f} minutes.",
        "",
        "Each figure is the median of the runs; *spread* is the largest less the smallest, as a part of it. A ratio is "
        "the median of the ratios of neighbours. A spread of more than 25 % is printed **bold**: all contenders "
        "of that table were run again, up to three times, as far as time allowed. CPU is user and "
        "system time of each process.",
        "",
        "## Figures to reach",
        "",
        *_goal_table(goals(results)),
        "",
    ]
    for table in results.tables:
        parts += _section(table)
    return "\n".join(parts)


def _machine(results: Results) -> list[tuple[str, str]]:
    machine = dict(results.machine)
    cores = (
        f"{machine.pop('cores')} cores of {machine.pop('processor')}, {machine.pop('memory')}, {machine.pop('kernel')}"
    )
    return [("machine", cores), *machine.items()]


def _goal_table(found: Sequence[Goal]) -> list[str]:
    lines = ["| work | asked for | measured | spread | |", "|---|---|---|---|---|"]
    for goal in found:
        unit = "" if goal.unit == "x" else f" {goal.unit}"
        asked = f"{'at most' if goal.is_upper else 'at least'} {goal.least:g}{unit}"
        if goal.aspired is not None:
            asked += f", better {goal.aspired:g}{unit}"
        verdict = "no" if not goal.is_reached else "better" if goal.is_aspired_reached else "yes"
        lines.append(f"| {goal.what} | {asked} | {short(goal.measured)}{unit} | {_spread(goal.spread)} | {verdict} |")
    return lines


def _spread(value: float | None) -> str:
    if value is None:
        return ""
    return f"**{value:.0%}**" if value > 0.25 else f"{value:.0%}"


def _section(table: Table) -> list[str]:
    later = " Measured again later, by itself." if table.is_later else ""
    parts = [f"## {table.title}", "", table.what + later, ""]
    if len(table.series) > 1:
        parts += [f"![{table.title}]({CHARTS}/{table.name}.svg)", ""]
    figures = table.series[0].figures
    first = figures[0]
    head = [
        "",
        first,
        "spread",
        f"of {table.base}" if len(table.series) > 1 else "",
        *figures[1:],
        "CPU seconds",
        "MiB",
    ]
    rows = [_row(table, series) for series in table.series]
    kept = [number for number in range(len(head)) if number == 0 or any(row[number] for row in rows)]
    parts.append("| " + " | ".join(head[number] for number in kept) + " |")
    parts.append("|" + "---|" * len(kept))
    parts += ["| " + " | ".join(row[number] for number in kept) + " |" for row in rows]
    if any(series.is_wide for series in table.series):
        attempts = max(series.attempts for series in table.series)
        parts += ["", f"The spread stayed above 25 % (run {attempts} time{'s' if attempts > 1 else ''})."]
    return [*parts, ""]


def _row(table: Table, series: Series) -> list[str]:
    first = series.figures[0]
    compared = table.against(series.contender, table.base, first)
    return [
        series.contender,
        short(series.median(first)),
        _spread(series.spread(first)) if len(series.runs) > 1 else "",
        ""
        if compared is None or series.contender == table.base
        else f"{compared.median:.2f} ({_spread(compared.spread)})",
        *(short(series.median(figure)) for figure in series.figures[1:]),
        _cpu(series),
        _memory(series),
    ]


def _cpu(series: Series) -> str:
    names = series.runs[0].cpu
    parts = [f"{name} {series.cpu(name):.2f}" for name in names]
    return ", ".join(parts)


def _memory(series: Series) -> str:
    last = series.runs[-1].memory
    return ", ".join(f"{name} {size / MEBIBYTE:.0f}" for name, size in last.items() if name.startswith("proxy"))


def _chart(table: Table) -> str:
    figure = table.series[0].figures[0]
    bars = [
        Bar(
            label=series.contender,
            median=series.median(figure),
            low=min(series.values(figure)),
            high=max(series.values(figure)),
            is_ours=series.contender.startswith("pair"),
        )
        for series in table.series
    ]
    return chart(table.title, figure, bars)


def lines(table: Table) -> list[str]:
    """The table as plain text, for the terminal."""
    found = [f"== {table.title}"]
    for series in table.series:
        first = series.figures[0]
        compared = table.against(series.contender, table.base, first)
        of_base = (
            "" if compared is None or series.contender == table.base else f"{compared.median:6.2f} of {table.base}"
        )
        figures = ", ".join(
            f"{figure} {short(series.median(figure))} (±{spread(series.values(figure)):.0%})"
            for figure in series.figures
        )
        wide = "  SPREAD" if series.is_wide else ""
        found.append(f"  {series.contender:24} {figures} {of_base}{wide}")
        found.append(f"  {'':24} CPU s: {_cpu(series)}  MiB: {_memory(series)}")
    return found

"""The page, the JSON and the figures to reach, from results that are made up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench import report
from bench.goals import goals
from bench.measurement import Run, Series
from bench.record import RECORD, read, renewed
from bench.results import Results, Table
from bench.ways import PROXY_A, PROXY_B
from bench.workload import DIRECT, FORWARDER, OBJECT_MILLISECONDS, PAIR, RATE


def series(contender: str, *rates: float, cpu: dict[str, float] | None = None) -> Series:
    figures = [{RATE: rate, OBJECT_MILLISECONDS: 500 / rate} for rate in rates]
    runs = [Run(figures=one, cpu=cpu or {"SCU": 0.1}, memory={PROXY_A: 70 << 20}, length=1 << 30) for one in figures]
    return Series(workload="ct", contender=contender, runs=runs, attempts=2)


@pytest.fixture
def results() -> Results:
    table = Table(
        name="ct",
        title="CT series",
        what="Objects.",
        base=DIRECT,
        series=[
            series(DIRECT, 400, 410, 420),
            series(FORWARDER, 300, 310, 320, cpu={FORWARDER: 0.2}),
            series(PAIR, 100, 164, 168, cpu={PROXY_A: 0.25, PROXY_B: 0.5}),
        ],
    )
    return Results(machine={"processor": "P", "cores": "2", "memory": "4 GiB", "kernel": "L 1"}, is_quick=False,
                   minutes=1.0, tables=[table])  # fmt: skip


def test_figures_to_reach(results: Results) -> None:
    found = {goal.what: goal for goal in goals(results)}
    series_of_direct = found["CT series, TCP_NODELAY at both ends, one association, of direct"]
    assert series_of_direct.measured == pytest.approx(0.4)
    assert series_of_direct.is_reached
    assert series_of_direct.is_aspired_reached
    assert found["CPU of proxy A, CT series, of a plain forwarder's"].is_aspired_reached
    assert not found["CPU of proxy B, CT series, of a plain forwarder's"].is_reached


def test_the_page_says_what_is_wide(results: Results) -> None:
    page = report.page(results)
    assert "| pair | 164 | **41%** | 0.40 (**38%**) |" in page
    assert "The spread stayed above 25 % (run 2 times)." in page
    assert "2 cores of P, 4 GiB, L 1" in page


def test_files(results: Results, tmp_path: Path) -> None:
    report.write(results, tmp_path)
    report.write(results, tmp_path)  # over those of an earlier run
    assert (tmp_path / "benchmarks.md").exists()
    assert (tmp_path / "benchmarks" / "ct.svg").exists()
    kept = json.loads((tmp_path / "benchmarks" / "results.json").read_text())
    assert [one["contender"] for one in kept["workloads"][0]["series"]] == [DIRECT, FORWARDER, PAIR]
    assert len(kept["workloads"][0]["series"][0]["runs"]) == 3


def test_for_the_terminal(results: Results) -> None:
    text = "\n".join(report.lines(results.tables[0]))
    assert "SPREAD" in text
    assert "0.40 of direct" in text


def test_a_table_that_is_measured_again_takes_the_place_of_the_old_one(results: Results, tmp_path: Path) -> None:
    other = replace(results.tables[0], name="large", title="Large")
    report.write(replace(results, tables=[results.tables[0], other]), tmp_path)
    kept = read(tmp_path / "benchmarks" / RECORD)
    again = replace(results, tables=[replace(results.tables[0], series=[series(DIRECT, 1, 1, 1)])], minutes=0.5)
    made = renewed(kept, again)
    assert [(table.name, table.is_later) for table in made.tables] == [("ct", True), ("large", False)]
    assert made.minutes == 1.5
    assert made.tables[0].series[0].values(RATE) == [1, 1, 1]
    page = report.page(made)
    assert page.count("Measured again later, by itself.") == 1
    assert "| pair | 164 | **41%** | 0.40 (**38%**) |" in page, "what was read is what was written"

"""Command line of the benchmark: `python -m bench`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench import machine, report
from bench.goals import goals
from bench.measurement import take_turns
from bench.plan import plan
from bench.plot import short
from bench.record import RECORD, read, renewed
from bench.results import Results, Table
from bench.scale import FULL, QUICK
from bench.ways import Ways

QUICK_FOLDER: Final = Path("build/bench")
FULL_FOLDER: Final = Path("docs")


def say(text: str) -> None:
    """To whoever watches."""
    print(text, file=sys.stderr, flush=True)


def measure(*, is_quick: bool, only: list[str], folder: Path) -> Results:
    """Run the work loads, all or those whose names begin with one of `only`."""
    scale = QUICK if is_quick else FULL
    begun = time.monotonic()
    tables = []
    with Ways(folder / "ways") as ways:
        for name, make in plan(ways, folder, scale).items():
            if only and not any(name.startswith(wanted) for wanted in only):
                continue
            say(f"{name} ... ({time.monotonic() - begun:.0f} s)")
            workload = make()
            series = take_turns(
                name,
                workload.contenders,
                rounds=workload.rounds,
                deadline=begun + 60 * scale.minutes,
                is_warmed_up=workload.is_warmed_up,
                say=say,
            )
            table = Table(name=name, title=workload.title, what=workload.what, base=workload.base, series=series)
            tables.append(table)
            print("\n".join(report.lines(table)), flush=True)
    return Results(
        machine=machine.description(),
        is_quick=is_quick,
        minutes=(time.monotonic() - begun) / 60,
        tables=tables,
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="bench", description="Measures the proxies beside what else there is.")
    parser.add_argument("--quick", action="store_true", help="less than three minutes")
    parser.add_argument("--only", action="append", default=[], help="work loads whose names begin so; again for more")
    parser.add_argument("--renew", action="store_true", help="replace the tables of --only in the report")
    parser.add_argument("--out", type=Path, help="folder for the report")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dimse-bench-") as folder:
        results = measure(is_quick=arguments.quick, only=arguments.only, folder=Path(folder))
    if arguments.renew:
        results = renewed(read((arguments.out or FULL_FOLDER) / report.CHARTS / RECORD), results)
    is_partial = arguments.quick or arguments.only
    out = arguments.out or (QUICK_FOLDER if is_partial and not arguments.renew else FULL_FOLDER)
    report.write(results, out)
    print("== Figures to reach")
    for goal in goals(results):
        verdict = "yes" if goal.is_reached else "NO"
        print(f"  {verdict:3} {short(goal.measured):>8} {goal.unit:3} (asked {goal.least:g})  {goal.what}")
    print(f"written: {out / report.PAGE}")


if __name__ == "__main__":
    main()

"""Results as JSON, written and read again: so a few work loads can be measured anew, and the others kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from bench.goals import goals
from bench.measurement import Run, Series
from bench.results import Results, Table

RECORD: Final = "results.json"


def as_json(results: Results) -> dict[str, object]:
    """Everything, each run of each contender included."""
    return {
        "machine": dict(results.machine),
        "quick": results.is_quick,
        "minutes": round(results.minutes, 1),
        "goals": [asdict(goal) | {"reached": goal.is_reached} for goal in goals(results)],
        "workloads": [
            {
                "name": table.name,
                "title": table.title,
                "what": table.what,
                "base": table.base,
                "later": table.is_later,
                "series": [
                    {
                        "contender": series.contender,
                        "attempts": series.attempts,
                        "wide": series.is_wide,
                        "runs": [
                            {
                                "figures": _rounded(run.figures),
                                "cpu_seconds": _rounded(run.cpu),
                                "resident_bytes": dict(run.memory),
                                "bytes": run.length,
                            }
                            for run in series.runs
                        ],
                    }
                    for series in table.series
                ],
            }
            for table in results.tables
        ],
    }


def _rounded(figures: object) -> dict[str, float]:
    assert hasattr(figures, "items")
    return {name: float(f"{value:.5g}") for name, value in figures.items()}


def read(path: Path) -> Results:
    """What `as_json` made, from a file."""
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        machine=found["machine"],
        is_quick=found["quick"],
        minutes=found["minutes"],
        tables=[_table(workload) for workload in found["workloads"]],
    )


def renewed(old: Results, new: Results) -> Results:
    """The old results with the tables that were measured anew in their places."""
    fresh = {table.name: replace(table, is_later=True) for table in new.tables}
    kept = [fresh.pop(table.name, table) for table in old.tables]
    return replace(old, minutes=old.minutes + new.minutes, tables=[*kept, *fresh.values()])


def _table(found: Mapping[str, Any]) -> Table:
    name = found["name"]
    return Table(
        name=name,
        title=found["title"],
        what=found["what"],
        base=found["base"],
        is_later=found["later"],
        series=[
            Series(
                workload=name,
                contender=series["contender"],
                attempts=series["attempts"],
                runs=[
                    Run(
                        figures=run["figures"],
                        cpu=run["cpu_seconds"],
                        memory=run["resident_bytes"],
                        length=run["bytes"],
                    )
                    for run in series["runs"]
                ],
            )
            for series in found["series"]
        ],
    )

"""The guard of the hot path: counts its instructions with valgrind and compares them with what was committed.

A count does not depend on how busy a machine is. It does depend on how Python was built, so what is kept is the ratio
to a reference that the same process does, for each version of Python. `python -m bench.guard --record` keeps a new one.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.hot_path import REFERENCE, SECTIONS

BASELINE: Final = Path(__file__).with_name("baseline.json")
ALLOWED: Final = 0.10
"""How much more than the baseline, as a part of it, is no regression."""
VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_SUMMARY: Final = re.compile(r"^summary: (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One section of the hot path beside its baseline."""

    section: str
    cost: float
    """Instructions of one object, in units of the reference's."""
    baseline: float

    @property
    def change(self) -> float:
        """How much more than the baseline, as a part of it."""
        return self.cost / self.baseline - 1

    @property
    def is_slower(self) -> bool:
        """More than is allowed."""
        return self.change > ALLOWED

    def __str__(self) -> str:
        return f"{self.section}: {self.cost:.5f}, {self.change:+.1%} against {self.baseline:.5f}"


def count() -> dict[str, int]:
    """Instructions of the reference, and of one object of each section.

    Raises:
        RuntimeError: there is no valgrind, or what it ran failed.
    """
    if shutil.which("valgrind") is None:
        raise RuntimeError("valgrind is needed: make peers installs it")
    with tempfile.TemporaryDirectory(prefix="dimse-guard-") as folder:
        out = Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-before=getppid"]
        done = subprocess.run(
            [*command, sys.executable, "-m", "bench.hot_path"],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the hot path failed under valgrind:\n{done.stderr[-3000:]}")
        # One dump before each border: what is between the first two is the first section, and so on.
        names = [REFERENCE, *SECTIONS]
        counted = {}
        for number, name in enumerate(names):
            text = Path(f"{out}.{2 * number + 2}").read_text(encoding="ascii", errors="replace")
            found = _SUMMARY.search(text)
            assert found is not None
            counted[name] = int(found[1]) // (1 if name == REFERENCE else SECTIONS[name][1])
        return counted


def costs() -> dict[str, float]:
    """What one object of each section costs, in units of the reference."""
    counted = count()
    return {name: counted[name] / counted[REFERENCE] for name in SECTIONS}


def baselines() -> dict[str, dict[str, float]]:
    """What was recorded, by version of Python."""
    recorded: dict[str, dict[str, float]] = json.loads(BASELINE.read_text(encoding="ascii"))
    return recorded


def compare() -> list[Comparison] | None:
    """Count, and compare with this version's baseline; None if it has none."""
    recorded = baselines().get(VERSION)
    if recorded is None:
        return None
    found = costs()
    return [Comparison(section=name, cost=found[name], baseline=recorded[name]) for name in SECTIONS]


def record() -> None:
    """Count, and keep it as this version's baseline."""
    recorded = {**baselines(), VERSION: {name: round(cost, 5) for name, cost in costs().items()}}
    BASELINE.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n", encoding="ascii")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="bench.guard", description="Counts the instructions of the hot path.")
    parser.add_argument("--record", action="store_true", help="keep the result as the baseline of this Python")
    if parser.parse_args().record:
        record()
    compared = compare()
    if compared is None:
        print(f"Python {VERSION} has no baseline: --record makes one")
        return 1
    for one in compared:
        print(one)
    return int(any(one.is_slower for one in compared))


if __name__ == "__main__":
    sys.exit(main())

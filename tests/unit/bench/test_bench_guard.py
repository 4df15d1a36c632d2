"""When the guard of the hot path says that it has become slower, and what it says."""

import json
from pathlib import Path

import pytest
from bench import guard
from bench.hot_path import REFERENCE, SECTIONS

BASELINE = 0.5
COUNTED = 1_000_000


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A baseline of this Python's in a file of its own, and a command line without arguments."""
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({guard.VERSION: dict.fromkeys(SECTIONS, BASELINE), "2.7": {}}))
    monkeypatch.setattr(guard, "BASELINE", path)
    monkeypatch.setattr("sys.argv", ["bench.guard"])
    return path


def count(monkeypatch: pytest.MonkeyPatch, *costs: float) -> None:
    """Has each section cost so many times the reference."""
    counted = {name: int(cost * COUNTED) for name, cost in zip(SECTIONS, costs, strict=True)}
    monkeypatch.setattr(guard, "count", lambda: {REFERENCE: COUNTED, **counted})


@pytest.mark.parametrize(
    ("factors", "slower"),
    [
        ((1.0, 1.0), []),
        ((0.5, 0.5), []),
        ((1.09, 1.09), []),
        ((1.11, 1.0), [0]),
        ((0.5, 1.11), [1]),  # what one section gained does not make up for the other
        ((1.2, 3.0), [0, 1]),
    ],
)
def test_a_tenth_more_is_slower(
    monkeypatch: pytest.MonkeyPatch, factors: tuple[float, float], slower: list[int]
) -> None:
    count(monkeypatch, *(factor * BASELINE for factor in factors))
    compared = guard.compare()
    assert compared is not None
    assert [one.section for one in compared] == list(SECTIONS)
    assert [number for number, one in enumerate(compared) if one.is_slower] == slower
    assert guard.main() == int(bool(slower))


def test_says_how_much_of_what(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    count(monkeypatch, 0.6, 0.5)
    guard.main()
    first, second = SECTIONS
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{first}: 0.60000, +20.0% against 0.50000", f"{second}: 0.50000, +0.0% against 0.50000"]


def test_a_python_without_baseline_is_not_judged(monkeypatch: pytest.MonkeyPatch, recorded: Path) -> None:
    recorded.write_text("{}")
    count(monkeypatch, 0.6, 0.5)
    assert guard.compare() is None
    assert guard.main() == 1


def test_record_keeps_what_was_counted_and_other_versions(monkeypatch: pytest.MonkeyPatch, recorded: Path) -> None:
    monkeypatch.setattr("sys.argv", ["bench.guard", "--record"])
    count(monkeypatch, 0.7, 0.123456)
    assert guard.main() == 0
    kept = json.loads(recorded.read_text())
    assert kept == {guard.VERSION: dict(zip(SECTIONS, (0.7, 0.12346), strict=True)), "2.7": {}}

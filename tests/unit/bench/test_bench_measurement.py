"""Medians, spreads, ratios of neighbours, and when everything runs again."""

from collections.abc import Callable

import pytest
from bench.measurement import Run, Series, ratio, spread, take_turns
from bench.plot import Bar, chart, short


def run(value: float) -> Run:
    return Run(figures={"MB/s": value}, cpu={"proxy A": value / 10}, length=1_000_000_000)


def scripted(values: list[float], calls: list[str], name: str) -> Callable[[], Run]:
    script = iter(values)

    def work() -> Run:
        calls.append(name)
        return run(next(script))

    return work


def quiet(_text: str) -> None:
    """Nobody watches."""


def test_contenders_take_turns_after_a_run_that_does_not_count() -> None:
    calls: list[str] = []
    contenders = {name: scripted([9, 10, 10, 10], calls, name) for name in ("a", "b")}
    series = take_turns("ct", contenders, rounds=3, deadline=float("inf"), say=quiet)
    assert calls == ["a", "b"] * 4
    assert [one.contender for one in series] == ["a", "b"]
    assert [list(one.values("MB/s")) for one in series] == [[10, 10, 10]] * 2
    assert not any(one.is_wide for one in series)


def test_a_wide_spread_has_everybody_run_again() -> None:
    calls: list[str] = []
    contenders = {"a": scripted([0, 5, 9, 10, 10], calls, "a"), "b": scripted([0, 1, 1, 1, 1], calls, "b")}
    said: list[str] = []
    series = take_turns("ct", contenders, rounds=2, deadline=float("inf"), say=said.append)
    assert calls == ["a", "b"] * 5
    assert [one.attempts for one in series] == [2, 2]
    assert series[0].values("MB/s") == [10, 10]
    assert any("a spread of more than 25% (a)" in text for text in said)


@pytest.mark.parametrize(("deadline", "attempts"), [(float("inf"), 3), (float("-inf"), 1)])
def test_but_not_for_ever(deadline: float, attempts: int) -> None:
    contenders = {"a": scripted([1, 9] * 3, [], "a")}
    series = take_turns("ct", contenders, rounds=2, deadline=deadline, is_warmed_up=False, say=quiet)
    assert series[0].attempts == attempts
    assert series[0].is_wide


def test_a_ratio_is_that_of_neighbours() -> None:
    """The machine became twice as slow between the rounds, for both alike."""
    found = ratio([10, 5, 5], [20, 10, 10])
    assert found.median == 0.5
    assert found.spread == 0
    assert spread([5, 5, 10]) == 1


def test_cpu_is_told_for_what_was_carried() -> None:
    series = Series(workload="ct", contender="pair", runs=[run(10), run(12)])
    assert series.cpu("proxy A") == pytest.approx(1.1)
    assert series.cpu_per_gigabyte("proxy A") == pytest.approx(1.1)


def test_a_chart_names_its_bars_safely() -> None:
    drawn = chart("C-ECHO", "ms", [Bar(label="a < b", median=2.0, low=1.0, high=3.0, is_ours=True)])
    assert drawn.startswith("<svg ")
    assert "a &lt; b" in drawn
    assert ">2<" in drawn


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (100.4, "100"), (12.345, "12.3"), (0.5, "0.5")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert short(value) == text

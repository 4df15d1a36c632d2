"""`dimse-proxy queue`: which objects its options mean, and what is wrong with those that mean none."""

import re
import sys
from pathlib import Path

import pytest

from dimse_proxy.cli.main import run
from dimse_proxy.cli.queuebook import flows
from dimse_proxy.cli.queuebook.asked import Asked, wanted_of
from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.queueing.listing import State, Wanted


def test_nothing_said_means_everything() -> None:
    assert wanted_of(Asked(), Settings()) == Wanted()
    assert not Asked(channel="B", direction="in").is_choice
    assert Asked(everything=True).is_choice
    assert Asked(states=("dead",)).is_choice


def test_what_is_said() -> None:
    found = wanted_of(
        Asked(name="3f9a52c01b7e/12", study="1.2.3", calling="CT 1", called="PACS ", states=("dead", "resting")),
        Settings(),
    )
    assert (found.association, found.number, found.study, found.called) == ("3f9a52c01b7e", 12, "1.2.3", "PACS")
    assert found.askers == {"CT=201"}
    assert found.states == {State.DEAD, State.RESTING}


@pytest.mark.parametrize(("age", "seconds"), [("90", 90), ("90s", 90), ("1.5 h", 5400), ("15m", 900), ("2d", 172800)])
def test_ages(age: str, seconds: float) -> None:
    found = wanted_of(Asked(older=age, newer="10d"), Settings())
    assert found.began_before is not None
    assert found.began_after is not None
    assert found.began_before - found.began_after == pytest.approx(864000 - seconds, abs=1)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Asked(name="PACS"), "'PACS' names nothing"),
        (Asked(name="3f9a52c01b7e/0"), "'3f9a52c01b7e/0' names nothing"),
        (Asked(calling="A\\B"), "--calling: "),
        (Asked(called="longer than sixteen"), "--called: "),
        (Asked(older="soon"), "--older is 'soon': a number with s, m, h or d"),
        (Asked(newer="3 weeks"), "--newer is '3 weeks'"),
        (Asked(study="Doe^John"), "--study is 'Doe^John': a Study Instance UID"),
        (Asked(states=("lost",)), "--state is 'lost': waiting, resting, delivering, dead, unreadable"),
        (Asked(direction="up"), "--direction is 'up': out or in"),
    ],
)
def test_what_is_mistyped_is_a_sentence(asked: Asked, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        wanted_of(asked, Settings())
    (text,) = error.value.problems
    assert text.startswith(problem)
    assert text.endswith(".")


@pytest.mark.parametrize("command", ["list", "show", "retry", "move", "purge", "drain"])
def test_every_command_has_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["dimse-proxy", "queue", command, "--help"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "--env-file" in shown
    assert "--channel" in shown


def test_the_commands_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    document = (Path(__file__).parents[3] / "docs" / "store-and-forward.md").read_text()
    commands = re.findall(r"^dimse-proxy queue .*$", document, re.MULTILINE)
    assert len(commands) >= 8
    asked: list[Wanted] = []

    def with_flows(_environ: object, _env_file: object, chosen: Asked, _work: object) -> int:
        asked.append(wanted_of(chosen, Settings()))
        return 0

    monkeypatch.setattr(flows, "with_flows", with_flows)
    for command in commands:
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit) as ended:
            run()
        assert not ended.value.code, command
    assert len(asked) == len(commands)


def test_nothing_is_changed_without_a_choice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dimse-proxy", "queue", "retry", "--channel", "B"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert "which objects?" in capsys.readouterr().err

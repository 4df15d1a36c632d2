"""The command line: what each subcommand is handed, and what becomes of its errors."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dimse_proxy.cli
from dimse_proxy import __version__
from dimse_proxy.cli.main import run
from dimse_proxy.errors import ConfigError, TransportError

ROUTES: dict[str, object] = {
    "env_file": None,
    "called": None,
    "calling": None,
    "register": False,
    "address": None,
    "as_json": False,
}


class Subcommand:
    """Stands in for the module of a subcommand; keeps what it is handed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, outcome: object) -> None:
        self.arguments: dict[str, Any] = {}
        self._outcome = outcome
        module = ModuleType(f"dimse_proxy.cli.{name}")
        module.run = self._run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(dimse_proxy.cli, name, module, raising=False)

    def _run(self, **arguments: object) -> object:
        self.arguments = arguments
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dimse-proxy", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        run()
    code = exit_info.value.code
    return code if isinstance(code, int) else 0


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"dimse-proxy {__version__}\n"


def test_help_names_every_subcommand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    assert [name for name in ("run", "demo", "echo", "config", "doctor", "top", "routes") if name not in shown] == []


@pytest.mark.parametrize(
    ("arguments", "handed"),
    [
        (["run"], {"env_file": None, "embedded_nats": None, "pid_file": None}),
        (
            ["run", "--env-file", "a.env", "--embedded-nats", "127.0.0.1:4333", "--pid-file", "a.pid"],
            {"env_file": Path("a.env"), "embedded_nats": "127.0.0.1:4333", "pid_file": Path("a.pid")},
        ),
        (["health"], {"env_file": None, "ready": False}),
        (["health", "--ready", "--env-file", "a.env"], {"env_file": Path("a.env"), "ready": True}),
        (["config", "--env-file", "a.env"], {"env_file": Path("a.env")}),
        (["echo"], {"env_file": None, "called": None, "calling": None, "channel": None}),
        (
            ["echo", "--env-file", "a.env", "--called", "PACS", "--calling", "CT1", "--channel", "S1"],
            {"env_file": Path("a.env"), "called": "PACS", "calling": "CT1", "channel": "S1"},
        ),
        (["routes"], ROUTES),
        (
            ["routes", "--called", "A", "--calling", "B", "--json"],
            ROUTES | {"called": "A", "calling": "B", "as_json": True},
        ),
        (["routes", "--register", "--address", "10.0.0.1"], ROUTES | {"register": True, "address": "10.0.0.1"}),
        (["doctor"], {"env_file": None, "as_json": False}),
        (["doctor", "--json", "--env-file", "a.env"], {"env_file": Path("a.env"), "as_json": True}),
        (["top"], {"env_file": None, "url": None, "once": False}),
        (["top", "--once", "--url", "http://a"], {"env_file": None, "url": "http://a", "once": True}),
        (["demo"], {"keep": False}),
        (["demo", "--keep"], {"keep": True}),
    ],
)
def test_what_a_subcommand_is_handed(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], handed: dict[str, object]
) -> None:
    monkeypatch.setenv("DIMSE_AE", "PACS")
    subcommand = Subcommand(monkeypatch, arguments[0], None)
    assert start(monkeypatch, *arguments) == 0
    environ = subcommand.arguments.pop("environ", None)
    assert subcommand.arguments == handed
    assert arguments[0] == "demo" or environ["DIMSE_AE"] == "PACS"


@pytest.mark.parametrize("name", ["config", "echo", "demo", "doctor", "top"])
@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_that_of_the_subcommand(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    Subcommand(monkeypatch, name, code)
    assert start(monkeypatch, name) == code


@pytest.mark.parametrize("name", ["run", "echo"])
def test_wrong_settings_are_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    Subcommand(monkeypatch, name, ConfigError(["DIMSE_PORT=0: wrong.", "DIMSE_AE=x: wrong."]))
    assert start(monkeypatch, name) == 2
    assert capsys.readouterr().err == "DIMSE_PORT=0: wrong.\nDIMSE_AE=x: wrong.\n"


def test_an_address_that_cannot_be_had_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Subcommand(monkeypatch, "run", TransportError("cannot listen on 0.0.0.0:104: Permission denied"))
    assert start(monkeypatch, "run") == 1
    assert capsys.readouterr().err == "cannot listen on 0.0.0.0:104: Permission denied\n"


@pytest.mark.parametrize("arguments", [["walk"], ["run", "--fast"], ["config", "--env-file"]])
def test_a_wrong_command_line(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    assert start(monkeypatch, *arguments) == 2


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    Subcommand(monkeypatch, "run", RuntimeError("a bug"))
    monkeypatch.setattr(sys, "argv", ["dimse-proxy", "run"])
    with pytest.raises(RuntimeError, match="a bug"):
        run()

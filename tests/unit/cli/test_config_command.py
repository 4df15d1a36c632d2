"""What `dimse-proxy config` writes for each kind of value."""

import io
import re
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from dimse_proxy.cli.config import describe_contexts, rows_of, run
from dimse_proxy.config.contexts import ContextFilter, Service, UidList
from dimse_proxy.config.settings import FIELD_OF, load_settings, review_settings
from dimse_proxy.config.shown import written
from dimse_proxy.config.values import EVERY_NETWORK


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (60.0, "60"),
        (2.5, "2.5"),
        (4194304, "4194304"),
        (("A", "B"), "A,B"),
        ((), ""),
        ({"A": "B", "C": "D"}, "A=B,C=D"),
        (EVERY_NETWORK, "*"),
        (SecretStr("hunter2"), "********"),
    ],
)
def test_written(value: object, text: str) -> None:
    assert written(value) == text


def test_what_is_shown_is_what_one_would_set() -> None:
    environ = {
        "DIMSE_NATS_URL": "one,tls://two:443",
        "DIMSE_AE": "PACS,*",
        "DIMSE_MOVE_ALIASES": "WS1=X1,WS2=X2",
        "DIMSE_ALLOWED_HOSTS": "10.0.0.0/8,::1",
        "DIMSE_CONNECT_TIMEOUTSECONDS": "2.5",
        "DIMSE_TLS_PROTOCOL_VERSIONS": "TLSv1.2,TLSv1.3",
    }
    settings = load_settings(environ, None).settings
    again = {name: written(getattr(settings, field)) for name, field in FIELD_OF.items()}
    assert load_settings(again, None).settings == settings


def test_a_wrong_value_is_shown_as_it_was_given_and_secrets_never() -> None:
    reviewed = review_settings(
        {"DIMSE_PORT": "7000\n0", "DIMSE_NATS_URL": "u:hunter2@one", "DIMSE_NATS_AUTH_TOKEN": "hunter2"}, None
    )
    rows = {variable: (value, origin) for variable, value, origin in rows_of(reviewed)}
    assert list(rows) == list(FIELD_OF)
    assert rows["DIMSE_PORT"] == ("7000\\n0", "environment (wrong)")
    assert rows["DIMSE_NATS_URL"] == ("********", "environment (wrong)")
    assert rows["DIMSE_NATS_AUTH_TOKEN"] == ("********", "environment")
    assert rows["DIMSE_HOST"] == ("0.0.0.0", "default")


def test_the_filter_is_summed_up() -> None:
    listed = UidList(uids=frozenset({"1.2", "1.3"}), every=False)
    every = UidList(uids=frozenset(), every=True)
    lines = describe_contexts(
        ContextFilter(
            sop_classes={Service.IMAGE: listed, Service.QUERY: every}, transfer_syntaxes={Service.SERVICE: listed}
        ),
        Path("folder"),
    )
    assert lines[2:] == [
        "  IMAGE    2 SOP classes, all transfer syntaxes",
        "  QUERY    all SOP classes, all transfer syntaxes",
        "  SERVICE  all SOP classes, 2 transfer syntaxes",
    ]
    assert "every presentation context passes" in describe_contexts(None, Path("folder"))[1]


def test_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"DIMSE_NATS_URL": "one", "DIMSE_CONFIG_PATH": "/nowhere/dimse-config"}
    assert run(environ=environ, env_file=None) == 0
    assert run(environ=environ | {"DIMSE_PORT": "0", "DIMSE_DEVICE": "x"}, env_file=None) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in errors] == [["warning:", "DIMSE_DEVICE"], ["problem:", "DIMSE_PORT=0"]]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("TERM", raising=False)
    environ = {"DIMSE_NATS_URL": "one", "DIMSE_PORT": "0", "DIMSE_AE": "[bold]PACS"}
    assert run(environ=environ, env_file=None) == 1
    rows = [re.sub("\x1b\\[[0-9;]*m", "", line).split() for line in stream.getvalue().splitlines()]
    assert ["DIMSE_PORT", "0", "environment", "(wrong)"] in rows
    assert ["DIMSE_AE", "[bold]PACS", "environment"] in rows


def test_problems_of_the_folder_stand_beside_those_of_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "IMAGE_CUIDS").write_text("CT:1.2.x\n")
    environ = {"DIMSE_NATS_URL": "one", "DIMSE_PORT": "0", "DIMSE_CONFIG_PATH": str(tmp_path)}
    assert run(environ=environ, env_file=None) == 1
    errors = capsys.readouterr().err
    assert "DIMSE_PORT=0" in errors
    assert "IMAGE_CUIDS:1" in errors

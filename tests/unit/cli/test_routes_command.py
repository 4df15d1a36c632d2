"""`dimse-proxy routes`: the tables, the answers, and what to register."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from dimse_proxy.cli.routes import run
from dimse_proxy.errors import ConfigError

ROOT = Path(__file__).parents[3]
ROUTES = """
channels = ["S1", "S2"]

[[local]]
called = "PACS_S1"
channel = "S1"
ask_for = "PACS"

[[local]]
called = "*"
channel = "S2"

[[target]]
asked_for = ["ARCHIVE", "a|b"]
hosts = ["pacs1:104", "[::1]:104"]
ae = "MAIN"
tls = true
calling = "alias"
max_associations = 5

[[target]]
asked_for = "RIS"
hosts = "ris"
channels = "S1"
calling = "own"

[[move_alias]]
asker = "WS1"
alias = "WS1_OF_S1"
channel = "S1"
"""


def environ(folder: Path, text: str = ROUTES, **variables: str) -> dict[str, str]:
    path = folder / "routes.toml"
    path.write_text(text)
    values = {"NATS_URL": "n", "NATS_SUBJECT_CHANNEL": "HUB", "AE": "HUB", "CONFIG_PATH": str(folder / "none")}
    return {f"DIMSE_{name}": value for name, value in {**values, "ROUTES_FILE": str(path), **variables}.items()}


def printed(capsys: pytest.CaptureFixture[str], folder: Path, code: int = 0, **arguments: Any) -> str:
    variables = arguments.pop("variables", {})
    assert run(environ=environ(folder, **variables), **arguments) == code
    return capsys.readouterr().out


def answers(capsys: pytest.CaptureFixture[str], folder: Path, code: int = 0, **arguments: Any) -> dict[str, Any]:
    """By where the association comes from."""
    said = json.loads(printed(capsys, folder, code, as_json=True, **arguments))
    return {answer["from"]: answer for answer in said["answers"]}


def test_tables_and_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(environ=environ(tmp_path)) == 0
    out, err = capsys.readouterr()
    for words in ("Channel HUB to S1, S2", "PACS_S1", "any other AE title", "WS1_OF_S1", "pacs1:104, then", "5 assoc"):
        assert words in out
    assert [line.split(" cannot")[0] for line in err.splitlines()] == ["warning: RIS@ris:11112"]


def test_without_a_routes_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(environ={"DIMSE_NATS_URL": "n", "DIMSE_CONFIG_PATH": str(tmp_path)}) == 0
    out = capsys.readouterr().out
    assert "Channel A to B; own AE title INGESTION; no routes file" in out
    assert out.count("none") == 2, "no alias, no target"


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = json.loads(printed(capsys, tmp_path, as_json=True))
    assert table["file"] == str(tmp_path / "routes.toml")
    assert (table["channel"], table["peer_channels"], table["default_channel"]) == ("HUB", ["S1", "S2"], None)
    assert table["local"][1] == {
        "called": "*",
        "channel": "S2",
        "ask_for": None,
        "delivery": "relay",
        "requires_target": False,
    }
    assert table["targets"][0] == {
        "asked_for": ["ARCHIVE", "a|b"],
        "channels": ["S1", "S2"],
        "ae": "MAIN",
        "hosts": ["pacs1:104", "[::1]:104"],
        "tls": True,
        "calling": "alias",
        "max_associations": 5,
        "connect_timeout_seconds": 10,
    }
    assert table["move_aliases"] == [{"asker": "WS1", "alias": "WS1_OF_S1", "channel": "S1"}]
    assert len(table["warnings"]) == 1


def test_where_an_association_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answers(capsys, tmp_path, called="ARCHIVE", calling="WS1")
    assert found["this network"]["to"] == "channel S2, asked for ARCHIVE"
    first, second = found["channel S1"], found["channel S2"]
    assert first["to"] == "MAIN@pacs1:104, then [::1]:104 with TLS, with WS1_OF_S1 as calling AE title"
    assert first["call_back"] == "it can call WS1 back, on channel S1"
    assert second["to"].endswith("with WS1 as calling AE title")
    assert second["call_back"] == "it can call WS1 back, on channel S2"


def test_where_it_does_not_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answers(capsys, tmp_path, called=" RIS ", calling="WS1")
    assert found["channel S1"]["goes"]
    assert "cannot call WS1 back" in found["channel S1"]["call_back"]
    assert found["channel S2"]["goes"] is False
    assert found["channel S2"]["to"].startswith("refused (result 1, source 1, reason 7): no target of this side")
    without_rest = {"text": ROUTES.replace('"*"', '"OTHER"')}
    found = answers(capsys, tmp_path, 1, called="NOBODY", variables=without_rest)
    assert found["this network"]["to"].startswith("refused (result 1, source 1, reason 7): called AE title 'NOBODY'")


def test_an_alias(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answers(capsys, tmp_path, called="WS1_OF_S1")
    assert found["this network"]["to"] == "channel S1, asked for WS1, whose Move alias WS1_OF_S1 is"


def test_lists_are_considered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = {
        "ALLOWED_CALLING_AES": "CT1",
        "ALLOWED_HOSTS": "10.0.0.0/8",
        "ALLOWED_CALLING_AES_IN": "WS1,WS2",
        "ALLOWED_HOSTS_IN": "10.1.0.0/16",
        "ALLOWED_CALLED_AES_IN": "ARCHIVE",
        "ALLOWED_OPERATIONS_IN": "*,!N-DELETE",
    }
    found = answers(capsys, tmp_path, called="ARCHIVE", calling="WS1", variables=lists)
    assert "reason 3" in found["this network"]["to"]
    assert found["channel S1"]["only_if"] == ["its address is in DIMSE_ALLOWED_HOSTS_IN: 10.1.0.0/16"]
    assert found["channel S1"]["operations"] == "*, !N-DELETE"
    found = answers(capsys, tmp_path, called="ARCHIVE", variables=lists)
    assert found["this network"]["only_if"] == [
        "its calling AE title is in DIMSE_ALLOWED_CALLING_AES: CT1",
        "its address is in DIMSE_ALLOWED_HOSTS: 10.0.0.0/8",
    ]
    found = answers(capsys, tmp_path, 1, called="RIS", calling="WS1", variables=lists)
    assert "DIMSE_ALLOWED_CALLED_AES_IN" in found["channel S1"]["to"]


def test_answers_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "contexts"
    folder.mkdir()
    (folder / "IMAGE_CUIDS").write_text("*\n")
    hosts = {"CONFIG_PATH": str(folder), "ALLOWED_HOSTS_IN": "10.0.0.0/8"}
    lines = printed(capsys, tmp_path, called="RIS", calling="WS1", variables=hosts).splitlines()
    assert lines[0] == "From this network, WS1 calling RIS goes to channel S2, asked for RIS."
    assert lines[1] == f"  operations: *; presentation contexts: those that {folder} lets pass"
    assert lines[2].startswith("From channel S1, WS1 calling RIS goes to RIS@ris:11112, with HUB as calling")
    assert lines[3] == "  only if its address is in DIMSE_ALLOWED_HOSTS_IN: 10.0.0.0/8"
    assert lines[4].startswith("  it cannot call WS1 back")
    assert lines[-1].startswith("From channel S2, WS1 calling RIS is refused")
    assert "an association calling RIS" in printed(capsys, tmp_path, called="RIS")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"called": "SEVENTEEN_LETTERS"}, "--called: AE title 'SEVENTEEN_LETTERS' has 17 characters, and at most 16"),
        ({"called": " "}, "--called: an AE title has at least one character"),
        ({"called": "A", "calling": "a\\b"}, "--calling: AE title 'a\\\\b' holds a backslash"),
        ({"register": True, "called": "A"}, "--register writes Markdown about everything"),
        ({"register": True, "as_json": True}, "--register writes Markdown about everything"),
        ({"address": "10.1.2.3"}, "--address is for --register."),
        ({"register": True, "address": "10.1.2.3:104"}, "--address: '10.1.2.3:104' is neither a host name nor an"),
    ],
)
def test_options_that_are_mistyped(tmp_path: Path, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        run(environ=environ(tmp_path), **arguments)
    [problem] = raised.value.problems
    assert problem.startswith(sentence)


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"routes\.toml:2: calld is unknown"):
        run(environ=environ(tmp_path, "[[local]]\ncalld = 'A'"))
    with pytest.raises(ConfigError, match="--called is needed"):
        run(environ=environ(tmp_path), calling="A")


# What to register.


def test_the_page_of_the_documentation_is_what_the_example_makes() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "generate_registration.py"))["source"]()
    assert (ROOT / "docs" / "registration.md").read_text(encoding="utf-8") == made


def test_registration_names_every_title_once_for_each_who_needs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = printed(capsys, tmp_path, register=True, address="10.0.0.7", variables={"PORT": "104"})
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for row in (
        "| `PACS_S1` | 10.0.0.7 | 104 | no | `PACS` at channel S1 |",
        "| any other | 10.0.0.7 | 104 | no | the AE of that title at channel S2 |",
        "| `WS1_OF_S1` | 10.0.0.7 | 104 | no | the asker `WS1` at channel S1 |",
        "| `MAIN` | pacs1:104, then [::1]:104 | yes | `WS1_OF_S1`; that of each asker without alias | channel S1, S2 |",
        "| as asked for | ris:11112 | no | `HUB` | channel S1 |",
        "| S1 | `ARCHIVE`, `a\\|b`, `RIS` | `WS1` |",
        "| S2 | `ARCHIVE`, `a\\|b` | none |",
    ):
        assert row in rows
    assert "## Calling back" in page


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "(the address of the proxy) | 11112 | no"),
        ({"HOST": "10.9.9.9"}, "10.9.9.9 | 11112 | no"),
        ({"HOST": "proxy.example", "TLS_ENABLED": "true", "TLS_KEYSTORE": "k"}, "proxy.example | 11112 | yes"),
        ({"TLS_PORT": "2762", "TLS_KEYSTORE": "k"}, "11112 / 2762 | no / yes"),
        ({"ALLOWED_CALLING_AES": "CT1,MR1"}, "`CT1`, `MR1`"),
        ({"BIND_HOST": "10.5.5.5"}, "Let these calling AE titles in, from 10.5.5.5."),
    ],
)
def test_addresses_and_ports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], variables: dict[str, str], words: str
) -> None:
    assert words in printed(capsys, tmp_path, register=True, variables=variables)


def test_nothing_to_register(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, tmp_path, register=True, variables={"text": "channels = ['S1', 'S2']"})
    assert page.count("Nothing") == 3


@pytest.mark.parametrize(("calling", "shown"), [("original", "that of each asker itself"), ("FIXED", "`FIXED`")])
def test_the_calling_title_to_let_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], calling: str, shown: str
) -> None:
    text = ROUTES.replace('calling = "alias"', f'calling = "{calling}"')
    assert f"| yes | {shown} |" in printed(capsys, tmp_path, register=True, variables={"text": text})

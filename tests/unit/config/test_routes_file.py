"""The routes file by itself: what it may say, and a sentence with file and line for everything that is wrong."""

from pathlib import Path

import pytest

from dimse_proxy.config.routes_file import RoutesFile, read_routes_file
from dimse_proxy.errors import ConfigError

WHOLE = """
channels = ["S1", "S2"]

[[local]]
called = " PACS_S1 "
channel = "S1"
ask_for = "PACS"

[[local]]
called = "ws 1"
channel = "S2"

[[target]]
asked_for = ["ARCHIVE", "SIXTEEN_LETTERS_"]
hosts = ["pacs1.example.org:104", "10.1.2.3", "[fd00::1]:11113", "fd00::2"]
channels = ["S1"]
ae = "DCM4CHEE"
calling = "original"
tls = true
connect_timeout_seconds = 3
max_associations = 20

[[target]]
asked_for = "*"
hosts = "ris"

[[move_alias]]
asker = "WS1"
alias = "WS1_OF_S1"
channel = "S1"
"""


def read(folder: Path, text: str) -> RoutesFile:
    path = folder / "routes.toml"
    path.write_text(text)
    return read_routes_file(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    return [sentence.replace(str(folder / "routes.toml"), "F") for sentence in raised.value.problems]


def test_all_that_it_may_say(tmp_path: Path) -> None:
    file = read(tmp_path, WHOLE)
    content = file.content
    assert content.channels == ("S1", "S2")
    assert [(entry.called, entry.channel, entry.ask_for) for entry in content.local] == [
        ("PACS_S1", "S1", "PACS"),
        ("ws 1", "S2", None),
    ]
    archive, rest = content.target
    assert archive.asked_for == ("ARCHIVE", "SIXTEEN_LETTERS_")
    assert archive.hosts == (("pacs1.example.org", 104), ("10.1.2.3", 11112), ("fd00::1", 11113), ("fd00::2", 11112))
    assert (archive.channels, archive.ae, archive.calling) == (("S1",), "DCM4CHEE", "original")
    assert (archive.tls, archive.connect_timeout_seconds, archive.max_associations) == (True, 3, 20)
    assert (rest.asked_for, rest.hosts, rest.channels) == (("*",), (("ris", 11112),), ())
    assert (rest.tls, rest.ae, rest.calling, rest.max_associations) == (None, None, None, 0)
    assert [(entry.asker, entry.alias, entry.channel) for entry in content.move_alias] == [("WS1", "WS1_OF_S1", "S1")]
    assert file.place("target", 1, "hosts") == f"{tmp_path / 'routes.toml'}:25"
    assert file.place("target", 1, "tls") == f"{tmp_path / 'routes.toml'}:23", "what is not there: where it would be"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\ufeff# of an editor\n", "local = []"])
def test_it_may_say_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).content.local == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("chanels = ['S1']", "F:1: chanels is unknown in routes file; the nearest known name is channels."),
        ("\n[[targets]]\n", "F:2: targets is unknown in routes file; the nearest known name is target."),
        (
            "[[local]]\ncalled = 'A'\nasks_for = 'B'",
            "F:3: asks_for is unknown in [[local]]; the nearest known name is ask_for.",
        ),
        ("[local]\ncalled = 'A'", 'F:1: local = {"called": "A"}: [[local]] tables are right.'),
        ("# x\n[[local]]\nchannel = 'S1'", "F:2: [[local]] without called: one AE title in quotes is right, or *."),
        (
            "[[target]]\nasked_for = 'A'",
            'F:1: [[target]] without hosts: "host", "host:port" or a list of them is right.',
        ),
        (
            "[[local]]\ncalled = 'SEVENTEEN_LETTERS'",
            'F:2: called = "SEVENTEEN_LETTERS": '
            "AE title 'SEVENTEEN_LETTERS' has 17 characters, and at most 16 are right.",
        ),
        ("[[local]]\ncalled = 7", "F:2: called = 7: one AE title in quotes is right, or *."),
        ("[[local]]\ncalled = 'A'\nask_for = '*'", 'F:3: ask_for = "*": * is no AE title here: one title is right.'),
        (
            "[[local]]\ncalled = 'A'\nchannel = 'S.1'",
            'F:3: channel = "S.1": a channel is a word of letters, digits, - and _, such as A or B.',
        ),
        (
            "channels = ['S1', 'S 2']",
            'F:1: channels = "S 2": channels are words of letters, digits, - and _, in quotes, one or a list of them.',
        ),
        ("channels = ['S1', 'S1']", 'F:1: channels = ["S1", "S1"]: one of them stands there twice.'),
        (
            "[[target]]\nasked_for = []\nhosts = 'x'",
            "F:2: asked_for = []: an AE title in quotes or a list of them is right, or *.",
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = ['a', \n 'b:0']",
            "F:4: hosts = \"b:0\": '0' is no port: a number from 1 to 65535 is right.",
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = ['a b:104']",
            "F:3: hosts = \"a b:104\": 'a b' is neither a host name nor an address: "
            '"host", "host:port" or a list of them is right.',
        ),
        ("[[target]]\nasked_for = 'A'\nhosts = [104]", "F:3: hosts = 104: 104 is no host: text in quotes is right."),
        (
            "[[target]]\nasked_for = 'A'\nhosts = ['a:11112', 'a']",
            'F:3: hosts = ["a:11112", "a"]: one of them stands there twice.',
        ),
        ("[[target]]\nasked_for = 'A'\nhosts = 'a'\ntls = 'yes'", 'F:4: tls = "yes": true or false is right.'),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a'\nmax_associations = -1",
            "F:4: max_associations = -1: a whole number is right, 0 for no limit.",
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a'\nmax_associations = 1.5",
            "F:4: max_associations = 1.5: a whole number is right, 0 for no limit.",
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a'\nconnect_timeout_seconds = 0",
            "F:4: connect_timeout_seconds = 0: a number of seconds greater than 0 is right.",
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a'\nconnect_timeout_seconds = inf",
            "F:4: connect_timeout_seconds = inf: a number of seconds greater than 0 is right.",
        ),
        ("local = [{called = 'A'},\n {}]", "F:2: [[local]] without called: one AE title in quotes is right, or *."),
        ("local = ['A']", 'F:1: local = "A": [[local]] tables are right.'),
        ("[[LOCAL]]\ncalled = 'A'", "F:1: LOCAL is unknown in routes file; the nearest known name is local."),
        (
            "[[target]]\nasked_for = 'A,B'\nhosts = 'a'",
            'F:2: asked_for = "A,B": \'A,B\' has a comma: several stand in a list, ["ONE", "TWO"].',
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a:104, b:104'",
            "F:3: hosts = \"a:104, b:104\": 'a:104, b:104' is neither a host name nor an address: "
            '"host", "host:port" or a list of them is right.',
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = '10.1.2.300:104'",
            "F:3: hosts = \"10.1.2.300:104\": '10.1.2.300' is neither a host name nor an address: "
            '"host", "host:port" or a list of them is right.',
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a'\ncalling = 'orginal'",
            'F:4: calling = "orginal": '
            "'orginal' is taken for a mistyped original: own, original, alias or another AE title is right.",
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a'\ncalling = ['own']",
            'F:4: calling = ["own"]: "own", "original", "alias" or one AE title in quotes is right.',
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'a'\ntls = 'true'",
            'F:4: tls = "true": true or false is right.',
        ),
    ],
)
def test_one_sentence_for_what_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    assert problems(tmp_path, text) == [sentence]


@pytest.mark.parametrize(
    ("text", "line"), [("a = 1\nb = \n", 2), ("a = '\n'", 1), ("a = [1,\n\n", 2), ("[a]\n[a]", 2), ("=", 1)]
)
def test_what_is_no_toml(tmp_path: Path, text: str, line: int) -> None:
    [sentence] = problems(tmp_path, text)
    assert sentence.startswith(f"F:{line}: ")
    assert "this is no TOML: " in sentence
    assert "(at line" not in sentence


QUOTES = "; text stands in straight quotes, and true and false without any, in lower case."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("called = PACS", f"invalid value{QUOTES}"),
        ("called = “PACS”", f"invalid value{QUOTES}"),
        ("tls = True", f"invalid value{QUOTES}"),
        ("hosts = 10.1.2.3", f"expected newline or end of document after a statement{QUOTES}"),
        ("called: 'PACS'", "expected '=' after a key in a key/value pair."),
        ("called = 'PACS' channel = 'S1'", "expected newline or end of document after a statement."),
    ],
)
def test_the_line_that_is_no_toml_is_shown(tmp_path: Path, line: str, said: str) -> None:
    assert problems(tmp_path, f"[[local]]\n  {line}\n") == [f"F:2: {line}: this is no TOML: {said}"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[[local]]\ncalled = 'A'\n[[local]]\ncalled = ' A '",
            "F:2 and F:4: called AE title 'A' points two ways: one of them is right.",
        ),
        (
            "[[move_alias]]\nasker = 'X'\nalias = 'A'\n[[local]]\ncalled = 'A'",
            "F:5 and F:3: called AE title 'A' points two ways: one of them is right.",
        ),
        (
            "[[move_alias]]\nasker = 'X'\nalias = 'A'\nchannel = 'S1'\n"
            "[[move_alias]]\nasker = 'Y'\nalias = 'A'\nchannel = 'S2'",
            "F:3 and F:7: called AE title 'A' points two ways: one of them is right.",
        ),
        (
            "[[move_alias]]\nasker = 'X'\nalias = 'A'\n[[move_alias]]\nasker = 'X'\nalias = 'B'\nchannel = 'S1'",
            "F:2 and F:5: asker 'X' has two aliases on one channel: one is right.",
        ),
        (
            "[[target]]\nasked_for = 'A'\nhosts = 'x'\n[[target]]\nhosts = 'y'\nasked_for = ['B',\n'A']",
            "F:2 and F:6: asked-for AE title 'A' points two ways: one of them is right.",
        ),
        (
            "[[target]]\nasked_for = '*'\nhosts = 'x'\nchannels = 'S1'\n"
            "[[target]]\nasked_for = '*'\nhosts = 'y'\nchannels = ['S2', 'S1']",
            "F:2 and F:6: asked-for AE title '*' points two ways: one of them is right.",
        ),
        (
            "channels = ['SITE1', 'SITE2']\n[[local]]\ncalled = 'A'\nchannel = 'SITE_1'",
            "F:4: channel SITE_1 is not in the list of line 1; the nearest one there is SITE1.",
        ),
    ],
)
def test_what_points_two_ways_has_both_lines(tmp_path: Path, text: str, sentence: str) -> None:
    assert problems(tmp_path, text) == [sentence]


def test_one_title_for_each_channel_is_right(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        "[[target]]\nasked_for = 'A'\nhosts = 'x'\nchannels = 'S1'\n"
        "[[target]]\nasked_for = 'A'\nhosts = 'y'\nchannels = ['S2']\n"
        "[[move_alias]]\nasker = 'X'\nalias = 'A'\nchannel = 'S1'\n"
        "[[move_alias]]\nasker = 'X'\nalias = 'B'\nchannel = 'S2'\n"
        "[[local]]\ncalled = 'a'",
    )
    assert len(file.content.target) == 2


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = "[[local]]\ncaled = 'A'\nchannel = 'S 1'\n[[target]]\nasked_for = 'A'\nhosts = 'b:c'\ntls = 1\n"
    lines = [sentence.split(": ")[0] for sentence in problems(tmp_path, text)]
    assert sorted(lines) == ["F:1", "F:2", "F:3", "F:6", "F:7"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    with pytest.raises(ConfigError, match=r"^DIMSE_ROUTES_FILE=.*routes\.toml: No such file or directory\.$"):
        read_routes_file(path)
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"not UTF-8 text\.$"):
        read_routes_file(path)

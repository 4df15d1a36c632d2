"""The table that variables and routes file make together, what cannot stand side by side, and reading it again."""

import os
from pathlib import Path

import pytest

from dimse_proxy.config.settings import Settings, load_settings, review_settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.proxy.routes import ANY, AskedFor, LocalAe, MoveAlias, Routes, Target
from dimse_proxy.routing import Routing, described, routing_of
from dimse_proxy.transports.streams import Address

FILE = """
[[local]]
called = "PACS_S1"
channel = "S1"
ask_for = "PACS"

[[target]]
asked_for = "ARCHIVE"
hosts = ["pacs1:104", "pacs2"]

[[move_alias]]
asker = "WS1"
alias = "WS1_OF_S2"
channel = "S2"
"""


def settings(**variables: str) -> Settings:
    environ = {"DIMSE_NATS_URL": "n"} | {f"DIMSE_{name}": text for name, text in variables.items()}
    return load_settings(environ, None).settings


def write(folder: Path, text: str) -> str:
    path = folder / "routes.toml"
    path.write_text(text)
    return str(path)


def table(folder: Path, text: str = FILE, **variables: str) -> Routes:
    return Routing(settings(ROUTES_FILE=write(folder, text), **variables)).table


def problems(folder: Path, text: str | None = None, **variables: str) -> list[str]:
    if text is not None:
        variables["ROUTES_FILE"] = write(folder, text)
    with pytest.raises(ConfigError) as raised:
        Routing(settings(**variables))
    return [sentence.replace(str(folder / "routes.toml"), "F") for sentence in raised.value.problems]


def test_the_variables_alone_are_a_pair_with_one_target(tmp_path: Path) -> None:
    routes = Routing(
        settings(
            CONFIG_PATH=str(tmp_path),
            AE="PACS,*",
            TARGET_HOST="archive",
            TARGET_PORT="104",
            TARGET_TLS_ENABLED="true",
            CALLING_AE="original",
            CONNECT_TIMEOUTSECONDS="3",
            MOVE_ALIASES="WS1=WS1_REMOTE",
            NATS_SUBJECT_CHANNEL="B",
        )
    ).table
    assert (routes.channels, routes.default_channel, routes.own_ae_title) == (("A",), "A", "PACS")
    assert routes.local_aes == (LocalAe(called="PACS", channel="A"), LocalAe(called=ANY, channel="A"))
    assert routes.targets == (
        Target(
            asked_for=(ANY,),
            channels=("A",),
            hosts=(Address("archive", 104),),
            ae_title="DCM4CHEE",
            calling="original",
            has_tls=True,
            connect_timeout=3,
        ),
    )
    assert routes.move_aliases == (MoveAlias(asker="WS1", alias="WS1_REMOTE", channel="A"),)


def test_the_defaults_are_those_of_existing_deployments(tmp_path: Path) -> None:
    routes = Routing(settings(CONFIG_PATH=str(tmp_path))).table
    assert (routes.channels, routes.own_ae_title, routes.targets) == (("B",), "INGESTION", ())
    assert routes.titles == ("INGESTION",)


def test_an_alias_that_is_a_title_of_ours_too_stays_an_alias(tmp_path: Path) -> None:
    routes = Routing(settings(CONFIG_PATH=str(tmp_path), AE="ONE,TWO", MOVE_ALIASES="WS1=TWO")).table
    assert routes.project("TWO") == AskedFor(channel="B", called="WS1", is_alias=True)


def test_the_file_names_the_channels(tmp_path: Path) -> None:
    routes = table(tmp_path, NATS_SUBJECT_CHANNEL="HUB")
    assert (routes.channels, routes.default_channel) == (("S1", "S2"), None)
    assert routes.targets[0].channels == ("S1", "S2"), "a target that names none is for all"
    assert routes.targets[0].hosts == (Address("pacs1", 104), Address("pacs2", 11112))
    assert routes.titles == ("PACS_S1", "WS1_OF_S2"), "nobody asked for INGESTION"


def test_the_variable_chooses_where_the_rest_goes(tmp_path: Path) -> None:
    routes = table(tmp_path, NATS_PEER_CHANNEL="S3", AE="HUB,PACS_S1", MOVE_ALIASES="WS1=WS1_OF_S3")
    assert (routes.channels, routes.default_channel) == (("S3", "S1", "S2"), "S3")
    assert routes.project("PACS_S1") == AskedFor(channel="S1", called="PACS"), "the file says where"
    assert routes.project("HUB") == AskedFor(channel="S3", called="HUB")
    assert routes.project("WS1_OF_S3") == AskedFor(channel="S3", called="WS1", is_alias=True)


def test_a_title_of_ours_without_any_channel_is_only_ours(tmp_path: Path) -> None:
    routes = table(tmp_path, AE="HUB", NATS_SUBJECT_CHANNEL="HUB")
    assert routes.own_ae_title == "HUB"
    assert routes.project("HUB") is None


def test_the_target_of_the_variables_takes_what_is_left(tmp_path: Path) -> None:
    routes = table(tmp_path, TARGET_HOST="rest", TARGET_AE="REST")
    way = routes.way(AskedFor(channel="S1", called="ANYTHING"))
    assert way is not None
    assert (way.called, way.target.hosts) == ("REST", (Address("rest", 11112),))
    archive = routes.way(AskedFor(channel="S1", called="ARCHIVE"))
    assert archive is not None
    assert archive.called == "ARCHIVE"


def test_what_a_target_leaves_out_is_as_the_variables_say(tmp_path: Path) -> None:
    text = "[[target]]\nasked_for = 'A'\nhosts = 'x'\n[[target]]\nasked_for = 'B'\nhosts = 'x'\ntls = false\n"
    text += "calling = 'alias'\nconnect_timeout_seconds = 2\nmax_associations = 5"
    first, second = table(
        tmp_path, text, TARGET_TLS_ENABLED="true", CALLING_AE="FIXED", CONNECT_TIMEOUTSECONDS="7"
    ).targets
    assert (first.has_tls, first.calling, first.connect_timeout, first.max_associations) == (True, "FIXED", 7, 0)
    assert (second.has_tls, second.calling, second.connect_timeout, second.max_associations) == (False, "alias", 2, 5)


@pytest.mark.parametrize("name", ["ROUTES_FILE", "CONFIG_PATH"])
def test_where_the_file_is(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, FILE)
    routing = Routing(settings(**{name: path if name == "ROUTES_FILE" else str(tmp_path)}))
    assert routing.path == Path(path)
    assert len(routing.table.local_aes) == 1


@pytest.mark.parametrize(
    ("text", "variables", "sentences"),
    [
        (None, {"NATS_SUBJECT_CHANNEL": "HUB"}, ["DIMSE_NATS_SUBJECT_CHANNEL=HUB has no other side"]),
        ("", {"NATS_SUBJECT_CHANNEL": "HUB"}, ["DIMSE_NATS_SUBJECT_CHANNEL=HUB has no other side"]),
        (
            "channels = ['S1', 'S2']\n[[local]]\ncalled = 'A'\n[[move_alias]]\nasker = 'B'\nalias = 'C'",
            {"AE": "X,*", "MOVE_ALIASES": "D=E"},
            [
                "DIMSE_AE=X,* says * and not to which channel: S1, S2 are there",
                "DIMSE_MOVE_ALIASES does not say which channel",
                "F:2: [[local]] without channel: S1, S2",
                "F:4: [[move_alias]] without channel: S1, S2",
            ],
        ),
        (
            "channels = ['A', 'S2']\n[[target]]\nasked_for = 'X'\nhosts = 'x'\nchannels = 'A'",
            {},
            ["F:1: A is this side's own channel", "F:5: A is this side's own channel"],
        ),
        ("[[local]]\ncalled = '*'", {"AE": "*"}, ["DIMSE_AE=* and F:2: both say where"]),
        (
            "[[target]]\nasked_for = ['X', '*']\nhosts = 'x'",
            {"TARGET_HOST": "pacs"},
            ["DIMSE_TARGET_HOST=pacs and F:2: both are the target"],
        ),
        (
            "[[local]]\ncalled = 'C'\n[[move_alias]]\nasker = 'X'\nalias = 'Y'",
            {"MOVE_ALIASES": "A=C,B=Y,X=Z"},
            [
                "DIMSE_MOVE_ALIASES and F:2: called AE title 'C' points two ways",
                "DIMSE_MOVE_ALIASES and F:5: called AE title 'Y' points two ways",
                "DIMSE_MOVE_ALIASES and F:4: asker 'X' has two aliases",
            ],
        ),
        (
            "[[target]]\nasked_for = 'X'\nhosts = 'x'\n[[target]]\nasked_for = 'Y'\nhosts = 'x'\ncalling = 'original'",
            {"AE": "*"},
            ["F:1: the target would be called with this proxy's own AE title"],
        ),
        (
            "# x\nchannels = ['CLOUD', 'S1']",
            {"NATS_PEER_CHANNEL": "CLUOD"},
            ["DIMSE_NATS_PEER_CHANNEL=CLUOD is not in the list of F:2; the nearest one there is CLOUD"],
        ),
        (
            "[[target]]\nasked_for = 'X'\nhosts = 'x'\ntls = true",
            {"TLS_VERIFY_HOSTNAME": "false"},
            ["F:1: TLS with DIMSE_TLS_VERIFY_HOSTNAME=false"],
        ),
    ],
)
def test_what_cannot_stand_side_by_side(
    tmp_path: Path, text: str | None, variables: dict[str, str], sentences: list[str]
) -> None:
    found = problems(tmp_path, text, CONFIG_PATH=str(tmp_path), **variables)
    assert len(found) == len(sentences)
    for sentence, beginning in zip(found, sentences, strict=True):
        assert sentence.startswith(beginning)
        assert sentence.endswith(".")


def test_one_asker_may_have_an_alias_on_each_channel(tmp_path: Path) -> None:
    text = "[[move_alias]]\nasker = 'X'\nalias = 'X2'\nchannel = 'S2'"
    routes = table(tmp_path, text, NATS_PEER_CHANNEL="S1", MOVE_ALIASES="X=X1")
    assert (routes.aliases("S1"), routes.aliases("S2")) == ({"X": "X1"}, {"X": "X2"})


def test_beside_wrong_variables_only_the_file_is_judged(tmp_path: Path) -> None:
    environ = {"DIMSE_PORT": "x", "DIMSE_ROUTES_FILE": write(tmp_path, "[[local]]\ncalled = 'A'\nchannel = 'A'")}
    found: list[str] = []
    assert routing_of(review_settings(environ, None), found) is None
    assert found == [], "channel A is the default of a variable that may be meant otherwise"
    write(tmp_path, "x = 1")
    assert routing_of(review_settings(environ, None), found) is None
    assert "x is unknown" in found[0]
    assert routing_of(review_settings({"DIMSE_PORT": "x"}, None), []) is None


# Reading it again.


def touched(path: Path, text: str, seconds: int) -> None:
    path.write_text(text)
    os.utime(path, (seconds, seconds))


def test_a_new_file_makes_a_new_table_once_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    touched(path, FILE, 1000)
    routing = Routing(settings(ROUTES_FILE=str(path)))
    told: list[Routes] = []
    routing.taken = told.append
    assert routing.is_there()
    assert not routing.has_changed()
    touched(path, FILE.replace("PACS_S1", "PACS_OF_S1"), 2000)
    assert not routing.has_changed(), "it may still be being written"
    touched(path, FILE.replace("PACS_S1", "PACS_OF_S1") + "#", 2000)
    assert not routing.has_changed()
    assert routing.has_changed()
    routing.read()
    assert not routing.has_changed()
    assert routing.table.project("PACS_S1") is not None, "not taken yet"
    routing.take()
    assert routing.table.project("PACS_S1") is None
    assert routing.table.project("PACS_OF_S1") is not None
    assert told == [routing.table]


@pytest.mark.parametrize("text", ["nonsense", "[[local]]\ncalled = 'A'", None])
def test_a_file_that_is_wrong_or_gone_changes_nothing(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "routes.toml"
    touched(path, FILE, 1000)
    routing = Routing(settings(CONFIG_PATH=str(tmp_path), NATS_SUBJECT_CHANNEL="HUB"))
    before = routing.table
    if text is None:
        path.unlink()
    else:
        touched(path, text, 2000)
    assert [routing.has_changed() for _ in range(2)] == [False, True]
    with pytest.raises(ConfigError) as raised:
        routing.read()
    routing.keep(raised.value.problems)
    assert routing.table is before
    assert not routing.has_changed(), "it is said once"
    assert [line.startswith("routes stay as they were: ") for line in caplog.messages] == [True]


def test_a_table_that_is_not_prepared_is_not_used(tmp_path: Path) -> None:
    routing = Routing(settings(ROUTES_FILE=write(tmp_path, FILE)))
    before = routing.table

    def prepare(_table: Routes) -> None:
        raise ConfigError(["no key store"])

    routing.prepare = prepare
    with pytest.raises(ConfigError):
        routing.read()
    assert routing.table is before


def test_a_file_that_appears_in_the_config_folder_is_found(tmp_path: Path) -> None:
    routing = Routing(settings(CONFIG_PATH=str(tmp_path)))
    assert not routing.is_there()
    assert not routing.has_changed()
    write(tmp_path, FILE)
    assert routing.is_there()
    assert [routing.has_changed() for _ in range(2)] == [False, True]
    routing.read()
    routing.take()
    assert routing.table.channels == ("S1", "S2")


def test_names_for_one_line() -> None:
    assert described([], "targets") == "none"
    assert described(["A", "B"], "targets") == "A, B"
    assert described(["A"] * 21, "targets") == "21 targets"


def test_what_is_queued_is_said_for_all_or_for_each(tmp_path: Path) -> None:
    file = FILE + '[[local]]\ncalled = "MAIL"\nchannel = "S2"\ndelivery = "store-and-forward"\n'
    assert table(tmp_path).queued_channels == ()
    some = table(tmp_path, file)
    assert some.queued_channels == ("S2",)
    assert some.project("MAIL") == AskedFor(channel="S2", called="MAIL", delivery="store-and-forward")
    assert some.project("PACS_S1") == AskedFor(channel="S1", called="PACS")
    every = table(tmp_path, file.replace("store-and-forward", "relay"), DELIVERY="store-and-forward")
    assert every.queued_channels == ("S1",)
    assert some.takes_without_target("S2")
    assert not some.takes_without_target("S1")
    wary = table(tmp_path, file + "requires_target = true\n")
    assert wary.project("MAIL") == AskedFor(
        channel="S2", called="MAIL", delivery="store-and-forward", requires_target=True
    )
    assert not wary.takes_without_target("S2")
    assert table(tmp_path, file + "requires_target = false\n", QUEUE_REQUIRES_TARGET="true").takes_without_target("S2")
    # Whoever calls a Move alias wants to hear what the asker says.
    assert every.project("WS1_OF_S2") == AskedFor(channel="S2", called="WS1", is_alias=True)
    anything = Routing(settings(CONFIG_PATH=str(tmp_path / "none"), AE="*", DELIVERY="store-and-forward")).table
    assert anything.project("WHATEVER") == AskedFor(channel="B", called="WHATEVER", delivery="store-and-forward")
    wary = Routing(
        settings(CONFIG_PATH=str(tmp_path / "none"), AE="*", DELIVERY="store-and-forward", QUEUE_REQUIRES_TARGET="true")
    ).table
    assert not wary.takes_without_target("B")

"""The table of routes: what each question is answered, and that its size does not matter."""

import dataclasses

import pytest

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.proxy.callbacks import call_back, call_back_troubles
from dimse_proxy.proxy.routes import ANY, AskedFor, LocalAe, MoveAlias, Routes, Target, Way
from dimse_proxy.transports.streams import Address
from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes

HOSTS = (Address("pacs.example", 104),)
ARCHIVE = Target(asked_for=("ARCHIVE", "OLD"), channels=("S1", "S2"), hosts=HOSTS, ae_title="DCM4CHEE")
ONLY_S1 = Target(asked_for=("RIS",), channels=("S1",), hosts=(Address("::1", 11112),))
REST = Target(asked_for=(ANY,), channels=("S1",), hosts=HOSTS, ae_title="CATCH_ALL")
LOCAL = (
    LocalAe(called="PACS_S1", channel="S1", ask_for="PACS"),
    LocalAe(called="PACS_S2", channel="S2", ask_for="PACS"),
    LocalAe(called="ws 1", channel="S1"),
    LocalAe(called="SIXTEEN_LETTERS_", channel="S2"),
)
ALIASES = (
    MoveAlias(asker="WS1", alias="WS1_OF_S1", channel="S1"),
    MoveAlias(asker="WS1", alias="WS1_OF_S2", channel="S2"),
)


def table(**changes: object) -> Routes:
    values: dict[str, object] = {
        "own_ae_title": "HUB",
        "channels": ("S1", "S2"),
        "local_aes": LOCAL,
        "targets": (ARCHIVE, ONLY_S1),
        "move_aliases": ALIASES,
    }
    return Routes(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("called", "channel", "asked"),
    [
        ("PACS_S1", "S1", "PACS"),
        ("PACS_S2", "S2", "PACS"),
        ("ws 1", "S1", "ws 1"),
        ("SIXTEEN_LETTERS_", "S2", "SIXTEEN_LETTERS_"),
    ],
)
def test_a_called_title_leads_to_its_channel(called: str, channel: str, asked: str) -> None:
    assert table().project(called) == AskedFor(channel=channel, called=asked)


@pytest.mark.parametrize("field", [b"ws 1", b"ws 1            ", b"   ws 1         ", b"ws 1\0\0\0"])
def test_outer_spaces_and_padding_do_not_count(field: bytes) -> None:
    assert table().project(ae_title_from_bytes(field)) == AskedFor(channel="S1", called="ws 1")


@pytest.mark.parametrize("called", ["", "WS 1", "ws1", "ws  1", "PACS", "PACS_S11", "SIXTEEN_LETTERS", ANY])
def test_what_is_not_there_leads_nowhere(called: str) -> None:
    assert table().project(called) is None


def test_a_star_takes_what_has_no_entry_of_its_own() -> None:
    named = table(local_aes=(*LOCAL, LocalAe(called=ANY, channel="S2", ask_for="DESK")))
    assert named.project("NOBODY") == AskedFor(channel="S2", called="DESK")
    assert named.project("PACS_S1") == AskedFor(channel="S1", called="PACS")
    as_called = table(local_aes=(LocalAe(called=ANY, channel="S2"),))
    assert as_called.project("NOBODY") == AskedFor(channel="S2", called="NOBODY")


def test_an_alias_leads_to_its_asker() -> None:
    assert table().project("WS1_OF_S2") == AskedFor(channel="S2", called="WS1", is_alias=True)
    assert table().titles[-2:] == ("WS1_OF_S1", "WS1_OF_S2")
    assert table().aliases("S1") == {"WS1": "WS1_OF_S1"}
    assert table().aliases("S3") == {}


def way(asked: AskedFor, routes: Routes | None = None) -> Way | None:
    return (routes or table()).way(asked)


def test_a_channel_finds_what_it_may_ask_for() -> None:
    assert way(AskedFor(channel="S1", called="ARCHIVE")) == Way(target=ARCHIVE, called="DCM4CHEE")
    assert way(AskedFor(channel="S2", called="OLD")) == Way(target=ARCHIVE, called="DCM4CHEE")
    assert way(AskedFor(channel="S1", called="RIS")) == Way(target=ONLY_S1, called="RIS")


@pytest.mark.parametrize(("channel", "called"), [("S2", "RIS"), ("S3", "ARCHIVE"), ("S1", "archive"), ("", "ARCHIVE")])
def test_and_nothing_else(channel: str, called: str) -> None:
    assert way(AskedFor(channel=channel, called=called)) is None


def test_the_rest_of_one_channel_only() -> None:
    routes = table(targets=(ARCHIVE, REST))
    assert way(AskedFor(channel="S1", called="NOBODY"), routes) == Way(target=REST, called="CATCH_ALL")
    assert way(AskedFor(channel="S2", called="NOBODY"), routes) is None
    passed_on = dataclasses.replace(REST, ae_title=None)
    assert way(AskedFor(channel="S1", called="NOBODY"), table(targets=(passed_on,))) == Way(
        target=passed_on, called="NOBODY"
    )


def test_who_is_behind_an_alias_is_called_by_its_own_title() -> None:
    """Both when this side turned the alias into the asker, and when the other side passed an alias of ours on."""
    routes = table(targets=(ARCHIVE, REST))
    behind = AskedFor(channel="S1", called="WS9", is_alias=True)
    assert way(behind, routes) == Way(target=REST, called="WS9")
    passed_on = AskedFor(channel="S1", called="WS1_OF_S1")
    assert way(passed_on, routes) == Way(target=REST, called="WS1", asker="WS1")
    other_site = AskedFor(channel="S1", called="WS1_OF_S2")
    assert way(other_site, routes) == Way(target=REST, called="CATCH_ALL"), "that alias is none on this channel"


def test_a_named_target_has_its_own_title_even_behind_an_alias() -> None:
    station = Target(asked_for=("WS9",), channels=("S1",), hosts=HOSTS, ae_title="STORAGE_OF_WS9")
    behind = AskedFor(channel="S1", called="WS9", is_alias=True)
    assert way(behind, table(targets=(station, REST))) == Way(target=station, called="STORAGE_OF_WS9")


@pytest.mark.parametrize(
    ("rule", "calling", "title"),
    [
        ("own", "WS1", "HUB"),
        ("original", "WS1", "WS1"),
        ("alias", "WS1", "WS1_OF_S2"),
        ("alias", "WS2", "WS2"),
        ("FIXED", "WS1", "FIXED"),
    ],
)
def test_the_calling_title(rule: str, calling: str, title: str) -> None:
    target = dataclasses.replace(ARCHIVE, calling=rule)
    assert table().calling_title(target, channel="S2", calling=calling) == title


def test_names_for_people() -> None:
    two = dataclasses.replace(ARCHIVE, hosts=(*HOSTS, Address("::1", 104)))
    assert two.name == "DCM4CHEE@pacs.example:104,[::1]:104"
    assert ONLY_S1.name == "RIS@[::1]:11112"
    assert two.address("OLD") == "OLD@pacs.example:104"
    assert two.address("OLD", two.hosts[1]) == "OLD@[::1]:104"
    assert [target.title_for_tests for target in (two, ONLY_S1)] == ["DCM4CHEE", "RIS"]
    assert dataclasses.replace(REST, ae_title=None).title_for_tests == "DIMSEPROXY"


def test_tls_of_any_target() -> None:
    assert not table().has_tls_targets
    assert table(targets=(ARCHIVE, dataclasses.replace(ONLY_S1, has_tls=True))).has_tls_targets


@pytest.mark.parametrize(
    "changes",
    [
        {"local_aes": (*LOCAL, LocalAe(called="PACS_S1", channel="S2"))},
        {"local_aes": (LocalAe(called=ANY, channel="S1"), LocalAe(called=ANY, channel="S2"))},
        {"local_aes": (*LOCAL, LocalAe(called="WS1_OF_S1", channel="S1"))},
        {"move_aliases": (*ALIASES, MoveAlias(asker="WS2", alias="WS1_OF_S1", channel="S1"))},
        {"move_aliases": (*ALIASES, MoveAlias(asker="WS1", alias="OTHER", channel="S1"))},
        {"targets": (ARCHIVE, dataclasses.replace(ONLY_S1, asked_for=("OLD",)))},
        {"targets": (REST, REST)},
    ],
)
def test_a_table_that_points_two_ways_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        table(**changes)


class Counted(str):
    """A title that counts how often it is looked at."""

    looks = 0

    def __hash__(self) -> int:
        Counted.looks += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return super().__eq__(other)


def looks_of(routes: Routes, number: int) -> int:
    """How often titles are looked at to find both ways of one association."""
    Counted.looks = 0
    asked = routes.project(Counted(f"CALLED{number}"))
    assert asked is not None
    assert routes.way(AskedFor(channel="S1", called=Counted(f"TARGET{number}"))) is not None
    assert routes.way(AskedFor(channel="S1", called=Counted("NOBODY"))) is None
    return Counted.looks


def test_what_a_lookup_costs_does_not_depend_on_the_number_of_routes() -> None:
    def of(count: int) -> Routes:
        return table(
            local_aes=[LocalAe(called=Counted(f"CALLED{number}"), channel="S1") for number in range(count)],
            targets=[
                Target(asked_for=(Counted(f"TARGET{number}"),), channels=("S1",), hosts=HOSTS)
                for number in range(count)
            ],
        )

    few, many = of(1), of(200)
    assert looks_of(few, 0) == looks_of(many, 0) == looks_of(many, 199)


# Calling back.


def troubles(calling: str, **changes: object) -> list[str]:
    target = Target(asked_for=("ARCHIVE",), channels=("S1",), hosts=HOSTS, calling=calling)
    return list(call_back_troubles(table(targets=(target,), **changes)))


def test_one_calling_title_for_all_cannot_be_called_back() -> None:
    [sentence] = troubles("own")
    assert sentence.startswith("ARCHIVE@pacs.example:104 cannot call back who asks from channel S1: it sees HUB")
    assert "PS3.4 J.3.3" in sentence
    assert "it sees FIXED" in troubles("FIXED")[0]
    # Where the title leads to somebody at that channel, that is who gets all reports.
    [sentence] = troubles("PACS_S1")
    assert sentence.startswith(
        "ARCHIVE@pacs.example:104 calls back one AE for all who ask from channel S1: it sees PACS_S1"
    )
    assert "which asks for PACS there. Where several ask" in sentence
    assert "cannot call back" in troubles("PACS_S2")[0]


@pytest.mark.parametrize("calling", ["original", "alias", "WS1_OF_S1"])
def test_titles_that_lead_back(calling: str) -> None:
    assert troubles(calling) == []


def test_titles_that_lead_to_another_channel() -> None:
    away = {"local_aes": (LocalAe(called="ws 1", channel="S2"), LOCAL[0])}
    assert "none that this proxy answers to" in troubles("original", **away)[0]
    assert troubles("alias", **away) == []
    assert "none that this proxy answers to" in troubles("alias", **away, move_aliases=())[0]
    assert "it sees WS1_OF_S2" in troubles("WS1_OF_S2")[0]


@pytest.mark.parametrize(
    ("calling", "asker", "is_reached"),
    [
        ("own", "WS1", False),
        ("original", "ws 1", True),
        ("original", "WS1", False),
        ("alias", "WS1", True),
        ("alias", "ws 1", True),
        ("alias", "WS2", False),
    ],
)
def test_whether_one_asker_can_be_called_back(calling: str, asker: str, is_reached: bool) -> None:
    target = dataclasses.replace(ARCHIVE, calling=calling)
    back = call_back(table(), target, AskedFor(channel="S1", called="ARCHIVE"), asker)
    assert (back is not None) is is_reached

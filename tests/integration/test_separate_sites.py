"""A hub and two sites with the nats-server configurations that docs/security.md prints, one account or one a site.

First what the server lets each user do, subject by subject; then what proxies make of it.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.integration.peers import dcmtk
from tests.integration.peers.documented_nats import PASSWORDS, Servers, printed
from tests.integration.peers.plain_nats import PlainNats
from tests.integration.peers.sites import Sites
from tests.integration.peers.waiting import LOOPBACK, free_port

CHANNELS: Final = ("HUB", "S1", "S2")
MAY_PUBLISH_TO: Final = {"HUB": ("S1", "S2"), "S1": ("HUB",), "S2": ("HUB",)}
KINDS: Final = ("hello", "i.one", "i.two")
OURS: Final = [f"DIMSE.{to}.{by}.{kind}" for to in CHANNELS for by in CHANNELS for kind in KINDS]
FOREIGN: Final = [
    "DIMSE",
    "DIMSE.HUB",
    "DIMSE.HUB.S1",
    "DIMSE.S3.S1.hello",
    "DIMSE.HUB.S3.hello",
    "dimse.HUB.S1.hello",
    "OTHER.HUB.S1.hello",
    "OTHER.S1.HUB.hello",
    "DIMSE2.S1.HUB.i.one",
    "HUB.S1.hello",
    "_INBOX.one",
    "_INBOX.one.two",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.USER.INFO",
    "$JS.API.INFO",
]
WILDCARDS: Final = [
    ">",
    "*",
    "*.>",
    "*.*.*.hello",
    "DIMSE.>",
    "DIMSE.*.>",
    "DIMSE.*.S1.>",
    "DIMSE.*.*.hello",
    "*.S1.>",
    "_INBOX.>",
    "_INBOX.*",
    "$SYS.>",
    "$SYS.ACCOUNT.>",
    "$JS.>",
    *(f"DIMSE.{channel}.{rest}" for channel in CHANNELS for rest in (">", "*.hello", "*.i.one", "HUB.>", "S1.>")),
    *(f"DIMSE.{channel}.> {channel}-queue" for channel in CHANNELS),
]
ASKED: Final = (*OURS, *FOREIGN, *WILDCARDS)
DENIED: Final = re.compile(
    r"'Permissions Violation for (Publish|Subscription) to \"([^\"]+)\"( using queue \"[^\"]+\")?'"
)


def may_publish(channel: str) -> list[str]:
    return [f"DIMSE.{to}.{channel}.{kind}" for to in MAY_PUBLISH_TO[channel] for kind in KINDS]


def may_subscribe(channel: str) -> list[str]:
    return [subject for subject in ASKED if subject.startswith(f"DIMSE.{channel}.")]


@pytest.fixture(scope="module", params=["sites.conf", "site-accounts.conf"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    with servers.stack:
        yield servers.start(request.param, printed(request.param))


def user(port: int, channel: str) -> PlainNats:
    return PlainNats(port, channel.lower(), PASSWORDS[f"{channel}_PASSWORD"])


def denied(errors: list[str], what: str) -> list[str]:
    found = [DENIED.fullmatch(error) for error in errors]
    assert all(found), errors
    assert {match[1] for match in found if match} <= {what}
    return [match[2] for match in found if match]


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_each_may_publish(port: int, channel: str) -> None:
    with user(port, channel) as client:
        for subject in (*OURS, *FOREIGN):
            client.publish(subject, channel)
        errors, messages = client.settle()
    refused = [subject for subject in (*OURS, *FOREIGN) if subject not in may_publish(channel)]
    assert denied(errors, "Publish") == refused
    assert messages == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_each_may_subscribe_to(port: int, channel: str) -> None:
    with user(port, channel) as client:
        for subject in ASKED:
            client.subscribe(subject)
        errors, messages = client.settle()
    refused = [subject.split()[0] for subject in ASKED if subject not in may_subscribe(channel)]
    assert denied(errors, "Subscription") == refused
    assert messages == []


def exchanged(stack: ExitStack, port: int, everything: str | None = None) -> dict[str, list[tuple[str, str]]]:
    """What each heard after each had published every subject with its name; one of them asks for `>`."""
    clients = {channel: stack.enter_context(user(port, channel)) for channel in CHANNELS}
    for channel, client in clients.items():
        client.subscribe(">" if channel == everything else f"DIMSE.{channel}.>")
        client.settle()
    for channel, client in clients.items():
        for subject in (*OURS, *FOREIGN):
            if channel != everything or not subject.startswith("$"):
                client.publish(subject, channel)
    heard = {channel: client.settle()[1] for channel, client in clients.items()}
    for channel, client in clients.items():
        heard[channel] += client.settle()[1]
    return heard


def meant_for(channel: str) -> list[tuple[str, str]]:
    return [(subject, by) for by in CHANNELS for subject in may_publish(by) if subject.startswith(f"DIMSE.{channel}.")]


def test_each_hears_what_is_for_it_and_nothing_else(port: int) -> None:
    with ExitStack() as stack:
        heard = exchanged(stack, port)
    assert {channel: sorted(messages) for channel, messages in heard.items()} == {
        channel: sorted(meant_for(channel)) for channel in CHANNELS
    }


def test_who_may_do_everything_in_an_account_of_a_site(tmp_path: Path) -> None:
    """The account alone keeps sites apart, whatever its owner lets its users do."""
    text, count = re.subn(
        r"(user: s1, password: \$S1_PASSWORD)\s+permissions: \{.*\}", r"\1", printed("site-accounts.conf")
    )
    assert count == 1
    servers = Servers(tmp_path)
    with servers.stack, ExitStack() as stack:
        heard = exchanged(stack, servers.start("site-accounts.conf", text), everything="S1")
    for channel in ("HUB", "S2"):
        assert sorted(heard[channel]) == sorted(meant_for(channel))
    assert sorted(message for message in heard["S1"] if message[1] != "S1") == sorted(meant_for("S1"))


# Proxies.

HUB_ROUTES: Final = """
channels = ["S1", "S2"]
[[local]]
called = "PACS_S1"
channel = "S1"
ask_for = "PACS"
[[local]]
called = "PACS_S2"
channel = "S2"
ask_for = "PACS"
[[target]]
asked_for = "ARCHIVE"
hosts = "127.0.0.1:{archive}"
[[target]]
asked_for = "VIA_HUB"
channels = "S1"
hosts = "127.0.0.1:{hub}"
ae = "PACS_S2"
"""
SITE_ROUTES: Final = """
channels = ["HUB", "{other}"]
[[local]]
called = "DIRECT"
channel = "{other}"
ask_for = "PACS"
[[local]]
called = "PACS_{other}"
channel = "HUB"
[[local]]
called = "ARCHIVE"
channel = "HUB"
[[local]]
called = "VIA_HUB"
channel = "HUB"
[[target]]
asked_for = "PACS"
hosts = "127.0.0.1:{pacs}"
"""
"""Either site would reach the other one, and lets it reach its PACS: what keeps them apart is not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    sites: Sites
    ports: dict[str, int]

    def echo(self, channel: str, called: str) -> dcmtk.Result:
        return dcmtk.scu("echoscu", self.sites[channel].port, called=called, calling="WS1")


@pytest.fixture(scope="module")
def joined(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    ports = {name: free_port() for name in ("hub", "archive", "S1", "S2")}
    with Sites(f"nats://{LOOPBACK}:{port}", tmp_path_factory.mktemp("sites")) as sites:
        sites.allowed_troubles = r"does not let this user publish to DIMSE\.S[12]\.S[12]\.hello"
        for channel in CHANNELS:
            site = SITE_ROUTES.format(other="S2" if channel == "S1" else "S1", pacs=ports.get(channel))
            sites.start(
                channel,
                HUB_ROUTES.format(**ports) if channel == "HUB" else site,
                NATS_SUBJECT_ROOT="DIMSE",
                NATS_USER=channel.lower(),
                NATS_PASSWORD=PASSWORDS[f"{channel}_PASSWORD"],
                PORT=str(ports["hub"] if channel == "HUB" else free_port()),
            )
        sites.wait_for_peers("HUB", ("S1", "S2"))
        for channel in ("S1", "S2"):
            sites.wait_for_peers(channel, ["HUB"])
        yield Joined(sites=sites, ports=ports)


def test_the_hub_reaches_all_and_all_reach_the_hub(joined: Joined, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in ("archive", "S1", "S2"):
            stack.enter_context(dcmtk.storescp(joined.ports[name], tmp_path / name))
        for channel, called in (("HUB", "PACS_S1"), ("HUB", "PACS_S2"), ("S1", "ARCHIVE"), ("S2", "ARCHIVE")):
            joined.echo(channel, called).ok()


@pytest.mark.parametrize(("channel", "other"), [("S1", "S2"), ("S2", "S1")])
def test_a_site_does_not_reach_another_although_both_have_routes(
    joined: Joined, tmp_path: Path, channel: str, other: str
) -> None:
    """Neither straight nor through the hub, which has a route to the other site for its own network only."""
    with dcmtk.storescp(joined.ports[other], tmp_path, "-d") as pacs:
        assert "Temporary Congestion" in joined.echo(channel, "DIRECT").output
        assert "Called AE Title Not Recognized" in joined.echo(channel, f"PACS_{other}").output
    assert "Application Name" not in pacs.log()
    assert not joined.sites[channel].find(f'"channel": "{other}".*peer appeared|peer appeared.*"channel": "{other}"')
    assert joined.sites[channel].find(rf"does not let this user publish to DIMSE\.{other}\.{channel}\.hello")


def test_a_site_reaches_another_through_the_hub_where_a_route_says_so(joined: Joined, tmp_path: Path) -> None:
    with dcmtk.storescp(joined.ports["S2"], tmp_path):
        joined.echo("S1", "VIA_HUB").ok()
        assert "Called AE Title Not Recognized" in joined.echo("S2", "VIA_HUB").output

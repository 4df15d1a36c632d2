"""A hub: several channels and targets, in health, snapshot and page."""

import re

from dimse_proxy.observability.health import Health
from dimse_proxy.observability.page import Page
from dimse_proxy.proxy.hooks import Side
from dimse_proxy.proxy.routes import LocalAe, MoveAlias, Routes, Target
from dimse_proxy.transports.streams import Address
from tests.unit.observability.watching import ACCEPT, REQUEST, Stage, TunnelDouble, peer, record, refusal, routes

ARCHIVE = Target(asked_for=("ARCHIVE",), channels=("S1", "S2"), hosts=(Address("pacs1", 104), Address("pacs2", 104)))
RIS = Target(asked_for=("RIS", "WORKLIST"), channels=("S1",), hosts=(Address("ris", 104),), ae_title="RIS_HERE")


def hub(**changes: object) -> Routes:
    values: dict[str, object] = {
        "channels": ("S1", "S2", "S3"),
        "default_channel": None,
        "local_aes": [
            LocalAe(called="PACS_S1", channel="S1", ask_for="PACS"),
            LocalAe(called="ONE", channel="S2"),
            LocalAe(called="TWO", channel="S2"),
        ],
        "targets": [ARCHIVE, RIS],
        "move_aliases": [MoveAlias(asker="WS1", alias="WS1_OF_S1", channel="S1")],
    }
    return routes(**{**values, **changes})


def ready(tunnel: TunnelDouble) -> Health:
    health = Health(tunnel, hub, lambda: 102.0, lambda: 102.0)
    health.is_listening = True
    health.nats_connected("nats", 1)
    return health


def test_one_site_is_enough_to_be_ready_and_the_others_are_told() -> None:
    """The outage of one hospital must not take the hub from all others."""
    health = ready(TunnelDouble(known=[peer(channel="S2"), peer(channel="S3", present=False)]))
    assert not health.reasons
    assert health.peer_trouble() is None
    nobody, silent = health.peer_troubles()
    assert nobody == "no proxy is present on channel S1"
    assert silent.startswith("no proxy on channel S3 has been heard since 1970-01-01 00:01:39 UTC (the last was b1)")


def test_without_any_site_it_is_not() -> None:
    health = ready(TunnelDouble(known=[peer(channel="S3", going_away=True)]))
    health.peer_refused("S1", "x", "key-mismatch")
    assert health.reasons["peer"].count(";") == 2
    for words in (
        "channel S1 use another tunnel key",
        "no proxy is present on channel S2",
        "on channel S3 is shutting",
    ):
        assert words in health.reasons["peer"]


def test_each_target_has_its_own_state() -> None:
    health = ready(TunnelDouble())
    assert not health.is_target_known
    health.association_accepted(record(Side.REQUESTOR, target_name=RIS.name), ACCEPT, REQUEST, ())
    assert (health.is_target_known, health.target_trouble) == (True, None)
    health.association_refused(
        record(Side.REQUESTOR, target_name=ARCHIVE.name), refusal("target-unreachable", cause="refused; and refused")
    )
    assert health.targets == {RIS.name: None, ARCHIVE.name: "refused; and refused"}
    assert health.target_trouble == "refused; and refused"


def test_a_target_that_is_no_longer_there_is_forgotten() -> None:
    stage = Stage(routes=hub())
    stage.health.target_said(RIS.name, "down")
    stage.routes = hub(targets=[ARCHIVE])
    assert stage.health.targets == {}
    assert stage.health.target_trouble is None


def test_the_status_has_all_of_them() -> None:
    stage = Stage(routes=hub())
    stage.tunnel.known = [peer(channel="S2")]
    stage.health.target_said(RIS.name, "down")
    status = stage.snapshot.status()
    assert status["peer_channel"] == "S1, S2, S3"
    assert status["peers"]["usable"]
    assert "channel S1" in status["peers"]["reason"]
    assert (status["target"]["address"], status["target"]["reachable"]) == ("2 targets", False)
    assert status["target"]["list"] == [
        {"address": "ARCHIVE@pacs1:104,pacs2:104", "reachable": None, "reason": None},
        {"address": "RIS_HERE@ris:104", "reachable": False, "reason": "down"},
    ]
    pieces = Page(stage.snapshot).pieces()["parts"]
    assert "Peers on channel S1, S2, S3" in pieces
    assert "2 targets" in pieces


def test_the_peers_of_several_sites_are_told_apart_and_those_in_trouble_come_first() -> None:
    stage = Stage(routes=hub())
    stage.tunnel.known = [peer(channel="S2", instance="main"), peer(channel="S3", instance="main", present=False)]
    stage.tunnel.known += [peer(channel="S1", instance=f"p{number}") for number in range(9)]
    stage.tunnel.known += [peer(channel="S1", instance="doctor-1", accepts=False)]
    parts = Page(stage.snapshot).pieces()["parts"]
    names = re.findall(r"<dt>(S\d \w+|more)</dt>", parts)
    assert names == ["S3 main", "S2 main", "S1 p0", "S1 p1", "S1 p2", "more"]
    assert 'class="badge wait">10 present' in parts
    assert "doctor" not in parts


def test_the_routes_for_people() -> None:
    rows = [(row["from"], row["called"], row["to"]) for row in Stage(routes=hub()).snapshot.routes()]
    here = "local network, 0.0.0.0:11112"
    assert rows == [
        (here, "PACS_S1", "PACS at channel S1, the target of its proxy"),
        (here, "ONE, TWO", "channel S2, the target of its proxy"),
        (here, "WS1_OF_S1", "WS1 at channel S1, the target of its proxy"),
        ("channel S1, S2", "ARCHIVE", "ARCHIVE@pacs1:104,pacs2:104"),
        ("channel S1", "RIS, WORKLIST", "RIS_HERE@ris:104"),
        ("channel S3", "any AE title", "refused: there is no target (DIMSE_TARGET_HOST)"),
    ]

"""The routes file while the proxy runs: read again at SIGHUP and when it changes; what runs goes on."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.certificates import PASSWORD, Authority
from tests.integration.peers import dcmtk
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pynetdicom_peers import Scp, association, offers
from tests.integration.peers.sites import Sites
from tests.integration.peers.waiting import free_port, wait_until

READ: Final = "routes have been read again"
KEPT: Final = "routes stay as they were"


def target(title: str, *ports: int, more: str = "") -> str:
    hosts = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f'[[target]]\nasked_for = "{title}"\nhosts = [{hosts}]\n{more}\n'


def local(*titles: str, channel: str = "") -> str:
    where = f'channel = "{channel}"\n' if channel else ""
    return "".join(f'[[local]]\ncalled = "{title}"\n{where}' for title in titles)


@pytest.fixture
def sites(nats_server: NatsServer, tmp_path: Path) -> Iterator[Sites]:
    with Sites(nats_server.url, tmp_path / "sites") as started:
        yield started


def rewrite(sites: Sites, channel: str, text: str, *, by_signal: bool = False) -> None:
    """Writes another routes file and waits until it is in use."""
    proxy = sites[channel]
    seen = len(proxy.find(READ))
    sites.routes_file(channel).write_text(text)
    if by_signal:
        proxy.process.signal(signal.SIGHUP)
    wait_until(lambda: len(proxy.find(READ)) > seen, seconds=20, what="the new routes")


def requests(scp: dcmtk.Scp) -> int:
    return scp.log().count("BEGIN A-ASSOCIATE-RQ")


def echo(sites: Sites, channel: str, called: str) -> dcmtk.Result:
    return dcmtk.scu("echoscu", sites[channel].port, called=called)


def test_new_routes_are_for_new_associations(sites: Sites, tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    sites.start("HUB", 'channels = "S1"\n' + target("ONE", first))
    sites.start("S1", local("ONE", "TWO", channel="HUB"))
    sites.wait_for_peers("S1", ["HUB"])
    with (
        Scp(first, offers(Verification), []),
        dcmtk.storescp(second, tmp_path / "second"),
        association(sites["S1"].port, offers(Verification), called="ONE") as running,
    ):
        assert "Called AE Title Not Recognized" in echo(sites, "S1", "TWO").output
        # By SIGHUP: another target takes the place of the one that is in use.
        rewrite(sites, "HUB", 'channels = "S1"\n' + target("TWO", second), by_signal=True)
        echo(sites, "S1", "TWO").ok()
        assert "Called AE Title Not Recognized" in echo(sites, "S1", "ONE").output
        assert running.send_c_echo().Status == 0x0000
        # By a change of the file alone: a site that was not known.
        rewrite(sites, "HUB", 'channels = ["S1", "S3"]\n' + target("TWO", second))
        sites.start("S3", local("TWO", channel="HUB"))
        sites.wait_for_peers("S3", ["HUB"])
        echo(sites, "S3", "TWO").ok()
        # Called AE titles change as well.
        rewrite(sites, "S1", local("FOUR", channel="HUB").replace("channel", 'ask_for = "TWO"\nchannel'))
        echo(sites, "S1", "FOUR").ok()
        assert "Called AE Title Not Recognized" in echo(sites, "S1", "TWO").output
        assert running.send_c_echo().Status == 0x0000


def test_a_wrong_file_changes_nothing(sites: Sites, tmp_path: Path) -> None:
    port = free_port()
    sites.start("HUB", 'channels = "S1"\n' + target("ONE", port))
    sites.start("S1", local("ONE", channel="HUB"))
    sites.wait_for_peers("S1", ["HUB"])
    sites.allowed_troubles = KEPT
    path = sites.routes_file("HUB")
    path.write_text('channels = "S1"\n' + target("ONE", port) + target("ONE", port, more="tsl = true"))
    [line] = sites["HUB"].wait_for(KEPT)
    assert f"{path}:9: tsl is unknown" in line["event"]
    path.write_text('channels = "S1"\n' + target("ONE", port) + target("ONE", port))
    sites["HUB"].process.signal(signal.SIGHUP)
    wait_until(lambda: sites["HUB"].find(f"{path}:3 and {path}:7"), seconds=20, what="both lines")
    path.unlink()
    sites["HUB"].process.signal(signal.SIGHUP)
    sites["HUB"].wait_for("No such file")
    with dcmtk.storescp(port, tmp_path):
        echo(sites, "S1", "ONE").ok()
    assert not sites["HUB"].find(READ)
    rewrite(sites, "HUB", 'channels = "S1"\n' + target("ONE", port), by_signal=True)


def test_tls_towards_a_target_comes_with_the_routes(sites: Sites, tmp_path: Path) -> None:
    """No TLS was in use before; a trust store that is wrong keeps the old routes, as a wrong file does."""
    authority, port = Authority("root"), free_port()
    trust = tmp_path / "trust.p12"
    trust.write_text("no store")
    sites.start(
        "HUB",
        'channels = "S1"\n' + target("ONE", port),
        TLS_TRUSTSTORE=str(trust),
        TLS_TRUSTSTORE_PASSWORD=PASSWORD,
    )
    sites.start("S1", local("ONE", channel="HUB"))
    sites.wait_for_peers("S1", ["HUB"])
    sites.allowed_troubles = KEPT
    with_tls = 'channels = "S1"\n' + target("ONE", port, more="tls = true")
    sites.routes_file("HUB").write_text(with_tls)
    sites["HUB"].process.signal(signal.SIGHUP)
    assert "DIMSE_TLS_TRUSTSTORE" in sites["HUB"].wait_for(KEPT)[0]["event"]
    authority.pkcs12(trust)
    rewrite(sites, "HUB", with_tls, by_signal=True)
    key, certificate = authority.issue("target").key_and_certificate(tmp_path, "target")
    with dcmtk.storescp(port, tmp_path / "scp", "-ic", "+tls", key, certificate):
        echo(sites, "S1", "ONE").ok()


def test_the_next_host_is_tried_and_the_one_that_is_down_comes_last(sites: Sites, tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    sites.start("HUB", 'channels = "S1"\n' + target("ONE", first, second))
    sites.start("S1", local("ONE", channel="HUB"))
    sites.wait_for_peers("S1", ["HUB"])
    with dcmtk.storescp(second, tmp_path / "second", "-d") as standby:
        with dcmtk.storescp(first, tmp_path / "first", "-d") as main:
            echo(sites, "S1", "ONE").ok()
        for _ in range(3):
            echo(sites, "S1", "ONE").ok()
        assert (requests(main), requests(standby)) == (1, 3)
        with dcmtk.storescp(first, tmp_path / "again", "-d") as again:
            echo(sites, "S1", "ONE").ok()
            assert requests(again) == 0, "not before it has been down for a while"
    assert len(sites["HUB"].find("cannot be had")) == 1
    refused = echo(sites, "S1", "ONE")
    assert "Temporary Congestion" in refused.output
    [cause] = sites["S1"].find("target-unreachable|connection refused")
    assert f"127.0.0.1:{first}" in str(cause)
    assert f"127.0.0.1:{second}" in str(cause)

"""SIGTERM and SIGINT with an association running, and NATS that is not there yet at the start."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import GRACE_SECONDS, Pair, Proxy, Target
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.wire import pdus, raw_peers
from tests.integration.wire.conftest import Route, Standing, StandingPairs
from tests.integration.wire.raw_peers import Connection


@pytest.fixture
def route(pairs: StandingPairs, tmp_path: Path) -> Iterator[Route]:
    """Through a pair of which the test may end a proxy."""
    target = Target(port=free_port(), ae="RAWSCP")
    server = pairs.server()
    pair = Pair(server.url, tmp_path, target_b=target)
    try:
        standing = Standing(pair=pair, nats=server, target_port=target.port, target_of_a_port=None)
        made = Route(standing, target.port, pair.a.port)
        yield made
        made.close()
    finally:
        pair.kill()


def exit_code(proxy: Proxy, *, seconds: float) -> int:
    """Of a proxy that ends by itself within this time."""
    wait_until(lambda: not proxy.process.is_running(), seconds=seconds, what=f"{proxy.name} to end")
    return int(proxy.process.popen.returncode)


def echo(scu: Connection, scp: Connection) -> None:
    """A C-ECHO."""
    scu.send(pdus.command_pdu(pdus.echo_rq()))
    scp.expect_exactly(pdus.command_pdu(pdus.echo_rq()))
    scp.send(pdus.command_pdu(pdus.echo_rsp()))
    scu.expect_exactly(pdus.command_pdu(pdus.echo_rsp()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("side", ["a", "b"])
def test_running_association_may_finish_and_new_ones_are_refused(
    route: Route, side: str, number: signal.Signals
) -> None:
    scu, scp = route.associate()
    stopping = route.pair.a if side == "a" else route.pair.b
    stopping.process.signal(number)
    stopping.wait_for("stopping")
    if side == "a":
        try:
            other = route.call()
        except ConnectionRefusedError:
            pass
        else:
            other.send(pdus.rq())
            assert other.expect(pdus.RJ, patience=5)[7] == 2
    else:
        other = route.call()
        other.send(pdus.rq())
        assert other.expect(pdus.RJ, patience=5)[7] == 2
    echo(scu, scp)
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scp.send(pdus.release_rp())
    scu.expect_exactly(pdus.release_rp())
    scu.close()
    scp.close()
    assert exit_code(stopping, seconds=GRACE_SECONDS + 3) == 0


@pytest.mark.parametrize("side", ["a", "b"])
def test_association_that_does_not_finish_is_aborted_at_both_ends(route: Route, side: str) -> None:
    scu, scp = route.associate()
    stopping = route.pair.a if side == "a" else route.pair.b
    began = time.monotonic()
    stopping.process.signal(signal.SIGTERM)
    assert scu.expect(pdus.ABORT) == pdus.abort(2, 0)
    assert scp.expect(pdus.ABORT) == pdus.abort(2, 0)
    assert time.monotonic() - began > GRACE_SECONDS - 0.5
    assert exit_code(stopping, seconds=5) == 0


def test_idle_proxy_ends_at_once(route: Route) -> None:
    route.pair.a.process.signal(signal.SIGTERM)
    assert exit_code(route.pair.a, seconds=GRACE_SECONDS) == 0


def test_ready_soon_and_connected_when_nats_comes(lone_proxy: Callable[..., Proxy], tmp_path: Path) -> None:
    port = free_port()
    began = time.monotonic()
    proxy = lone_proxy(f"127.0.0.1:{port}")
    proxy.wait_for("ready")
    assert time.monotonic() - began < 5  # a second on a machine with nothing else to do
    assert len(proxy.find('"event": "ready')) == 1
    with NatsServer(tmp_path / "nats", port=port):
        proxy.wait_for("NATS connected", seconds=15)


def test_port_that_is_taken_is_one_clear_line(tmp_path: Path, pairs: StandingPairs) -> None:
    with raw_peers.Acceptor() as taken:
        env = {"DIMSE_NATS_URL": pairs.server().url, "DIMSE_HOST": "127.0.0.1", "DIMSE_PORT": str(taken.port)}
        proxy = Proxy("unlucky", tmp_path, env)
        code = exit_code(proxy, seconds=10)
    assert code == 1
    assert str(taken.port) in proxy.process.output()
    assert "Traceback" not in proxy.process.output()

"""Both directions at once, a target that stops reading, and a request larger than the server's `max_payload`."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import PairFactory
from tests.integration.peers import dcmtk
from tests.integration.peers.bulk import FRAME, BulkScp, BulkScu, Received
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Target
from tests.integration.peers.processes import PeakMemory
from tests.integration.peers.waiting import free_port
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Acceptor, connect

FRAMES = (64 << 20) // FRAME
MAX_PAYLOAD = 65536


@pytest.fixture
def small_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server whose messages are at most 64 KiB."""
    with NatsServer(tmp_path / "nats", config={"max_payload": MAX_PAYLOAD}) as server:
        yield server


def test_large_objects_in_both_directions_at_once(make_pair: PairFactory, small_nats: NatsServer) -> None:
    """Two associations from either side, at the same time, on one pair."""
    target_a, target_b = Target(port=free_port()), Target(port=free_port())
    with (
        BulkScp(target_a.port, maximum_length=16384) as scp_a,
        BulkScp(target_b.port, maximum_length=131072) as scp_b,
        ThreadPoolExecutor(4) as pool,
    ):
        pair = make_pair(nats_url=small_nats.url, target_a=target_a, target_b=target_b)

        def store(port: int) -> Received:
            with BulkScu(port) as scu:
                return scu.store(FRAMES)

        ports = [pair.a.port, pair.b.port] * 2
        to_b, to_a, to_b_too, to_a_too = pool.map(store, ports)
    assert (scp_a.errors, scp_b.errors) == ([], [])
    assert scp_a.received == [to_a, to_a_too]
    assert scp_b.received == [to_b, to_b_too]


def test_a_target_that_stops_reading_holds_up_its_own_requestor_only(make_pair: PairFactory) -> None:
    """The requestor is blocked after what fits into the windows and buffers between; memory is not where it goes."""
    stalled = Target(port=free_port())
    with Acceptor(stalled.port) as acceptor:
        pair = make_pair(target_b=stalled)
        with connect(pair.a.port) as other, connect(pair.a.port) as scu:
            request = pdus.rq(
                pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT) + pdus.proposed(3, pdus.VERIFICATION, pdus.IMPLICIT)
            )
            other.send(request)
            answering = acceptor.accept()
            answering.send(pdus.simple_ac(answering.expect(pdus.RQ)))
            other.expect(pdus.AC)
            scu.send(request)
            silent = acceptor.accept()
            silent.send(pdus.simple_ac(silent.expect(pdus.RQ)))
            scu.expect(pdus.AC)

            memory = PeakMemory(pair.a.process, pair.b.process)
            scu.send(pdus.command_pdu(pdus.store_rq()))
            piece = pdus.p_data(pdus.pdv(1, bytes(16370), command=False, last=False))
            sent = scu.send_until_blocked(piece, quiet=0.5)
            memory.sample()
            for number in range(20):
                other.send(pdus.command_pdu(pdus.echo_rq(number), 3))
                answering.expect_exactly(pdus.command_pdu(pdus.echo_rq(number), 3), patience=2)
                answering.send(pdus.command_pdu(pdus.echo_rsp(number), 3))
                other.expect_exactly(pdus.command_pdu(pdus.echo_rsp(number), 3), patience=2)
            silent.read(sent, patience=30)
            silent.close()
            answering.close()
    assert sent < 64 << 20
    assert max(memory.growth()) < 32 << 20


def test_stops_cleanly_when_nats_goes_away_meanwhile(make_pair: PairFactory, small_nats: NatsServer) -> None:
    """Both have something left to say to a server that does not answer, and then is gone."""
    pair = make_pair(nats_url=small_nats.url)
    small_nats.process.signal(signal.SIGSTOP)
    for proxy in pair.proxies():
        proxy.process.signal(signal.SIGTERM)
    for proxy in pair.proxies():
        proxy.wait_for("stopping")
    small_nats.process.kill()
    assert [proxy.process.wait() for proxy in pair.proxies()] == [0, 0]


def test_a_request_larger_than_max_payload(make_pair: PairFactory, small_nats: NatsServer, tmp_path: Path) -> None:
    """128 contexts of 38 transfer syntaxes each are about 120 KiB."""
    target = Target(port=free_port())
    options = ("-d", "--propose-ts", 38, "--propose-pc", 128)
    with dcmtk.storescp(target.port, tmp_path):
        pair = make_pair(nats_url=small_nats.url, target_b=target)
        direct = dcmtk.scu("echoscu", target.port, *options).ok()
        proxied = dcmtk.scu("echoscu", pair.a.port, *options).ok()
    assert negotiated(proxied.output) == negotiated(direct.output)


def negotiated(output: str) -> str:
    """The dump of the A-ASSOCIATE-AC and what follows it."""
    return output[output.index("BEGIN A-ASSOCIATE-AC") :]


@pytest.mark.parametrize("window", [65536, 1 << 20, 4 << 20, 64 << 20], ids=lambda size: f"{size >> 10}KiB")
def test_a_target_that_reads_again_gets_everything(make_pair: PairFactory, window: int) -> None:
    """However small the window is beside the buffers of the target's socket, credit comes once the bytes have left."""
    target = Target(port=free_port())
    env = {"DIMSE_WINDOW_SIZE": str(window)}
    piece = pdus.p_data(pdus.pdv(1, bytes(16370), command=False, last=False))
    more = piece * 1000
    command = pdus.command_pdu(pdus.store_rq())
    with Acceptor(target.port) as acceptor, ThreadPoolExecutor(1) as pool:
        pair = make_pair(target_b=target, env_a=env, env_b=env)
        with connect(pair.a.port) as scu:
            scu.send(pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT)))
            scp = acceptor.accept()
            scp.send(pdus.simple_ac(scp.expect(pdus.RQ)))
            scu.expect(pdus.AC)
            scu.send(command)
            sent = scu.send_until_blocked(piece, quiet=0.5)
            # The last piece may have been taken in part.
            rest = piece[sent % len(piece) :] + more
            sending = pool.submit(scu.send, rest)
            received = scp.read(len(command) + sent + len(rest))
            sending.result()
            scp.close()
    assert received == command + piece * ((sent + len(rest)) // len(piece))

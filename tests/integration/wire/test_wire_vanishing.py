"""Hosts that vanish without a FIN: an end point in a network namespace of its own, whose link goes down."""

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.wire import pdus, raw_peers
from tests.integration.wire.conftest import StandingPairs
from tests.integration.wire.raw_peers import Acceptor, Connection

HERE: Final = "10.213.77.1"
THERE: Final = "10.213.77.2"
CLONE_NEWNET: Final = 0x40000000

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2 for a network namespace"
)


def ip(*arguments: str) -> None:
    """Run iproute2's `ip`."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Island:
    """A network namespace at the other end of a cable that can be cut."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.link: Final = f"v{name[-8:]}"
        ip("netns", "add", name)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("address", "add", f"{HERE}/30", "dev", self.link)
        ip("link", "set", self.link, "up")
        ip("-n", name, "address", "add", f"{THERE}/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")

    def inside(self, make: Callable[[], object]) -> None:
        """Run `make` in the namespace: sockets made there stay there."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                with open(f"/run/netns/{self.name}", encoding="ascii") as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                make()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    def listen(self, port: int) -> Acceptor:
        """A raw SCP's listening socket on the island."""
        made: list[Acceptor] = []
        self.inside(lambda: made.append(Acceptor(port, THERE)))
        return made[0]

    def call(self, port: int) -> Connection:
        """A raw SCU's connection from the island."""
        made: list[Connection] = []
        self.inside(lambda: made.append(raw_peers.connect(port, HERE)))
        return made[0]

    def vanish(self) -> None:
        """Cut the cable: no FIN, no RST, no ICMP, nothing any more."""
        ip("-n", self.name, "link", "set", "eth0", "down")

    def remove(self) -> None:
        """Take it away."""
        subprocess.run(["ip", "link", "delete", self.link], check=False, capture_output=True)
        ip("netns", "delete", self.name)


@pytest.fixture
def island() -> Iterator[Island]:
    try:
        made = Island(f"wire{os.getpid()}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield made
    made.remove()


@pytest.fixture
def pair(island: Island, pairs: StandingPairs, tmp_path: Path) -> Iterator[Pair]:
    """A listens to the island and has its target there; B has everything on the loopback interface."""
    with Pair(
        pairs.server().url,
        tmp_path,
        target_a=Target(port=free_port(), ae="RAWSCP", host=THERE),
        target_b=Target(port=free_port(), ae="RAWSCP"),
        env_a={"DIMSE_HOST": "0.0.0.0", "DIMSE_TCP_TIMEOUTSECONDS": "6"},
    ) as made:
        yield made


def accepted(scu: Connection, acceptor: Acceptor) -> Connection:
    """The acceptor's end of an association that `scu` asks for."""
    scu.send(pdus.rq())
    scp = acceptor.accept()
    scp.send(pdus.simple_ac(scp.expect(pdus.RQ)))
    scu.expect(pdus.AC)
    return scp


@pytest.mark.parametrize("busy", [False, True])
def test_end_points_that_vanish(island: Island, pair: Pair, busy: bool) -> None:
    """The SCU of one association, the SCP of another: found out within DIMSE_TCP_TIMEOUTSECONDS or a little more.

    Idle, keep-alive finds out; busy, there are bytes that nobody acknowledges, and half a PDU that does not go on.
    """
    assert pair.target_a is not None
    assert pair.target_b is not None
    with ExitStack() as stack:
        here, there = stack.enter_context(Acceptor(pair.target_b.port)), island.listen(pair.target_a.port)
        stack.enter_context(there)
        vanishing_scu, scu = island.call(pair.a.port), raw_peers.connect(pair.b.port)
        scp, vanishing_scp = accepted(vanishing_scu, here), accepted(scu, there)
        for connection in (vanishing_scu, scu, scp, vanishing_scp):
            stack.enter_context(connection)
        half = pdus.command_pdu(pdus.echo_rq())[:40]
        if busy:
            vanishing_scu.send(half)
            scp.expect_exactly(half)
        island.vanish()
        if busy:
            scu.send(pdus.command_pdu(pdus.echo_rq()))
        assert scu.expect(pdus.ABORT, patience=30) == pdus.abort(2, 0)
        if busy:
            assert scp.expect_end(patience=10) == "reset"
        else:
            assert scp.expect(pdus.ABORT, patience=10) == pdus.abort(2, 0)
    wait_until(
        lambda: all(len(proxy.find("association ended")) == 2 for proxy in pair.proxies()),
        seconds=10,
        what="both associations to end on both sides",
    )


def test_target_that_vanished_before_it_is_asked(island: Island, pair: Pair) -> None:
    """No answer to the connection at all: refused after the connect time-out, shorter here by the link that is down."""
    island.vanish()
    with raw_peers.connect(pair.b.port) as scu:
        scu.send(pdus.rq())
        assert scu.expect(pdus.RJ, patience=15) == pdus.rj(2, 3, 1)

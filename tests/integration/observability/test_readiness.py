"""Ready within two seconds of what is lost or back, and alive all the time; measured, so nothing else runs beside it.

A peer that crashes says nothing: that its hellos are missing is all there is to notice.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.integration.observability.conftest import Http, Watched
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Proxy
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import free_port

pytestmark = [pytest.mark.slow, pytest.mark.alone]

BOUND = 2.0
"""Seconds that readiness may take to follow."""

Record = Callable[[str, object], None]


def is_ready(http: Http) -> bool:
    code, text = http.read("/readyz")
    assert ('"ready": true' in text) is (code == 200)
    return code == 200


@pytest.fixture
def follows(record_property: Record) -> Callable[[Http, bool, str], None]:
    """Waits until a proxy is ready, or is not, within the bound from now."""

    def wait(http: Http, to: bool, what: str) -> None:
        begin = time.monotonic()
        while is_ready(http) is not to:
            waited = time.monotonic() - begin
            assert waited < BOUND, f"{what}: still {'not ' if to else ''}ready after {waited:.2f} s"
            time.sleep(0.02)
        record_property(f"{what}, seconds", round(time.monotonic() - begin, 2))

    return wait


@contextmanager
def always_alive(*listeners: Http) -> Iterator[None]:
    """Asks for /healthz all the time; each answer must be that it is alive."""
    over = threading.Event()
    wrong: list[int] = []

    def ask() -> None:
        while not over.is_set():
            wrong.extend(http.port for http in listeners if http.read("/healthz")[0] != 200)
            time.sleep(0.05)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not wrong


@contextmanager
def stopped(process: ChildProcess) -> Iterator[None]:
    """Holds a process without its knowing."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


def test_readiness_follows_nats_and_liveness_does_not(
    watched: Watched, follows: Callable[[Http, bool, str], None]
) -> None:
    a, b = watched.http_a, watched.http_b
    assert is_ready(a)
    with ExitStack() as stack:
        with always_alive(a, b):
            with stopped(watched.nats.process):
                follows(a, False, "NATS stands still")
                assert "peer" in a.json("/readyz")["reasons"], "the connection is there, and nothing comes through it"
            follows(a, True, "NATS goes on")
            watched.nats.process.kill()
            follows(a, False, "NATS is killed")
            assert list(a.json("/readyz")["reasons"]) == ["nats"]
            stack.enter_context(NatsServer(watched.folder / "again", port=watched.nats.port))
            follows(a, True, "NATS is back")
            follows(b, True, "NATS is back, other side")
        watched.pair.stop()


def test_readiness_follows_a_peer_that_crashes(watched: Watched, follows: Callable[[Http, bool, str], None]) -> None:
    a, pair = watched.http_a, watched.pair
    with always_alive(a):
        with stopped(pair.b.process):
            follows(a, False, "the peer stands still")
            assert "has been heard since" in a.json("/readyz")["reasons"]["peer"]
        follows(a, True, "the peer goes on")
        pair.b.process.kill()
        follows(a, False, "the peer is killed")
        assert list(a.json("/readyz")["reasons"]) == ["peer"]
        (peer,) = a.json("/api/v1/status")["peers"]["list"]
        assert (peer["present"], peer["usable"]) == (False, False)
        again = Proxy("proxy-b2", pair.folder, pair.b.env)
        again.wait_for("ready")
        follows(a, True, "the peer is back")
        another = Proxy("proxy-b3", pair.folder, {**pair.b.env, "DIMSE_PORT": str(free_port()), "DIMSE_HTTP_PORT": ""})
        another.wait_for("peer appeared")
        again.process.kill()
        end = time.monotonic() + 2 * BOUND
        while time.monotonic() < end:
            assert is_ready(a), "one of two is enough"
            time.sleep(0.05)
        assert another.process.stop() == 0
        follows(a, False, "the peer has said goodbye")
    pair.kill()

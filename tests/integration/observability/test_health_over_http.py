"""Ready, and who may act, over HTTP; and what becomes of a port that is taken."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.observability.conftest import TOKEN, Http, Watched
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Proxy
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, request
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until


def is_ready(http: Http) -> bool:
    code, text = http.read("/readyz")
    assert code in (200, 503)
    assert ('"ready": true' in text) is (code == 200)
    return code == 200


def flips(http: Http, *, to: bool) -> Callable[[], bool]:
    return lambda: is_ready(http) is to


def test_a_proxy_that_stops_says_so_and_stays_alive(watched: Watched) -> None:
    b, pair = watched.http_b, watched.pair
    with Scp(watched.target_port, offers(Verification), []), association(pair.a.port, offers(Verification)):
        pair.b.process.signal(15)
        wait_until(flips(b, to=False), seconds=2, what="not ready while stopping")
        assert b.read("/healthz")[0] == 200
        assert "stopping" in b.json("/readyz")["reasons"]


def test_actions_ask_for_the_token(watched: Watched) -> None:
    a, b = watched.http_a, watched.http_b
    with Scp(watched.target_port, offers(Verification), []):
        code, text = b.read("/api/v1/target/echo", method="POST", token=TOKEN)
        assert code == 200
        assert "answered C-ECHO with success" in text
        running = request(watched.pair.a.port, offers(Verification))
        assert running.is_established
        number = a.json("/api/v1/associations")["live"][0]["number"]
        path = f"/api/v1/associations/{number}/abort"
        assert a.read(path, method="POST")[0] == 401
        assert a.read(path, method="POST", token="another")[0] == 401
        assert a.read(path)[0] == 405
        assert running.send_c_echo().Status == 0
        assert a.read(path, method="POST", token=TOKEN)[0] == 200
        wait_until(lambda: running.is_aborted, seconds=5, what="the abort at the requestor")
        assert a.read(path, method="POST", token=TOKEN)[0] == 404
    assert a.json("/api/v1/associations")["ended"][0]["cause"] == "operator"
    assert wait_until(lambda: b.json("/api/v1/associations")["ended"], seconds=5, what="the end at the other side")
    assert b.json("/api/v1/associations")["ended"][0]["cause"] == "other-side"
    code, text = b.read("/api/v1/target/echo", method="POST", token=TOKEN)
    assert code == 502
    assert "refused" in text
    assert b.json("/api/v1/status")["target"]["reachable"] is False


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_a_port_that_is_taken(is_asked_for: bool, nats_server: NatsServer, tmp_path: Path) -> None:
    """An error where it was asked for, a warning where it is the default."""
    port = free_port() if is_asked_for else 8080
    env = {
        "DIMSE_NATS_URL": nats_server.url,
        "DIMSE_NATS_SUBJECT_ROOT": "TAKEN",
        "DIMSE_HOST": LOOPBACK,
        "DIMSE_PORT": str(free_port()),
        "DIMSE_CONFIG_PATH": str(tmp_path / "none"),
        "DIMSE_LOG_FORMAT": "json",
    }
    if is_asked_for:
        env["DIMSE_HTTP_PORT"] = str(port)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_until(lambda: takes(other, port), seconds=5, what=f"port {port} to be taken")
        proxy = Proxy("taken", tmp_path, env)
        try:
            if is_asked_for:
                assert proxy.process.wait() == 1
                assert f"cannot listen for HTTP on {LOOPBACK}:{port}" in proxy.process.output()
            else:
                proxy.wait_for("no metrics, health and status page")
                proxy.wait_for("ready: DIMSE Proxy")
                assert not proxy.troubles()
                assert proxy.process.stop() == 0
        finally:
            proxy.process.kill()


def takes(sock: socket.socket, port: int) -> bool:
    """Takes the port, unless somebody else has it just now."""
    try:
        sock.bind((LOOPBACK, port))
    except OSError:
        return False
    sock.listen()
    return True


def test_without_a_port_there_is_no_http(watched: Watched) -> None:
    env = {**watched.pair.a.env, "DIMSE_HTTP_PORT": "", "DIMSE_PORT": str(free_port())}
    proxy = Proxy("silent", watched.folder, env)
    proxy.wait_for("ready: DIMSE Proxy")
    assert not proxy.find("http://")
    assert not proxy.find("status page")
    assert proxy.process.stop() == 0

"""A proxy tells systemd when it is ready and when it stops, and `dimse-proxy health` asks it how it is."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Proxy
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until


def settings(nats_url: str, folder: Path) -> dict[str, str]:
    return {
        "DIMSE_NATS_URL": nats_url,
        "DIMSE_NATS_SUBJECT_ROOT": f"S{free_port()}",
        "DIMSE_HOST": LOOPBACK,
        "DIMSE_PORT": str(free_port()),
        "DIMSE_HTTP_PORT": str(free_port()),
        "DIMSE_CONFIG_PATH": str(folder / "none"),
        "DIMSE_LOG_FORMAT": "json",
        "DIMSE_GRACE_TIMEOUTSECONDS": "2",
    }


def health(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dimse_proxy", "health", *options], env=env, capture_output=True, text=True, check=False
    )


def test_systemd_and_health_checks_hear_the_truth(nats_server: NatsServer, tmp_path: Path) -> None:
    env = settings(nats_server.url, tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(40)
        before = health(env)
        assert before.returncode == 1
        assert "no proxy answers" in before.stderr
        proxy = Proxy("supervised", tmp_path, {**env, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            assert systemd.recv(1024) == b"READY=1"
            assert health(env).returncode == 0
            alone = health(env, "--ready")
            assert alone.returncode == 1, "there is no proxy on the other channel"
            assert "no proxy" in alone.stderr
            proxy.process.signal(signal.SIGTERM)
            assert systemd.recv(1024) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=17000000"
            assert proxy.process.wait() == 0
        finally:
            proxy.process.kill()
    assert not proxy.troubles()


def test_a_health_check_without_a_listener_says_what_is_missing(tmp_path: Path) -> None:
    done = health({**settings("127.0.0.1:4222", tmp_path), "DIMSE_HTTP_PORT": ""})
    assert done.returncode == 2
    assert "DIMSE_HTTP_PORT is empty" in done.stderr


def test_the_pid_file_is_the_processs_own(nats_server: NatsServer, tmp_path: Path) -> None:
    env = {**settings(nats_server.url, tmp_path), "DIMSE_HTTP_PORT": ""}
    pid_file = tmp_path / "pid"
    command = [sys.executable, "-m", "dimse_proxy", "run", "--pid-file", str(pid_file)]
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as first:
        try:
            wait_until(lambda: pid_file.exists() and pid_file.read_text(), seconds=40, what="the PID")
            assert int(pid_file.read_text()) == first.pid
            second = subprocess.run(
                command, env={**env, "DIMSE_PORT": str(free_port())}, capture_output=True, text=True, check=False
            )
            assert second.returncode == 1
            assert f"runs already, with PID {first.pid}" in second.stderr
        finally:
            first.terminate()
    assert not pid_file.exists()

"""`dimse-proxy doctor` with one fault planted at a time: it names the cause, and exits by severity.

The faults are those of the table in docs/doctor.md, in its order.
"""

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Proxy
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.pynetdicom_peers import Scp, association, offers
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

DOCS = Path(__file__).resolve().parents[3] / "docs" / "doctor.md"
ALL_WELL, WARNING, ERROR = 0, 1, 2
Env = dict[str, str]


class Site:
    """One NATS server's two sides: A is the doctor's, B a real proxy."""

    def __init__(self, nats: NatsServer, folder: Path) -> None:
        self.nats, self.folder = nats, folder
        self.target_port = free_port()
        self.root = f"D{free_port()}"
        self._stack = contextlib.ExitStack()

    def env(self, channel: str, **more: str) -> Env:
        return {
            "DIMSE_NATS_URL": self.nats.url,
            "DIMSE_NATS_SUBJECT_ROOT": self.root,
            "DIMSE_NATS_SUBJECT_CHANNEL": channel,
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_HTTP_PORT": "",
            "DIMSE_LOG_FORMAT": "json",
            "DIMSE_GRACE_TIMEOUTSECONDS": "0",
            "DIMSE_CONNECT_TIMEOUTSECONDS": "3",
            "DIMSE_ACCEPT_TIMEOUTSECONDS": "3",
            **more,
        }

    def start_b(self, **more: str) -> None:
        target = {"DIMSE_TARGET_HOST": LOOPBACK, "DIMSE_TARGET_PORT": str(self.target_port), "DIMSE_TARGET_AE": "SCP"}
        proxy = Proxy("b", self.folder, self.env("B", **(target | more)))
        self._stack.callback(proxy.process.stop)
        proxy.wait_for("NATS connected")

    def start_target(self, *supported: str) -> Scp:
        return self._stack.enter_context(Scp(self.target_port, offers(*(supported or (Verification,))), []))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def site(nats_server: NatsServer, tmp_path: Path) -> Iterator[Site]:
    it = Site(nats_server, tmp_path)
    yield it
    it.close()


def examine(env: Mapping[str, str], folder: Path, *arguments: str) -> tuple[int, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")}
    done = subprocess.run(
        [sys.executable, "-m", "dimse_proxy", "doctor", *arguments],
        env={**inherited, **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def first(env: Mapping[str, str], folder: Path, *, code: int = ERROR) -> dict[str, Any]:
    """The first thing that is wrong."""
    found, text = examine(env, folder, "--json")
    report = json.loads(text)
    assert found == code, text
    it: dict[str, Any] = report["first"]
    assert it["remedy"], "nobody is told how to mend it"
    return it


def cause(env: Mapping[str, str], folder: Path, check: str, words: str, *, code: int = ERROR) -> None:
    """The first thing that is wrong must be this, and be in the table of the documentation."""
    it = first(env, folder, code=code)
    assert it["check"] == check, it
    assert re.search(words, it["text"]), it
    assert f"| {check} |" in DOCS.read_text(), f"docs/doctor.md has no fault of {check}"


def test_all_is_well(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    code, text = examine(site.env("A"), tmp_path)
    assert code == ALL_WELL, text
    assert "All is well" in text
    report = json.loads(examine(site.env("A"), tmp_path, "--json")[1])
    assert report["first"] is None
    checks = [each["check"] for each in report["findings"]]
    for check in ("settings", "NATS permissions", "peer version", "clock difference", "hop: C-ECHO", "own target"):
        assert check in checks


def test_it_runs_beside_a_running_proxy(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    env = site.env("A", DIMSE_HTTP_PORT=str(free_port()))
    proxy = Proxy("a", tmp_path, env)
    proxy.wait_for("ready")
    try:
        code, text = examine(env, tmp_path)
        assert code == ALL_WELL, text
        assert "that of the proxy which runs here" in text
    finally:
        proxy.process.stop()


# Settings and files.


def test_nats_is_not_set(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_NATS_URL=""), tmp_path, "settings", "DIMSE_NATS_URL is not set")


def test_a_setting_is_wrong(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_PORT="eleven"), tmp_path, "settings", "DIMSE_PORT=.*1 to 65535")


def test_a_variable_is_misspelt(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    cause(site.env("A", DIMSE_TARGET_HOTS="x"), tmp_path, "settings", "DIMSE_TARGET_HOST", code=WARNING)


def test_the_folder_is_the_wrong_one(site: Site, tmp_path: Path) -> None:
    (tmp_path / "wrong").mkdir()
    cause(site.env("A", DIMSE_CONFIG_PATH=str(tmp_path / "wrong")), tmp_path, "dimse-config", "folder without files")


def key_store(folder: Path, *, days: int) -> Env:
    """A PEM key store whose certificate is valid for so many days from now."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=proxy")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path = folder / "key.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return {"DIMSE_TLS_PORT": str(free_port()), "DIMSE_TLS_KEYSTORE": str(path), "DIMSE_TLS_KEYSTORE_TYPE": "PEM"}


def test_the_key_store_is_missing(site: Site, tmp_path: Path) -> None:
    env = site.env("A", DIMSE_TLS_PORT=str(free_port()), DIMSE_TLS_KEYSTORE=str(tmp_path / "none.p12"))
    cause(env, tmp_path, "keys and certificates", "none.p12")


def test_the_certificate_has_expired(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", **key_store(tmp_path, days=-3)), tmp_path, "keys and certificates", "expired on")


def test_the_certificate_expires_soon(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    cause(site.env("A", **key_store(tmp_path, days=9)), tmp_path, "keys and certificates", "expires on", code=WARNING)


def test_the_port_is_taken(site: Site, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        cause(site.env("A", DIMSE_PORT=str(other.getsockname()[1])), tmp_path, "DICOM port", "already in use")


def test_the_address_is_not_ours(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_HOST="192.0.2.7"), tmp_path, "DICOM port", "192.0.2.7")


def test_the_http_port_is_taken(site: Site, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        cause(site.env("A", DIMSE_HTTP_PORT=str(other.getsockname()[1])), tmp_path, "HTTP port", "already in use")


# NATS.


def test_the_name_of_nats_is_unknown(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_NATS_URL="nats.invalid"), tmp_path, "NATS reachable", "nats.invalid is not known")


def test_nats_is_down(site: Site, tmp_path: Path) -> None:
    env = site.env("A", DIMSE_NATS_URL=f"{LOOPBACK}:{free_port()}")
    cause(env, tmp_path, "NATS reachable", "cannot be reached")


def test_one_of_two_servers_is_down(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    env = site.env("A", DIMSE_NATS_URL=f"{LOOPBACK}:{free_port()},{site.nats.url}")
    cause(env, tmp_path, "NATS reachable", "cannot be reached", code=WARNING)


def test_it_is_no_nats_server(site: Site, tmp_path: Path) -> None:
    with Scp(port := free_port(), offers(Verification), []):
        cause(
            site.env("A", DIMSE_NATS_URL=f"{LOOPBACK}:{port}"), tmp_path, "NATS sign-in", "no answer|cannot|closed|EOF"
        )


def test_nats_wants_no_tls(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_NATS_TLS_ENABLED="true"), tmp_path, "NATS sign-in", "offers no TLS")


USER = {"user": "a", "password": "right"}


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Callable[..., NatsServer]]:
    """Makes a NATS server with a configuration of its own."""
    with contextlib.ExitStack() as stack:

        def make(**config: object) -> NatsServer:
            return stack.enter_context(NatsServer(tmp_path / "strict", config=config))

        yield make


def as_user(site: Site, server: NatsServer, password: str) -> Env:
    return site.env("A", DIMSE_NATS_URL=server.url, DIMSE_NATS_USER="a", DIMSE_NATS_PASSWORD=password)


def test_the_password_is_wrong(site: Site, tmp_path: Path, strict: Callable[..., NatsServer]) -> None:
    server = strict(authorization={"users": [USER]})
    cause(as_user(site, server, "wrong"), tmp_path, "NATS sign-in", "does not accept our credentials")


@pytest.mark.parametrize(
    ("permissions", "words"),
    [
        ({"subscribe": "X.>", "publish": ">"}, r"subscribe to D\d+\.A\."),
        ({"subscribe": ">", "publish": "X.>"}, r"publish to D\d+\.B\.A\.hello"),
        ({"subscribe": ">", "publish": "*.B.A.hello"}, r"publish to D\d+\.B\.A\.i\."),
    ],
)
def test_a_permission_is_missing(
    site: Site,
    tmp_path: Path,
    strict: Callable[..., NatsServer],
    permissions: Mapping[str, str],
    words: str,
) -> None:
    server = strict(authorization={"users": [{**USER, "permissions": permissions}]})
    cause(as_user(site, server, "right"), tmp_path, "NATS permissions", words)


def test_messages_are_too_short(tmp_path: Path, strict: Callable[..., NatsServer]) -> None:
    site = Site(strict(max_payload=4096), tmp_path)
    site.start_b()
    site.start_target()
    cause(site.env("A"), tmp_path, "NATS max_payload", "4096 bytes", code=WARNING)
    site.close()


# The other side.


def test_nobody_is_there(site: Site, tmp_path: Path) -> None:
    cause(site.env("A"), tmp_path, "peer proxy", "no proxy is present on channel B")


def test_the_tunnel_keys_differ(site: Site, tmp_path: Path) -> None:
    keys = [base64.b64encode(os.urandom(32)).decode() for _ in range(2)]
    site.start_b(DIMSE_TUNNEL_KEY=keys[0])
    cause(site.env("A", DIMSE_TUNNEL_KEY=keys[1]), tmp_path, "peer proxy", "DIMSE_TUNNEL_KEY")


ODD = """
import sys, time
import dimse_proxy
real = time.time_ns
time.time_ns = lambda: real() + 90 * 10**9
dimse_proxy.__version__ = "9.9.9"
from dimse_proxy.cli.main import run
sys.argv = ["dimse-proxy", "run"]
run()
"""
"""A proxy of another version whose clock is 90 s ahead."""


def test_versions_and_clocks_differ(site: Site, tmp_path: Path) -> None:
    site.start_target()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")}
    target = {"DIMSE_TARGET_HOST": LOOPBACK, "DIMSE_TARGET_PORT": str(site.target_port), "DIMSE_TARGET_AE": "SCP"}
    odd = ChildProcess("odd", [sys.executable, "-c", ODD], tmp_path, env={**inherited, **site.env("B", **target)})
    try:
        wait_until(lambda: "NATS connected" in odd.output(), seconds=40, what="the odd proxy to connect")
        cause(site.env("A"), tmp_path, "peer version", "has 9.9.9", code=WARNING)
        findings = json.loads(examine(site.env("A"), tmp_path, "--json")[1])["findings"]
        (clock,) = [each for each in findings if each["check"] == "clock difference"]
        assert clock["severity"] == "warning"
        assert re.search(r"(89|90) s ahead of this side's", clock["text"])
    finally:
        odd.stop()


def test_the_other_side_has_no_target(site: Site, tmp_path: Path) -> None:
    site.start_b(DIMSE_TARGET_HOST="")
    cause(site.env("A"), tmp_path, "other side's target", "no-target")


def test_the_other_side_s_target_is_down(site: Site, tmp_path: Path) -> None:
    site.start_b()
    cause(site.env("A"), tmp_path, "other side's target", "connection refused.*target-unreachable")


def test_the_other_side_s_target_says_nothing(site: Site, tmp_path: Path) -> None:
    site.start_b()
    with socket.create_server((LOOPBACK, site.target_port)):
        cause(site.env("A"), tmp_path, "other side's target", "target-timeout")


def test_the_other_side_s_target_rejects_us(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()._ae.require_calling_aet = ["SOMEBODY"]
    cause(site.env("A"), tmp_path, "other side's target", "rejected the association")


def test_the_other_side_s_target_knows_no_verification(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target(CTImageStorage)
    cause(site.env("A"), tmp_path, "other side's target", "Verification|rejected")


def test_the_other_side_does_not_let_us(site: Site, tmp_path: Path) -> None:
    site.start_b(DIMSE_ALLOWED_CALLING_AES_IN="SOMEBODY")
    cause(site.env("A"), tmp_path, "other side's target", "DIMSE_ALLOWED_CALLING_AES_IN|calling-not-allowed")


def test_our_own_target_is_down(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    env = site.env("A", DIMSE_TARGET_HOST=LOOPBACK, DIMSE_TARGET_PORT=str(free_port()))
    cause(env, tmp_path, "own target", "connection refused")


def test_our_own_target_rejects_us(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    with Scp(port := free_port(), offers(Verification), []) as scp:
        scp._ae.require_called_aet = True
        env = site.env("A", DIMSE_TARGET_HOST=LOOPBACK, DIMSE_TARGET_PORT=str(port), DIMSE_TARGET_AE="OTHER")
        cause(env, tmp_path, "own target", "rejected the association as INGESTION calling OTHER")


# `dimse-proxy top`.


def top(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dimse_proxy", "top", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_top_shows_what_a_running_proxy_does(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    env = site.env("A", DIMSE_HTTP_PORT=str(free_port()))
    proxy = Proxy("a", tmp_path, env)
    proxy.wait_for("peer appeared")
    try:
        with association(proxy.port, offers(Verification), called="INGESTION", calling="WATCHED"):
            pass
        with association(proxy.port, offers(Verification), called="INGESTION", calling="RUNNING"):
            done = top(tmp_path, "--once", "--url", f"http://{LOOPBACK}:{env['DIMSE_HTTP_PORT']}")
    finally:
        proxy.process.stop()
    assert done.returncode == 0, done.stderr
    live, _, ended = done.stdout.partition("Ended last")
    assert "A to B" in live
    assert "ready" in live
    assert "RUNNING" in live
    assert "WATCHED" in ended
    assert "released" in ended


def test_top_without_a_proxy(tmp_path: Path) -> None:
    done = top(tmp_path, "--once", "--url", f"http://{LOOPBACK}:{free_port()}")
    assert done.returncode == 1
    assert "no proxy answers at" in done.stderr

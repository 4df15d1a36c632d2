"""`dimse-proxy doctor` with one fault beyond NATS planted at a time: the other proxy, its target, our own target."""

import base64
import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.integration.observability.doctor import WARNING, Site, cause, examine, first, plants
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until


@plants("nobody is on the other channel")
def test_nobody_is_there(site: Site, tmp_path: Path) -> None:
    cause(site.env("A"), tmp_path, "peer proxy", "no proxy is present on channel B")


@plants("the tunnel keys differ, or one side has none")
@pytest.mark.parametrize("theirs", [base64.b64encode(bytes(range(32))).decode(), ""])
def test_the_tunnel_keys_differ(site: Site, tmp_path: Path, theirs: str) -> None:
    site.start_b(DIMSE_TUNNEL_KEY=theirs)
    key = base64.b64encode(os.urandom(32)).decode()
    cause(site.env("A", DIMSE_TUNNEL_KEY=key), tmp_path, "peer proxy", "DIMSE_TUNNEL_KEY")


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


@plants("the versions differ", "the clocks differ by more than 2 s")
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


@plants("neither side has a target")
def test_neither_side_has_a_target(site: Site, tmp_path: Path) -> None:
    site.start_b(DIMSE_TARGET_HOST="")
    cause(site.env("A"), tmp_path, "other side's target", "no-target")


@plants("the other side has no target, and this side has one")
def test_associations_come_from_the_other_side_only(site: Site, tmp_path: Path) -> None:
    site.start_b(DIMSE_TARGET_HOST="")
    site.start_target()
    env = site.env("A", DIMSE_TARGET_HOST=LOOPBACK, DIMSE_TARGET_PORT=str(site.target_port), DIMSE_TARGET_AE="SCP")
    cause(env, tmp_path, "other side's target", "no-target", code=WARNING)
    assert "right if nobody at this side calls" in first(env, tmp_path, code=WARNING)["remedy"]


@plants("the other side has no target for what is asked for")
def test_the_other_side_has_no_target_for_what_is_asked_for(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(f'[[target]]\nasked_for = "ANOTHER"\nae = "SCP"\nhosts = "{LOOPBACK}:{site.target_port}"\n')
    site.start_b(DIMSE_ROUTES_FILE=str(path), DIMSE_TARGET_HOST="")
    cause(site.env("A"), tmp_path, "other side's target", "no-route")


@plants("the other side's target is down")
def test_the_other_side_s_target_is_down(site: Site, tmp_path: Path) -> None:
    site.start_b()
    cause(site.env("A"), tmp_path, "other side's target", "connection refused.*target-unreachable")


@plants("the other side's target takes connections and says nothing")
def test_the_other_side_s_target_says_nothing(site: Site, tmp_path: Path) -> None:
    site.start_b()
    with socket.create_server((LOOPBACK, site.target_port)):
        cause(site.env("A"), tmp_path, "other side's target", "target-timeout")


@plants("the other side's target rejects the association")
def test_the_other_side_s_target_rejects_us(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()._ae.require_calling_aet = ["SOMEBODY"]
    cause(site.env("A"), tmp_path, "other side's target", "rejected the association")


@plants("the other side's target knows no Verification")
def test_the_other_side_s_target_knows_no_verification(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target(CTImageStorage)
    cause(site.env("A"), tmp_path, "other side's target", "Verification|rejected")


@plants("the other side's proxy does not let this side in")
def test_the_other_side_does_not_let_us(site: Site, tmp_path: Path) -> None:
    site.start_b(DIMSE_ALLOWED_CALLING_AES_IN="SOMEBODY")
    cause(site.env("A"), tmp_path, "other side's target", "DIMSE_ALLOWED_CALLING_AES_IN|calling-not-allowed")


@plants("this side's own target is down")
def test_our_own_target_is_down(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    env = site.env("A", DIMSE_TARGET_HOST=LOOPBACK, DIMSE_TARGET_PORT=str(free_port()))
    cause(env, tmp_path, "own target", "connection refused")


@plants("this side's own target rejects the association")
def test_our_own_target_rejects_us(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    with Scp(port := free_port(), offers(Verification), []) as scp:
        scp._ae.require_called_aet = True
        env = site.env("A", DIMSE_TARGET_HOST=LOOPBACK, DIMSE_TARGET_PORT=str(port), DIMSE_TARGET_AE="OTHER")
        cause(env, tmp_path, "own target", "rejected the association as INGESTION calling OTHER")

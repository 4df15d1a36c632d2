"""`dimse-proxy top` beside a running proxy, and without one."""

import subprocess
import sys
from pathlib import Path

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.observability.doctor import Site
from tests.integration.peers.pair import Proxy
from tests.integration.peers.pynetdicom_peers import association, offers
from tests.integration.peers.waiting import LOOPBACK, free_port


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

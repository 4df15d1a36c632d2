"""`dimse-proxy doctor` where all is well, and its table of faults: each has a test that plants it."""

import json
import re
from pathlib import Path

from tests.integration.observability import test_doctor_far, test_doctor_nats, test_doctor_near, test_doctor_queue
from tests.integration.observability.doctor import ALL_WELL, DOCS, PLANTED, Site, examine
from tests.integration.peers.pair import Proxy
from tests.integration.peers.waiting import free_port


def test_all_is_well(site: Site, tmp_path: Path) -> None:
    other = site.start_b()
    site.start_target()
    code, text = examine(site.env("A"), tmp_path)
    assert code == ALL_WELL, text
    assert "All is well" in text
    assert not other.find("peer (appeared|lost).*doctor"), "a visitor is no peer"
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


def test_every_fault_of_the_table_is_planted() -> None:
    assert all(module.__doc__ for module in (test_doctor_near, test_doctor_nats, test_doctor_far, test_doctor_queue))
    table = DOCS.read_text().partition("| fault |")[2].partition("\n\n")[0]
    faults = re.findall(r"^\| ([^|-][^|]*?) \|", table, re.MULTILINE)
    assert len(faults) >= 15
    assert sorted(faults) == sorted(PLANTED)

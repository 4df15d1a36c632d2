"""A permitted C-ECHO passes, and memory stays flat, while a crowd does what it can against the listener."""

import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import PairFactory
from tests.integration.peers import dcmtk
from tests.integration.peers.pair import Target
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import connect

ROOT = Path(__file__).resolve().parents[3]
WARM_UP = 5.0
SECONDS = 12.0
ECHO_LIMIT = 0.250
GROWTH_LIMIT = 8 * 1024 * 1024


def timed_echo(port: int) -> float:
    """Seconds of connection, association, C-ECHO and release, by a calling AE title that is allowed."""
    begin = time.monotonic()
    with connect(port) as connection:
        contexts = pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
        connection.send(pdus.rq(contexts, pdus.USER, called=b"TARGET".ljust(16), calling=b"PERMITTED".ljust(16)))
        connection.expect(pdus.AC, patience=30)
        connection.send(pdus.command_pdu(pdus.echo_rq(1), 1))
        connection.expect(pdus.P_DATA, patience=30)
        seconds = time.monotonic() - begin
        connection.send(pdus.release_rq())
        connection.expect(pdus.RELEASE_RP, patience=30)
    return seconds


@pytest.mark.slow
@pytest.mark.alone
def test_a_permitted_echo_passes_a_crowd(
    make_pair: PairFactory, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pair = make_pair(
        target_b=Target(port=free_port()),
        env_a={"DIMSE_ALLOWED_CALLING_AES": "PERMITTED"},
    )
    assert pair.target_b is not None
    with dcmtk.storescp(pair.target_b.port, tmp_path / "scp"):
        quiet = [timed_echo(pair.a.port) for _ in range(5)]
        command = [sys.executable, "-m", "tests.integration.hostile.attackers", str(pair.a.port)]
        crowd = ChildProcess("crowd", command, tmp_path, cwd=ROOT)
        try:
            wait_until(lambda: "refused=" in crowd.output(), seconds=20, what="the crowd to be there")
            time.sleep(WARM_UP)
            before = pair.rss("a")
            end = time.monotonic() + SECONDS
            busy = []
            for _ in itertools.takewhile(lambda _: time.monotonic() < end, itertools.count()):
                busy.append(timed_echo(pair.a.port))
                time.sleep(0.1)
            growth = pair.rss("a") - before
            files = pair.a.process.open_files()
            assert crowd.is_running(), crowd.output()
        finally:
            crowd.kill()
        done = crowd.stdout_path.read_text().splitlines()[-1]
        after = [timed_echo(pair.a.port) for _ in range(3)]
    figures = (
        f"C-ECHO quiet {statistics.median(quiet) * 1000:.0f} ms, crowd median {statistics.median(busy) * 1000:.0f} ms "
        f"(worst {max(busy) * 1000:.0f} ms of {len(busy)}), growth {growth / 1024:.0f} KiB, {files} files, {done}"
    )
    sys.stderr.write(figures + "\n")
    record_property("figures", figures)
    assert statistics.median(busy) < ECHO_LIMIT, figures
    assert statistics.median(after) < ECHO_LIMIT, figures
    assert growth < GROWTH_LIMIT, figures
    assert files < 1200, figures

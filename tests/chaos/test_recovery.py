"""Item by item: under load, no fault of a server, a cluster or a link aborts an association or touches an object."""

import os
from pathlib import Path

import pytest

from tests.chaos.bench import Bench
from tests.chaos.faults import LONG, SHORT, cluster_faults, run_faults, say, single_server_faults, summary

IS_LONG = os.environ.get("CHAOS") == "long"
SCALE = LONG if IS_LONG else SHORT
MOST = 100_000_000 if IS_LONG else 30_000_000


@pytest.mark.slow
@pytest.mark.timeout(3600 if IS_LONG else 240)
@pytest.mark.parametrize(("servers", "long_count"), [(1, 66), (3, 36)])
def test_faults_in_a_row(tmp_path: Path, servers: int, long_count: int) -> None:
    """kill -9, cuts, black holes, jitter, a smaller max_payload, SIGSTOP, lame duck mode: one after the other."""
    faults = single_server_faults(SCALE) if servers == 1 else cluster_faults(SCALE)
    with Bench(tmp_path, servers=servers) as bench:
        bench.start_load(most=MOST)
        bench.wait_until_moving()
        count = long_count if IS_LONG else len(faults)
        happened = list(run_faults(bench, faults, count))
        totals = bench.finish()
        say(summary(happened))
        say(f"{servers} server(s): {totals.line(len(happened))}")
        bench.check_logs()
    totals.check()
    assert totals.objects > count
    assert totals.finds
    assert totals.moves

"""Who does not read stalls whoever sends to it, and nobody else."""

import threading
import time
from pathlib import Path

import pytest

from tests.chaos.bench import Bench
from tests.chaos.faults import say
from tests.chaos.scale import IS_LONG, timeout
from tests.chaos.stream import Association, Content
from tests.integration.peers.processes import PeakMemory

STALL = 60.0 if IS_LONG else 6.0
STALLED = 8
WINDOW = 4 << 20
BESIDES = 32 << 20
"""Bytes of memory that the load itself may take beside the windows."""


def speed(bench: Bench, seconds: float) -> float:
    """Bytes a second that arrive at B."""
    before = bench.received()["B"]
    begun = time.monotonic()
    time.sleep(seconds)
    return (bench.received()["B"] - before) / (time.monotonic() - begun)


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_targets_that_stop_reading(tmp_path: Path) -> None:
    """Eight targets stop reading: other sessions keep at least half their speed, C-MOVEs go on, memory is bounded."""
    with Bench(tmp_path) as bench:
        bench.start_load(
            associations=2, least=1_000_000, most=4_000_000, rate=40e6, find=None, sides=("A",), move=(4, 500_000)
        )
        bench.wait_until_moves("B")
        before = speed(bench, min(STALL / 2, 10))
        memory = PeakMemory(*(node.proxy.process for node in bench.nodes.values()))
        moves = bench.sites["A"].figure("moves")
        contents: dict[str, Content] = {}

        def store(number: int) -> None:
            with Association(bench.port("A"), calling=f"STALL-{STALL:g}") as association:
                contents[f"1.2.3.{number}"] = association.store(f"1.2.3.{number}", 20_000_000)

        threads = [threading.Thread(target=store, args=(number,)) for number in range(STALLED)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        during = speed(bench, STALL - 3)
        moved = bench.sites["A"].figure("moves") - moves
        memory.sample()
        growth = memory.growth()
        for thread in threads:
            thread.join(60)
        totals = bench.finish(sent=contents)
        slow_consumers = bench.servers.all[0].slow_consumers()
        say(
            f"{STALLED} targets that did not read for {STALL:g} s: the others {before / 1e6:.1f} MB/s before, "
            f"{during / 1e6:.1f} MB/s meanwhile, {moved} C-MOVEs; memory grew by "
            f"{', '.join(f'{each / 1048576:.1f}' for each in growth)} MiB; slow consumers {slow_consumers}"
        )
        bench.check_logs()
    totals.check()
    assert len(contents) == STALLED
    assert during >= before / 2
    assert moved > 0
    assert slow_consumers == 0
    assert max(growth) < STALLED * WINDOW + BESIDES


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_requestors_that_stop_reading_answers(tmp_path: Path) -> None:
    """Eight SCUs do not read their C-FIND responses: the same."""
    with Bench(tmp_path) as bench:
        bench.start_load(associations=2, least=1_000_000, most=4_000_000, rate=40e6, find=None, move=None, sides=("A",))
        bench.wait_until_moves("B")
        before = speed(bench, min(STALL / 2, 10))
        memory = PeakMemory(*(node.proxy.process for node in bench.nodes.values()))
        found: list[int] = []

        def find() -> None:
            with Association(bench.port("A")) as association:
                association.find(800, 0.0, answer_bytes=20_000, first=STALL)
                found.append(800)

        threads = [threading.Thread(target=find) for _ in range(STALLED)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        during = speed(bench, STALL - 3)
        memory.sample()
        growth = memory.growth()
        for thread in threads:
            thread.join(60)
        totals = bench.finish()
        slow_consumers = bench.servers.all[0].slow_consumers()
        say(
            f"{STALLED} SCUs that did not read C-FIND responses for {STALL:g} s: the others {before / 1e6:.1f} MB/s "
            f"before, {during / 1e6:.1f} MB/s meanwhile; memory grew by "
            f"{', '.join(f'{each / 1048576:.1f}' for each in growth)} MiB; slow consumers {slow_consumers}"
        )
        bench.check_logs()
    assert found == [800] * STALLED
    totals.check()
    assert during >= before / 2
    assert slow_consumers == 0
    assert max(growth) < STALLED * WINDOW + BESIDES

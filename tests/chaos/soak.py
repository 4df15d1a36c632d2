"""The soak: mixed load with a fault every five seconds; what a proxy holds afterwards is what it held after warm-up.

Not part of `make test`: `make soak` runs it for ten minutes (SOAK_SECONDS), and `test_soak_in_short` for 15 seconds.
"""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimse_proxy.free_memory import EVERY as GIVEN_BACK_EVERY
from tests.chaos.bench import Bench
from tests.chaos.faults import Fault, Scale, say, single_server_faults, summary
from tests.integration.peers.waiting import wait_until

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
EVERY = 5.0
GROWTH = 8 << 20
"""Bytes of resident memory in use that may differ: thousands of tombstones of sessions, kept for an hour, and noise."""
RETAINED = 4 << 20
"""Bytes of free pages that a proxy keeps, once it has given them back."""

MEMORY = {"used": 0, "resident": 0}
Held = dict[str, int]


def held(bench: Bench) -> dict[str, Held]:
    """What each proxy holds: files, tasks, sessions, and so on.

    `used` is its resident memory once the allocator has given free pages back, `resident` what it was before.
    """
    result = {}
    for name, node in bench.nodes.items():
        resident = node.proxy.rss()
        path = Path(node.proxy.env["CHAOS_WATCH"])
        path.unlink(missing_ok=True)
        node.proxy.process.signal(signal.SIGUSR1)
        wait_until(path.exists, seconds=20, what=f"{name} to tell what it holds")
        result[name] = {
            **json.loads(path.read_text()),
            "files": node.proxy.process.open_files(),
            "used": node.proxy.rss(),
            "resident": resident,
        }
    return result


def same(before: dict[str, Held], after: dict[str, Held]) -> bool:
    """All but the memory is as it was."""
    return all({**before[name], **MEMORY} == {**after[name], **MEMORY} for name in before)


def run(bench: Bench, faults: Iterator[Fault], seconds: float) -> list[tuple[str, float]]:
    """The load with a fault every five seconds; returns what happened, with the longest pause of each."""
    bench.start_load(associations=6, most=30_000_000, per_association=4, rate=25e6)
    bench.wait_until_moving()
    happened = []
    end = time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        name, happen = next(faults)
        bench.pauses.take()
        happen(bench)
        bench.wait_until_moving()
        happened.append((name, bench.pauses.take()))
        time.sleep(max(0.0, begun + EVERY - time.monotonic()))
    return happened


def soak(folder: Path, *, warm_up: float, seconds: float, growth: int, retained: int) -> None:
    """Warm up, look, run, look again.

    Args:
        folder: for logs and accounts.
        warm_up: seconds of the same load and faults before the first look.
        seconds: of load and faults.
        growth: bytes of memory in use that may differ.
        retained: bytes of free pages that a proxy may still hold when it is looked at.
    """
    faults = itertools.cycle(single_server_faults(Scale(hole=3.0, jitter=3.0, suspension=3.0)))
    with Bench(folder, watched=True) as bench:
        run(bench, faults, warm_up)
        bench.quiesce()
        before = held(bench)
        happened = run(bench, faults, seconds)
        totals = bench.finish()
        wait_until(
            lambda: all(
                node.proxy.rss() - before[name]["used"] < growth + retained for name, node in bench.nodes.items()
            ),
            seconds=2 * GIVEN_BACK_EVERY,
            what="the proxies to give back what they do not use",
        )
        at_once = held(bench)
        wait_until(lambda: same(before, held(bench)), seconds=30, what=f"{before} to be there again, not {at_once}")
        after = held(bench)
        say(f"{summary(happened)}\nsoak of {seconds:g} s: {totals.line(len(happened))}")
        for name in before:
            after[name]["resident"] = at_once[name]["resident"]
            say(f"     {name} after warm-up {before[name]}\n     {name} at the end    {after[name]}")
        bench.check_logs()
    totals.check()
    for name in before:
        assert after[name]["used"] - before[name]["used"] < growth, name


@pytest.mark.timeout(SECONDS + 900)
def test_soak(tmp_path: Path) -> None:
    """Sixty seconds of warm-up hold each fault once."""
    soak(tmp_path, warm_up=60, seconds=SECONDS, growth=GROWTH, retained=RETAINED)

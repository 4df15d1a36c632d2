"""What is done to a bench, one function a fault, and runs of many of them in a row."""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.bench import SIDES, Bench, Side

Fault = tuple[str, Callable[[Bench], None]]
SETTLED: Final = 1.0
"""Seconds of load between the recovery from one fault and the next fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How long the faults last, seconds: the short form of a test has shorter ones."""

    hole: float = 5.0
    jitter: float = 5.0
    suspension: float = 10.0
    down: float = 0.5


LONG: Final = Scale()
SHORT: Final = Scale(hole=2.0, jitter=1.5, suspension=3.0)


def kill_server(number: int, scale: Scale) -> Fault:
    """SIGKILL, and started again half a second later."""

    def happen(bench: Bench) -> None:
        server = bench.servers.all[number]
        server.kill()
        time.sleep(scale.down)
        server.start()

    return f"kill -9 of server {number + 1}, restarted", happen


def retire_server(number: int) -> Fault:
    """Lame duck mode: announced, everybody leaves, then it is stopped and another one started in its place."""

    def happen(bench: Bench) -> None:
        server = bench.servers.all[number]
        server.enter_lame_duck_mode()
        time.sleep(2.0)
        server.kill()
        server.start()

    return f"lame duck mode of server {number + 1}, replaced", happen


def cut_link(side: Side) -> Fault:
    """RST in both directions."""
    return f"cut of {side}'s link", lambda bench: bench.node(side).link.cut()


def swallow_link(side: Side, scale: Scale) -> Fault:
    """Black hole."""

    def happen(bench: Bench) -> None:
        link = bench.node(side).link
        link.swallow()
        time.sleep(scale.hole)
        link.heal()

    return f"black hole of {scale.hole:g} s on {side}'s link", happen


def jitter_link(side: Side, scale: Scale) -> Fault:
    """0 to 200 ms of delay each way."""

    def happen(bench: Bench) -> None:
        link = bench.node(side).link
        link.slow(jitter=0.2)
        time.sleep(scale.jitter)
        link.heal()

    return f"200 ms of jitter on {side}'s link for {scale.jitter:g} s", happen


def shrink_max_payload() -> Fault:
    """Reload with 64 KiB, a quarter of a data frame; after the recovery from the next faults it is 1 MiB again."""

    def happen(bench: Bench) -> None:
        for server in bench.servers.all:
            server.reload(max_payload=65536)

    return "max_payload reloaded with 64 KiB", happen


def grow_max_payload() -> Fault:
    """Reload with the default."""

    def happen(bench: Bench) -> None:
        for server in bench.servers.all:
            server.reload(max_payload=1 << 20)

    return "max_payload reloaded with 1 MiB", happen


def suspend_server(number: int, scale: Scale) -> Fault:
    """SIGSTOP and SIGCONT."""

    def happen(bench: Bench) -> None:
        server = bench.servers.all[number]
        server.suspend()
        time.sleep(scale.suspension)
        server.resume()

    return f"SIGSTOP of server {number + 1} for {scale.suspension:g} s", happen


def single_server_faults(scale: Scale) -> list[Fault]:
    """Each fault of one server and of the links, once."""
    links: list[Fault] = []
    for side in SIDES:
        links += [cut_link(side), swallow_link(side, scale), jitter_link(side, scale)]
    return [
        kill_server(0, scale),
        *links,
        shrink_max_payload(),
        kill_server(0, scale),
        grow_max_payload(),
        suspend_server(0, scale),
    ]


def cluster_faults(scale: Scale) -> list[Fault]:
    """Each server of a cluster of three killed, retired and suspended in turn, and the links cut."""
    faults: list[Fault] = []
    for number in range(3):
        faults += [kill_server(number, scale), retire_server(number)]
    return [*faults, *(cut_link(side) for side in SIDES), suspend_server(0, scale)]


def run_faults(bench: Bench, faults: Sequence[Fault], count: int) -> Iterator[tuple[str, float]]:
    """Let `count` faults happen in a row, the list over and over.

    Yields:
        Each with the longest time that nothing arrived in one of the two directions, seconds.
    """
    for number, (name, happen) in enumerate(itertools.islice(itertools.cycle(faults), count), start=1):
        bench.pauses.take()
        happen(bench)
        bench.wait_until_moving()
        pause = bench.pauses.take()
        bench.servers.wait_for_routes()
        figures = [f"{what} {sum(bench.sites[side].figure(what) for side in SIDES)}" for what in ("refused", "aborted")]
        say(f"{number:4} {name}: longest pause {pause:.1f} s; {', '.join(figures)}")
        yield name, pause
        time.sleep(SETTLED)


def summary(happened: Sequence[tuple[str, float]]) -> str:
    """How long the pauses of each fault were, a line each."""
    pauses: dict[str, list[float]] = {}
    for name, pause in happened:
        pauses.setdefault(name, []).append(pause)
    return "\n".join(
        f"     {name}: {len(found)} times, pause median {statistics.median(found):.1f} s, longest {max(found):.1f} s"
        for name, found in pauses.items()
    )


def say(text: str) -> None:
    """Print to whoever watches a long run (pytest -s), at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

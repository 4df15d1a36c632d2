"""Many associations at once, working or idle; and what memory the proxies need."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.integration.peers.waiting import wait_until

from bench.measurement import MEBIBYTE, Run
from bench.peers import NO_DELAY, DcmtkPeers, running
from bench.processes import Meter, program, resident_bytes, run, start_program
from bench.scale import Scale
from bench.storage import Objects, storing
from bench.ways import PROXY_A, PROXY_B, Way, Ways
from bench.workload import PAIR, RATE, SCP, SCU, Workload

SLOWEST: Final = "slowest"
FASTEST: Final = "fastest"
ALONE: Final = "association alone, ms"
BESIDE: Final = "association beside, ms"
PROXIES: Final = (PROXY_A, PROXY_B)
EVERYTHING: Final = "pair, everything on"


def each(proxy: str) -> str:
    """Figure: memory of one idle association."""
    return f"KiB each, {proxy}"


def at_first(proxy: str) -> str:
    """Figure: memory of a proxy that has carried nothing."""
    return f"{proxy} idle, MiB"


def more(proxy: str) -> str:
    """Figure: what it needs more after a large object."""
    return f"{proxy} more after it, MiB"


class Crowd:
    """The work loads of many associations."""

    def __init__(self, ways: Ways, folder: Path, scale: Scale) -> None:
        """Starts nothing yet.

        Args:
            ways: where associations go through.
            folder: for objects and logs.
            scale: how much.
        """
        self._ways: Final = ways
        self._folder: Final = folder
        self._scale: Final = scale

    def at_once(self, count: int) -> Workload:
        """Several associations that store at the same time."""
        seconds = self._scale.seconds_at_once
        name = f"{count} association{'s' if count > 1 else ''}"
        return Workload(
            title=f"{name} at once",
            what=f"Objects of 512 KiB for {seconds:g} s over {name}, an SCU and an SCP that do little else. Slowest "
            "and fastest association as a part of their mean.",
            contenders={name: self._storing(way, count) for name, way in self._ways.plain().items()},
            rounds=max(3, self._scale.rounds // 2),
        )

    def _storing(self, way: Way, count: int) -> Callable[[], Run]:
        seconds = self._scale.seconds_at_once

        def store() -> Run:
            with running(start_program("plain_scp", way.target_port, folder=self._folder, port=way.target_port)) as scp:
                meter = Meter({**way.processes, SCP: scp.pid})
                said = run(program("plain_scu", "store", way.port, count, "--seconds", seconds)).said()
                cpu, memory = {SCU: float(said["cpu"]), **meter.cpu()}, meter.memory()
            stored: Sequence[int] = said["objects"]
            mean = sum(stored) / len(stored)
            figures = {
                RATE: said["bytes"] / 1e6 / said["seconds"],
                SLOWEST: min(stored) / mean,
                FASTEST: max(stored) / mean,
            }
            return Run(figures=figures, cpu=cpu, memory=memory, length=said["bytes"])

        return store

    def idle(self) -> Workload:
        """Associations that do nothing, through proxies that have done nothing before."""
        return Workload(
            title=f"{self._scale.idle} idle associations",
            what=f"What each proxy needs for one of {self._scale.idle} idle associations, and how long a new "
            "association takes before and beside them. Each run has proxies of its own.",
            contenders={PAIR: self._idle},
            rounds=2,
            base=PAIR,
            is_warmed_up=False,
        )

    def _idle(self) -> Run:
        count = self._scale.idle
        with ExitStack() as stack:
            way = stack.enter_context(self._ways.fresh_pair())
            scp = start_program("plain_scp", way.target_port, folder=self._folder, port=way.target_port)
            stack.enter_context(running(scp))
            alone = self._association(way)
            before = {name: resident_bytes(way.processes[name]) for name in PROXIES}
            with self._held(way.port, count):
                after = {name: resident_bytes(way.processes[name]) for name in PROXIES}
                beside = self._association(way)
                meter = Meter(way.processes)
                time.sleep(2.0)
                cpu = {name: seconds / 2 for name, seconds in meter.cpu().items()}
        figures = {each(name): (after[name] - before[name]) / 1024 / count for name in PROXIES}
        return Run(figures={**figures, ALONE: alone, BESIDE: beside}, cpu=cpu, memory=after)

    def _association(self, way: Way) -> float:
        """Median milliseconds."""
        return float(run(program("plain_scu", "associate", way.port, self._scale.associations)).said()["median"])

    @contextmanager
    def _held(self, port: int, count: int) -> Iterator[None]:
        """Idle associations, open for a with block."""
        child = start_program("plain_scu", "idle", port, count, folder=self._folder)

        def is_open() -> bool:
            if not child.is_running():
                raise RuntimeError(child.output())
            return json.dumps({"open": count}) in child.stdout_path.read_text(encoding="ascii")

        try:
            wait_until(is_open, seconds=120, what=f"{count} associations")
            yield
        finally:
            child.stop()
            child.stdout_path.unlink()

    def memory(self) -> Workload:
        """Resident memory of proxies that have done nothing, and of the same after a large object."""
        return Workload(
            title="Resident memory",
            what="Proxies with everything on (tunnel key, TLS on all legs, status page and metrics): idle, and after "
            f"one object of {self._scale.frames // 2} MiB.",
            contenders={EVERYTHING: self._memory},
            rounds=2,
            base=EVERYTHING,
            is_warmed_up=False,
        )

    def _memory(self) -> Run:
        files = Objects(self._folder).multi_frame(self._scale.frames)
        sealed = DcmtkPeers(NO_DELAY, self._ways.certificates)
        with self._ways.fresh_pair_with_everything() as way:
            time.sleep(2.0)
            before = {name: resident_bytes(way.processes[name]) for name in PROXIES}
            stored = storing(way, sealed, files, self._folder)()
        figures = {}
        for name in PROXIES:
            figures[at_first(name)] = before[name] / MEBIBYTE
            figures[more(name)] = (stored.memory[name] - before[name]) / MEBIBYTE
        return Run(figures=figures, cpu=stored.cpu, memory=stored.memory, length=stored.length)

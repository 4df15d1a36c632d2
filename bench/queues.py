"""Store and forward: how fast objects are accepted, and how fast they are delivered over a long, thin link."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.integration.peers.waiting import wait_until

from bench.links import MEGABITS
from bench.measurement import Run
from bench.peers import NO_DELAY, DcmtkPeers, length_of, running
from bench.processes import Meter, start_program
from bench.scale import Scale
from bench.storage import Objects, storing
from bench.ways import Way, Ways
from bench.workload import (
    ACCEPTED,
    DIRECT,
    OBJECT_MILLISECONDS,
    OBJECTS,
    PAIR,
    QUEUE,
    QUEUE_SYNC_ALWAYS,
    RATE,
    SCP,
    SCU,
    Workload,
)

NO_LINK: Final = "queue, no link"
DISK: Final = "the disk alone"


def write_and_sync(files: Path, target: Path) -> Run:
    """Write the bytes of all files into one, each of them to the disk before the next."""
    paths = sorted(files.iterdir())
    begun = time.perf_counter()
    with target.open("wb", buffering=0) as file:
        for path in paths:
            file.write(path.read_bytes())
            os.fdatasync(file.fileno())
    seconds = time.perf_counter() - begun
    target.unlink()
    length = length_of(files)
    figures = {RATE: length / 1e6 / seconds, OBJECT_MILLISECONDS: 1000 * seconds / len(paths)}
    return Run(figures=figures, cpu={}, length=length)


class Queues:
    """The work loads of store and forward."""

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
        self._objects: Final = Objects(folder)

    def accept(self) -> Workload:
        """Until the SCU has its success."""
        ways, folder = self._ways, self._folder
        peers, files = DcmtkPeers(NO_DELAY), self._objects.images(self._scale.images)
        return Workload(
            title="Accepted by store and forward",
            what=f"{self._scale.images} objects of 512 KiB over one association, DCMTK with TCP_NODELAY=1, into a "
            "JetStream of this machine on its disk; nobody delivers meanwhile. With `sync_interval: always` each "
            "success is on the disk before it is said: the last line is what that disk can do, one file and an "
            "fdatasync behind each object.",
            contenders={
                DIRECT: storing(ways.direct(), peers, files, folder),
                QUEUE: storing(ways.queue(sync_always=False), peers, files, folder),
                QUEUE_SYNC_ALWAYS: storing(ways.queue(), peers, files, folder),
                DISK: partial(write_and_sync, files, folder / "disk"),
            },
            rounds=self._scale.rounds,
        )

    def series_over_link(self, milliseconds: int) -> Workload:
        """CT images."""
        files = self._objects.images(self._scale.link_queued)
        over_link = self._ways.queue_over_link(milliseconds, MEGABITS)
        return Workload(
            title=f"CT series, stored and forwarded, {milliseconds} ms and {MEGABITS} Mbit/s",
            what=f"{self._scale.link_queued} objects of 512 KiB over one association, JetStream beside proxy A, proxy "
            f"B reading it over the link. {RATE}: from the first byte of the SCU to the last one of the target.",
            contenders={
                QUEUE: self._delivering(over_link, files),
                NO_LINK: self._delivering(self._ways.queue_delivered(), files),
            },
            rounds=self._scale.link_rounds,
            base=NO_LINK,
            is_warmed_up=False,
        )

    def small_over_link(self, milliseconds: int) -> Workload:
        """Images of 50 KiB, beside relay mode."""
        scale = self._scale
        many = self._objects.middling_images(scale.link_queued_small)
        few = self._objects.middling_images(scale.link_small_images)
        return Workload(
            title=f"50 KiB objects, stored and forwarded, {milliseconds} ms and {MEGABITS} Mbit/s",
            what=f"{scale.link_queued_small} objects over one association; relay mode: {scale.link_small_images}.",
            contenders={
                QUEUE: self._delivering(self._ways.queue_over_link(milliseconds, MEGABITS), many),
                PAIR: self._delivering(self._ways.pair_over_link(milliseconds, MEGABITS), few),
            },
            rounds=scale.link_rounds,
            base=PAIR,
            is_warmed_up=False,
        )

    def _delivering(self, way: Way, files: Path) -> Callable[[], Run]:
        """What stores all `files` and waits until the target has them."""
        count, length, peers = len(list(files.iterdir())), length_of(files), DcmtkPeers(NO_DELAY)

        def store() -> Run:
            port = way.target_port
            scp = start_program("plain_scp", port, "--tell", folder=self._folder, port=port)
            with running(scp):
                meter = Meter({**way.processes, SCP: scp.pid})
                begun = time.perf_counter()
                stored = peers.store(way.port, files)
                wait_until(
                    lambda: scp.stdout_path.read_bytes().count(b"stored") >= count,
                    seconds=600,
                    what=f"{count} objects to reach the target",
                )
                seconds = time.perf_counter() - begun
                cpu, memory = {SCU: stored.cpu, **meter.cpu()}, meter.memory()
            scp.stdout_path.unlink()
            figures = {
                RATE: length / 1e6 / seconds,
                OBJECTS: count / seconds,
                ACCEPTED: length / 1e6 / stored.seconds,
            }
            return Run(figures=figures, cpu=cpu, memory=memory, length=length)

        return store

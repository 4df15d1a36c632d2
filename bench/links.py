"""The same over a long, thin link between proxy A and NATS."""

from pathlib import Path
from typing import Final

from bench.messages import timing
from bench.peers import NO_DELAY, DcmtkPeers, length_of
from bench.scale import Scale
from bench.storage import Objects, storing
from bench.ways import Ways
from bench.workload import PAIR, Workload

MEGABITS: Final = 100
"""A second, each way."""


class Links:
    """The work loads over one link."""

    def __init__(self, ways: Ways, folder: Path, scale: Scale, milliseconds: int) -> None:
        """Starts nothing yet.

        Args:
            ways: where associations go through.
            folder: for objects and logs.
            scale: how much.
            milliseconds: round trip.
        """
        self._ways: Final = ways
        self._folder: Final = folder
        self._scale: Final = scale
        self._milliseconds: Final = milliseconds
        self._objects: Final = Objects(folder)

    def series(self) -> Workload:
        """CT images."""
        return self._store("CT series", self._objects.images(self._scale.link_images))

    def small(self) -> Workload:
        """Small images."""
        return self._store("10 KiB objects", self._objects.small_images(self._scale.link_small_images))

    def large(self) -> Workload:
        """One object, which takes minutes."""
        files = self._objects.multi_frame(self._scale.link_frames)
        return self._store("One large object", files, min(2, self._scale.link_rounds))

    def messages(self) -> Workload:
        """Round trips."""
        way, count = self._ways.pair_over_link(self._milliseconds, MEGABITS), self._scale.link_echoes
        return Workload(
            title=f"Messages, {self._milliseconds} ms and {MEGABITS} Mbit/s",
            what=f"{count} C-ECHOs, and {count} associations set up and released, one after the other.",
            contenders={
                "C-ECHO": timing(way, "echo", count, self._folder),
                "association": timing(way, "associate", count, self._folder),
            },
            rounds=self._scale.link_rounds,
            base="C-ECHO",
        )

    def _store(self, title: str, files: Path, rounds: int | None = None) -> Workload:
        count, length = len(list(files.iterdir())), length_of(files)
        way = self._ways.pair_over_link(self._milliseconds, MEGABITS)
        return Workload(
            title=f"{title}, {self._milliseconds} ms and {MEGABITS} Mbit/s",
            what=f"{count} object{'s' if count > 1 else ''} of {length / count / 1024:.0f} KiB over one association, "
            "DCMTK with TCP_NODELAY=1 at both ends, proxy A reaching NATS over the link.",
            contenders={PAIR: storing(way, DcmtkPeers(NO_DELAY), files, self._folder)},
            rounds=rounds or self._scale.link_rounds,
            base=PAIR,
            is_warmed_up=False,
        )

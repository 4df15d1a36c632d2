"""Storage over one association: series of images, small ones, one large object; and the same bytes over bare NATS."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.integration.peers.waiting import wait_until

from bench import objects
from bench.measurement import Run
from bench.peers import AS_SHIPPED, NO_DELAY, DcmtkPeers, PynetdicomPeers, StoragePeers, length_of, running
from bench.processes import Meter, program, run, start_program
from bench.scale import Scale
from bench.ways import NATS, Way, Ways
from bench.workload import (
    DIRECT,
    DIRECT_WITH_TLS,
    FORWARDER,
    OBJECT_MILLISECONDS,
    PAIR,
    PAIR_ON_UNTUNED_NATS,
    PAIR_WITH_KEY,
    PAIR_WITH_TLS,
    RATE,
    SCP,
    SCU,
    Workload,
)

SMALL_SIDE: Final = 71
"""Rows and columns of an image of 10 KiB."""


class Objects:
    """Folders of objects, each made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def images(self, count: int) -> Path:
        """CT images of 512 KiB."""
        return objects.series(self._folder / f"images-{count}", count)

    def small_images(self, count: int) -> Path:
        """Of 10 KiB."""
        return objects.series(self._folder / f"small-{count}", count, rows=SMALL_SIDE, columns=SMALL_SIDE)

    def middling_images(self, count: int) -> Path:
        """Of 50 KiB."""
        return objects.series(self._folder / f"middling-{count}", count, rows=160, columns=160)

    def multi_frame(self, frames: int) -> Path:
        """One object of so many times 512 KiB."""
        return objects.series(self._folder / f"frames-{frames}", 1, frames=frames)


def storing(way: Way, peers: StoragePeers, files: Path, folder: Path) -> Callable[[], Run]:
    """What stores all `files` over one association through `way`."""
    count = len(list(files.iterdir()))

    def store() -> Run:
        with peers.scp(way.target_port, folder) as scp:
            meter = Meter({**way.processes, SCP: scp.pid})
            begun = time.perf_counter()
            stored = peers.store(way.port, files)
            seconds = stored.seconds
            if way.arrived is not None:
                way.arrived(count)
                seconds = time.perf_counter() - begun
            cpu, memory = {SCU: stored.cpu, **meter.cpu()}, meter.memory()
            time.sleep(way.rest)
        if way.clear is not None:
            way.clear()
        figures = {RATE: stored.length / 1e6 / seconds, OBJECT_MILLISECONDS: 1000 * seconds / count}
        return Run(figures=figures, cpu=cpu, memory=memory, length=stored.length)

    return store


class Storage:
    """The work loads of one association that stores."""

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

    def series(self) -> Workload:
        """Many CT images."""
        scale = self._scale
        many, few = self._objects.images(scale.images), self._objects.images(scale.few_images)
        return Workload(
            title="CT series",
            what=f"{scale.images} objects of 512 KiB over one association, DCMTK with TCP_NODELAY=1 at both ends; "
            f"pynetdicom and its relay: {scale.few_images}.",
            contenders={
                **self._figures(many),
                **self._others(many, few, message=256 << 10),
                PAIR_ON_UNTUNED_NATS: storing(
                    self._ways.pair_on_untuned_nats(), DcmtkPeers(NO_DELAY), many, self._folder
                ),
            },
            rounds=scale.rounds,
        )

    def series_as_shipped(self) -> Workload:
        """DCMTK as most people run it."""
        few = self._objects.images(self._scale.few_images)
        peers = DcmtkPeers(AS_SHIPPED)
        ways = {DIRECT: self._ways.direct(), FORWARDER: self._ways.forwarder(), PAIR: self._ways.pair()}
        return Workload(
            title="CT series, DCMTK as shipped",
            what=f"{self._scale.few_images} objects of 512 KiB over one association. Without TCP_NODELAY, DCMTK waits "
            "40 ms for an acknowledgement with every object, unless somebody between acknowledges at once.",
            contenders={name: storing(way, peers, few, self._folder) for name, way in ways.items()},
            rounds=max(3, self._scale.rounds // 2),
        )

    def small(self) -> Workload:
        """Many small images."""
        scale = self._scale
        many, few = self._objects.small_images(scale.small_images), self._objects.small_images(scale.few_small_images)
        return Workload(
            title="10 KiB objects",
            what=f"{scale.small_images} objects of 10 KiB over one association, DCMTK with TCP_NODELAY=1 at both ends; "
            f"pynetdicom and its relay: {scale.few_small_images}.",
            contenders={
                **self._figures(many),
                **(self._others(many, few, message=10 << 10) if scale.has_everybody else {}),
            },
            rounds=scale.rounds,
        )

    def large(self) -> Workload:
        """One multi-frame object."""
        scale = self._scale
        large, less = self._objects.multi_frame(scale.frames), self._objects.multi_frame(max(1, scale.frames // 8))
        return Workload(
            title=f"One object of {scale.frames * objects.FRAME / 1e9:.2g} GB",
            what=f"One multi-frame object of {scale.frames // 2} MiB, DCMTK with TCP_NODELAY=1 at both ends; "
            "pynetdicom and its relay, which hold it in memory: an eighth of it.",
            contenders={
                **self._figures(large),
                **(self._others(large, less, message=256 << 10) if scale.has_everybody else {}),
            },
            rounds=scale.rounds,
        )

    def _figures(self, files: Path) -> dict[str, Callable[[], Run]]:
        """Those that figures to reach are about."""
        ways, folder, plain = self._ways, self._folder, DcmtkPeers(NO_DELAY)
        return {
            DIRECT: storing(ways.direct(), plain, files, folder),
            FORWARDER: storing(ways.forwarder(), plain, files, folder),
            PAIR: storing(ways.pair(), plain, files, folder),
            PAIR_WITH_KEY: storing(ways.pair_with_key(), plain, files, folder),
        }

    def _others(self, many: Path, few: Path, *, message: int) -> dict[str, Callable[[], Run]]:
        """Everybody else; `few` for those that are slow by design."""
        ways, folder = self._ways, self._folder
        plain, sealed = DcmtkPeers(NO_DELAY), DcmtkPeers(NO_DELAY, ways.certificates)
        return {
            DIRECT_WITH_TLS: storing(ways.direct(), sealed, many, folder),
            PAIR_WITH_TLS: storing(ways.pair_with_tls(), sealed, many, folder),
            "bare nats-py": self._bare_nats(many, message),
            "pynetdicom, direct": storing(ways.direct(), PynetdicomPeers(), few, folder),
            "store and forward": storing(ways.store_and_forward(), plain, few, folder),
        }

    def _bare_nats(self, files: Path, size: int) -> Callable[[], Run]:
        """The same bytes through nats-server, published and subscribed to by nats-py as it is."""
        server = self._ways.nats()
        length, count = length_of(files), len(list(files.iterdir()))

        def publish() -> Run:
            subscriber = start_program("bare_nats", "subscribe", server.url, folder=self._folder)
            with running(subscriber):
                wait_until(lambda: b"ready" in subscriber.stdout_path.read_bytes(), seconds=20, what="nats-py")
                meter = Meter({NATS: server.process.pid, "subscriber": subscriber.pid})
                said = run(program("bare_nats", "publish", server.url, "--total", length, "--size", size)).said()
                cpu = {"publisher": float(said["cpu"]), **meter.cpu()}
            subscriber.stdout_path.unlink()
            seconds = said["seconds"]
            figures = {RATE: said["bytes"] / 1e6 / seconds, OBJECT_MILLISECONDS: 1000 * seconds / count}
            return Run(figures=figures, cpu=cpu, length=said["bytes"])

        return publish

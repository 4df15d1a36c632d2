"""Store and forward of many objects, of a large one, and with a deep queue: in short, and in long for `make chaos`."""

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from dimse_proxy.queueing.subjects import Kind
from tests.chaos.faults import say
from tests.chaos.queue_load import Archive, Timed, timed_store
from tests.chaos.scale import IS_LONG, timeout
from tests.integration.peers.bulk import FRAME, BulkScp, BulkScu
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import START_SECONDS, Pair, Proxy, Target
from tests.integration.peers.processes import PeakMemory
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.store_and_forward import direct, streams
from tests.integration.store_and_forward.conftest import env_of_a, env_of_b

MEBIBYTE = 1 << 20
GROUPS = (100, 200, 300, 400) if IS_LONG else (5, 10, 15, 20)
FRAMES = (2 << 30) // FRAME if IS_LONG else (96 * MEBIBYTE) // FRAME
DEEP = (100, 1000) if IS_LONG else (10, 200)
"""Associations that are queued, and objects of each."""
GROWTH = 64 * MEBIBYTE
"""Of either proxy, whatever the size of an object."""
MOST_RESIDENT = 192 * MEBIBYTE
"""Of either proxy, with a hundred thousand objects in the queue."""
WORST_SECONDS = 5.0
"""Far above what a success takes, also on a busy machine, and far below a time-out of an SCU."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("jetstream")
    with NatsServer(
        folder, config={"jetstream": {"store_dir": str(folder / "store"), "sync_interval": "always"}}
    ) as it:
        yield it


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_target_down_then_up(server: NatsServer, tmp_path: Path) -> None:
    """What was accepted while the target was away arrives once, bit for bit, in its groups; two processes deliver."""
    archive, target = Archive(pause=0.0 if IS_LONG else 0.06), Target(port=free_port())
    env_b = env_of_b({"DIMSE_QUEUE_ASSOCIATIONS": "1"})  # so that one process alone cannot have all
    with Pair(server.url, tmp_path / "pair", target_b=target, env_a=env_of_a(), env_b=env_b) as pair:
        other = Proxy("proxy-b2", tmp_path / "pair", {**pair.b.env, "DIMSE_PORT": str(free_port())})
        try:
            other.wait_for("ready", seconds=START_SECONDS)
            with ThreadPoolExecutor(len(GROUPS)) as pool:
                groups = list(pool.map(lambda size: timed_store(pair.a.port, size), GROUPS))
            pair.b.wait_for("delivery rests")
            sent = {one.uid: one.digest for group in groups for one in group}
            assert len(sent) == sum(GROUPS), "all were answered with success"
            assert not archive.came
            begun = time.monotonic()
            with archive.at(target.port):
                wait_until(lambda: sent.keys() <= archive.came.keys(), seconds=120, what="all objects")
                seconds = time.monotonic() - begun
                # Nothing is left, and nothing more comes.
                for what in ("RECORDS", "CHUNKS"):
                    stream = f"{pair.root}_B_A_{what}"
                    wait_until(partial(is_empty, server.url, stream), seconds=30, what="an empty queue")
            assert other.find("association ended"), "both processes deliver"
        finally:
            other.process.kill()
    assert archive.digests == sent
    assert archive.duplicates == 0
    assert sorted(archive.groups()) == sorted([one.uid for one in group] for group in groups)
    say(
        f"target down, then up: {sum(GROUPS)} objects in groups of {GROUPS}, all there after {seconds:.1f} s; "
        f"{successes(groups)}"
    )
    assert max(one.seconds for group in groups for one in group) < WORST_SECONDS


def is_empty(url: str, stream: str) -> bool:
    """Nothing is stored any more."""
    return not streams.subjects(url, stream)


def successes(groups: list[list[Timed]]) -> str:
    """How long the SCU waited."""
    waits = [one.seconds * 1000 for group in groups for one in group]
    return f"success after {statistics.median(waits):.1f} ms (median), {max(waits):.0f} ms at worst"


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_a_large_object(server: NatsServer, tmp_path: Path) -> None:
    """2 GB in the long form: neither proxy holds it."""
    target = Target(port=free_port())
    env = {"DIMSE_QUEUE_MAX_BYTES": str(4 << 30)} if IS_LONG else {}
    with (
        BulkScp(target.port, maximum_length=16384) as scp,
        Pair(server.url, tmp_path / "pair", target_b=target, env_a=env_of_a(env), env_b=env_of_b(env)) as pair,
    ):
        with BulkScu(pair.a.port) as warm_up:
            warm_up.store(16 * MEBIBYTE // FRAME)
        wait_until(lambda: len(scp.received) == 1, seconds=30, what="the first object")
        memory = PeakMemory(pair.a.process, pair.b.process)
        begun = time.monotonic()

        def store() -> None:
            with BulkScu(pair.a.port) as scu:
                scu.store(FRAMES)

        thread = threading.Thread(target=store)
        thread.start()
        accepted = None
        while len(scp.received) < 2 and time.monotonic() - begun < timeout(90, 600):
            memory.sample()
            thread.join(0.05)
            if accepted is None and not thread.is_alive():
                accepted = time.monotonic() - begun
        thread.join()
        seconds = time.monotonic() - begun
    growth = ", ".join(f"{number / MEBIBYTE:.0f}" for number in memory.growth())
    say(
        f"one object of {FRAMES * FRAME / 1e9:.2f} GB: accepted after {accepted or seconds:.1f} s, delivered after "
        f"{seconds:.1f} s; the proxies grew by {growth} MiB"
    )
    assert scp.received[1].length > FRAMES * FRAME
    assert max(memory.growth()) < GROWTH


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_a_deep_queue(server: NatsServer, tmp_path: Path) -> None:
    """100,000 objects in the long form: delivery begins at once, memory is bounded, and listing is quick."""
    root, target, archive = "DEEP", Target(port=free_port()), Archive()
    count = DEEP[0] * DEEP[1]
    filling, listing = asyncio.run(fill(server.url, root))
    env = {"DIMSE_NATS_SUBJECT_ROOT": root}
    with archive.at(target.port):
        begun = time.monotonic()
        with Pair(server.url, tmp_path / "pair", target_b=target, env_a=env_of_a(env), env_b=env_of_b(env)) as pair:
            wait_until(lambda: archive.came, seconds=60, what="the first object")
            first = time.monotonic() - begun
            # Long enough for the first sweep, which looks at everything.
            resident = [0, 0]
            while time.monotonic() - begun < (60 if IS_LONG else 2):
                resident = [max(most, proxy.rss()) for most, proxy in zip(resident, pair.proxies(), strict=True)]
                time.sleep(0.1)
            delivered = len(archive.came) / (time.monotonic() - begun - first)
            stored = timed_store(pair.a.port, 20)
    say(
        f"{count} objects queued ({count / filling:.0f} a second) and listed in {listing:.2f} s: the first one "
        f"delivered {first:.1f} s after the proxies were started, {delivered:.0f} a second; resident memory of the "
        f"proxies up to {resident[0] / MEBIBYTE:.0f} and {resident[1] / MEBIBYTE:.0f} MiB; {successes([stored])}"
    )
    assert max(resident) < MOST_RESIDENT
    assert archive.duplicates == 0
    if IS_LONG:
        assert listing < 1.0


async def fill(url: str, root: str) -> tuple[float, float]:
    """Queue all objects; return how long that took, and how long it takes to list them."""
    async with direct.open_queue(url, root) as queue:
        begun = time.monotonic()
        for _ in range(DEEP[0]):
            await direct.put_association(queue, DEEP[1], direct.data_set())
        filling = time.monotonic() - begun
        begun = time.monotonic()
        found = [subject async for page in queue.record_pages(Kind.RECORD) for subject in page]
        assert len(found) == DEEP[0] * DEEP[1]
        return filling, time.monotonic() - begun

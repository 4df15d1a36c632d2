"""A multi-frame object of 1 GB crosses with bounded memory, and a second association stays responsive meanwhile."""

import os
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.integration.conftest import PairFactory
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.bulk import FRAME, BulkScp, BulkScu, Received
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Target
from tests.integration.peers.processes import PeakMemory
from tests.integration.peers.waiting import free_port

GIGABYTE_FRAMES = (1 << 30) // FRAME
WARM_UP_FRAMES = (32 << 20) // FRAME
GROWTH = 32 << 20

# Far above what is seen, and far below what an SCU takes for a dead peer.
ECHO_SECONDS = 3.0


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("max_payload", "maximum_length"), [(1 << 20, 16384), (1 << 20, 131072), (65536, 131072)], ids=str
)
def test_one_gigabyte(
    make_pair: PairFactory, tmp_path: Path, max_payload: int, maximum_length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The C-STORE is one association, C-ECHOs are another; memory is looked at all the while."""
    target = Target(port=free_port())
    sent: list[Received] = []

    def store(port: int) -> None:
        with BulkScu(port) as scu:
            sent.append(scu.store(GIGABYTE_FRAMES))

    with (
        NatsServer(tmp_path / "nats", config={"max_payload": max_payload}) as nats,
        BulkScp(target.port, maximum_length=maximum_length) as scp,
    ):
        pair = make_pair(nats_url=nats.url, target_b=target)
        with BulkScu(pair.a.port) as warm_up:
            warm_up.store(WARM_UP_FRAMES)
        memory = PeakMemory(pair.a.process, pair.b.process)
        cpu = [proxy.process.cpu_seconds() for proxy in pair.proxies()]
        thread = threading.Thread(target=store, args=(pair.a.port,))
        begun = time.perf_counter()
        thread.start()
        echoes = []
        with BulkScu(pair.a.port) as other:
            while thread.is_alive():
                echoes.append(other.echo())
                memory.sample()
                thread.join(0.02)
        seconds = time.perf_counter() - begun
        used = [proxy.process.cpu_seconds() - before for proxy, before in zip(pair.proxies(), cpu, strict=True)]
        assert not scp.errors
    growth = ", ".join(f"{number / 1048576:.1f}" for number in memory.growth())
    with capsys.disabled():
        sys.stdout.write(
            f"\n  1 GiB, PDUs of {maximum_length}, max_payload {max_payload}: {seconds:.1f} s, growth {growth} MiB, "
            f"CPU {used[0]:.1f} + {used[1]:.1f} s; C-ECHO beside it: median {statistics.median(echoes) * 1000:.1f} ms, "
            f"worst {max(echoes) * 1000:.0f} ms of {len(echoes)}\n"
        )
    assert len(sent) == 1, "the C-STORE failed"
    assert sent[0] in scp.received
    assert sent[0].length > 1 << 30
    assert max(memory.growth()) < GROWTH
    assert max(echoes) < ECHO_SECONDS
    assert seconds < 60


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_one_gigabyte_with_dcmtk(make_pair: PairFactory, tmp_path: Path) -> None:
    """storescu and storescp, with their own PDU sizes and timing; the file's pixels are a hole on disk."""
    file = dicom_files.write_object(tmp_path / "sent", patient_id="LARGE", pixel_bytes=1 << 15)
    content = bytearray(file.path.read_bytes())
    length_at = content.rindex(b"\xe0\x7f\x10\x00") + 8
    content[length_at : length_at + 4] = (1 << 30).to_bytes(4, "little")
    file.path.write_bytes(content)
    os.truncate(file.path, length_at + 4 + (1 << 30))
    target = Target(port=free_port())
    with dcmtk.storescp(target.port, tmp_path, "--ignore"):
        pair = make_pair(target_b=target)
        dcmtk.scu("echoscu", pair.a.port).ok()
        memory = PeakMemory(pair.a.process, pair.b.process)
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                memory.sample()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            dcmtk.scu("storescu", pair.a.port, files=[file.path]).ok()
        finally:
            done.set()
            watcher.join()
    assert max(memory.growth()) < GROWTH

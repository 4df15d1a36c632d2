"""The main promise: what was accepted while the target was away arrives, once, bit for bit, in its groups."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import START_SECONDS, Pair, Proxy
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.store_and_forward import streams
from tests.integration.store_and_forward.conftest import QueuePair

GROUPS = (20, 40, 60, 80)


def groups_of(log: str) -> list[int]:
    """How many objects each association of storescp's log brought, which it takes one after the other."""
    sizes: list[int] = []
    for line in log.splitlines():
        if "Association Received" in line:
            sizes.append(0)
        elif "Received Store Request" in line:
            sizes[-1] += 1
    return [size for size in sizes if size]


def send(port: int, files: list[DicomFile]) -> Counter[str]:
    result = dcmtk.scu("storescu", port, "-R", files=[file.path for file in files]).ok()
    return Counter(re.findall(r"Received Store Response \((.*)\)", result.output))


@pytest.fixture
def second_b(queue_pair: QueuePair, tmp_path: Path) -> Iterator[tuple[Pair, Proxy]]:
    """A pair, and another process that delivers beside B."""
    pair = queue_pair()
    other = Proxy("proxy-b2", tmp_path / "pair", {**pair.b.env, "DIMSE_PORT": str(free_port())})
    other.wait_for("ready", seconds=START_SECONDS)
    yield pair, other
    other.process.kill()


def test_all_arrive_once_in_their_groups(second_b: tuple[Pair, Proxy], jetstream: NatsServer, tmp_path: Path) -> None:
    pair, other = second_b
    assert pair.target_b is not None
    groups = [
        [
            dicom_files.write_object(tmp_path / f"group{size}", patient_id=f"P{number}", pixel_bytes=25600)
            for number in range(size)
        ]
        for size in GROUPS
    ]
    with ThreadPoolExecutor(len(groups)) as pool:
        answers = list(pool.map(lambda files: send(pair.a.port, files), groups))
    assert answers == [Counter({"Success": size}) for size in GROUPS]
    pair.b.wait_for("delivery rests")
    stream = f"{pair.root}_B_A_RECORDS"
    assert len(streams.subjects(jetstream.url, stream, "record")) == sum(GROUPS)

    received = tmp_path / "scp" / "received"
    with dcmtk.storescp(pair.target_b.port, tmp_path / "scp") as scp:
        wait_until(lambda: len(list(received.iterdir())) == sum(GROUPS), seconds=60, what="all objects")
        # Nothing is left, and nothing more comes.
        wait_until(lambda: not streams.subjects(jetstream.url, stream), seconds=20, what="an empty queue")
        assert not streams.subjects(jetstream.url, f"{pair.root}_B_A_CHUNKS")
        assert sorted(groups_of(scp.log())) == list(GROUPS)
    assert other.find("association ended"), "both processes deliver"
    files = [file for group in groups for file in group]
    assert dicom_files.digests(dicom_files.received(received)) == dicom_files.digests(files)


def test_objects_pass_while_the_association_goes_on(queue_pair: QueuePair, tmp_path: Path) -> None:
    """Nobody waits for the end of the original association, and contexts are what the target accepts."""
    pair = queue_pair()
    assert pair.target_b is not None
    files = [dicom_files.write_object(tmp_path / "files", patient_id=f"P{number}") for number in range(5)]
    with dcmtk.storescp(pair.target_b.port, tmp_path / "scp") as scp:
        assert send(pair.a.port, files[:1]) == Counter({"Success": 1})
        assert send(pair.a.port, files[1:]) == Counter({"Success": 4})
        wait_until(lambda: sorted(groups_of(scp.log())) == [1, 4], seconds=20, what="both groups")
    assert not pair.a.find("accepted without asking")

"""Whoever owns NATS can make an association slow or end it, and nothing else: real peers, real nats-server."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import nats
import pytest
from nats.aio.msg import Msg

from tests.integration.conftest import PairFactory
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.nats_in_the_middle import Attack
from tests.integration.peers.pair import Target
from tests.integration.peers.waiting import free_port
from tests.integration.tunnel_key.conftest import ASKER_AE, TARGET_AE, Hostile

PATIENT: Final = "MARKERPATIENT"


def objects(folder: Path, count: int) -> list[DicomFile]:
    return [dicom_files.write_object(folder, patient_id=PATIENT, pixel_bytes=51200) for _ in range(count)]


def store(port: int, files: list[DicomFile]) -> bool:
    """Sends all files on one association, each as it is; tells whether all were stored."""
    paths = [file.path for file in files]
    result = dcmtk.scu(
        "storescu", port, "-xe", "-to", "20", "-td", "20", files=paths, called=TARGET_AE, calling=ASKER_AE
    )
    return result.code == 0


class Attacker:
    """Makes attacks that hit some of the messages, and knows all that passed."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.hits = 0
        self.known: list[tuple[str, bytes]] = []
        self._random = random.Random(5)

    def some(self, change: Callable[[bytes], list[bytes]]) -> Attack:
        def attack(subject: str, payload: bytes) -> list[bytes]:
            self.known.append((subject, payload))
            if self._random.random() >= self.rate:
                return [payload]
            self.hits += 1
            return change(payload)

        return attack

    def rewrite(self, payload: bytes) -> list[bytes]:
        changed = bytearray(payload)
        position = self._random.randrange(len(changed)) if self._random.random() < 0.5 else self._random.randrange(64)
        changed[position] ^= 1 << self._random.randrange(8)
        return [bytes(changed)]

    def truncate(self, payload: bytes) -> list[bytes]:
        return [payload[: self._random.randrange(len(payload))]]

    def drop(self, payload: bytes) -> list[bytes]:
        return []

    def swap(self, payload: bytes) -> list[bytes]:
        return [payload[:64] + self._random.choice(self.known)[1][64:]]

    def replay(self, payload: bytes) -> list[bytes]:
        return [payload, *(self._random.choice(self.known)[1] for _ in range(5)), payload]

    def everything(self, payload: bytes) -> list[bytes]:
        changes = [self.rewrite, self.truncate, self.drop, self.swap, self.replay]
        return self._random.choice(changes)(payload)


@pytest.mark.parametrize("manner", ["rewrite", "truncate", "drop", "swap", "replay", "everything"])
def test_no_attack_changes_a_byte(hostile: Hostile, tmp_path: Path, manner: str) -> None:
    attacker = Attacker(0.05)
    files = objects(tmp_path / "objects", 10)
    with dcmtk.storescp(hostile.scp_port, tmp_path / "scp", ae=TARGET_AE):
        hostile.middle.attack = attacker.some(getattr(attacker, manner))
        outcomes = [store(hostile.a.port, files) for _ in range(3)]
        received = dicom_files.received(tmp_path / "scp" / "received")
    assert attacker.hits > 5
    assert any(outcomes), "retransmission heals what a few changed messages break"
    sent = dicom_files.digests(files)
    assert {file.sop_instance for file in received} == set(sent)
    assert all(file.digest() == sent[file.sop_instance] for file in received)


async def captured(url: str, work: Callable[[], object]) -> list[tuple[str, bytes]]:
    """Every message that passes the server while `work` runs in a thread, by subject and payload."""
    client = await nats.connect(url)
    messages: list[tuple[str, bytes]] = []

    async def keep(message: Msg) -> None:
        messages.append((message.subject, message.data))

    await client.subscribe(">", cb=keep)
    await client.flush()
    await asyncio.to_thread(work)
    await client.flush()
    await client.drain()
    return messages


async def publish(url: str, messages: list[tuple[str, bytes]]) -> None:
    client = await nats.connect(url)
    for subject, payload in messages:
        await client.publish(subject, payload)
    await client.flush()
    await client.close()


def test_a_capture_of_all_subjects_tells_nothing_and_said_again_does_nothing(hostile: Hostile, tmp_path: Path) -> None:
    files = objects(tmp_path / "objects", 3)
    with dcmtk.storescp(hostile.scp_port, tmp_path / "scp", ae=TARGET_AE) as scp:
        messages = asyncio.run(captured(hostile.server.url, lambda: store(hostile.a.port, files)))
        asyncio.run(publish(hostile.server.url, messages))
        assert store(hostile.a.port, files)
        associations = scp.log().count("Association Received")
    assert associations == 2, "one for each storescu: a replayed open reaches nobody"
    sent = dicom_files.digests(files)
    assert dicom_files.digests(dicom_files.received(tmp_path / "scp" / "received")) == sent
    everything = b"\n".join(subject.encode() + b" " + payload for subject, payload in messages)
    assert len(everything) > 3 * 51200
    markers = [TARGET_AE.encode(), ASKER_AE.encode(), PATIENT.encode(), b"1.2.840.10008", b"127.0.0.1"]
    markers += [file.sop_instance.encode() for file in files]
    markers += [file.data_set()[at : at + 16] for file in files for at in range(1000, 50_000, 997)]
    assert not [marker for marker in markers if marker in everything]


def test_the_same_capture_without_a_key_tells_everything(
    make_pair: PairFactory, nats_server: NatsServer, tmp_path: Path
) -> None:
    """So that the test above could fail."""
    scp_port = free_port()
    pair = make_pair(target_b=Target(port=scp_port, ae=TARGET_AE))
    (file,) = objects(tmp_path / "objects", 1)
    with dcmtk.storescp(scp_port, tmp_path / "scp", ae=TARGET_AE):
        messages = asyncio.run(captured(nats_server.url, lambda: store(pair.a.port, [file])))
    everything = b"".join(payload for _, payload in messages)
    for marker in (TARGET_AE.encode(), ASKER_AE.encode(), PATIENT.encode(), file.sop_instance.encode(), b"127.0.0.1"):
        assert marker in everything

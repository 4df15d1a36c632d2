"""Whoever owns NATS can make an association slow or end it, and nothing else: real peers, real nats-server."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import nats
import pytest

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats_in_the_middle import Attack
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


def test_a_capture_of_all_subjects_tells_nothing_and_said_again_does_nothing(hostile: Hostile, tmp_path: Path) -> None:
    files = objects(tmp_path / "objects", 3)

    async def capture_and_replay() -> tuple[list[tuple[str, bytes]], int]:
        client = await nats.connect(hostile.server.url)
        captured: list[tuple[str, bytes]] = []

        async def keep(message: nats.aio.msg.Msg) -> None:
            captured.append((message.subject, message.data))

        subscription = await client.subscribe(">", cb=keep)
        await client.flush()
        assert await asyncio.to_thread(store, hostile.a.port, files)
        await asyncio.sleep(0.2)
        await subscription.unsubscribe()
        for subject, payload in captured:
            await client.publish(subject, payload)
        await client.flush()
        assert await asyncio.to_thread(store, hostile.a.port, files)
        await client.close()
        return captured, len(captured)

    with dcmtk.storescp(hostile.scp_port, tmp_path / "scp", "-d", ae=TARGET_AE) as scp:
        captured, count = asyncio.run(capture_and_replay())
        associations = scp.log().count("Association Received")
    assert count > 20
    assert associations == 2, "one for each storescu: a replayed open reaches nobody"
    payloads = b"\n".join(payload for _, payload in captured)
    markers = [TARGET_AE.encode(), ASKER_AE.encode(), PATIENT.encode(), b"1.2.840.10008", b"ISO_IR", b"127.0.0.1"]
    markers += [file.sop_instance.encode() for file in files]
    markers += [file.data_set()[at : at + 16] for file in files for at in range(1000, 50_000, 997)]
    assert not [
        marker for marker in markers if marker in payloads or marker in b"".join(s.encode() for s, _ in captured)
    ]
    kinds = Counter(subject.split(".")[-1] == "hello" for subject, _ in captured)
    assert kinds[True]
    assert kinds[False]


def test_the_same_capture_without_a_key_would_tell_everything(
    make_pair: Callable[..., object], nats_server: object, tmp_path: Path
) -> None:
    """So that the test above can fail."""
    from tests.integration.peers.nats import NatsServer
    from tests.integration.peers.pair import Pair, Target
    from tests.integration.peers.waiting import free_port

    assert isinstance(nats_server, NatsServer)
    scp_port = free_port()
    pair = make_pair(target_b=Target(port=scp_port, ae=TARGET_AE))
    assert isinstance(pair, Pair)
    files = objects(tmp_path / "objects", 1)

    async def capture() -> bytes:
        client = await nats.connect(nats_server.url)
        captured: list[bytes] = []

        async def keep(message: nats.aio.msg.Msg) -> None:
            captured.append(message.data)

        await client.subscribe(">", cb=keep)
        await client.flush()
        assert await asyncio.to_thread(store, pair.a.port, files)
        await asyncio.sleep(0.2)
        await client.close()
        return b"\n".join(captured)

    with dcmtk.storescp(scp_port, tmp_path / "scp", ae=TARGET_AE):
        payloads = asyncio.run(capture())
    for marker in (TARGET_AE.encode(), ASKER_AE.encode(), PATIENT.encode(), files[0].sop_instance.encode()):
        assert marker in payloads

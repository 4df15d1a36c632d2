"""A queue that cannot be used: a clear answer to the SCU, a clear line in the log, and it recovers by itself."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from pydicom.uid import CTImageStorage

from tests.integration.peers import dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, request, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.store_and_forward import documented, streams
from tests.integration.store_and_forward.conftest import QueuePair, env_of_a, env_of_b

TRANSIENT = 2
OUT_OF_RESOURCES = 0xA700


def rejected(pair: Pair, pattern: str) -> None:
    """A storage association is rejected as transient, and the log says why."""
    assoc = request(pair.a.port, offers(CTImageStorage))
    assert assoc.is_rejected
    answer: Any = assoc.acceptor.primitive
    assert answer.result == TRANSIENT
    pair.a.wait_for(f"queue cannot be used.*{pattern}")
    pair.a.wait_for(f"association refused.*{pattern}")


def test_queues_that_cannot_be_used(jetstream: NatsServer, tmp_path: Path) -> None:
    """Several at once, because each rejection waits for some seconds whether the queue comes back."""
    troubles = {"disabled": not_enabled, "wrong": wrong_settings, "missing": nobody_makes_them}
    with NatsServer(tmp_path / "nats") as plain, ThreadPoolExecutor(len(troubles)) as pool:
        running = {
            name: pool.submit(trouble, plain if name == "disabled" else jetstream, tmp_path / name)
            for name, trouble in troubles.items()
        }
        assert {name: future.result() for name, future in running.items()} == dict.fromkeys(troubles)


def not_enabled(server: NatsServer, folder: Path) -> None:
    target = Target(port=free_port())
    with Pair(server.url, folder, target_b=target, env_a=env_of_a(), env_b=env_of_b()) as pair:
        rejected(pair, "JetStream is not enabled on the NATS server")
        # What is not for the queue does not need it.
        echo = offers("1.2.840.10008.1.1")
        with Scp(target.port, echo, Store().handlers()), association(pair.a.port, echo) as assoc:
            assert assoc.send_c_echo().Status == 0x0000


def wrong_settings(server: NatsServer, folder: Path) -> None:
    async def make(client: Client) -> None:
        config = {"name": "W_B_A_CHUNKS", "subjects": ["W.B.A.queue.chunk.>"], "storage": "memory", "max_age": 10**12}
        answer = await streams.api(client, "STREAM.CREATE.W_B_A_CHUNKS", config)
        assert "error" not in answer, answer

    streams.with_client(server.url, make)
    root = {"DIMSE_NATS_SUBJECT_ROOT": "W"}
    with Pair(server.url, folder, env_a=env_of_a(root), env_b=env_of_b(root)) as pair:
        rejected(pair, "stream W_B_A_CHUNKS has wrong settings: .*storage is memory and must be file.*max_age")


def nobody_makes_them(server: NatsServer, folder: Path) -> None:
    env = env_of_a({"DIMSE_QUEUE_CREATE_STREAMS": "false"})
    with Pair(server.url, folder, env_a=env, env_b=env_of_b()) as pair:
        rejected(pair, "stream .*_B_A_CHUNKS does not exist")


def test_a_stream_deleted_by_hand_is_made_anew(queue_pair: QueuePair, jetstream: NatsServer, tmp_path: Path) -> None:
    pair = queue_pair()
    assert pair.target_b is not None
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}") for number in range(3)]
    store = Store()
    names = [f"{pair.root}_B_A_{what}" for what in ("CHUNKS", "RECORDS")]

    async def delete(client: Client) -> None:
        for name in names:
            assert (await streams.api(client, f"STREAM.DELETE.{name}")).get("success")

    with Scp(pair.target_b.port, offers(CTImageStorage), store.handlers()):
        with association(pair.a.port, offers(CTImageStorage)) as assoc:
            assert store_raw(assoc, files[0]) == 0x0000
            wait_until(lambda: len(store.received) == 1, seconds=20, what="the first object")
            streams.with_client(jetstream.url, delete)
            # The SCU waits for as long as it takes to make them.
            assert store_raw(assoc, files[1]) == 0x0000
            assert store_raw(assoc, files[2]) == 0x0000
        wait_until(lambda: len(store.received) == 3, seconds=60, what="the objects behind it")


def test_a_full_queue_answers_a700_and_recovers(queue_pair: QueuePair, jetstream: NatsServer, tmp_path: Path) -> None:
    pair = queue_pair(env_a={"DIMSE_QUEUE_MAX_BYTES": str(1024 * 1024)})
    assert pair.target_b is not None
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}", pixel_bytes=65280) for number in range(24)]
    with association(pair.a.port, offers(CTImageStorage)) as assoc:
        answers = [store_raw(assoc, file, message_id=number + 1) for number, file in enumerate(files)]
    accepted = answers.count(0x0000)
    assert Counter(answers) == Counter({0x0000: accepted, OUT_OF_RESOURCES: len(files) - accepted})
    assert 10 <= accepted <= 16
    pair.a.wait_for("queue cannot be used.*it is full")
    pair.a.wait_for("object not queued.*A700H")
    store = Store()
    with Scp(pair.target_b.port, offers(CTImageStorage), store.handlers()):
        wait_until(lambda: len(store.received) == accepted, seconds=60, what="what was accepted")
        chunks = f"{pair.root}_B_A_CHUNKS"
        wait_until(lambda: not streams.subjects(jetstream.url, chunks), seconds=20, what="an empty queue")
        with association(pair.a.port, offers(CTImageStorage)) as assoc:
            assert store_raw(assoc, files[-1]) == 0x0000
        wait_until(lambda: files[-1].sop_instance in store.received, seconds=20, what="what was refused before")
    # Exactly what was answered with success, and nothing of what was not.
    assert len(store.digests) == accepted + 1


def test_little_disk_answers_a700(queue_pair: QueuePair, tmp_path: Path) -> None:
    disk = {"DIMSE_QUEUE_DISK_PATH": str(tmp_path), "DIMSE_QUEUE_MIN_FREE_BYTES": str(10**18)}
    pair = queue_pair(env_a=disk)
    file = dicom_files.write_object(tmp_path, patient_id="P")
    with association(pair.a.port, offers(CTImageStorage)) as assoc:
        assert store_raw(assoc, file) == OUT_OF_RESOURCES
    pair.a.wait_for("queue cannot be used.*bytes are free on the disk")


@pytest.mark.parametrize(
    "leave_out",
    [
        "",
        "$JS.API.STREAM.*.DIMSE_B_A_CHUNKS",
        "$JS.API.CONSUMER.MSG.NEXT.DIMSE_B_A_RECORDS.deliver",
        "$JS.API.DIRECT.GET.DIMSE_B_A_RECORDS.>",
    ],
    ids=["as printed", "sender", "work", "reading"],
)
def test_the_permissions_of_the_document(tmp_path: Path, leave_out: str) -> None:
    """They are enough, and each side's proxies say which subject is missing when they are not."""
    text = documented.printed()
    if leave_out:
        text = text.replace(f'"{leave_out}"', "")
    process, url = documented.start(tmp_path, text)
    root = {"DIMSE_NATS_SUBJECT_ROOT": "DIMSE"}
    pair = Pair(
        url,
        tmp_path / "pair",
        target_b=Target(port=free_port()),
        env_a=env_of_a({**root, "DIMSE_NATS_USER": "hospital", "DIMSE_NATS_PASSWORD": "hospital-1"}),
        env_b=env_of_b({**root, "DIMSE_NATS_USER": "cloud", "DIMSE_NATS_PASSWORD": "cloud-1"}),
    )
    try:
        if "STREAM" in leave_out:
            rejected(pair, r"does not let this user publish to .*STREAM.INFO.DIMSE_B_A_CHUNKS")
            return
        assert pair.target_b is not None
        file = dicom_files.write_object(tmp_path, patient_id="P", pixel_bytes=65280)
        with association(pair.a.port, offers(CTImageStorage)) as assoc:
            assert store_raw(assoc, file) == 0x0000
        if leave_out:
            missing = re.escape(leave_out.removesuffix(".>"))
            pair.b.wait_for(f"queue cannot be used.*does not let this user publish to {missing}")
            return
        store = Store(statuses={file.sop_instance: 0xC000})
        with Scp(pair.target_b.port, offers(CTImageStorage), store.handlers()):
            pair.b.wait_for("given up")
            store.statuses.clear()
            with association(pair.a.port, offers(CTImageStorage)) as assoc:
                assert store_raw(assoc, file) == 0x0000
            wait_until(lambda: len(store.digests) == 2, seconds=20, what="the delivery")
        for proxy in pair.proxies():
            assert not proxy.find("does not let this user")
    finally:
        pair.kill()
        process.stop()

"""What an operator sees of a queue as it fills, rests, drains and fails: metrics, API, readiness and page."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage

from tests.integration.observability.conftest import Http, summed
from tests.integration.peers import dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.store_and_forward.conftest import QueuePair

REFRESHED = 20.0
"""Seconds within which a count is made anew, generously."""


@pytest.fixture
def listeners() -> tuple[Http, Http]:
    return Http(port=free_port()), Http(port=free_port())


def queue_of(http: Http) -> dict[str, Any]:
    (queue,) = http.json("/api/v1/queues")["queues"]
    assert isinstance(queue, dict)
    return queue


def waiting_and_dead(*listeners: Http) -> list[tuple[int, int]]:
    return [(queue["waiting"], queue["dead"]) for queue in map(queue_of, listeners)]


def test_it_fills_rests_drains_and_keeps_a_dead_letter(
    queue_pair: QueuePair, listeners: tuple[Http, Http], tmp_path: Path
) -> None:
    a, b = listeners
    pair = queue_pair(env_a={"DIMSE_HTTP_PORT": str(a.port)}, env_b={"DIMSE_HTTP_PORT": str(b.port)})
    assert pair.target_b is not None
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}", pixel_bytes=65280) for number in range(3)]
    with association(pair.a.port, offers(CTImageStorage)) as assoc:
        assert [store_raw(assoc, file, message_id=number + 1) for number, file in enumerate(files)] == [0, 0, 0]
    wait_until(lambda: waiting_and_dead(a, b) == [(3, 0)] * 2, seconds=REFRESHED, what="three objects to be seen")
    wait_until(lambda: queue_of(b)["state"] == "resting", seconds=20, what="the target to rest")
    sent, waiting = queue_of(a), queue_of(b)
    assert (sent["direction"], sent["state"], sent["since_start"]["queued"]) == ("out", "waiting", 3)
    assert sent["targets"][0]["objects"] == 3
    for queue in (sent, waiting):
        assert queue["bytes"] > 3 * 65280
        assert 0 < queue["oldest"] < 120
        assert queue["dead"] == 0
    (target,) = waiting["targets"]
    assert "connect" in target["reason"], target
    metrics = b.metrics()
    assert summed(metrics, "queue_waiting", channel="A", direction="in") == 3
    assert summed(metrics, "queue_targets_resting") == 1
    assert summed(a.metrics(), "queue_queued_total", channel="B") == 3
    assert a.json("/readyz") == {"ready": True, "reasons": {}, "degraded": {}}
    code, page = b.read("/")
    assert code == 200
    assert "from channel A" in page
    assert "target rests" in page

    done = subprocess.run(
        [sys.executable, "-m", "dimse_proxy", "top", "--once", "--url", b.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "queue from channel A target rests  3 waiting" in done.stdout, done.stdout

    store = Store(statuses={files[1].sop_instance: 0xC000})
    with Scp(pair.target_b.port, offers(CTImageStorage), store.handlers()):
        wait_until(lambda: queue_of(b)["since_start"]["given_up"] == 1, seconds=30, what="the dead letter")
        wait_until(lambda: queue_of(b)["since_start"]["delivered"] == 2, seconds=30, what="the others")
        wait_until(lambda: waiting_and_dead(a, b) == [(0, 1)] * 2, seconds=REFRESHED, what="a dead letter to be seen")
    metrics = b.metrics()
    assert summed(metrics, "queue_given_up_total", reason="status") == 1
    assert summed(metrics, "queue_delivered_total", warning="false") == 2
    assert summed(metrics, "queue_oldest_seconds") == 0
    assert (queue_of(b)["state"], queue_of(b)["oldest"]) == ("empty", None)
    assert "C000H" in queue_of(b)["last_trouble"]["text"]
    for file in files:
        assert file.sop_instance not in b.read("/")[1] + a.read("/")[1]


def test_a_queue_that_cannot_be_used(queue_pair: QueuePair, listeners: tuple[Http, Http], tmp_path: Path) -> None:
    a, b = listeners
    with NatsServer(tmp_path / "nats") as server:
        pair = queue_pair(
            nats_url=server.url, env_a={"DIMSE_HTTP_PORT": str(a.port)}, env_b={"DIMSE_HTTP_PORT": str(b.port)}
        )
        why = "JetStream is not enabled on the NATS server"
        wait_until(lambda: why in a.read("/readyz")[1], seconds=20, what="the reason")
        code, _ = a.read("/readyz")
        # Everything that is accepted at A is for the queue; B relays and delivers, and says that the latter fails.
        assert (code, list(a.json("/readyz")["reasons"])) == (503, ["queue"])
        wait_until(lambda: not b.json("/readyz")["reasons"], seconds=20, what="the other side to be ready")
        ready = b.json("/readyz")
        assert (ready["ready"], list(ready["degraded"])) == (True, ["queue-in-A"])
        assert summed(a.metrics(), "queue_usable") == 0
        assert (queue_of(a)["state"], queue_of(b)["state"]) == ("unusable", "unusable")
        assert "cannot be used" in a.read("/")[1]
        pair.stop()

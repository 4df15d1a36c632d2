"""A queue of 100,000 objects: a list of it takes less than a second, and says how many are not shown."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from nats.aio.client import Client

from dimse_proxy.queueing.records import (
    Codec,
    DeadLetter,
    Parties,
    QueuedAssociation,
    QueuedObject,
    encode_dead_letter,
)
from dimse_proxy.queueing.streams import planned_streams
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind, new_association, title_token
from tests.integration.peers.nats import NatsServer
from tests.integration.store_and_forward import streams

FLOW: Final = Flow(root="DIMSE", sender="A", receiver="B")
CODEC: Final = Codec(FLOW, None)
ASSOCIATIONS: Final = 250
OBJECTS: Final = 400
PARTIES: Final = Parties(calling="CT1", called="PACS", peer="10.0.0.1:1")


def messages() -> list[tuple[str, bytes]]:
    """All of them; the last object of each association is dead."""
    found = []
    for one in range(ASSOCIATIONS):
        began = 1_700_000_000_000 + one
        key = AssociationKey(title_token(PARTIES.calling), new_association(began, one.to_bytes(10, "big")))
        entry = QueuedAssociation(parties=PARTIES, contexts=(), started=began / 1000)
        found.append((FLOW.of_association(Kind.ASSOCIATION, key), CODEC.encode_association(key, entry, None)))
        for number in range(1, OBJECTS + 1):
            record = QueuedObject(
                number=number,
                parties=PARTIES,
                sop_class="1.2.840.10008.5.1.4.1.1.2",
                sop_instance=f"1.2.826.0.1.3680043.8.498.{one}.{number}",
                transfer_syntax="1.2.840.10008.1.2.1",
                priority=0,
                length=524288,
                chunks=1,
                chunk_size=524288,
                accepted=began / 1000,
                study=f"1.2.826.0.1.3680043.8.498.{one}",
            )
            found.append((FLOW.of_object(Kind.RECORD, key, number), CODEC.encode_object(key, record)))
        dead = DeadLetter(reason="status", text="C000H", status=0xC000, tries=1, at=0.0)
        found.append((FLOW.of_object(Kind.DEAD, key, OBJECTS), encode_dead_letter(dead)))
    return found


async def fill(client: Client) -> None:
    for plan in planned_streams(FLOW, max_bytes=1024**3, replicas=1):
        answer = await streams.api(client, f"STREAM.CREATE.{plan.name}", dict(plan.config))
        assert "error" not in answer, answer
    for number, (subject, data) in enumerate(messages()):
        await client.publish(subject, data)
        if not number % 1000:
            await client.flush()
    await client.flush()
    for _ in range(600):
        answer = await streams.api(client, f"STREAM.INFO.{FLOW.record_stream}")
        if answer["state"]["messages"] == ASSOCIATIONS * (OBJECTS + 2):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(answer["state"])


@pytest.mark.slow
@pytest.mark.alone
def test_a_list_takes_less_than_a_second(tmp_path: Path) -> None:
    config = {"jetstream": {"store_dir": str(tmp_path / "store")}}
    with NatsServer(tmp_path, config=config) as server:
        streams.with_client(server.url, fill)
        env = {
            **{name: text for name, text in os.environ.items() if not name.startswith("DIMSE_")},
            "DIMSE_NATS_URL": server.url,
            "DIMSE_NATS_SUBJECT_CHANNEL": "B",
            "DIMSE_DELIVERY_IN": "store-and-forward",
            "DIMSE_TARGET_HOST": "127.0.0.1",
            "DIMSE_TARGET_AE": "PACS",
        }

        def listed(*words: str, root: str = FLOW.root) -> tuple[str, float]:
            """What the command prints, and the seconds that all of it takes, Python's start included."""
            best, text = float("inf"), ""
            for _ in range(2):
                begun = time.perf_counter()
                text = run({**env, "DIMSE_NATS_SUBJECT_ROOT": root}, *words)
                best = min(best, time.perf_counter() - begun)
            return text, best

        nothing = listed(root="EMPTY")[1]
        text, seconds = listed()
        found, page = listed("--json", "--objects", "--limit", "3")
    print(  # noqa: T201 - the figures are what this is for
        f"\n100,000 objects: list {seconds:.2f} s, its first objects {page:.2f} s, where there is none {nothing:.2f} s"
    )
    (queue,) = json.loads(found)["queues"]
    assert queue["objects"] == {"waiting": 99750, "dead": 250}
    assert (len(queue["list"]), queue["more"]) == (3, 99997)
    assert "and 200 more associations" in text
    assert max(seconds, page) - nothing < 1.0


def run(env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dimse_proxy", "queue", "list", *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout

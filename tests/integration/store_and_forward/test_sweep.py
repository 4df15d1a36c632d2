"""What crashes leave behind in the streams, and that the sweep finds it; the hour that it waits is half a second."""

import asyncio

import pytest

from dimse_proxy.proxy.store_and_forward import sweep
from dimse_proxy.queueing import upkeep
from dimse_proxy.queueing.records import DeadLetter, encode_dead_letter, encode_lease, encode_work
from dimse_proxy.queueing.subjects import AssociationKey, Kind
from tests.integration.peers.nats import NatsServer
from tests.integration.store_and_forward import direct, streams

AGE = 0.5


class Taken:
    """Stands in for the delivery."""

    def __init__(self) -> None:
        self.keys: list[AssociationKey] = []
        self.active: set[AssociationKey] = set()

    def is_active(self, key: AssociationKey) -> bool:
        return key in self.active

    async def take_up(self, key: AssociationKey) -> None:
        self.keys.append(key)


@pytest.fixture
def short_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sweep, upkeep):
        monkeypatch.setattr(module, "ORPHAN_AGE", AGE)


@pytest.mark.usefixtures("short_ages")
async def test_what_is_left_behind_is_swept_and_the_rest_is_not(jetstream: NatsServer) -> None:
    async with direct.open_queue(jetstream.url, "SWEEP", max_bytes=1 << 26) as queue:
        flow, taken = queue.flow, Taken()

        def of(key: AssociationKey, what: Kind) -> str:
            return flow.of_association(what, key)

        # An upload that never came to its end, and an association of which only the entry and a lease are left.
        orphan, over = direct.new_key(queue, age=10), direct.new_key(queue, age=10)
        for index in range(3):
            await queue.put(flow.chunk(orphan, 1, index), b"piece", is_chunk=True)
        await queue.put(of(over, Kind.ASSOCIATION), b"{}")
        await queue.put(of(over, Kind.END), b"{}")
        await queue.put(of(over, Kind.LEASE), encode_lease(queue.lease))
        # Records that nobody was told of, and those of somebody who is at it.
        lost, busy = direct.new_key(queue, age=10), direct.new_key(queue, age=10)
        taken.active.add(busy)
        for key in (lost, busy):
            await direct.put_object(queue, key, 1, b"data set")
        # A dead letter whose record is gone, one whose record is there, and work that is waiting.
        letter = encode_dead_letter(DeadLetter(reason="status", text="", status=0xC000, tries=1, at=0.0))
        dead, waiting = direct.new_key(queue, age=10), direct.new_key(queue, age=10)
        await direct.put_object(queue, dead, 1, b"data set")
        for number in (1, 2):
            await queue.put(flow.of_object(Kind.DEAD, dead, number), letter)
        await direct.put_object(queue, waiting, 1, b"data set")
        await queue.put(of(waiting, Kind.WORK), encode_work(0.0, "TARGET"))
        await asyncio.sleep(2 * AGE)
        # An upload that is going on.
        going = direct.new_key(queue, age=10)
        await queue.put(flow.chunk(going, 1, 0), b"piece", is_chunk=True)

        await sweep.Sweep(queue, taken).sweep()  # type: ignore[arg-type]

        left = {
            key: await asyncio.to_thread(left_of, jetstream.url, flow.record_stream, flow.chunk_stream, key)
            for key in (orphan, over, lost, busy, dead, waiting, going)
        }
    assert left == {
        orphan: [],
        over: [],
        lost: ["chunk", "record"],
        busy: ["chunk", "record"],
        dead: ["chunk", "dead", "record"],
        waiting: ["chunk", "record", "work"],
        going: ["chunk"],
    }
    assert taken.keys == [lost]


def left_of(url: str, records: str, chunks: str, key: AssociationKey) -> list[str]:
    """Kinds of what there is of an association."""
    found = [*streams.subjects(url, records), *streams.subjects(url, chunks)]
    return sorted(subject.split(".queue.")[1].split(".")[0] for subject in found if key.association in subject)

"""How much waits, by what JetStream would say: counted, listed seldom, and read where that is allowed."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from dimse_proxy.proxy.store_and_forward import meter as module
from dimse_proxy.proxy.store_and_forward.meter import Meter
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind, new_association
from dimse_proxy.transports.jetstream import Stored, StreamState
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble

FLOW = Flow(root="R", sender="A", receiver="B")


def key(began: float, asker: str = "CT1") -> AssociationKey:
    return AssociationKey(asker, new_association(int(began * 1000), bytes(10)))


@dataclass
class QueueDouble:
    """A flow whose streams say what the test has put there; the server's clock is 5 s behind ours."""

    records: list[tuple[AssociationKey, int, float]] = field(default_factory=list)
    """And when the record was stored, by the server's clock."""
    dead: list[tuple[AssociationKey, int]] = field(default_factory=list)
    first: float | None = None
    max_bytes: int = 1000
    channel: str = "B"
    said: str = ""
    why: str = ""
    has_streams: bool = True
    failing: bool = False
    flow: Flow = FLOW
    listed: int = 0
    reads: int = 0

    @property
    def jetstream(self) -> "QueueDouble":
        return self

    def trouble(self) -> str:
        return self.why

    async def stream(self, name: str) -> StreamState | None:
        assert name == FLOW.chunk_stream
        if self.failing:
            raise JetStreamError("no answer", Trouble.NO_ANSWER)
        config = {"max_bytes": self.max_bytes}
        found = StreamState(config=config, messages=1, bytes=77, first=self.first, now=time.time() - 5)
        return found if self.has_streams else None

    async def count_subjects(self, stream: str, subject: str) -> int:
        assert stream == FLOW.record_stream
        return len(self.dead if subject == FLOW.every(Kind.DEAD) else self.records)

    async def record_pages(self, kind: Kind) -> AsyncIterator[list[str]]:
        self.listed += 1
        found = self.dead if kind is Kind.DEAD else [(key, number) for key, number, _ in self.records]
        yield [FLOW.of_object(kind, *each) for each in found]

    async def get(self, kind: Kind, key: AssociationKey, number: int) -> Stored | None:
        self.reads += 1
        found = [stored for of, which, stored in self.records if (of, which) == (key, number) and stored]
        return Stored(subject="", data=b"", sequence=1, time=found[0]) if found else None


def measured(queue: QueueDouble, *, may_read: bool = True) -> Meter:
    meter = Meter(queue, may_read=may_read)  # type: ignore[arg-type]
    asyncio.run(meter.measure())
    return meter


def test_counts_without_dead_letters() -> None:
    one, other = key(100.0), key(200.0)
    queue = QueueDouble([(one, 1, 110.0), (one, 2, 120.0), (other, 1, 210.0)], dead=[(one, 1)], said="full", why="x")
    meter = measured(queue)
    assert meter.depth is not None
    depth = meter.depth
    assert (depth.waiting, depth.dead, depth.bytes, depth.limit) == (2, 1, 77, 1000)
    assert depth.oldest == pytest.approx(125.0, abs=1)
    assert (meter.channel, meter.said, meter.trouble()) == ("B", "full", "x")


def test_nothing_waits() -> None:
    queue = QueueDouble([(key(100.0), 1, 110.0)], dead=[(key(100.0), 1)], max_bytes=-1)
    depth = measured(queue).depth
    assert depth is not None
    assert (depth.waiting, depth.dead, depth.oldest, depth.limit) == (0, 1, None, 0)
    assert queue.listed == 0


def test_an_association_that_is_open_for_hours_is_not_what_waits_longest() -> None:
    queue = QueueDouble([(key(100.0), 9000, 5000.0), (key(3000.0), 1, 3010.0), (key(4000.0), 1, 4010.0)])
    depth = measured(queue).depth
    assert depth is not None
    assert depth.oldest == pytest.approx(3015.0, abs=1)
    assert queue.reads == 2, "what began after the oldest was stored cannot be older"


def test_what_was_delivered_meanwhile_is_passed_by() -> None:
    depth = measured(QueueDouble([(key(100.0), 1, 0.0), (key(200.0), 1, 210.0)])).depth
    assert depth is not None
    assert depth.oldest == pytest.approx(215.0, abs=1)
    depth = measured(QueueDouble([(key(100.0), 1, 0.0)])).depth
    assert depth is not None
    assert depth.oldest is None


def test_who_may_not_read_goes_by_the_association_and_the_first_chunk() -> None:
    for first, expected in ((None, 100.0), (150.0, 155.0), (50.0, 100.0)):
        queue = QueueDouble([(key(100.0), 1, 160.0)], first=first)
        depth = measured(queue, may_read=False).depth
        assert depth is not None
        assert depth.oldest == pytest.approx(expected, abs=1)
        assert queue.reads == 0


def test_a_long_queue_is_counted_often_and_listed_seldom() -> None:
    queue = QueueDouble([(key(100.0), number, 110.0) for number in range(1, 5001)])
    meter = Meter(queue, may_read=True)  # type: ignore[arg-type]

    async def thrice() -> None:
        for _ in range(3):
            await meter.measure()

    asyncio.run(thrice())
    assert queue.listed == 1
    assert meter.depth is not None
    assert meter.depth.waiting == 5000


def test_it_goes_on_through_troubles(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = QueueDouble(why="JetStream is not enabled")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        match len(pauses):
            case 1:
                assert meter.depth is None
                queue.why, queue.failing = "", True
            case 2:
                queue.failing, queue.has_streams = False, False
            case 3:
                assert meter.depth is None
                queue.has_streams = True
            case _:
                raise asyncio.CancelledError

    meter = Meter(queue, may_read=True)  # type: ignore[arg-type]
    monkeypatch.setattr("asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(meter.run())
    assert meter.depth is not None
    assert min(pauses) >= module.REFRESH

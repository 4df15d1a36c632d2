"""A flow's streams, written and read by the product's own code without a proxy: as fast as JetStream takes it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from dimse_proxy.observability.queue_log import QueueLog
from dimse_proxy.proxy.store_and_forward.queue import Queue, QueueOptions
from dimse_proxy.queueing.records import Codec, Lease, Parties, QueuedAssociation, QueuedObject, encode_end, encode_work
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind, new_association
from dimse_proxy.transports.jetstream import JetStream
from dimse_proxy.transports.jetstream_link import JetStreamLink
from dimse_proxy.transports.nats_link import NatsOptions

AT_ONCE: Final = 64
PARTIES: Final = Parties(calling="ASKER", called="TARGET", peer="127.0.0.1")
CONTEXT: Final = (str(CTImageStorage), str(ExplicitVRLittleEndian))


class _Nobody:
    """Is told what the connection does, and does not care."""

    def link_up(self, server: str) -> None:
        pass

    def link_down(self, reason: str) -> None:
        pass

    def link_error(self, text: str, fatal: bool) -> None:
        raise AssertionError(text)


@asynccontextmanager
async def open_queue(url: str, root: str, *, max_bytes: int = 1 << 30) -> AsyncIterator[Queue]:
    """The flow from A to B; its streams are made if they are missing."""
    link = JetStreamLink(NatsOptions(servers=[url]), f"{root}.A.A.inbox", _Nobody())
    flow = Flow(root=root, sender="A", receiver="B")
    queue = Queue(
        flow,
        JetStream(link),
        Codec(flow, None),
        QueueOptions(chunk_size=1 << 19, store_timeout=10.0, max_bytes=max_bytes, replicas=1, creates_streams=True),
        lease=Lease(instance="test", epoch=1),
        channel="B",
        observer=QueueLog(),
    )
    tasks = [asyncio.create_task(work) for work in (link.run(), queue.keep())]
    try:
        assert not await queue.wait_usable(20.0)
        yield queue
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def new_key(queue: Queue, *, age: float = 0.0) -> AssociationKey:
    """Of an association that began `age` seconds ago."""
    return AssociationKey(
        queue.codec.token(PARTIES.calling), new_association(int((time.time() - age) * 1000), os.urandom(10))
    )


def data_set() -> bytes:
    """A small one."""
    return os.urandom(1000)


async def put_object(queue: Queue, key: AssociationKey, number: int, data: bytes) -> None:
    """A chunk and its record."""
    await queue.put(queue.flow.chunk(key, number, 0), data, is_chunk=True)
    record = QueuedObject(
        number=number,
        parties=PARTIES,
        sop_class=CONTEXT[0],
        sop_instance=generate_uid(),
        transfer_syntax=CONTEXT[1],
        priority=0,
        length=len(data),
        chunks=1,
        chunk_size=1 << 19,
        accepted=time.time(),
        study="1.2.3",
        seal=None,
    )
    await queue.put(queue.flow.of_object(Kind.RECORD, key, number), queue.codec.encode_object(key, record))


async def put_association(queue: Queue, count: int, data: bytes) -> AssociationKey:
    """A whole one of `count` objects, and the work that it is."""
    key = new_key(queue)
    at_once = asyncio.Semaphore(AT_ONCE)

    async def put(number: int) -> None:
        async with at_once:
            await put_object(queue, key, number, data)

    await asyncio.gather(*(put(number) for number in range(1, count + 1)))
    entry = QueuedAssociation(parties=PARTIES, contexts=(CONTEXT,), started=time.time())
    flow = queue.flow
    await queue.put(flow.of_association(Kind.ASSOCIATION, key), queue.codec.encode_association(key, entry, None))
    await queue.put(flow.of_association(Kind.END, key), encode_end(time.time()))
    await queue.put(flow.of_association(Kind.WORK, key), encode_work(time.time(), queue.codec.token(PARTIES.called)))
    return key

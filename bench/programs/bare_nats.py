"""nats-py as it comes, the same bytes published and subscribed to: what any relay over it costs at least.

The publisher keeps at most a window in flight, which the subscriber opens with a message for every half of it: without
that, nats-server would cut the subscriber off as a slow consumer.
"""

import argparse
import asyncio
import json
import time
from typing import Any, Final

import nats
import uvloop
from nats.aio.msg import Msg

SUBJECT: Final = "bench.data"
ROOM: Final = "bench.room"
WINDOW: Final = 4 << 20


async def publish(url: str, total: int, size: int) -> dict[str, Any]:
    """Publishes `total` bytes in messages of `size`, and waits until the subscriber has all."""
    client = await nats.connect(url)
    received = 0
    news = asyncio.Event()

    async def room(message: Msg) -> None:
        nonlocal received
        received = int(message.data)
        news.set()

    await client.subscribe(ROOM, cb=room)
    await client.flush()
    payload = bytes(range(256)) * (size // 256)
    begun, cpu = time.perf_counter(), time.process_time()
    sent = 0
    while received < total:
        while sent < total and sent - received < WINDOW:
            await client.publish(SUBJECT, payload)
            sent += size
        news.clear()
        if received < total:
            await news.wait()
    taken = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu, "bytes": sent}
    await client.close()
    return taken


async def subscribe(url: str) -> None:
    """Counts until ended; a publisher starts from nothing when the last one has finished."""
    client = await nats.connect(url)
    received = told = 0
    total = 0

    async def count(message: Msg) -> None:
        nonlocal received, told
        received += len(message.data)
        if received - told >= WINDOW // 2 or received >= total:
            told = received
            await client.publish(ROOM, b"%d" % received)
        if received >= total:
            received = told = 0

    async def begin(message: Msg) -> None:
        nonlocal received, told, total
        received = told = 0
        total = int(message.data)
        await client.publish(message.reply, b"")

    await client.subscribe("bench.begin", cb=begin)
    await client.subscribe(SUBJECT, cb=count)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def begin(url: str, total: int, size: int) -> dict[str, Any]:
    """Tells the subscriber how much comes, and publishes it."""
    client = await nats.connect(url)
    await client.request("bench.begin", b"%d" % total, timeout=10)
    await client.close()
    return await publish(url, total, size)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("publish", "subscribe"))
    parser.add_argument("url")
    parser.add_argument("--total", type=int, default=0)
    parser.add_argument("--size", type=int, default=256 << 10)
    arguments = parser.parse_args()
    if arguments.role == "subscribe":
        uvloop.run(subscribe(arguments.url))
    else:
        total = arguments.total // arguments.size * arguments.size
        print(json.dumps(uvloop.run(begin(arguments.url, total, arguments.size))))


if __name__ == "__main__":
    main()

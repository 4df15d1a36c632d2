"""A crowd of ill-behaved peers, in a process of its own: `python -m tests.integration.hostile.attackers PORT`.

They keep on until the process is ended, and count what they did on standard output once a second.
"""

import asyncio
import contextlib
import itertools
import os
import random
import sys
from typing import Final

from tests.integration.wire import pdus

SILENT: Final = 500
SLOW: Final = 500
REFUSED_A_SECOND: Final = 200
MALFORMED_AT_ONCE: Final = 8

counts: Final = {"opened": 0, "ended": 0, "refused": 0, "malformed": 0}


def association_request(calling: str) -> bytes:
    contexts = pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
    return pdus.rq(contexts, pdus.USER, called=b"TARGET".ljust(16), calling=calling.encode().ljust(16))


async def hold(port: int, *, is_slow: bool) -> None:
    """A connection that sends nothing, or a byte a second; another one as soon as it is closed."""
    request = association_request("SLOWLORIS")
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            counts["opened"] += 1
            for place in itertools.count():
                if is_slow:
                    writer.write(request[place : place + 1])
                with contextlib.suppress(TimeoutError):
                    if not await asyncio.wait_for(reader.read(100), 1.0):
                        break
        except OSError:
            pass
        counts["ended"] += 1
        with contextlib.suppress(UnboundLocalError):
            writer.close()
        await asyncio.sleep(0.5 + random.random())


async def be_refused(port: int) -> None:
    """One association request that the proxy does not allow; leaves the close to the proxy's ARTIM timer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(association_request("NOBODY"))
        if (await reader.read(100))[:1] == b"\x03":
            counts["refused"] += 1
        await reader.read(100)
        writer.close()
    except OSError:
        pass


async def refused(port: int) -> None:
    """REFUSED_A_SECOND new associations a second."""
    running: set[asyncio.Task[None]] = set()
    begin = asyncio.get_running_loop().time()
    for number in itertools.count():
        task = asyncio.create_task(be_refused(port))
        running.add(task)
        task.add_done_callback(running.discard)
        wait = begin + number / REFUSED_A_SECOND - asyncio.get_running_loop().time()
        await asyncio.sleep(max(wait, 0))


async def malformed(port: int) -> None:
    """One connection after the other, each with something that PS3.8 forbids."""
    request = association_request("MALFORMED")
    while True:
        garbage = random.choice(
            [
                os.urandom(200),
                b"GET / HTTP/1.1\r\n\r\n",
                request[:2] + b"\xff\xff\xff\xff" + request[6:],
                request[:60] + os.urandom(len(request) - 60),
                b"\x04\x00\x00\x00\x00\x10" + os.urandom(16),
                b"\x01\x00\x00\x00\x00\x04" + bytes(4),
            ]
        )
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            await asyncio.wait_for(reader.read(100), 0.2)
            counts["malformed"] += 1
            writer.close()
        except (OSError, TimeoutError):
            pass
        await asyncio.sleep(0)


async def main(port: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(SILENT + SLOW):
            tasks.create_task(hold(port, is_slow=number >= SILENT))
        tasks.create_task(refused(port))
        for _ in range(MALFORMED_AT_ONCE):
            tasks.create_task(malformed(port))
        while True:
            await asyncio.sleep(1)
            sys.stdout.write(" ".join(f"{name}={number}" for name, number in counts.items()) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

"""Somebody who owns the way to the NATS server: reads every message that passes, and passes on what it likes.

Understands just enough of the protocol to find the messages: PUB towards the server, MSG and HMSG from it.
"""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

from tests.integration.peers.waiting import LOOPBACK, free_port

Attack = Callable[[str, bytes], list[bytes]]
"""Subject and payload to the payloads that arrive on that subject instead."""


def pass_on(_subject: str, payload: bytes) -> list[bytes]:
    return [payload]


class NatsInTheMiddle:
    """Listens on a port of its own and forwards to a nats-server, in a thread; leaving the with block ends it."""

    def __init__(self, server_port: int) -> None:
        self.port: Final = free_port()
        self.attack: Attack = pass_on
        self.seen: Final[list[tuple[str, bytes]]] = []
        """Every message that passed, in both directions, as it came."""
        self._server_port: Final = server_port
        self._loop: Final = asyncio.new_event_loop()
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._thread: Final = threading.Thread(target=self._loop.run_forever)

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    def __enter__(self) -> "NatsInTheMiddle":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._connected, LOOPBACK, self.port)

    async def _close(self) -> None:
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._server_port)
        for source, sink in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(self._forward(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while line := await source.readline():
                words = line.split()
                if not words or words[0].upper() not in (b"PUB", b"MSG"):
                    sink.write(line)
                else:
                    payload = (await source.readexactly(int(words[-1]) + 2))[:-2]
                    subject = words[1].decode()
                    self.seen.append((subject, payload))
                    for changed in self.attack(subject, payload):
                        sink.write(b" ".join([*words[:-1], b"%d" % len(changed)]) + b"\r\n" + changed + b"\r\n")
                await sink.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            sink.close()

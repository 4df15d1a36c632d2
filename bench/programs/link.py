"""A long, thin link: a TCP forwarder that delays what passes and lets only so many bytes a second through.

Each direction is a wire of its own: bytes leave the near end one behind the other at the link's rate, after at most a
router's queue of others, and arrive the delay later. What finds the queue full waits in the sender's kernel.
"""

import argparse
import asyncio
import socket
from collections import deque
from typing import Final, cast

import uvloop

LOOPBACK: Final = "127.0.0.1"
QUEUE: Final = 256 << 10
"""Bytes that wait for their turn to leave: a router's queue; the kernel's buffer below comes on top."""
RECEIVE_BUFFER: Final = 128 << 10
"""Bytes that the kernel takes while the queue is full; loopback's usual 6 MB would be a queue of half a second."""
PIECE: Final = 16 << 10
"""Bytes that are timed together at most: 1.3 ms of 100 Mbit/s."""


class Link:
    """The weather of both directions."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay: Final = delay
        """Seconds, each way."""
        self.rate: Final = rate
        """Bytes a second, each way."""


class End(asyncio.Protocol):
    """One end of a connection through the link; what it receives travels to the other end."""

    def __init__(self, link: Link) -> None:
        self._link: Final = link
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self._travelling: Final[deque[tuple[float, bytes]]] = deque()
        self._leaves_at = 0.0
        """When the last byte received so far will have left this end."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_full = False
        self._is_reading = True
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nagle would add delays of its own."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.other is not None:
            self.other.arrive()

    def data_received(self, data: bytes) -> None:
        """Sends it on its way."""
        link = self._link
        now = asyncio.get_running_loop().time()
        leaves = max(self._leaves_at, now)
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            leaves += len(piece) / link.rate
            self._travelling.append((leaves + link.delay, piece))
        self._leaves_at = leaves
        self.arrive()

    def arrive(self) -> None:
        """Hands over what is due at the other end."""
        if self._timer is not None or self.other is None or self.other.transport is None:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._travelling and not self.other._is_full:
            due, piece = self._travelling[0]
            if due > now:
                self._timer = loop.call_at(due, self._tick)
                break
            self._travelling.popleft()
            self.other.transport.write(piece)
        if not self._travelling and self._is_over:
            self.other.transport.close()
        self._regulate(now)

    def _regulate(self, now: float) -> None:
        """Reads only while the queue has room."""
        is_free = (self._leaves_at - now) * self._link.rate < QUEUE
        if self.transport is None or self._is_over or is_free is self._is_reading:
            return
        self._is_reading = is_free
        if is_free:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
            # The queue empties whether or not anything is due at the other end.
            asyncio.get_running_loop().call_later(QUEUE / 2 / self._link.rate, self.arrive_or_regulate)

    def arrive_or_regulate(self) -> None:
        """Looks again."""
        self.arrive()
        self._regulate(asyncio.get_running_loop().time())
        if not self._is_reading and not self._is_over:
            asyncio.get_running_loop().call_later(QUEUE / 4 / self._link.rate, self.arrive_or_regulate)

    def _tick(self) -> None:
        self._timer = None
        self.arrive()

    def pause_writing(self) -> None:
        """The receiver of this end is slow."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It takes bytes again."""
        self._is_full = False
        if self.other is not None:
            self.other.arrive()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closes the other end behind what is on its way."""
        self._is_over = True
        self.arrive()


async def serve(port: int, target: int, link: Link) -> None:
    """Forwards until ended."""
    loop = asyncio.get_running_loop()
    dialing: set[asyncio.Task[None]] = set()

    async def dial(near: End) -> None:
        far = End(link)
        near.other, far.other = far, near
        try:
            await loop.create_connection(lambda: far, LOOPBACK, target)
        except OSError:
            assert near.transport is not None
            near.transport.abort()

    def accept() -> End:
        near = End(link)
        task = loop.create_task(dial(near))
        dialing.add(task)
        task.add_done_callback(dialing.discard)
        return near

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    listener.bind((LOOPBACK, port))
    server = await loop.create_server(accept, sock=listener)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int)
    parser.add_argument("--round-trip", type=float, required=True, help="milliseconds")
    parser.add_argument("--rate", type=float, required=True, help="Mbit/s")
    arguments = parser.parse_args()
    link = Link(arguments.round_trip / 2000, arguments.rate * 1e6 / 8)
    uvloop.run(serve(arguments.port, arguments.target, link))


if __name__ == "__main__":
    main()

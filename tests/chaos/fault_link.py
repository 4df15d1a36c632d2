"""A network link that can fail: a TCP forwarder between a proxy and its NATS servers, driven from the test's thread.

It cuts (RST), swallows (black hole), delays with jitter, limits bandwidth and heals. It knows nothing of NATS.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar, cast

import uvloop

from tests.integration.peers.waiting import LOOPBACK, free_port

T = TypeVar("T")

HELD_WITHOUT_LIMIT: Final = 64 << 20
"""Bytes that a delaying link holds in one direction: more than proxies have in flight."""
HELD_WITH_LIMIT: Final = 64 << 10
"""Bytes that a slow link holds in one direction, as a router's queue would; the kernel's buffers come on top."""
RECEIVE_BUFFER: Final = 128 << 10
"""Bytes that the kernel takes from a proxy while a link passes nothing: loopback's usual 6 MB would hide that."""
TICK: Final = 0.005
"""Seconds between two portions of a slow link."""


class FaultNetwork:
    """The thread in which all links of one bench live; use `with`."""

    def __init__(self) -> None:
        self._loop: Final = uvloop.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever, name="fault network")
        self._links: Final[list[FaultLink]] = []
        self._thread.start()

    def link(self, targets: list[int]) -> "FaultLink":
        """A link with a listening port for each of `targets`, which are ports of the loopback interface."""
        link = FaultLink(self, targets)
        asyncio.run_coroutine_threadsafe(link.listen(self._loop), self._loop).result(10)
        self._links.append(link)
        return link

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` in the loop's thread, and wait for it."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def __enter__(self) -> "FaultNetwork":
        return self

    def __exit__(self, *exception: object) -> None:
        for link in self._links:
            self.call(link.close)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class FaultLink:
    """One proxy's way to its NATS servers. The methods without underscore may be called from any thread."""

    def __init__(self, network: FaultNetwork, targets: list[int]) -> None:
        self.ports: Final = [free_port() for _ in targets]
        self.is_hole = False
        self.delay = 0.0
        self.jitter = 0.0
        self.rate: float | None = None
        self.to_servers = 0
        """Bytes that the proxy has sent and that were handed on."""
        self.to_proxy = 0
        """Bytes that the servers have sent and that were handed on."""
        self._network: Final = network
        self._targets: Final = targets
        self._servers: Final[list[asyncio.Server]] = []
        self._wires: Final[set[_Wire]] = set()
        self._dialing: Final[set[asyncio.Task[None]]] = set()

    @property
    def url(self) -> str:
        """What the proxy is given as DIMSE_NATS_URL."""
        return ",".join(f"nats://{LOOPBACK}:{port}" for port in self.ports)

    def cut(self) -> None:
        """Reset every connection at both ends; new ones may be made at once."""
        self._network.call(self.reset)

    def swallow(self) -> None:
        """Become a black hole: nothing passes, nobody is told."""
        self._set(is_hole=True)

    def slow(self, *, delay: float = 0.0, jitter: float = 0.0) -> None:
        """Delay what passes by `delay` to `delay + jitter` seconds each way, in order."""
        self._set(delay=delay, jitter=jitter)

    def limit(self, bytes_per_second: float) -> None:
        """Let no more than that pass each way."""
        self._set(rate=bytes_per_second)

    def heal(self) -> None:
        """Be a good link again; what was held passes now."""
        self._set(is_hole=False, delay=0.0, jitter=0.0, rate=None)

    def _set(self, **values: object) -> None:
        def change() -> None:
            for name, value in values.items():
                setattr(self, name, value)
            for wire in list(self._wires):
                wire.weather_changed()

        self._network.call(change)

    async def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the ports."""
        for port, target in zip(self.ports, self._targets, strict=True):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            listener.bind((LOOPBACK, port))
            server = await loop.create_server(lambda target=target: _Wire(self, target).near, sock=listener)  # type: ignore[misc]
            self._servers.append(server)

    def close(self) -> None:
        """End everything, in the loop's thread."""
        for server in self._servers:
            server.close()
        self.reset()

    def reset(self) -> None:
        """Reset every connection, in the loop's thread."""
        for wire in list(self._wires):
            wire.reset()

    def add(self, wire: "_Wire") -> None:
        """A connection was made by the proxy."""
        self._wires.add(wire)

    def remove(self, wire: "_Wire") -> None:
        """A connection is over."""
        self._wires.discard(wire)

    def dial(self, wire: "_Wire") -> None:
        """Connect a wire's far end."""
        task = asyncio.get_running_loop().create_task(wire.dial())
        self._dialing.add(task)
        task.add_done_callback(self._dialing.discard)


class _Wire:
    """One connection through the link: the end at the proxy and the end at the server."""

    def __init__(self, link: FaultLink, target: int) -> None:
        self.link: Final = link
        self.near: Final = _End(self)
        self.far: Final = _End(self)
        self.near.other, self.far.other = self.far, self.near
        self._target: Final = target
        self._is_dialed = False

    def connected(self) -> None:
        """The proxy is connected to us."""
        self.link.add(self)
        self.weather_changed()

    def weather_changed(self) -> None:
        """The link has become better or worse."""
        if not self.link.is_hole and not self._is_dialed:
            self._is_dialed = True
            self.link.dial(self)
        for end in (self.near, self.far):
            end.regulate()
            end.pump()
        if not self.link.is_hole and (self.near.is_lost or self.far.is_lost):
            self.reset()  # who was gone meanwhile answers with RST

    async def dial(self) -> None:
        """Connect to the server."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.far, LOOPBACK, self._target)
        except OSError:
            self.reset()
        else:
            if self.near.is_lost:
                self.reset()  # it was gone before this end was there

    def lost(self) -> None:
        """One end is gone: so is the other, unless a black hole keeps the news from it."""
        if not self.link.is_hole:
            for end in (self.near, self.far):
                end.close_when_written()
            if self.near.is_lost and (self.far.is_lost or self.far.transport is None):
                self.link.remove(self)

    def reset(self) -> None:
        """Reset both ends."""
        self.link.remove(self)
        for end in (self.near, self.far):
            end.reset()


class _End(asyncio.Protocol):
    """One end of a wire; what it receives goes into its lane, and from there to the other end."""

    other: "_End"

    def __init__(self, wire: _Wire) -> None:
        self.wire: Final = wire
        self.transport: asyncio.Transport | None = None
        self.is_lost = False
        self._lane: Final[deque[tuple[float, bytes]]] = deque()
        self._held = 0
        self._last_due = 0.0
        self._is_full = False
        self._timer: asyncio.TimerHandle | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self is self.wire.near:
            self.wire.connected()
        else:
            self.other.pump()
        asyncio.get_running_loop().call_soon(self.regulate)  # uvloop reads whatever is asked for within this call

    def data_received(self, data: bytes) -> None:
        link = self.wire.link
        now = asyncio.get_running_loop().time()
        due = now + link.delay + random.random() * link.jitter if link.delay or link.jitter else now
        self._last_due = max(due, self._last_due)
        self._lane.append((self._last_due, data))
        self._held += len(data)
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.wire.lost()

    def pause_writing(self) -> None:
        self._is_full = True
        self.other.regulate()

    def resume_writing(self) -> None:
        self._is_full = False
        self.other.pump()

    # What the wire calls.

    def regulate(self) -> None:
        """Read, or do not."""
        if self.transport is None or self.is_lost or self.transport.is_closing():
            return
        link = self.wire.link
        most = HELD_WITHOUT_LIMIT if link.rate is None else HELD_WITH_LIMIT
        if link.is_hole or self.other._is_full or self._held >= most:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def pump(self) -> None:
        """Hand on what is due and may pass."""
        if self._timer is not None:
            return
        target = None if self.other.is_lost else self.other.transport
        link = self.wire.link
        loop = asyncio.get_running_loop()
        room = float("inf") if link.rate is None else link.rate * TICK
        while self._lane and target is not None and not link.is_hole and not self.other._is_full and room > 0:
            due, data = self._lane[0]
            if due > loop.time():
                self._timer = loop.call_at(due, self._tick)
                break
            self._lane.popleft()
            if len(data) > room:
                self._lane.appendleft((due, data[int(room) :]))
                data = data[: int(room)]
            room -= len(data)
            self._held -= len(data)
            target.write(data)
            if self is self.wire.near:
                link.to_servers += len(data)
            else:
                link.to_proxy += len(data)
        if self._lane and self._timer is None and link.rate is not None and not link.is_hole:
            self._timer = loop.call_later(TICK, self._tick)
        self.regulate()

    def _tick(self) -> None:
        self._timer = None
        self.pump()

    def close_when_written(self) -> None:
        """Close, what was written before it first."""
        if self.transport is not None and not self.is_lost:
            self.transport.close()

    def reset(self) -> None:
        """Send RST."""
        if self._timer is not None:
            self._timer.cancel()
        self._lane.clear()
        if self.transport is not None and not self.is_lost:
            with contextlib.suppress(OSError):
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

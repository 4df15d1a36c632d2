"""An SCU on plain sockets that does one work and prints what it measured.

It does not poll, as pynetdicom does: for what takes a fraction of a millisecond it blocks in the kernel, and many
associations at once are one event loop.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any, Final, cast

import uvloop
from tests.integration.wire import pdus

LOOPBACK: Final = "127.0.0.1"
CONTEXTS: Final = b"".join(
    pdus.proposed(number, abstract, pdus.EXPLICIT)
    for number, abstract in ((1, pdus.VERIFICATION), (3, pdus.CT_STORAGE), (5, pdus.STUDY_FIND))
)
REQUEST: Final = pdus.rq(CONTEXTS, called=b"BENCHSCP".ljust(16), calling=b"BENCHSCU".ljust(16))
ECHO: Final = pdus.command_pdu(pdus.echo_rq(), 1)
FIND: Final = pdus.command_pdu(pdus.find_rq(), 5) + pdus.data_pdus(
    b"\x10\x00\x10\x00PN\0\0" + b"\x20\x00\x0d\x00UI\0\0", 5
)
PATIENCE: Final = 120.0
PENDING: Final = b"\x00\xff"
"""Value of (0000,0900) in a pending response, its last element."""


class Blocking:
    """One association on a blocking socket."""

    def __init__(self, port: int) -> None:
        self._socket: Final = socket.create_connection((LOOPBACK, port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file: Final = self._socket.makefile("rb", buffering=1 << 18)
        self._socket.sendall(REQUEST)
        self._expect(pdus.AC)

    def _read_pdu(self) -> bytes:
        header: bytes = self._file.read(6)
        if len(header) < 6:
            raise ConnectionError("the association ended")
        body: bytes = self._file.read(int.from_bytes(header[2:], "big"))
        return header + body

    def _expect(self, kind: int) -> bytes:
        pdu = self._read_pdu()
        if pdu[0] != kind:
            raise ConnectionError(f"answered with {pdu[:12].hex()}")
        return pdu

    def echo(self) -> None:
        """C-ECHO."""
        self._socket.sendall(ECHO)
        self._expect(pdus.P_DATA)

    def find(self) -> int:
        """C-FIND; returns the number of pending responses."""
        self._socket.sendall(FIND)
        found = 0
        while True:
            pdu = self._expect(pdus.P_DATA)
            if pdu[11] & 1:
                if pdu[-2:] != PENDING:
                    return found
                found += 1

    def release(self) -> None:
        """A-RELEASE."""
        self._socket.sendall(pdus.release_rq())
        self._expect(pdus.RELEASE_RP)
        self._file.close()
        self._socket.close()


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    ordered = sorted(seconds)
    return {"median": 1000 * ordered[len(ordered) // 2], "p99": 1000 * ordered[int(len(ordered) * 0.99)]}


def echoes(port: int, count: int) -> dict[str, Any]:
    """C-ECHOs, one after the other."""
    association = Blocking(port)
    for _ in range(min(count, 50)):
        association.echo()
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        association.echo()
        taken.append(time.perf_counter() - begun)
    association.release()
    return milliseconds(taken)


def associations(port: int, count: int) -> dict[str, Any]:
    """Associations set up and released, one after the other."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        Blocking(port).release()
        taken.append(time.perf_counter() - begun)
    return milliseconds(taken)


def found(port: int, count: int) -> dict[str, Any]:
    """C-FINDs on one association."""
    association = Blocking(port)
    responses = 0
    begun = time.perf_counter()
    for _ in range(count):
        responses += association.find()
    seconds = time.perf_counter() - begun
    association.release()
    return {"responses": responses, "seconds": seconds}


def idle(port: int, count: int) -> dict[str, Any]:
    """Keeps associations open until SIGTERM, and then releases them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    opened = [Blocking(port) for _ in range(count)]
    print(json.dumps({"open": count}), flush=True)
    signal.sigwait({signal.SIGTERM})
    for association in opened:
        association.release()
    return {"released": count}


class Storing(asyncio.Protocol):
    """One association that stores the same object over and over."""

    def __init__(self, message: bytes, established: "asyncio.Future[None]") -> None:
        self._message: Final = message
        self._established: Final = established
        self._received: Final = bytearray()
        self._transport: asyncio.Transport | None = None
        self.stored = 0
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Requests the association."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Looks for whole PDUs."""
        received = self._received
        received += data
        while len(received) >= 6:
            length = 6 + int.from_bytes(received[2:6], "big")
            if len(received) < length:
                break
            kind = received[0]
            del received[:length]
            if kind == pdus.AC:
                self._established.set_result(None)
            elif kind == pdus.P_DATA:
                self.stored += 1
                self.store()

    def store(self) -> None:
        """C-STORE."""
        if not self.is_over:
            assert self._transport is not None
            self._transport.write(self._message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits must know."""
        if not self._established.done():
            self._established.set_exception(exc or ConnectionError("closed before the A-ASSOCIATE-AC"))

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()


async def stored(port: int, count: int, seconds: float, length: int) -> dict[str, Any]:
    """Associations that all store at once, for some seconds."""
    loop = asyncio.get_running_loop()
    message = pdus.command_pdu(pdus.store_rq(), 3) + pdus.data_pdus(bytes(range(256)) * (length // 256), 3)
    working = []
    for _ in range(count):
        established: asyncio.Future[None] = loop.create_future()
        _, association = await loop.create_connection(
            lambda established=established: Storing(message, established),  # type: ignore[misc]
            LOOPBACK,
            port,
        )
        await established
        working.append(association)
    begun = loop.time()
    for association in working:
        association.store()
    await asyncio.sleep(seconds)
    taken = loop.time() - begun
    objects = [association.stored for association in working]
    for association in working:
        association.is_over = True
    await asyncio.sleep(0)
    for association in working:
        association.close()
    return {"objects": objects, "seconds": taken, "bytes": sum(objects) * length}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=("echo", "associate", "find", "store", "idle"))
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--length", type=int, default=512 << 10)
    arguments = parser.parse_args()
    begun = time.process_time()
    match arguments.work:
        case "echo":
            result = echoes(arguments.port, arguments.count)
        case "associate":
            result = associations(arguments.port, arguments.count)
        case "find":
            result = found(arguments.port, arguments.count)
        case "idle":
            result = idle(arguments.port, arguments.count)
        case _:
            result = uvloop.run(stored(arguments.port, arguments.count, arguments.seconds, arguments.length))
    print(json.dumps({**result, "cpu": time.process_time() - begun}), flush=True)
    os._exit(0)  # a thousand sockets need not be collected one by one


if __name__ == "__main__":
    main()

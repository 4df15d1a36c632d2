"""DICOM over a blocking socket for the load: PDUs read into one buffer, objects made and looked at piece by piece.

PDUs are made and taken apart by hand (tests.integration.wire.pdus), for speed and so as not to show the proxies with
their own codec. An object of any size is never held.
"""

import hashlib
import random
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.integration.peers.waiting import LOOPBACK
from tests.integration.wire import pdus

PATIENCE: Final = 150.0
"""Seconds without a byte after which a peer is taken for dead: longer than any outage that must be survived."""
MAXIMUM_LENGTH: Final = 131072
BLOCK: Final = 1 << 20
SLICE: Final = 65536

STORE_CONTEXT: Final = 3
CONTEXTS: Final = (
    pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
    + pdus.proposed(STORE_CONTEXT, pdus.CT_STORAGE, pdus.EXPLICIT)
    + pdus.proposed(5, pdus.STUDY_FIND, pdus.IMPLICIT)
    + pdus.proposed(7, pdus.STUDY_MOVE, pdus.IMPLICIT)
)
USER: Final = pdus.maximum_length(MAXIMUM_LENGTH) + pdus.implementation()
PATTERN: Final = random.Random(20).randbytes(BLOCK)


class RefusedError(Exception):
    """An A-ASSOCIATE-RJ; its arguments are result, source and reason."""


class AbortedError(Exception):
    """An A-ABORT, or the end of the connection where none was due."""


class Stalled(Exception):
    """The peer neither sends nor takes a byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an object is: its length in bytes and the digest over them."""

    length: int
    digest: str


def object_blocks(uid: str, length: int) -> Iterator[memoryview]:
    """The data set of SOP instance `uid`: every block says whose it is and which."""
    block = bytearray(PATTERN)
    seed = zlib.crc32(uid.encode())
    for number in range(-(-length // BLOCK)):
        struct.pack_into("<LL", block, 0, seed, number)
        yield memoryview(block)[: min(BLOCK, length - number * BLOCK)]


class Stream:
    """One association's socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(PATIENCE)
        self.socket: Final = sock
        self._buffer: Final = memoryview(bytearray(MAXIMUM_LENGTH + 6))

    def close(self) -> None:
        self.socket.close()

    def send(self, *pieces: bytes | memoryview) -> None:
        try:
            self.socket.sendall(b"".join(pieces))
        except TimeoutError as error:
            raise Stalled(f"no byte taken for {PATIENCE:g} s") from error
        except OSError as error:
            raise AbortedError(self._last_words() or f"connection lost: {error}") from error

    def _last_words(self) -> str:
        """The A-ABORT that may be waiting on a connection that can no longer be written to."""
        try:
            self.socket.settimeout(1)
            while True:
                self.read_pdu()
        except AbortedError as error:
            return str(error)
        except (Stalled, OSError):
            return ""

    def _fill(self, start: int, count: int) -> None:
        at, end = start, start + count
        while at < end:
            try:
                got = self.socket.recv_into(self._buffer[at:end])
            except TimeoutError as error:
                raise Stalled(f"no byte for {PATIENCE:g} s") from error
            except OSError as error:
                raise AbortedError(f"connection lost: {error}") from error
            if not got:
                raise AbortedError("connection closed")
            at += got

    def read_pdu(self) -> tuple[int, memoryview]:
        """The next PDU, in a buffer that the next call uses again; its type and its bytes."""
        self._fill(0, 6)
        length = int.from_bytes(self._buffer[2:6], "big")
        assert length <= MAXIMUM_LENGTH, f"a PDU of {length} bytes: {bytes(self._buffer[:6]).hex()}"
        self._fill(6, length)
        if self._buffer[0] == pdus.ABORT:
            raise AbortedError(f"A-ABORT source {self._buffer[8]} reason {self._buffer[9]}")
        return self._buffer[0], self._buffer[: 6 + length]

    def read_pdv(self) -> tuple[int, int, memoryview]:
        """The next P-DATA-TF, which holds one PDV here: context, message control header, fragment."""
        kind, pdu = self.read_pdu()
        if kind != pdus.P_DATA:
            raise AbortedError(f"a PDU of type {kind} where P-DATA was due")
        assert int.from_bytes(pdu[6:10], "big") == len(pdu) - 10, "one PDV in a PDU"
        return pdu[10], pdu[11], pdu[12:]

    def read_command(self) -> bytes:
        """The next PDV, which must be a whole command."""
        _, header, fragment = self.read_pdv()
        assert header == 3, f"message control header {header}"
        return bytes(fragment)

    def send_data_set(self, context: int, data: bytes) -> None:
        self.send(pdus.data_pdus(data, context, size=MAXIMUM_LENGTH))

    def send_object(self, uid: str, length: int, *, pace: Callable[[int], None], maximum: int) -> Content:
        """Send a data set piece by piece."""
        digest = hashlib.blake2b(digest_size=16)
        sent = 0
        room = min(SLICE, maximum - 6)
        for block in object_blocks(uid, length):
            digest.update(block)
            for at in range(0, len(block), room):
                piece = block[at : at + room]
                sent += len(piece)
                pace(len(piece))
                header = struct.pack(
                    ">BBLLBB", pdus.P_DATA, 0, len(piece) + 6, len(piece) + 2, STORE_CONTEXT, 2 * (sent == length)
                )
                self.send(header, piece)
        return Content(length=length, digest=digest.hexdigest())

    def receive_object(self, arrived: Callable[[int], None]) -> Content:
        """Take a data set piece by piece."""
        digest = hashlib.blake2b(digest_size=16)
        length = 0
        while True:
            _, header, fragment = self.read_pdv()
            assert not header & 1, "a command within a data set"
            digest.update(fragment)
            length += len(fragment)
            arrived(len(fragment))
            if header & 2:
                return Content(length=length, digest=digest.hexdigest())


class Association(Stream):
    """An association that was requested and accepted."""

    def __init__(self, port: int, *, calling: str = "LOAD") -> None:
        super().__init__(socket.create_connection((LOOPBACK, port), timeout=PATIENCE))
        self.maximum = MAXIMUM_LENGTH
        try:
            self.send(pdus.rq(CONTEXTS, user=USER, calling=calling.encode().ljust(16)))
            kind, answer = self.read_pdu()
            if kind == pdus.RJ:
                raise RefusedError(*answer[7:10])
            if kind != pdus.AC:
                raise AbortedError(f"a PDU of type {kind} where an AC was due")
        except BaseException:
            self.close()
            raise

    def store(self, uid: str, length: int, *, pace: Callable[[int], None] = lambda count: None) -> Content:
        """C-STORE; returns what was sent once the SCP said success."""
        self.send(pdus.command_pdu(pdus.store_rq(instance=uid), STORE_CONTEXT))
        content = self.send_object(uid, length, pace=pace, maximum=self.maximum)
        status_of(self.read_command(), success=True)
        return content

    def echo(self) -> float:
        """C-ECHO; returns the seconds it took."""
        begun = time.perf_counter()
        self.send(pdus.command_pdu(pdus.echo_rq(), 1))
        status_of(self.read_command(), success=True)
        return time.perf_counter() - begun

    def find(self, count: int, interval: float, *, answer_bytes: int = 100, first: float = 0.0) -> None:
        """C-FIND; the SCP is asked for that many answers in that interval, which must come in order, each once.

        Args:
            count: of answers.
            interval: seconds between two of them.
            answer_bytes: length of the filling of each.
            first: seconds before we read the first answer.
        """
        self.send(pdus.command_pdu(pdus.find_rq(), 5))
        self.send_data_set(5, parameters(count, interval, answer_bytes))
        time.sleep(first)
        for number in range(count):
            assert status_of(self.read_command()) == 0xFF00, f"answer {number} is missing"
            _, _, answer = self.read_pdv()
            assert numbers(bytes(answer))[0] == number, f"answer {number} is {bytes(answer)[:40]!r}"
        status_of(self.read_command(), success=True)

    def move(self, count: int, length: int) -> None:
        """C-MOVE of `count` objects of `length` bytes, whose sub-operations come the other way."""
        self.send(pdus.command_pdu(pdus.move_rq(b"ASKER"), 7))
        self.send_data_set(7, parameters(count, length))
        for number in range(count):
            assert status_of(self.read_command()) == 0xFF00, f"sub-operation {number} is missing"
        status_of(self.read_command(), success=True)

    def release(self) -> None:
        """A-RELEASE, and the end of the connection."""
        self.send(pdus.release_rq())
        kind, _ = self.read_pdu()
        assert kind == pdus.RELEASE_RP, f"a PDU of type {kind} where an A-RELEASE-RP was due"
        self.close()

    def __enter__(self) -> "Association":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self.release()
        finally:
            self.close()


def parameters(*values: float) -> bytes:
    """An identifier that tells the SCP of the load what to do: a Patient's Name, implicit VR."""
    text = " ".join(f"{value:g}" for value in values).encode()
    return pdus.element(0x00100010, text + b" " * (len(text) % 2))


def numbers(identifier: bytes) -> list[float]:
    """What `parameters` was given."""
    length = int.from_bytes(identifier[4:8], "little")
    return [float(word) for word in identifier[8 : 8 + length].split()]


def status_of(command: bytes, *, success: bool = False) -> int:
    """The status of a response; with `success`, it must be that."""
    status = int.from_bytes(value_of(command, 0x0900), "little")
    assert not success or status == 0, f"status {status:04X}"
    return status


def field_of(command: bytes) -> int:
    """Command Field."""
    return int.from_bytes(value_of(command, 0x0100), "little")


def instance_of(command: bytes) -> str:
    """Affected SOP Instance UID."""
    return value_of(command, 0x1000).rstrip(b"\0").decode()


def value_of(command: bytes, wanted: int) -> bytes:
    """The value of an element of group 0000."""
    at = 0
    while at < len(command):
        _, element, length = struct.unpack_from("<HHL", command, at)
        if element == wanted:
            return command[at + 8 : at + 8 + length]
        at += 8 + length
    raise AssertionError(f"no element 0000,{wanted:04X} in {command.hex()}")

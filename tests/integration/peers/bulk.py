"""A storage SCU and SCP that stream: an object of any size crosses without ever being held, and its digest is compared.

Plain sockets and threads of the test's own process. The SCP serves all associations at the same time and answers
C-ECHO and C-STORE.
"""

import contextlib
import socket
import struct
import threading
import time
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from tests.integration.peers.waiting import LOOPBACK
from tests.integration.wire import pdus

FRAME: Final = 512 * 512 * 2
ECHO_RQ: Final = struct.pack("<HHLH", 0x0000, 0x0100, 2, 0x0030)
"""The element that makes a command a C-ECHO-RQ."""
CONTEXTS: Final = pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT) + pdus.proposed(3, pdus.CT_STORAGE, pdus.EXPLICIT)
TIMEOUT: Final = 60.0


def header_of(frames: int) -> bytes:
    """The data set of a multi-frame object up to its pixels, explicit VR little endian."""
    data_set = Dataset()
    data_set.SOPClassUID = pdus.CT_STORAGE
    data_set.SOPInstanceUID = "1.2.3.4"
    data_set.NumberOfFrames = frames
    data_set.Rows = data_set.Columns = 512
    data_set.SamplesPerPixel = 1
    data_set.BitsAllocated = data_set.BitsStored = 16
    encoded = encode(data_set, is_implicit_vr=False, is_little_endian=True)
    assert encoded is not None
    return encoded + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, frames * FRAME)


def read_exactly(sock: socket.socket, buffer: memoryview) -> None:
    """Fills `buffer`.

    Raises:
        ConnectionError: the peer closed before that.
    """
    at = 0
    while at < len(buffer):
        count = sock.recv_into(buffer[at:])
        if not count:
            raise ConnectionError(f"closed after {at} of {len(buffer)} bytes")
        at += count


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A data set as it arrived."""

    length: int
    checksum: int


class BulkScp:
    """Listens and serves in threads; leaving the with block ends it."""

    def __init__(self, port: int, *, maximum_length: int) -> None:
        self.maximum_length: Final = maximum_length
        self.received: Final[list[Received]] = []
        self.errors: Final[list[str]] = []
        self._listener: Final = socket.create_server((LOOPBACK, port), backlog=128)
        self._threads: Final = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(TIMEOUT)
                thread = threading.Thread(target=self._serve_safely, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve_safely(self, sock: socket.socket) -> None:
        with sock:
            try:
                self._serve(sock)
            except (OSError, AssertionError) as error:
                self.errors.append(repr(error))

    def _serve(self, sock: socket.socket) -> None:
        buffer = memoryview(bytearray(1 << 20))
        length = checksum = 0
        while True:
            read_exactly(sock, buffer[:6])
            kind, size = buffer[0], int.from_bytes(buffer[2:6], "big")
            read_exactly(sock, buffer[6 : 6 + size])
            if kind == pdus.RQ:
                user = pdus.maximum_length(self.maximum_length) + pdus.implementation()
                sock.sendall(pdus.simple_ac(bytes(buffer[: 6 + size]), user))
            elif kind == pdus.RELEASE_RQ:
                sock.sendall(pdus.release_rp())
                return
            else:
                assert kind == pdus.P_DATA, f"PDU type {kind}"
                context_id, control = buffer[10], buffer[11]
                fragment = buffer[12 : 6 + size]
                if control & 1:
                    if ECHO_RQ in bytes(fragment):
                        sock.sendall(pdus.command_pdu(pdus.echo_rsp(), context_id))
                    continue
                length += len(fragment)
                checksum = zlib.crc32(fragment, checksum)
                if control & 2:
                    self.received.append(Received(length=length, checksum=checksum))
                    length = checksum = 0
                    sock.sendall(pdus.command_pdu(pdus.store_rsp(), context_id))

    def __enter__(self) -> "BulkScp":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(TIMEOUT)


class BulkScu:
    """One association; leaving the with block releases it."""

    def __init__(self, port: int, *, timeout: float = TIMEOUT) -> None:
        self._released = False
        self._socket: Final = socket.create_connection((LOOPBACK, port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(pdus.rq(CONTEXTS))
        accepted = self._read_pdu()
        assert accepted[0] == pdus.AC, f"answered with {accepted[:12].hex()}"
        self.maximum_length: Final = self._announced(accepted)

    @staticmethod
    def _announced(accepted: bytes) -> int:
        user = next(value for kind, value in pdus.items(accepted) if kind == 0x50)
        return next(int.from_bytes(value, "big") for kind, value in pdus.split_items(user) if kind == 0x51)

    def _read_pdu(self) -> bytes:
        header = bytearray(6)
        read_exactly(self._socket, memoryview(header))
        body = bytearray(int.from_bytes(header[2:6], "big"))
        read_exactly(self._socket, memoryview(body))
        return bytes(header + body)

    def echo(self) -> float:
        """C-ECHO; returns the seconds until its response."""
        begun = time.perf_counter()
        self._socket.sendall(pdus.command_pdu(pdus.echo_rq(), 1))
        assert self._read_pdu()[0] == pdus.P_DATA
        return time.perf_counter() - begun

    def store(self, frames: int) -> Received:
        """C-STORE of an object of `frames` frames of 512 KiB, each with its number in it; returns what was sent."""
        self._socket.sendall(pdus.command_pdu(pdus.store_rq(), 3))
        header = header_of(frames)
        pattern = bytearray(range(256)) * (FRAME // 256)
        room = self.maximum_length - 6
        length = checksum = 0
        pending = bytearray(header)
        for number in range(frames):
            pattern[:8] = number.to_bytes(8, "big")
            pending += pattern
            last_frame = number == frames - 1
            at = 0
            with memoryview(pending) as view:
                while len(view) - at > room or (last_frame and at < len(view)):
                    fragment = view[at : at + room]
                    at += len(fragment)
                    is_last = last_frame and at == len(view)
                    self._socket.sendall(pdus.p_data(pdus.pdv(3, bytes(fragment), command=False, last=is_last)))
                    length += len(fragment)
                    checksum = zlib.crc32(fragment, checksum)
                    fragment.release()
            del pending[:at]
        answer = self._read_pdu()
        assert answer[0] == pdus.P_DATA, f"answered with {answer[:12].hex()}"
        return Received(length=length, checksum=checksum)

    def release(self) -> None:
        """A-RELEASE, once."""
        if self._released:
            return
        self._released = True
        self._socket.sendall(pdus.release_rq())
        answer = self._read_pdu()
        assert answer[0] == pdus.RELEASE_RP, f"answered with {answer[:12].hex()}"

    def __enter__(self) -> "BulkScu":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None:
                self.release()
        finally:
            self._socket.close()

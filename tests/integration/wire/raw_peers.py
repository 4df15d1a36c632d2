"""A requestor and an acceptor of associations that do only what a test tells them to, byte by byte.

Both are plain blocking sockets: the test is the script, and it drives the two ends of an association in turn. Nothing
here answers by itself, and nothing here knows dimse_proxy.
"""

import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final, Literal, Self

from tests.integration.peers.waiting import wait_until
from tests.integration.wire import pdus

PATIENCE: Final = 10.0
"""Seconds that something which must come may take on a busy machine."""

Ending = Literal["eof", "reset"]


class EndedError(AssertionError):
    """The connection ended where a PDU was expected."""

    def __init__(self, how: Ending, rest: bytes) -> None:
        super().__init__(f"the connection ended ({how}), after {len(rest)} bytes of a PDU: {rest[:40].hex()}")
        self.how: Final = how
        self.rest: Final = rest


class Connection:
    """One end of a TCP connection: sends what it is told to, cuts what comes into PDUs and keeps all of it.

    Attributes:
        received: every byte that came, in order.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(PATIENCE)
        self.socket: Final = sock
        self.received: Final = bytearray()
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- sending

    def send(self, *pieces: bytes) -> None:
        """Send the pieces as one write."""
        self.socket.sendall(b"".join(pieces))

    def send_in_pieces(self, data: bytes, size: int = 1) -> None:
        """Send `data` in writes of `size` bytes, each in a segment of its own (TCP_NODELAY is set)."""
        for at in range(0, len(data), size):
            self.socket.sendall(data[at : at + size])

    def send_until_blocked(self, data: bytes, *, quiet: float = 1.0, limit: int = 1 << 30) -> int:
        """Send `data` over and over until the other end has not taken a byte for `quiet` seconds; returns the bytes."""
        sent = 0
        self.socket.settimeout(quiet)
        try:
            while sent < limit:
                sent += self.socket.send(data[sent % len(data) :])
        except TimeoutError:
            return sent
        finally:
            self.socket.settimeout(PATIENCE)
        raise AssertionError(f"{sent} bytes were taken without end")

    def finish_sending(self) -> None:
        """Close the sending half: a FIN."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a RST, whatever is unread or unsent."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close as usual."""
        self.socket.close()

    # --- receiving

    def _more(self, deadline: float) -> Ending | None:
        """Read once; what ended the connection, if it ended."""
        left = deadline - time.monotonic()
        if left <= 0:
            rest = bytes(self.received[self._taken :])
            raise AssertionError(f"nothing more came; there were {len(rest)} bytes of a PDU: {rest[:40].hex()}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            return None
        except ConnectionError:
            return "reset"
        finally:
            self.socket.settimeout(PATIENCE)
        self.received.extend(data)
        return None if data else "eof"

    def read(self, count: int, *, patience: float = PATIENCE) -> bytes:
        """Exactly `count` bytes."""
        deadline = time.monotonic() + patience
        while len(self.received) - self._taken < count:
            how = self._more(deadline)
            if how is not None:
                raise EndedError(how, bytes(self.received[self._taken :]))
        self._taken += count
        return bytes(self.received[self._taken - count : self._taken])

    def read_pdu(self, *, patience: float = PATIENCE) -> bytes:
        """The next PDU, whole."""
        header = self.read(6, patience=patience)
        return header + self.read(int.from_bytes(header[2:6], "big"), patience=patience)

    def expect(self, kind: int, *, patience: float = PATIENCE) -> bytes:
        """The next PDU, which must be of this type."""
        found = self.read_pdu(patience=patience)
        name = pdus.NAMES.get(found[0], f"type {found[0]:02x}")
        assert found[0] == kind, f"expected {pdus.NAMES[kind]}, came {name}: {found[:40].hex()}"
        return found

    def expect_exactly(self, wanted: bytes, *, patience: float = PATIENCE) -> None:
        """The next bytes, which must be these."""
        found = self.read(len(wanted), patience=patience)
        assert found == wanted

    def expect_abort_or_reset(self, *, patience: float = PATIENCE) -> None:
        """An A-ABORT comes, or the connection is reset, in the middle of a PDU or not."""
        try:
            found = self.read_pdu(patience=patience)
        except EndedError as ended:
            if ended.how != "reset":
                raise
        else:
            assert found[0] == pdus.ABORT, f"came {found[:40].hex()}"

    def read_data_set(self, *, patience: float = PATIENCE) -> bytes:
        """P-DATA-TFs up to the one that ends a data set: its bytes, without the commands before it."""
        fragments = []
        while True:
            for _, header, fragment in pdus.pdvs(self.expect(pdus.P_DATA, patience=patience)):
                if header & 0x01 == 0:
                    fragments.append(fragment)
                if header & 0x03 == 0x02:
                    return b"".join(fragments)

    def ending(self, *, patience: float = PATIENCE) -> Ending:
        """How the connection ends; whatever comes before it ends is taken and kept in `received`."""
        deadline = time.monotonic() + patience
        while True:
            how = self._more(deadline)
            if how is not None:
                return how

    def expect_end(self, *, patience: float = PATIENCE) -> Ending:
        """How the connection ends, and that nothing more comes before it ends."""
        how = self.ending(patience=patience)
        rest = bytes(self.received[self._taken :])
        assert not rest, f"before the end came {len(rest)} bytes: {rest[:40].hex()}"
        return how

    def wait_until_readable(self, *, patience: float = PATIENCE) -> None:
        """Wait until something came, and leave it where it is."""
        assert select.select([self.socket], [], [], patience)[0], "nothing came"

    def expect_silence(self, seconds: float) -> None:
        """Nothing comes for this time, and the connection stays."""
        assert len(self.received) == self._taken, bytes(self.received[self._taken :]).hex()
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(PATIENCE)
        raise AssertionError(f"came {data[:40].hex()}" if data else "the connection was closed")


class Acceptor:
    """A listening socket on a loopback port; each connection is taken by the test."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1", backlog: int = 128) -> None:
        self._listener = socket.create_server((host, port), backlog=backlog)
        self.port: Final[int] = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def accept(self, *, patience: float = PATIENCE) -> Connection:
        """The next connection, in the order in which they were made."""
        self._listener.settimeout(patience)
        sock, _ = self._listener.accept()
        return Connection(sock)

    def expect_no_association(self, seconds: float, request: bytes | None = None) -> None:
        """No connection comes for this time, or one that ends before an answer.

        Args:
            seconds: to wait for a connection.
            request: the A-ASSOCIATE-RQ that may be seen; without it, none.
        """
        with contextlib.suppress(TimeoutError), self.accept(patience=seconds) as scp:
            try:
                seen = scp.read_pdu()
                assert seen == request, f"came {seen[:40].hex()}"
                scp.expect(pdus.ABORT)
            except EndedError as ended:
                assert not ended.rest, f"ended ({ended.how}) inside a PDU"  # noqa: PT017 - either is right

    def forget_waiting(self) -> None:
        """Close every connection that nobody has taken."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.accept(patience=0.1).close()

    def close(self) -> None:
        """Stop listening; connections taken stay."""
        self._listener.close()


def connect(port: int, host: str = "127.0.0.1") -> Connection:
    """A connection to an acceptor."""
    return Connection(socket.create_connection((host, port), timeout=PATIENCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpRow:
    """A line of /proc/net/tcp: one socket of this machine."""

    local: int
    remote: int
    state: int
    unread: int


ESTABLISHED: Final = 0x01
SYN_SENT: Final = 0x02
CLOSE_WAIT: Final = 0x08


def tcp_table() -> list[TcpRow]:
    """Every IPv4 socket of this network namespace."""
    rows = []
    with open("/proc/net/tcp", encoding="ascii") as lines:
        next(lines)
        for line in lines:
            fields = line.split()
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            unread = int(fields[4].rpartition(":")[2], 16)
            rows.append(TcpRow(local=local, remote=remote, state=int(fields[3], 16), unread=unread))
    return rows


def wait_until_read(connection: Connection) -> None:
    """Wait until the process at the other end has read all that was sent over `connection`."""
    here = connection.socket.getsockname()[1]
    there = connection.socket.getpeername()[1]

    def all_read() -> bool:
        mine = [row for row in tcp_table() if (row.local, row.remote) == (there, here)]
        return bool(mine) and mine[0].unread == 0

    wait_until(all_read, seconds=PATIENCE, what="the other end to read what was sent")


def tcp_state(connection: Connection) -> int:
    """State of this end's socket as the kernel numbers it: 1 established, 7 closed (by a RST), 8 a FIN came."""
    return connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

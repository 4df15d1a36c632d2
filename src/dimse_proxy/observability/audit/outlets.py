"""Where audit messages go: a syslog receiver over TLS or UDP, or a file. Blocking calls, each with an end.

An outlet takes a batch or says why not. Whether it is tried again, and when, is for `delivery` to say.
"""

import errno
import fcntl
import os
import select
import socket
import ssl
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from dimse_proxy.errors import ConfigError
from dimse_proxy.observability.audit.syslog import to_frame

PATIENCE: Final = 5.0
"""Seconds for a connection, a handshake, and for the receiver to take bytes."""
VERDICT: Final = 1.0
"""Seconds that a receiver has, after a handshake of TLS 1.3, to refuse our certificate: it does so only then."""
_POLL: Final = 0.005
_ESTABLISHED: Final = 1
"""`tcpi_state`, the first byte of TCP_INFO."""


class OutletError(Exception):
    """A batch was not taken, or not as a whole; the text is the end of a sentence about the target.

    Attributes:
        taken: how many of its records, the first ones, were.
    """

    def __init__(self, text: str, *, taken: int = 0) -> None:
        super().__init__(text)
        self.taken: Final = taken


class Outlet(Protocol):
    """One target."""

    @property
    def name(self) -> str:
        """For logs and metrics: its URL or path."""

    def send(self, records: Sequence[bytes]) -> int:
        """Hands all of `records` over, in order; returns how many it can never take and left out.

        Raises:
            OutletError: it cannot be had, or not all of them are certain to have arrived.
        """

    def close(self) -> None:
        """Gives up a connection; `send` makes a new one."""


class TlsOutlet:
    """A syslog receiver over TLS (RFC 5425)."""

    def __init__(self, url: str, host: str, port: int, context: Callable[[], ssl.SSLContext]) -> None:
        """Connects later.

        Args:
            url: for logs.
            host: whose certificate it must be.
            port: TCP port.
            context: asked anew for each connection.
        """
        self.name: Final = url
        self._host: Final = host
        self._port: Final = port
        self._context: Final = context
        self._socket: ssl.SSLSocket | None = None

    def send(self, records: Sequence[bytes]) -> int:
        """See `Outlet`. They have arrived once the receiver's TCP has acknowledged them and the connection stands."""
        try:
            if self._socket is not None and not self._is_open(self._socket):
                self.close()
            if self._socket is None:
                self._socket = self._connect()
            self._socket.settimeout(PATIENCE)
            self._socket.sendall(b"".join(map(to_frame, records)))
            self._confirm(self._socket)
        except ConfigError as error:
            raise OutletError(" ".join(error.problems)) from None
        except OSError as error:
            raise OutletError(_reason(error)) from None
        return 0

    def close(self) -> None:
        """See `Outlet`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection((self._host, self._port), PATIENCE)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            secured = self._context().wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise
        try:
            if secured.version() == "TLSv1.3":
                select.select([secured], [], [], VERDICT)
            if not self._is_open(secured):
                raise OSError("it closes the connection at once")
        except BaseException:
            secured.close()
            raise
        return secured

    def _is_open(self, secured: ssl.SSLSocket) -> bool:
        """Whether the receiver has not closed it. A receiver says nothing else than that."""
        secured.settimeout(0)
        try:
            while secured.recv(4096):
                pass
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        return False

    def _confirm(self, secured: ssl.SSLSocket) -> None:
        """Waits until the receiver's TCP has everything, where the system tells."""
        if not sys.platform.startswith("linux"):
            return
        deadline = time.monotonic() + PATIENCE
        while _unacknowledged(secured):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(_POLL)
        if secured.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED:
            raise ConnectionResetError("it closed the connection")


class UdpOutlet:
    """A syslog receiver over UDP (RFC 5426): nobody says what arrives."""

    def __init__(self, url: str, host: str, port: int) -> None:
        """Looks the name up later; `url` is for logs."""
        self.name: Final = url
        self._host: Final = host
        self._port: Final = port
        self._socket: socket.socket | None = None

    def send(self, records: Sequence[bytes]) -> int:
        """See `Outlet`."""
        left_out = taken = 0
        try:
            if self._socket is None:
                self._socket = self._open()
            for record in records:
                left_out += self._send(self._socket, record)
                taken += 1
        except ConnectionRefusedError as error:
            # The kernel tells it of the datagram before.
            raise OutletError(_reason(error), taken=max(0, taken - 1)) from None
        except OSError as error:
            raise OutletError(_reason(error), taken=taken) from None
        return left_out

    def close(self) -> None:
        """See `Outlet`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(PATIENCE)
            opened.connect(address)  # So the kernel tells of a port where nobody listens.
        except BaseException:
            opened.close()
            raise
        return opened

    def _send(self, opened: socket.socket, record: bytes) -> bool:
        """Sends a datagram; returns whether the message is longer than one can be."""
        try:
            opened.send(record)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return True
            raise
        return False


class FileOutlet:
    """A file of lines."""

    def __init__(self, path: Path) -> None:
        """Opens it later."""
        self.name: Final = str(path)
        self._path: Final = path
        self._file: int | None = None

    def send(self, records: Sequence[bytes]) -> int:
        """See `Outlet`. A line that does not fit is taken back, so that none is there twice or in part."""
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
            self._write(self._file, memoryview(b"".join(records)))
        except OSError as error:
            raise OutletError(_reason(error)) from None
        return 0

    def close(self) -> None:
        """See `Outlet`."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, file: int, data: memoryview) -> None:
        before = os.fstat(file).st_size
        try:
            while data:
                data = data[os.write(file, data) :]
        except OSError:
            if os.fstat(file).st_size > before:
                os.ftruncate(file, before)
            raise


def _unacknowledged(secured: ssl.SSLSocket) -> int:
    """Bytes that were sent and that the receiver's TCP has not acknowledged."""
    answer = fcntl.ioctl(secured.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])


def _reason(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate cannot be trusted: {error.verify_message}"
        case ssl.SSLError(reason=str(reason)):
            return f"TLS failed: {reason.lower().replace('_', ' ')}"
        case socket.gaierror():
            return f"its name cannot be resolved: {error.strerror}"
        case TimeoutError():
            return f"it took nothing for {PATIENCE:g} s"
        case _:
            return error.strerror or str(error)

"""Our `Transport` under nats-py: our own messages come and go without passing through nats-py, the rest is left to it.

It must not know what is in a message, and answers nothing itself: INFO, PING, PONG and errors are nats-py's.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias, cast
from urllib.parse import ParseResult

from nats.aio.transport import Transport

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.dialing import connect_error_text, dial, loss_text
from dimse_proxy.transports.nats_protocol import MessageReader
from dimse_proxy.transports.streams import Address

_WRITE_HIGH: Final = 1024 * 1024
_WRITE_LOW: Final = 256 * 1024
"""Marks for nats-py's own `drain`; our messages are bounded by what the tunnel keeps in flight."""

_CACHED_LINES: Final = 4096
"""PUB lines remembered: two for each instance that something was ever sent to."""


Outgoing: TypeAlias = tuple[str, Sequence[bytes | memoryview]]
"""A message to send: its subject, and the parts of its payload, one behind the other."""


class TransportUser(Protocol):
    """Who is told what the transport brings; every method is called from the event loop and must not raise."""

    def message_received(self, subject: str, payload: bytes) -> None:
        """A message of one of our subscriptions."""

    def read_done(self) -> None:
        """All that one read brought has been handed out."""

    def server_error(self, text: str) -> None:
        """An -ERR line as the server wrote it, without its quotes; nats-py gets it too, later."""

    def transport_lost(self, reason: str) -> None:
        """The connection is over, and this is the last call."""


class NatsTransport(Transport, asyncio.BufferedProtocol):
    """One connection to a NATS server."""

    def __init__(self, user: TransportUser, *, needs_tls: bool = False) -> None:
        """Makes a transport.

        Args:
            user: Is told what comes.
            needs_tls: Nothing may be written before TLS is up, least of all a secret.
        """
        self._user: Final = user
        self._needs_tls: Final = needs_tls
        self._reader: Final = MessageReader(
            on_message=user.message_received, on_other=self._other_received, on_error=self._error_received
        )
        self._raw: asyncio.Transport | None = None
        """The TCP connection."""
        self._transport: asyncio.Transport | None = None
        """What is written to: the TCP connection, or TLS over it."""
        self._other = bytearray()
        """What nats-py has not read yet."""
        self._error: Exception | None = None
        self._is_eof = False
        self._readable: Final = asyncio.Event()
        self._writable: Final = asyncio.Event()
        self._closed: Final = asyncio.Event()
        self._lines: Final[dict[str, bytes]] = {}
        self.has_had_tls = False
        """The TLS handshake was done, on our side at least."""
        self.received = 0
        """Bytes received so far: any of them is a sign of life."""

    # Ours.

    @property
    def unsent(self) -> int:
        """Bytes that were written and have not been given to the kernel."""
        if self._transport is None or self._raw is None:
            return 0
        size = self._raw.get_write_buffer_size()
        return size if self._transport is self._raw else size + self._transport.get_write_buffer_size()

    @property
    def tls_version(self) -> str:
        """Such as "TLSv1.3"; empty without TLS."""
        if self._transport is None or self._transport is self._raw:
            return ""
        return cast(ssl.SSLObject, self._transport.get_extra_info("ssl_object")).version() or ""

    def add_subscription(self, sid: int) -> None:
        """Messages of this subscription go to the user, not to nats-py."""
        self._reader.add_subscription(sid)

    def publish(self, messages: Sequence[Outgoing], lengths: Sequence[int]) -> None:
        """Sends messages, whose payloads have these lengths, with one call of the system; dropped when not connected.

        The pieces are not joined, so they must not change until they have left.
        """
        transport = self._transport
        if transport is None or self._is_eof:
            return
        pieces: list[bytes | memoryview] = []
        for (subject, parts), length in zip(messages, lengths, strict=True):
            pieces.append(b"%s%d\r\n" % (self._lines.get(subject) or self._line(subject), length))
            pieces += parts
            pieces.append(b"\r\n")
        transport.writelines(pieces)

    def request(self, subject: str, reply: str, headers: bytes, data: bytes) -> None:
        """Sends one message with a reply subject and headers; dropped when not connected.

        Args:
            subject: of the message.
            reply: where the answer is to go; empty if there is none.
            headers: as the protocol has them, `NATS/1.0` and the empty line included; empty for none.
            data: the payload; not joined with anything.
        """
        transport = self._transport
        if transport is None or self._is_eof:
            return
        words = ["HPUB" if headers else "PUB", subject, *([reply] if reply else [])]
        words += [str(len(headers)), str(len(headers) + len(data))] if headers else [str(len(data))]
        transport.writelines([" ".join(words).encode() + b"\r\n" + headers, data, b"\r\n"])

    async def open(self, host: str, port: int, timeout: float) -> None:  # noqa: ASYNC109 - shared out by `dial`
        """Connects, unless it is connected.

        Raises:
            TransportError: It cannot.
        """
        if self._transport is None:
            await dial(lambda: self, host, port, timeout=timeout)

    def abort(self) -> None:
        """Closes at once: unsent bytes are dropped, and nothing more is handed out."""
        self._reader.stop()
        if self._raw is not None:
            self._raw.abort()

    # What nats-py calls.

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Connects, unless `open` has done so."""
        await self.open(uri.hostname or "", uri.port or 4222, connect_timeout)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Starts TLS on the connection."""
        assert self._raw is not None, "connect comes first"
        name = uri if isinstance(uri, str) else uri.hostname
        where = Address(name or "", self._raw.get_extra_info("peername", ("", 0))[1])
        try:
            async with asyncio.timeout(connect_timeout):
                upgraded = await asyncio.get_running_loop().start_tls(
                    self._raw, self, ssl_context, server_hostname=name
                )
        except TimeoutError as error:
            raise TransportError(f"TLS with {where} failed: no answer within {connect_timeout:g} s") from error
        except OSError as error:
            raise TransportError(connect_error_text(error, where)) from error
        if upgraded is None:
            raise TransportError(f"TLS with {where} failed: the connection was closed")
        self._transport = upgraded
        self.has_had_tls = True
        upgraded.set_write_buffer_limits(high=_WRITE_HIGH, low=_WRITE_LOW)

    def write(self, payload: bytes) -> None:
        """Sends bytes; dropped when not connected, which the reading side tells nats-py."""
        if self._transport is None or self._is_eof:
            return
        if self._needs_tls and self._transport is self._raw:
            raise TransportError("the NATS server offers no TLS, which the configuration asks for")
        self._transport.write(payload)

    def writelines(self, payload: list[bytes]) -> None:
        """As `write`, for several pieces."""
        for piece in payload:
            self.write(piece)

    async def read(self, buffer_size: int) -> bytes:
        """Returns what is there for nats-py, b"" at the end."""
        await self._readable.wait()
        if not self._other:
            return self._at_end()
        return self._take(buffer_size)

    async def readline(self) -> bytes:
        """Returns one line with its end, or what there is of it when the connection ends."""
        while True:
            await self._readable.wait()
            end = self._other.find(b"\n") + 1
            if end:
                return self._take(end)
            if self._is_eof:
                return self._take(len(self._other)) if self._other else self._at_end()
            self._readable.clear()

    async def drain(self) -> None:
        """Waits until few bytes are unsent; over at once when the connection is."""
        await self._writable.wait()

    async def wait_closed(self) -> None:
        """Waits until the connection is gone."""
        if self._raw is not None:
            await self._closed.wait()

    def close(self) -> None:
        """Closes at once: waiting for unsent bytes would never end when the server is out of reach."""
        self.abort()

    def at_eof(self) -> bool:
        """The connection is over and everything has been read."""
        return self._is_eof and not self._other

    def __bool__(self) -> bool:
        """True also before `connect`: nats-py would put a transport of its own in our place."""
        return True

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection is there."""
        self._raw = self._transport = cast(asyncio.Transport, transport)
        self._raw.set_write_buffer_limits(high=_WRITE_HIGH, low=_WRITE_LOW)
        self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Hands out what has come."""
        self.received += nbytes
        try:
            self._reader.buffer_updated(nbytes)
        except TransportError as error:
            self._error = error
            self.abort()
        self._user.read_done()

    def eof_received(self) -> bool:
        """Lets the event loop close the connection."""
        return False

    def pause_writing(self) -> None:
        """Lets `drain` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Lets `drain` go on."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets everyone who waits go on, and tells the user."""
        self._error = self._error or exc
        self._is_eof = True
        self._transport = None
        self._readable.set()
        self._writable.set()
        self._closed.set()
        self._user.transport_lost(str(self._error) if isinstance(self._error, TransportError) else loss_text(exc))

    # Inside.

    def _other_received(self, data: bytes) -> None:
        self._other += data
        self._readable.set()

    def _error_received(self, line: bytes) -> None:
        self._user.server_error(line[4:].strip().strip(b"'").decode("utf-8", "replace"))

    def _take(self, count: int) -> bytes:
        data = bytes(self._other[:count])
        del self._other[:count]
        if not self._other and not self._is_eof:
            self._readable.clear()
        return data

    def _at_end(self) -> bytes:
        if isinstance(self._error, OSError):
            raise self._error
        return b""

    def _line(self, subject: str) -> bytes:
        raw = subject.encode()
        if not raw or len(raw.split()) != 1 or raw.strip() != raw:
            raise ValueError(f"not a NATS subject: {subject!r}")
        if len(self._lines) >= _CACHED_LINES:
            self._lines.clear()
        line = self._lines[subject] = b"PUB %s " % raw
        return line

"""TLS over a stream: a handler to the stream below it, a connection to the user above it.

The records are made and read by OpenSSL in memory; every byte comes and goes through the stream below, which keeps its
socket's options, its back-pressure and its half close. So the end of the peer's direction (close_notify or FIN) leaves
ours open, which the event loops' own TLS does not. It must not look into the bytes.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

from dimse_proxy.transports.streams import Address, LendingConnection, StreamHandler
from dimse_proxy.transports.tls_text import tls_error_text

_CHUNK: Final = 256 * 1024
"""Bytes of plain text handed out at once at most, as much as `tcp` reads at once."""

_HANDSHAKE_RECORD: Final = 0x16
_SSL2_HELLO: Final = 0x80
"""A first byte from here on may begin the old form of a ClientHello (RFC 5246 E.2)."""

_BEGINNING: Final = 16
"""Bytes kept of what a peer sends instead of TLS, to say what it is."""

# One buffer for the whole process: it is used only within `TlsStream._read`, which calls nobody meanwhile.
_scratch: Final = memoryview(bytearray(_CHUNK))


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFailure:
    """Why there is no TLS with a peer."""

    text: str
    """The end of a sentence about the peer."""
    received: bytes = b""
    """The beginning of what it sent; empty when it never sent a byte, as probes do."""
    is_plain: bool = False
    """It sent something that is no TLS."""


class TlsStream:
    """One TLS connection; a `StreamHandler` of the stream below, a `StreamConnection` for the user above."""

    __slots__ = (
        "_below",
        "_handler",
        "_incoming",
        "_is_closed",
        "_is_eof",
        "_is_eof_due",
        "_is_ready",
        "_is_server_side",
        "_is_shut",
        "_loss_text",
        "_on_failed",
        "_on_ready",
        "_outgoing",
        "_received",
        "_timeout",
        "_timer",
        "_tls",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        is_server_side: bool,
        server_hostname: str | None = None,
        handshake_timeout: float,
        on_ready: Callable[["TlsStream"], StreamHandler],
        on_failed: Callable[["TlsStream", TlsFailure], None],
    ) -> None:
        """Prepares a connection; `start` begins the handshake.

        Args:
            context: versions, suites, keys and trust.
            is_server_side: who waits for the ClientHello.
            server_hostname: on the other side, the name to send and, if the context says so, to verify.
            handshake_timeout: seconds for the handshake.
            on_ready: called once the handshake is done, and returns the user.
            on_failed: called when there will be no TLS; nothing else is called afterwards.
        """
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._tls: Final = context.wrap_bio(
            self._incoming, self._outgoing, server_side=is_server_side, server_hostname=server_hostname
        )
        self._is_server_side: Final = is_server_side
        self._timeout: Final = handshake_timeout
        self._on_ready: Final = on_ready
        self._on_failed: Final = on_failed
        self._below: LendingConnection | None = None
        self._handler: StreamHandler | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = b""
        self._is_ready = False
        self._is_eof = False
        self._is_eof_due = False
        self._is_shut = False
        """close_notify has been sent: nothing can be written any more."""
        self._is_closed = False
        """Nothing is read or written any more."""
        self._loss_text = ""

    def start(self, below: LendingConnection) -> None:
        """Begins the handshake over `below`, whose handler this is."""
        self._below = below
        below.lend_to(self.data_received)
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._handshake_overdue)
        if not self._is_server_side:
            self._shake_hands()

    def give_to(self, handler: StreamHandler) -> None:
        """Puts another user in the place of the one that `on_ready` returned."""
        self._handler = handler

    # What the user calls.

    @property
    def peer_address(self) -> Address:
        """Where the peer is."""
        return Address("unknown", 0) if self._below is None else self._below.peer_address

    @property
    def local_address(self) -> Address:
        """Where this side is."""
        return Address("unknown", 0) if self._below is None else self._below.local_address

    @property
    def unsent(self) -> int:
        """Bytes that were written and have not been given to the kernel, with what TLS adds to them."""
        return 0 if self._below is None else self._below.unsent

    @property
    def version(self) -> str:
        """Such as "TLSv1.3"."""
        return self._tls.version() or ""

    @property
    def cipher_suite(self) -> str:
        """OpenSSL's name of the suite in use."""
        suite = self._tls.cipher()
        return "" if suite is None else suite[0]

    def write(self, data: bytes | memoryview) -> None:
        """Queues bytes; after `close` or `reset` they are dropped."""
        self.writelines((data,))

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Queues several pieces."""
        if self._is_closed or self._is_shut or not self._is_ready:
            return
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def write_eof(self) -> None:
        """Sends what is queued and then close_notify; the other direction goes on."""
        if self._is_ready and not self._is_closed and not self._is_shut:
            self._say_goodbye()

    def pause_reading(self) -> None:
        """Asks for no more data until `resume_reading`; what is already on its way may still come."""
        if self._below is not None:
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""
        if self._below is not None:
            self._below.resume_reading()

    def close(self) -> None:
        """Sends what is queued and close_notify, then closes."""
        if self._below is None:
            return
        if self._is_ready and not self._is_closed and not self._is_shut:
            self._say_goodbye()
        self._is_closed = True
        self._stop_timer()
        self._below.close()

    def reset(self) -> None:
        """Drops what is queued and resets the connection."""
        self._is_closed = True
        self._stop_timer()
        if self._below is not None:
            self._below.reset()

    # What the stream below tells.

    def data_received(self, data: bytes | memoryview) -> None:
        """Records, or parts of them; all is copied to OpenSSL before anything else happens."""
        self._incoming.write(data)
        if not self._is_ready:
            if not self._received:
                self._received = bytes(data[:_BEGINNING])
                if self._is_server_side and data[0] != _HANDSHAKE_RECORD and data[0] < _SSL2_HELLO:
                    # OpenSSL would answer with an alert, which means nothing to whoever does not speak TLS.
                    self._give_up(TlsFailure(text="it does not speak TLS", received=self._received, is_plain=True))
                    return
            self._shake_hands()
        if self._is_ready:
            self._read()

    def eof_received(self) -> None:
        """FIN, with or without close_notify before it: DICOM knows by itself whether that is the end."""
        if not self._is_ready:
            self._give_up(self._ended_early("it closed the connection during the handshake"))
        else:
            self._end_of_peer()

    def connection_lost(self, error_text: str) -> None:
        """The connection below is gone."""
        self._stop_timer()
        self._below = None
        if self._handler is not None:
            self._handler.connection_lost(self._loss_text or error_text)
        elif not self._is_closed:
            self._is_closed = True
            self._on_failed(self, self._ended_early(f"the connection was lost during the handshake: {error_text}"))

    def write_drained(self) -> None:
        """The unsent bytes are few again."""
        if self._handler is not None:
            self._handler.write_drained()

    # Inside.

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # The alert that tells the peer.
            is_plain = error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
            self._give_up(TlsFailure(text=tls_error_text(error), received=self._received, is_plain=is_plain))
            return
        except ValueError as error:
            # A certificate or a host name that Python itself finds wrong.
            self._give_up(TlsFailure(text=str(error), received=self._received))
            return
        self._flush()
        self._stop_timer()
        self._is_ready = True
        self._handler = self._on_ready(self)

    def _read(self) -> None:
        """Hands out what the records hold, in one piece where it fits."""
        is_more = True
        while is_more and not self._is_eof_due and not self._is_closed:
            length = 0
            is_more = False
            try:
                while length < _CHUNK:
                    count = cast(int, self._tls.read(_CHUNK - length, _scratch[length:]))
                    if not count:
                        self._is_eof_due = True
                        break
                    length += count
                    if not self._incoming.pending and not self._tls.pending():
                        break  # asked again, it would raise an error to say so, which costs as much as a record
                else:
                    is_more = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                self._is_eof_due = True
            except ssl.SSLError as error:
                self._hand_out(length)
                self._fail(error)
                return
            self._flush()  # Answers of TLS itself, such as to a key update.
            self._hand_out(length)
        if self._is_eof_due:
            self._end_of_peer()

    def _hand_out(self, length: int) -> None:
        if length and not self._is_closed and self._handler is not None:
            self._handler.data_received(bytes(_scratch[:length]))

    def _end_of_peer(self) -> None:
        if not self._is_eof and not self._is_closed and self._handler is not None:
            self._is_eof = True
            self._handler.eof_received()

    def _flush(self) -> None:
        if self._outgoing.pending and self._below is not None:
            self._below.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        self._is_shut = True
        with suppress(OSError, ValueError):
            self._tls.unwrap()  # It wants the peer's close_notify too, which nobody waits for.
        self._flush()

    def _fail(self, error: ssl.SSLError) -> None:
        """TLS is broken after the handshake: the alert leaves, then the connection ends."""
        self._loss_text = self._loss_text or f"TLS failed: {tls_error_text(error)}"
        self._flush()
        self._is_closed = True
        if self._below is not None:
            self._below.close()

    def _give_up(self, failure: TlsFailure) -> None:
        """There is no TLS: what is to be said to the peer has been written."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop_timer()
        if self._below is not None:
            self._below.close()
        self._on_failed(self, failure)

    def _ended_early(self, text: str) -> TlsFailure:
        if not self._is_server_side and not self._received:
            # What does not speak TLS mostly does this: it cannot read the ClientHello.
            text += ", without a word: perhaps it does not speak TLS on this port"
        return TlsFailure(text=text, received=self._received)

    def _handshake_overdue(self) -> None:
        self._timer = None
        if not self._is_closed:
            self._is_closed = True
            if self._below is not None:
                self._below.reset()
            text = f"the handshake was not done within {self._timeout:g} s"
            self._on_failed(self, TlsFailure(text=text, received=self._received))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

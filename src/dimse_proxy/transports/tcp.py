"""One TCP connection of a DICOM end point: listening, connecting, and the options that make it fast.

It must not look into the bytes, and must not keep memory for a connection that is idle.
"""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.dialing import address_of, dial, error_text, listen_error_text, loss_text
from dimse_proxy.transports.streams import Address, HeldEvents, StreamHandler

READ_BUFFER_SIZE: Final = 256 * 1024
"""Bytes read at once at most: larger reads bring nothing (design section 6), smaller ones cost a call each."""

DEFAULT_BACKLOG: Final = 1024
"""Connections that may wait to be accepted: more than a crowd of modalities opens at once, since one that finds no room
tries again only after a second. The system may allow fewer."""

_TCP_CLOSE: Final = 7
"""`tcpi_state` of a connection that was reset or timed out (Linux, tcp_states.h)."""

# One buffer for the whole process: it is used only from get_buffer() to the end of buffer_updated(), and an event loop
# calls these one after the other without anything in between. A process runs one event loop.
_scratch: Final = bytearray(READ_BUFFER_SIZE)
_scratch_view: Final = memoryview(_scratch)

_QUICKACK: Final = cast(int | None, getattr(socket, "TCP_QUICKACK", None))
_TCP_INFO: Final = cast(int | None, getattr(socket, "TCP_INFO", None))


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """How a connection is set up."""

    no_delay: bool = True
    """TCP_NODELAY: small PDUs leave at once."""
    quick_ack: bool = True
    """TCP_QUICKACK, armed again after every read: a peer that waits for acknowledgements does not wait 40 ms."""
    keep_alive: bool = True
    """SO_KEEPALIVE, with the three numbers that follow."""
    keep_alive_idle: int = 30
    """Seconds of silence before the first probe."""
    keep_alive_interval: int = 10
    """Seconds between probes."""
    keep_alive_count: int = 3
    """Probes without answer after which the peer is gone: with the above, a vanished idle host costs a minute."""
    user_timeout: float = 180.0
    """TCP_USER_TIMEOUT in seconds: how long sent bytes may stay unacknowledged. The kernel also ends a connection whose
    peer lives but takes no byte for so long (zero window), so this is longer than an archive's longest pause. 0 leaves
    it to the system."""
    write_high: int = 1024 * 1024
    """Unsent bytes above which the next fall below `write_low` is told."""
    write_low: int = 512 * 1024
    """See `write_high`."""
    watch_interval: float = 1.0
    """Seconds between looks at TCP_INFO while nothing is read."""


DEFAULT_OPTIONS: Final = TcpOptions()


class TcpConnection(asyncio.BufferedProtocol):
    """One TCP connection, driven by asyncio or uvloop; a `StreamConnection`.

    `pause_reading` works from the start, but an event loop may deliver one read after it was called while the
    connection was being made.
    """

    __slots__ = (
        "_borrower",
        "_handler",
        "_is_eof",
        "_is_paused",
        "_local",
        "_loop",
        "_loss_text",
        "_on_made",
        "_options",
        "_peer",
        "_quick_ack",
        "_sock",
        "_transport",
        "_watch",
    )

    def __init__(self, on_made: Callable[["TcpConnection"], StreamHandler], *, options: TcpOptions) -> None:
        self._on_made: Callable[[TcpConnection], StreamHandler] | None = on_made
        self._options: Final = options
        self._loop: Final = asyncio.get_running_loop()
        self._handler: StreamHandler = HeldEvents()
        self._borrower: Callable[[memoryview], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._sock: socket.socket | None = None
        self._quick_ack = False
        self._is_paused = False
        self._is_eof = False
        self._loss_text = ""
        self._watch: asyncio.TimerHandle | None = None
        self._peer = self._local = Address("unknown", 0)

    # What the user calls.

    @property
    def peer_address(self) -> Address:
        """Where the peer is."""
        return self._peer

    @property
    def local_address(self) -> Address:
        """Where this side is."""
        return self._local

    @property
    def unsent(self) -> int:
        """Bytes that were written and have not been given to the kernel."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes | memoryview) -> None:
        """Queues bytes; after `close` or `reset` they are dropped."""
        if self._transport is not None and not self._loss_text:
            self._transport.write(data)

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Queues several pieces without joining them."""
        if self._transport is not None and not self._loss_text:
            self._transport.writelines(parts)

    def write_eof(self) -> None:
        """Sends what is queued and then FIN."""
        if self._transport is not None and not self._loss_text:
            self._transport.write_eof()

    def pause_reading(self) -> None:
        """Asks for no more data until `resume_reading`; what is already on its way may still come."""
        if self._is_paused:
            return
        self._is_paused = True
        if self._transport is not None and not self._is_eof and not self._transport.is_closing():
            self._transport.pause_reading()
        self._start_watch()

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""
        if not self._is_paused:
            return
        self._is_paused = False
        if self._is_eof:
            return  # The loop has stopped reading for good; asked again, it would report the end a second time.
        self._stop_watch()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Sends what is queued, then closes. Bytes of the peer that were not read make the kernel send RST."""
        if self._transport is not None and not self._loss_text:
            self._loss_text = "closed by this side"
            self._stop_watch()
            self._transport.close()

    def reset(self) -> None:
        """Drops what is queued and sends RST; also ends a `close` that waits for a peer that takes no bytes."""
        if self._transport is None:
            return
        if self._sock is not None:
            self._set_option(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._abort("reset by this side")

    def speak_for(self, peer: Address) -> None:
        """Takes another address for the peer's: a load balancer that stands between has told it."""
        self._peer = peer

    def give_to(self, handler: StreamHandler) -> None:
        """Puts another user in the place of the present one."""
        self._handler = handler

    def lend_to(self, take: Callable[[memoryview], None]) -> None:
        """Gives what is read to `take` from now on, in the scratch buffer, where the next read puts other bytes."""
        self._borrower = take

    def forget(self) -> None:
        """Lets go of a connection that `connect` did not return.

        uvloop closes it without `connection_lost` when the task that connects is cancelled at the last moment: a socket
        object of ours would then close the same file descriptor a second time, which somebody else may have by now.
        """
        self._stop_watch()
        self._transport = None
        if self._sock is not None:
            self._sock.detach()
            self._sock = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sets the socket's options and asks who the user is."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._options.write_high, low=self._options.write_low)
        self._peer = address_of(transport.get_extra_info("peername"))
        self._local = address_of(transport.get_extra_info("sockname"))
        self._take_socket(transport.get_extra_info("socket"))
        on_made, self._on_made = self._on_made, None
        assert on_made is not None
        self._handler = on_made(self)
        if self._is_paused:
            # uvloop starts reading after connection_made() whatever was asked for within it.
            self._loop.call_soon(self._pause_again)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The scratch buffer that all connections share."""
        return _scratch_view

    def buffer_updated(self, nbytes: int) -> None:
        """Copies what was read out of the scratch buffer, once; lends it to who only copies it elsewhere."""
        if self._quick_ack:
            self._set_option(socket.IPPROTO_TCP, _QUICKACK, 1)
        if self._borrower is None:
            self._handler.data_received(bytes(_scratch_view[:nbytes]))
        else:
            self._borrower(_scratch_view[:nbytes])

    def eof_received(self) -> bool:
        """Keeps the connection open for writing."""
        self._is_eof = True
        if not self._loss_text:
            self._start_watch()
        self._handler.eof_received()
        return True

    def pause_writing(self) -> None:
        """The high mark was passed; `unsent` tells the user."""

    def resume_writing(self) -> None:
        """Fell below the low mark."""
        if not self._loss_text:
            self._handler.write_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of the socket and tells the user."""
        self._stop_watch()
        self._transport = None
        sock, self._sock = self._sock, None
        self._quick_ack = False
        if sock is not None:
            sock.detach()
        if not self._loss_text:
            self._loss_text = loss_text(exc)
        if self._on_made is None:
            self._handler.connection_lost(self._loss_text)

    # Inside.

    def _take_socket(self, sock: socket.socket) -> None:
        """Keeps a socket object of our own: the loop's one is slow to use.

        It shares the loop's file descriptor, which lives until `connection_lost` has returned.
        """
        self._sock = socket.socket(sock.family, socket.SOCK_STREAM, sock.proto, fileno=sock.fileno())
        options = self._options
        tcp = socket.IPPROTO_TCP
        self._set_option(tcp, socket.TCP_NODELAY, int(options.no_delay))
        if options.keep_alive:
            self._set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._set_option(tcp, getattr(socket, "TCP_KEEPIDLE", None), options.keep_alive_idle)
            self._set_option(tcp, getattr(socket, "TCP_KEEPINTVL", None), options.keep_alive_interval)
            self._set_option(tcp, getattr(socket, "TCP_KEEPCNT", None), options.keep_alive_count)
        if options.user_timeout > 0:
            self._set_option(tcp, getattr(socket, "TCP_USER_TIMEOUT", None), int(options.user_timeout * 1000))
        self._quick_ack = options.quick_ack and _QUICKACK is not None
        if self._quick_ack:
            self._set_option(tcp, _QUICKACK, 1)

    def _set_option(self, level: int, option: int | None, value: int | bytes) -> None:
        if option is None or self._sock is None:
            return
        try:
            self._sock.setsockopt(level, option, value)
        except OSError:
            # The option does not exist here, or the connection is over, which the loop reports by itself.
            if option == _QUICKACK:
                self._quick_ack = False

    def _pause_again(self) -> None:
        if self._is_paused and not self._is_eof and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _abort(self, text: str) -> None:
        self._loss_text = text
        self._stop_watch()
        if self._transport is not None:
            self._transport.abort()

    def _start_watch(self) -> None:
        """Looks at TCP_INFO while the loop does not read, for then nothing else tells of a reset."""
        if self._watch is None and _TCP_INFO is not None and self._transport is not None and not self._loss_text:
            self._watch = self._loop.call_later(self._options.watch_interval, self._look)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        self._watch = None
        sock = self._sock
        if sock is None or self._transport is None or self._transport.is_closing():
            return
        assert _TCP_INFO is not None
        try:
            state = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if state == _TCP_CLOSE else 0
        except OSError:
            return  # No TCP_INFO here: keep-alive and the next read have to do.
        if state != _TCP_CLOSE:
            self._start_watch()
            return
        match error:
            case 0:
                what = "closed by peer"
            case errno.ECONNRESET | errno.EPIPE:
                what = "reset by peer"
            case _:
                what = error_text(error)
        self._abort(f"{what} while reading was paused" if self._is_paused else what)


class TcpListener:
    """A listening socket, or several of them."""

    __slots__ = ("_server", "addresses")

    def __init__(self, server: asyncio.AbstractServer, addresses: tuple[Address, ...]) -> None:
        self._server: Final = server
        self.addresses: Final = addresses
        """Where it listens, with the real port if 0 was asked for."""

    def close(self) -> None:
        """Stops accepting at once; connections made before live on."""
        self._server.close()


async def listen(
    host: str,
    port: int,
    on_connection: Callable[[TcpConnection], StreamHandler],
    *,
    options: TcpOptions = DEFAULT_OPTIONS,
    backlog: int = DEFAULT_BACKLOG,
) -> TcpListener:
    """Listens for connections.

    Args:
        host: Address or name; "" is every address, IPv4 and IPv6.
        port: 0 takes a free one.
        on_connection: Called for each connection, before its first byte, and returns its user.
        options: How each connection is set up.
        backlog: Connections that may wait to be accepted.

    Raises:
        TransportError: The address cannot be listened on.
    """
    loop = asyncio.get_running_loop()

    def make() -> TcpConnection:
        return TcpConnection(on_connection, options=options)

    where = Address(host or "*", port)
    try:
        server = await loop.create_server(make, host or None, port, backlog=backlog, reuse_address=os.name == "posix")
    except (OSError, OverflowError) as error:
        raise TransportError(f"cannot listen on {where}: {listen_error_text(error, host)}") from error
    return TcpListener(server, tuple(address_of(sock.getsockname()) for sock in server.sockets))


async def connect(
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - shared out among the addresses of the name
    handler: StreamHandler,
    bind_host: str | None = None,
    options: TcpOptions = DEFAULT_OPTIONS,
) -> TcpConnection:
    """Connects to one of the addresses of `host`, trying them in the system's order.

    Args:
        host: Address or name.
        port: TCP port.
        timeout: Seconds for name and connection.
        handler: The user of the connection; it is called from the next turn of the event loop on.
        bind_host: Address of this side, if not the system's choice.
        options: How the connection is set up.

    Raises:
        TransportError: No address could be connected to; the text says what happened at the last one.
    """
    held = HeldEvents()
    made: list[TcpConnection] = []

    def make() -> TcpConnection:
        made.append(TcpConnection(lambda connection: held, options=options))
        return made[-1]

    connection = None
    try:
        _, connection = await dial(
            make,
            host,
            port,
            timeout=timeout,
            bind_host=bind_host,
        )
    finally:
        for attempt in made:
            if attempt is not connection:
                attempt.forget()
    asyncio.get_running_loop().call_soon(_release, connection, held, handler)
    return connection


def _release(connection: TcpConnection, held: HeldEvents, handler: StreamHandler) -> None:
    connection._handler = handler
    held.replay(handler)

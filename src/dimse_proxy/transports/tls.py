"""TLS connections made: of those that come in by a gate, of those that go out by a call.

What TLS is once there are two ends of it is in `tls_stream`.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from dimse_proxy.errors import TlsError, TransportError
from dimse_proxy.transports.streams import Address, HeldEvents, LendingConnection, StreamHandler
from dimse_proxy.transports.tcp import DEFAULT_OPTIONS, TcpOptions, connect
from dimse_proxy.transports.tls_stream import TlsFailure, TlsStream

__all__ = ["TlsFailure", "TlsGate", "TlsStream", "connect_tls"]


class TlsGate:
    """Does the handshake of connections that come in, and hands out those with whom it succeeds."""

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        on_connection: Callable[[TlsStream], StreamHandler],
        on_failed: Callable[[Address, TlsFailure], None],
        *,
        handshake_timeout: float = 10.0,
        limit: int = 0,
        on_limit: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes a gate; `connection_made` is what a listener calls.

        Args:
            context: asked anew for each connection.
            on_connection: called for each connection once its handshake is done, and returns its user.
            on_failed: called for each that does not get so far.
            handshake_timeout: seconds for the handshake.
            limit: unfinished handshakes at the same time; 0 for no limit. A connection beyond it is reset.
            on_limit: called whenever the limit is reached anew.
        """
        self._context: Final = context
        self._on_connection: Final = on_connection
        self._on_failed: Final = on_failed
        self._timeout: Final = handshake_timeout
        self._limit: Final = limit
        self._on_limit: Final = on_limit
        self._unfinished: Final[set[TlsStream]] = set()
        self._was_full = False

    @property
    def unfinished(self) -> int:
        """Handshakes that are going on."""
        return len(self._unfinished)

    def connection_made(self, below: LendingConnection) -> StreamHandler:
        """A connection came in; the handler of its bytes."""
        stream = TlsStream(
            self._context(),
            is_server_side=True,
            handshake_timeout=self._timeout,
            on_ready=self._ready,
            on_failed=self._failed,
        )
        if self._limit and len(self._unfinished) >= self._limit:
            if not self._was_full:
                self._was_full = True
                self._on_limit()
            asyncio.get_running_loop().call_soon(below.reset)
            return _NOBODY
        self._unfinished.add(stream)
        stream.start(below)
        return stream

    def close(self) -> None:
        """Gives up the handshakes that are going on."""
        for stream in self._unfinished:
            stream.reset()
        self._unfinished.clear()

    def _ready(self, stream: TlsStream) -> StreamHandler:
        self._finished(stream)
        return self._on_connection(stream)

    def _failed(self, stream: TlsStream, failure: TlsFailure) -> None:
        self._finished(stream)
        self._on_failed(stream.peer_address, failure)

    def _finished(self, stream: TlsStream) -> None:
        self._unfinished.discard(stream)
        if len(self._unfinished) <= self._limit // 2:
            self._was_full = False


class _Nobody:
    """Takes the news of a connection that is not wanted."""

    def data_received(self, data: bytes) -> None:
        """Nothing."""

    def eof_received(self) -> None:
        """Nothing."""

    def connection_lost(self, error_text: str) -> None:
        """Nothing."""

    def write_drained(self) -> None:
        """Nothing."""


_NOBODY: Final = _Nobody()


async def connect_tls(
    host: str,
    port: int,
    *,
    context: ssl.SSLContext,
    timeout: float,  # noqa: ASYNC109 - shared out among the addresses of the name
    handshake_timeout: float,
    handler: StreamHandler,
    bind_host: str | None = None,
    options: TcpOptions = DEFAULT_OPTIONS,
    server_hostname: str | None = None,
) -> TlsStream:
    """Connects to one of the addresses of `host`, and does the handshake there.

    Args:
        host: Address or name.
        port: TCP port.
        context: versions, suites, keys and trust.
        timeout: Seconds for name and connection.
        handshake_timeout: Seconds for the handshake.
        handler: The user of the connection; it is called from the next turn of the event loop on.
        bind_host: Address of this side, if not the system's choice.
        options: How the connection is set up.
        server_hostname: Name that the certificate must have, if not `host`.

    Raises:
        TlsError: There is no TLS on the connection; the text says why.
        TransportError: There is no connection; the text says why.
    """
    loop = asyncio.get_running_loop()
    held = HeldEvents()
    done: asyncio.Future[None] = loop.create_future()

    def ready(_stream: TlsStream) -> StreamHandler:
        if not done.done():
            done.set_result(None)
        return held

    def failed(_stream: TlsStream, failure: TlsFailure) -> None:
        if not done.done():
            done.set_exception(TransportError(failure.text))

    stream = TlsStream(
        context,
        is_server_side=False,
        server_hostname=server_hostname or host,
        handshake_timeout=handshake_timeout,
        on_ready=ready,
        on_failed=failed,
    )
    below = await connect(host, port, timeout=timeout, handler=stream, bind_host=bind_host, options=options)
    where = below.peer_address
    try:
        stream.start(below)
        await done
    except TransportError as error:
        raise TlsError(f"TLS with {where} failed: {error}") from None
    except BaseException:
        stream.reset()
        raise

    def release() -> None:
        stream.give_to(handler)
        held.replay(handler)

    loop.call_soon(release)
    return stream

"""One connection to one NATS server, from TCP to the end, with nats-py doing the talking; it is never used again.

It must not decide what happens after it: `nats_link` makes the next one.
"""

import asyncio
import base64
import contextlib
import logging
import re
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from dimse_proxy.errors import ConfigError, TransportError
from dimse_proxy.transports.nats_servers import NatsServer
from dimse_proxy.transports.nats_transport import NatsTransport, Outgoing

_log: Final = logging.getLogger(__name__)

_NEVER: Final = 24 * 3600.0
"""Seconds given to nats-py for its own timers: ours are the ones that count. A flush of nats-py must not time out, for
the PONG that comes later stops its reading task (2.16)."""

_CLOSE_TIMEOUT: Final = 1.0
"""Seconds that a connection's end is waited for; a WebSocket's farewell may go on behind our back."""

_DENIED: Final = re.compile(r'permissions violation for (publish|subscription) to "?([^"\s]+)', re.IGNORECASE)
_REFUSED: Final = re.compile(r"authorization violation|authentication (expired|revoked)", re.IGNORECASE)

T = TypeVar("T")


class NatsRefusedError(TransportError):
    """The server refused who we are or what we may: it will do so again until somebody changes something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsCredentials:
    """Who we are towards NATS; what is not used stays None."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    jwt: str | None = field(default=None, repr=False)
    """A user JWT, with `sign`."""
    nkey: str | None = None
    """Public key of a user that has no JWT, with `sign`."""
    sign: Callable[[bytes], bytes] | None = field(default=None, repr=False)
    """Signs the server's nonce with the user's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """How to reach NATS."""

    servers: Sequence[str]
    """`host:port` or URLs with the scheme nats, tls, ws or wss; the rest of a cluster is discovered."""
    name: str = "dimse-proxy"
    """Seen in the server's monitoring."""
    tls: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None
    """If given, no server is spoken to without TLS; a function is asked anew for each connection. Without it, TLS is
    used with servers that ask for it and with tls:// and wss:// URLs, with the system's trusted certificates."""
    tls_first: bool = False
    """TLS begins before the server has said anything (`handshake_first` of nats-server)."""
    credentials: Callable[[], NatsCredentials] | None = None
    """Asked anew for each connection, so that a rotated secret is used. It must not block for long."""
    trace: bool = False
    """Log the life of the connection in detail."""
    ping_interval: float = 5.0
    """Seconds between our PINGs; the server is given up after twice that without a byte from it."""
    connect_timeout: float = 5.0
    """Seconds for TCP, and again for everything from there until our subscriptions are known to the server."""


class ConnectionUser(Protocol):
    """Who is told what the connection brings."""

    def message_received(self, subject: str, payload: bytes) -> None:
        """A message of one of our subscriptions."""

    def read_done(self) -> None:
        """All that one read brought has been handed out."""

    def servers_discovered(self, source: NatsServer, addresses: Sequence[str], has_tls: bool) -> None:
        """The server told of the servers of its cluster."""

    def publish_denied(self, text: str) -> None:
        """The server did not take a message, and will not take another one on that subject."""


class NatsConnection:
    """One connection; `open` it once, `close` it always."""

    def __init__(self, server: NatsServer, options: NatsOptions, user: ConnectionUser) -> None:
        self.server: Final = server
        self._options: Final = options
        self._user: Final = user
        self._loop: Final = asyncio.get_running_loop()
        self._client: Final = _Client(self)
        self._transport: NatsTransport | None = None
        self._sender: asyncio.Task[None] | None = None
        self._outbox: Final[asyncio.Queue[tuple[str, bytes]]] = asyncio.Queue()
        self._outbox_size = 0
        self._signs_of_life = 0
        self._pings: Final[set[asyncio.Task[float]]] = set()
        self._refusal = ""
        self._last_error: Exception | None = None
        self.round_trip: float | None = None
        """Of the last PING that was answered, seconds."""
        self.lost: Final[asyncio.Future[str]] = self._loop.create_future()
        """Done when the connection is over; its result says why."""

    @property
    def client(self) -> Client:
        """nats-py's own client, for requests and replies; messages of the tunnel go past it."""
        return self._client

    @property
    def max_payload(self) -> int:
        """Largest message the server takes, bytes."""
        return self._client.max_payload

    @property
    def signs_of_life(self) -> int:
        """A number that grows with everything the server sends."""
        return self._signs_of_life if self._transport is None else self._transport.received

    @property
    def unsent(self) -> int:
        """Bytes published that have not left this process."""
        return self._outbox_size if self._transport is None else self._transport.unsent

    @property
    def is_pinging(self) -> bool:
        """A PING has not been answered yet."""
        return bool(self._pings)

    async def open(self, subjects: Sequence[str]) -> None:
        """Connects, says who we are, subscribes, and waits until the server has taken note of it.

        Raises:
            NatsRefusedError: The server knows us and says no.
            TransportError: Anything else went wrong.
        """
        what = self.server.url
        try:
            await self._open_tcp()
            async with asyncio.timeout(self._options.connect_timeout):
                await self._connect()
                for subject in subjects:
                    await self._subscribe(subject)
                await self._unless_lost(self._flush())
        except TransportError as error:
            raise self._failure(str(error)) from error
        except TimeoutError as error:
            raise self._failure(f"no answer from {what} within {self._options.connect_timeout:g} s") from error
        except ImportError as error:
            raise self._failure(f"{what} cannot be used: the package {error.name or error} is missing") from error
        except Exception as error:
            # nats-py raises what its parts raise: a wrong creds file, a server that is none, JSON, an unknown host.
            text = str(error).removeprefix("nats: ") or type(error).__name__
            if text.startswith("'"):
                self.server_error(text.strip("'"))
            raise self._failure(f"{what}: {self._last_error or text}") from error
        if self._refusal:
            raise self._failure("")

    def publish(self, messages: Sequence[Outgoing], lengths: Sequence[int]) -> None:
        """Sends messages, whose payloads have these lengths in bytes."""
        if self._transport is not None:
            self._transport.publish(messages, lengths)
            return
        for subject, parts in messages:
            self._outbox.put_nowait((subject, b"".join(parts)))
        self._outbox_size += sum(lengths)

    async def request(self, subject: str, reply: str, headers: Mapping[str, str], data: bytes) -> None:
        """Sends one message with a reply subject and headers.

        Raises:
            TransportError: nats-py, which sends it over a WebSocket, cannot.
        """
        if self._transport is not None:
            text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self._transport.request(subject, reply, f"NATS/1.0\r\n{text}\r\n".encode() if text else b"", data)
            return
        try:
            await self._client.publish(subject, data, reply=reply, headers=dict(headers) or None)
        except (errors.Error, OSError) as error:
            raise TransportError(f"publishing failed: {error}") from error

    async def subscribe_inbox(self, subject: str, with_headers: Callable[[Msg], Coroutine[Any, Any, None]]) -> None:
        """Subscribes to replies, while the connection is open: those without headers are the user's messages.

        Args:
            subject: where they come.
            with_headers: takes the others, and over a WebSocket all of them.
        """
        subscription = await self._client.subscribe(subject, cb=with_headers)
        if self._transport is not None:
            self._transport.add_subscription(subscription._id)

    def ping(self) -> asyncio.Task[float]:
        """Sends a PING behind everything published; the task's result is the round trip in seconds."""
        task = self._loop.create_task(self._measure())
        self._pings.add(task)
        task.add_done_callback(self._pings.discard)
        return task

    async def answer(self) -> float:
        """Sends a PING behind everything published, and waits for its answer; returns the round trip in seconds.

        Raises:
            TransportError: None came in time, or the connection is over.
        """
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                return await self._unless_lost(self._measure())
        except TimeoutError as error:
            text = f"no answer to a PING from {self.server.url} within {self._options.connect_timeout:g} s"
            raise self._failure(text) from error

    def lose(self, reason: str) -> None:
        """The connection is of no more use."""
        if not self.lost.done():
            self.lost.set_result(reason)
            self._trace("lost: %s", reason)
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Closes at once: what has not left is dropped."""
        self.lose("closed by this side")
        for task in (*self._pings, *([self._sender] if self._sender is not None else [])):
            task.cancel()
        closing = self._loop.create_task(self._client.close())
        _closing.add(closing)
        closing.add_done_callback(_closed)
        await asyncio.wait({closing}, timeout=_CLOSE_TIMEOUT)
        await asyncio.sleep(0)  # nats-py has cancelled its tasks; this is when they end.

    # What the transport and nats-py tell.

    def message_received(self, subject: str, payload: bytes) -> None:
        """A message of one of our subscriptions."""
        self._signs_of_life += 1
        self._user.message_received(subject, payload)

    def read_done(self) -> None:
        """All that one read brought has been handed out."""
        self._user.read_done()

    def transport_lost(self, reason: str) -> None:
        """TCP is over."""
        self.lose(reason)

    def info_received(self, info: dict[str, Any], *, is_first: bool) -> None:
        """The server said what it is, or what has changed; may ask nats-py for TLS by changing `info`.

        Raises:
            TransportError: It offers no TLS, and we must have it.
        """
        has_tls = bool(info.get("tls_required"))
        if is_first and self._needs_tls and not has_tls and not self.server.is_websocket:
            if not info.get("tls_available"):
                raise TransportError(f"{self.server.url} offers no TLS, which the configuration asks for")
            has_tls = info["tls_required"] = True
        self._trace(
            "INFO: server %s, version %s, cluster %s, max_payload %s, TLS %s, connect_urls %s",
            info.get("server_name") or info.get("server_id"),
            info.get("version"),
            info.get("cluster"),
            info.get("max_payload"),
            has_tls,
            info.get("connect_urls"),
        )
        if info.get("connect_urls"):
            self._user.servers_discovered(self.server, [str(url) for url in info["connect_urls"]], has_tls)
        if is_first:
            return
        if info.get("ldm"):
            self.lose("the NATS server is about to stop (lame duck mode)")
        elif info.get("max_payload", self.max_payload) != self.max_payload:
            self.lose("the NATS server has changed its max_payload")

    def server_error(self, text: str) -> None:
        """The server sent -ERR."""
        self._trace("-ERR %s", text)
        if denied := _DENIED.search(text):
            if denied[1].lower() == "publish":
                self._user.publish_denied(f"the NATS server does not let this user publish to {denied[2]}")
                return
            self._refusal = f"the NATS server does not let this user subscribe to {denied[2]}"
        elif _REFUSED.search(text):
            self._refusal = f"the NATS server does not accept our credentials: {text}"
        self.lose(self._refusal or f"the NATS server closed the connection: {text}")

    # Inside.

    @property
    def _needs_tls(self) -> bool:
        return self._options.tls is not None or self.server.scheme in ("tls", "wss")

    async def _open_tcp(self) -> None:
        if self.server.is_websocket:
            return
        self._transport = NatsTransport(self, needs_tls=self._needs_tls)
        self._client._transport = self._transport
        await self._transport.open(self.server.host, self.server.port, self._options.connect_timeout)
        self._trace("TCP is connected")

    async def _connect(self) -> None:
        options, server = self._options, self.server
        credentials = self._credentials()
        sign = credentials.sign
        self._client._public_nkey = credentials.nkey
        if sign is not None:
            # Without it nats-py takes the server's nonce for somebody else's business.
            self._client._auth_configured = True
        await self._client.connect(
            servers=[server.url],
            name=options.name,
            error_cb=self._error_reported,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=options.connect_timeout,  # type: ignore[arg-type]  # seconds as everywhere, also parts of one
            ping_interval=int(_NEVER),
            tls=self._tls(),
            tls_hostname=server.tls_name,
            tls_handshake_first=options.tls_first and not server.is_websocket,
            user=credentials.user,
            password=credentials.password,
            token=credentials.token,
            signature_cb=None if sign is None else lambda nonce: base64.b64encode(sign(nonce.encode())),
            user_jwt_cb=None if credentials.jwt is None else lambda: bytearray(credentials.jwt or "", "ascii"),
        )
        for task in (self._client._reading_task, self._client._flusher_task):
            assert task is not None, "nats-py has made its tasks when connect() returns"
            task.add_done_callback(self._task_ended)
        if self._transport is None:
            self._sender = self._loop.create_task(self._send())
        else:
            self._trace("nats-py is connected, TLS: %s", self._transport.tls_version or "none")

    def _credentials(self) -> NatsCredentials:
        if self._options.credentials is not None:
            try:
                return self._options.credentials()
            except (OSError, ConfigError) as error:
                raise TransportError(f"the NATS credentials cannot be read: {error}") from error
        if self.server.password is None:
            return NatsCredentials(token=self.server.user)
        return NatsCredentials(user=self.server.user, password=self.server.password)

    def _tls(self) -> ssl.SSLContext | None:
        tls = self._options.tls
        if tls is None or isinstance(tls, ssl.SSLContext):
            return tls
        try:
            return tls()
        except (OSError, ConfigError) as error:
            raise TransportError(f"TLS with NATS cannot be prepared: {error}") from error

    async def _subscribe(self, subject: str) -> None:
        subscription = await self._client.subscribe(subject, cb=self._take_from_nats_py)
        if self._transport is not None:
            # Nothing has been written yet: nats-py's flusher does that, in a later turn of the event loop.
            self._transport.add_subscription(subscription._id)
        self._trace("subscribed to %s", subject)

    async def _take_from_nats_py(self, message: Msg) -> None:
        if self._transport is not None:
            return  # With headers, so not of our making: ours do not come this way.
        self.message_received(message.subject, message.data)
        self.read_done()

    async def _error_reported(self, error: Exception) -> None:
        self._last_error = error
        self._trace("nats-py: %s", error)

    def _task_ended(self, task: "asyncio.Task[None]") -> None:
        self.lose(str(self._last_error or "nats-py has stopped").removeprefix("nats: "))

    async def _flush(self) -> None:
        await self._client.flush(int(_NEVER))

    async def _measure(self) -> float:
        start = time.perf_counter()  # uvloop's own clock counts milliseconds.
        await self._outbox.join()
        await self._flush()
        self._signs_of_life += 1
        self.round_trip = time.perf_counter() - start
        return self.round_trip

    async def _send(self) -> None:
        """Publishes through nats-py, for WebSockets."""
        while True:
            subject, payload = await self._outbox.get()
            try:
                await self._client.publish(subject, payload)
                await self._client._flush_pending(force_flush=True)
            except (errors.Error, OSError) as error:
                self.lose(f"publishing failed: {error}")
                return
            finally:
                self._outbox_size -= len(payload)
                self._outbox.task_done()

    async def _unless_lost(self, work: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(work)
        try:
            waited: tuple[asyncio.Future[Any], ...] = (task, self.lost)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TransportError(self.lost.result())
            return task.result()
        finally:
            task.cancel()

    def _failure(self, text: str) -> TransportError:
        """What made `open` fail: what the server said comes before what it led to."""
        if self._refusal:
            return NatsRefusedError(self._refusal)
        if not self.lost.done():
            return TransportError(text)
        reason = self.lost.result()
        if self._transport is not None and self._transport.has_had_tls and not reason.startswith("TLS failed"):
            # In TLS 1.3 a server sees our certificate last, and its alert may be lost in the reset that follows.
            reason = (
                f"{self.server.url} ended the connection right behind the TLS handshake ({reason}): perhaps it does "
                "not accept our certificate, or asks for one"
            )
        return TransportError(reason)

    def _trace(self, text: str, *values: object) -> None:
        if self._options.trace:
            _log.info(f"NATS %s: {text}", self.server.url, *values)


class _Client(Client):
    """nats-py's client, which shows us what the server says before it acts on it."""

    def __init__(self, owner: NatsConnection) -> None:
        super().__init__()
        self._owner: Final = owner

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        self._owner.info_received(info, is_first=initial_connection)
        await super()._process_info(info, initial_connection)

    async def _process_err(self, err_msg: str) -> None:
        # Our transport has told us already, and in the server's own letters; this is for WebSockets.
        if self._owner.server.is_websocket:
            self._owner.server_error(err_msg.strip("'"))


_closing: Final[set[asyncio.Task[None]]] = set()
"""Keeps tasks alive that close a connection that nobody waits for any more."""


def _closed(task: "asyncio.Task[None]") -> None:
    _closing.discard(task)
    with contextlib.suppress(asyncio.CancelledError, Exception):
        task.result()  # There is nothing left to close, so nobody is told.

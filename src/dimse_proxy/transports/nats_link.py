"""The connection to NATS that is always being kept up: who connects where and when, and what is told of it.

Nothing is queued while there is no connection, and nothing is sent again: that is the tunnel's.
"""

import asyncio
import importlib.util
import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

from dimse_proxy.errors import ConfigError, LocalProtocolError, TransportError
from dimse_proxy.transports.nats_connection import (
    NatsConnection,
    NatsCredentials,
    NatsOptions,
    NatsRefusedError,
)
from dimse_proxy.transports.nats_servers import Backoff, NatsServer, ServerPool, parse_server
from dimse_proxy.transports.nats_transport import Outgoing

__all__ = ["NatsCredentials", "NatsHandler", "NatsLink", "NatsOptions"]

MAX_UNSENT: Final = 64 * 1024 * 1024
"""Bytes waiting to leave above which nothing more is taken: twice what a tunnel has in flight."""

_HELD: Final = 10.0
"""Seconds that a connection must have lived for the next attempt to come without delay."""

_PONG_TIMEOUT: Final = 60.0
"""Seconds for a PONG although data keeps coming: nats-server gives up a receiver that lags 10 s, so it would be long
here."""

_SAME_REPORT_AFTER: Final = 30.0
"""Seconds before the same trouble is reported again."""

_log: Final = logging.getLogger(__name__)


class NatsHandler(Protocol):
    """Who is told what the connection does; every method is called from the event loop."""

    def connected(self, max_payload: int, server: str) -> None:
        """Connected, and all subscriptions are known to the server; `max_payload` in bytes."""

    def disconnected(self, reason: str) -> None:
        """The connection is over; it is being made again."""

    def message(self, subject: str, payload: bytes) -> None:
        """A message, only ever between `connected` and `disconnected`."""

    def batch_done(self) -> None:
        """No more messages for now; follows every run of `message` calls."""

    def error(self, text: str, fatal: bool) -> None:
        """Something is wrong; `fatal` if it stays so until somebody changes secrets or permissions. We keep trying."""


class NatsLink:
    """The supervised connection to NATS."""

    def __init__(self, options: NatsOptions, subjects: Sequence[str], handler: NatsHandler) -> None:
        """Prepares a link; `run` connects it.

        Args:
            options: How to reach NATS.
            subjects: What to subscribe to, wildcards allowed.
            handler: Is told what happens.

        Raises:
            ConfigError: An address is wrong, or is a WebSocket's and the package for it is missing.
        """
        servers = [parse_server(url) for url in options.servers]
        if not servers:
            raise ConfigError(["there is no NATS server to connect to"])
        if any(server.is_websocket for server in servers) and importlib.util.find_spec("aiohttp") is None:
            raise ConfigError(
                ["ws:// and wss:// addresses of NATS servers need the package aiohttp: pip install aiohttp"]
            )
        self._options: Final = options
        self._subjects: Final = tuple(subjects)
        self._handler: Final = handler
        self._pool: Final = ServerPool(servers)
        self._backoff: Final = Backoff()
        self._connection: NatsConnection | None = None
        """The one that is connected."""
        self._early: list[tuple[str, bytes]] = []
        """Messages that came before the server had confirmed the subscriptions: a round trip's worth."""
        self._has_dispatched = False
        self._reported: Final[dict[str, float]] = {}

    @property
    def is_connected(self) -> bool:
        """Messages can be sent and received."""
        return self._connection is not None and not self._connection.lost.done()

    @property
    def connection(self) -> NatsConnection | None:
        """The connection of now, None when there is none."""
        return self._connection if self.is_connected else None

    @property
    def max_payload(self) -> int:
        """Largest message that the connected server takes, bytes; 0 when not connected."""
        return 0 if self._connection is None else self._connection.max_payload

    @property
    def unsent(self) -> int:
        """Bytes published that have not left this process."""
        return 0 if self._connection is None else self._connection.unsent

    @property
    def round_trip(self) -> float | None:
        """Seconds of the last PING that the server answered; None before there was one."""
        return None if self._connection is None else self._connection.round_trip

    @property
    def server(self) -> str:
        """The connected server's URL, without any secret; empty when not connected."""
        return "" if self._connection is None else self._connection.server.url

    def publish(self, messages: Sequence[Outgoing]) -> bool:
        """Sends messages together; the parts of their payloads must not change afterwards.

        Returns:
            False if none was sent: not connected, or too much is unsent already.

        Raises:
            LocalProtocolError: One is longer than `max_payload`.
        """
        connection = self._connection
        if connection is None or not self.is_connected or connection.unsent > MAX_UNSENT:
            return False
        limit = connection.max_payload
        lengths = []
        for _, parts in messages:
            length = 0
            for part in parts:
                length += len(part)
            if length > limit:
                raise LocalProtocolError(f"a message of {length} bytes, and the server takes {limit}")
            lengths.append(length)
        connection.publish(messages, lengths)
        return True

    async def rtt(self) -> float:
        """Measures the round trip to the server, in seconds, behind everything that was published.

        Raises:
            TransportError: Not connected, or no longer.
        """
        connection = self._connection
        if connection is None:
            raise TransportError("not connected to NATS")
        ping = connection.ping()
        waited: tuple[asyncio.Future[Any], ...] = (ping, connection.lost)
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not ping.done() or ping.cancelled():
            raise TransportError(connection.lost.result() if connection.lost.done() else "the connection is over")
        return ping.result()

    async def flush(self, timeout: float) -> bool:  # noqa: ASYNC109 - running out of time is an answer here
        """Waits until the server has everything that was published.

        Returns:
            False if that did not happen within `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.rtt()
        except (TimeoutError, TransportError):
            return False
        return True

    async def run(self) -> None:
        """Keeps the connection up until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            connection = NatsConnection(self._pool.next(), self._options, self)
            is_refusal = False
            try:
                self._trace("connecting to %s", connection.server.url)
                await connection.open(self._subjects)
                since = loop.time()
                await self._serve(connection)
                self._pool.new_round()
                if loop.time() - since >= _HELD:
                    self._backoff.reset()
            except TransportError as error:
                is_refusal = isinstance(error, NatsRefusedError)
                self._report(str(error), fatal=is_refusal)
            finally:
                self._early.clear()
                await connection.close()
            delay = self._backoff.after_failure(is_round_over=self._pool.is_round_over, is_refusal=is_refusal)
            self._trace("next attempt in %.2f s", delay)
            await asyncio.sleep(delay)

    # What the connection tells.

    def message_received(self, subject: str, payload: bytes) -> None:
        """A message of one of our subscriptions."""
        if self._connection is None:
            self._early.append((subject, payload))
            return
        self._has_dispatched = True
        try:
            self._handler.message(subject, payload)
        except Exception as error:
            _failed(f"handling a message on {subject} failed", error)

    def read_done(self) -> None:
        """All that one read brought has been handed out."""
        if self._has_dispatched:
            self._has_dispatched = False
            try:
                self._handler.batch_done()
            except Exception as error:
                _failed("handling a batch of messages failed", error)

    def servers_discovered(self, source: NatsServer, addresses: Sequence[str], has_tls: bool) -> None:
        """The server told of the servers of its cluster."""
        for server in self._pool.discovered(source, addresses, has_tls=has_tls):
            self._trace("discovered %s", server.url)

    def publish_denied(self, text: str) -> None:
        """The server did not take a message."""
        self._report(text, fatal=True)

    # Inside.

    async def _serve(self, connection: NatsConnection) -> None:
        reason = "closed by this side"
        self._reported.clear()
        self._connection = connection
        try:
            self._handler.connected(connection.max_payload, connection.server.url)
            early, self._early = self._early, []
            for subject, payload in early:
                self.message_received(subject, payload)
            self.read_done()
            reason = await self._watch(connection)
        finally:
            self._connection = None
            self._handler.disconnected(reason)

    async def _watch(self, connection: NatsConnection) -> str:
        """Waits until the connection is lost, and looks after it; returns why."""
        interval = self._options.ping_interval
        step = interval / 2
        seen = -1
        silent = unanswered = since_ping = 0.0
        while not connection.lost.done():
            # Time is counted in steps, not read from a clock, so that a process that was suspended sees none pass.
            await asyncio.wait({connection.lost}, timeout=step)
            silent, seen = (silent + step if connection.signs_of_life == seen else 0.0), connection.signs_of_life
            unanswered = unanswered + step if connection.is_pinging else 0.0
            since_ping += step
            if silent >= 2 * interval:
                connection.lose(f"the NATS server has been silent for {silent:g} s")
            elif unanswered >= _PONG_TIMEOUT:
                connection.lose(f"the NATS server has not answered a PING for {unanswered:g} s")
            elif since_ping >= interval and not connection.is_pinging:
                since_ping = 0.0
                connection.ping()
        return connection.lost.result()

    def _report(self, text: str, *, fatal: bool) -> None:
        now = asyncio.get_running_loop().time()
        self._trace("%s", text)
        if now - self._reported.get(text, -_SAME_REPORT_AFTER) >= _SAME_REPORT_AFTER:
            self._reported[text] = now
            self._handler.error(text, fatal)

    def _trace(self, text: str, *values: object) -> None:
        if self._options.trace:
            _log.info(f"NATS: {text}", *values)


def _failed(text: str, error: Exception) -> None:
    """Reports a bug of ours, which must not take the connection, and everybody's associations, with it."""
    asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error})

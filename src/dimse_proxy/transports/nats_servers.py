"""Which NATS server to try next, and how long to wait before: configured and discovered ones, in random order.

Knows no connection.
"""

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from dimse_proxy.errors import ConfigError

DEFAULT_PORT: Final = 4222
_DEFAULT_PORTS: Final = {"nats": DEFAULT_PORT, "tls": DEFAULT_PORT, "ws": 80, "wss": 443}

BETWEEN_SERVERS: Final = 0.1
"""Seconds before the next server of the same round is tried."""
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 2.0
"""Seconds before all servers are tried again: doubled each time, up to this."""
FIRST_REFUSAL_DELAY: Final = 1.0
LONGEST_REFUSAL_DELAY: Final = 30.0
"""The same after a server refused us: asking faster helps nobody, but a secret that was put right is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsServer:
    """One NATS server's address."""

    scheme: str
    """nats, tls, ws or wss."""
    host: str
    port: int
    path: str = ""
    """Of a WebSocket URL."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_name: str | None = None
    """Name that its certificate must have, if not `host`: of a server that is known by its address only."""

    @property
    def is_websocket(self) -> bool:
        """Reached through a WebSocket."""
        return self.scheme in ("ws", "wss")

    @property
    def url(self) -> str:
        """The URL without any secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_server(url: str) -> NatsServer:
    """Reads `host`, `host:port` or a URL with the scheme nats, tls, ws or wss.

    Raises:
        ConfigError: It is none of these.
    """
    text = url if "://" in url else f"nats://{url}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if not host or parts.scheme not in _DEFAULT_PORTS:
        # The address may hold a secret before its @.
        raise ConfigError(
            [
                f"{url.rpartition('@')[2]!r} is not the address of a NATS server: host:port, nats://, tls://, ws:// or wss://"
            ]
        )
    return NatsServer(
        scheme=parts.scheme,
        host=host,
        port=port or _DEFAULT_PORTS[parts.scheme],
        path=parts.path if parts.scheme in ("ws", "wss") else "",
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


class ServerPool:
    """The servers known, tried round by round, each round in a new random order."""

    def __init__(self, servers: Sequence[NatsServer]) -> None:
        self._configured: Final = tuple(servers)
        self._discovered: tuple[NatsServer, ...] = ()
        self._round: deque[NatsServer] = deque()
        self._last: NatsServer | None = None

    @property
    def is_round_over(self) -> bool:
        """Every server has been tried in this round."""
        return not self._round

    def next(self) -> NatsServer:
        """The server to try now."""
        if not self._round:
            servers = [*self._configured, *self._discovered]
            random.shuffle(servers)
            # The one tried last is the least promising: it was left for a reason.
            servers.sort(key=lambda server: server == self._last)
            self._round.extend(servers)
        self._last = self._round.popleft()
        return self._last

    def new_round(self) -> None:
        """All are worth a try again, `next` last of all the one it returned last."""
        self._round.clear()

    def discovered(self, source: NatsServer, addresses: Iterable[str], *, has_tls: bool) -> tuple[NatsServer, ...]:
        """Takes note of the cluster's servers that `source` told of; returns those that were not known.

        They replace the ones that were told of before. A server that is known by its address must have a certificate
        for the name of the one that told of it, as NATS clients have it.
        """
        if source.is_websocket:
            return ()
        known = {(server.host, server.port) for server in self._configured}
        before = {(server.host, server.port) for server in self._discovered}
        found: dict[tuple[str, int], NatsServer] = {}
        for address in addresses:
            try:
                server = parse_server(f"{source.scheme}://{address}")
            except ConfigError:
                continue
            key = (server.host, server.port)
            if key in known:
                continue
            name = (source.tls_name or source.host) if has_tls and _is_address(server.host) else None
            found[key] = NatsServer(
                scheme=source.scheme,
                host=server.host,
                port=server.port,
                user=source.user,
                password=source.password,
                tls_name=name,
            )
        if found:
            self._discovered = tuple(found.values())
        return tuple(server for key, server in found.items() if key not in before)


class Backoff:
    """How long to wait after failed attempts: doubled round by round, a random part of it left out."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY
        self._refusal_delay = FIRST_REFUSAL_DELAY
        self._is_refused = False

    def reset(self) -> None:
        """A connection held."""
        self._delay = FIRST_DELAY
        self._refusal_delay = FIRST_REFUSAL_DELAY
        self._is_refused = False

    def after_failure(self, *, is_round_over: bool, is_refusal: bool) -> float:
        """Seconds to wait before the next attempt."""
        self._is_refused = self._is_refused or is_refusal
        if not is_round_over:
            return _jittered(BETWEEN_SERVERS)
        if self._is_refused:
            delay, self._refusal_delay = self._refusal_delay, min(self._refusal_delay * 2, LONGEST_REFUSAL_DELAY)
            self._is_refused = False
        else:
            delay, self._delay = self._delay, min(self._delay * 2, LONGEST_DELAY)
        return _jittered(delay)


def _jittered(delay: float) -> float:
    return delay * random.uniform(0.5, 1.0)


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()

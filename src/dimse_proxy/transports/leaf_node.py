"""This process's own nats-server as a leaf node with JetStream: kept running, and restarted when that is what it needs.

A nats-server that met a full disk stores nothing more until it is restarted, whatever is free again; this does it. What
its configuration says is made elsewhere (`config.leaf`), and nothing here knows what is stored.
"""

import asyncio
import fcntl
import json
import logging
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from dimse_proxy.errors import ConfigError, TransportError
from dimse_proxy.transports.embedded_nats import EmbeddedNats

log: Final = logging.getLogger(__name__)

_ACCESS: Final = "access.json"
_START_TIMEOUT: Final = 300.0
"""Seconds: before it listens, it looks through all that it has stored."""
_LOCK_TIMEOUT: Final = 15.0
"""Seconds for the server of a proxy that was killed to end: it holds the store for as long as it lives."""
_LOOK_INTERVAL: Final = 2.0
_ASK_TIMEOUT: Final = 5.0
_UNWELL: Final = 2
"""Looks in a row that find it unwell, before it is restarted."""
_RESTART_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before it is started again; the last is repeated."""
_LASTING: Final = 60.0
"""Seconds after which a start counts as good, and pauses begin anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafAccess:
    """How to reach the server from this machine."""

    url: str
    token: str = field(repr=False)

    @classmethod
    def of(cls, store: Path) -> Self:
        """Read what the server's keeper has written down, for other processes of the same user.

        Raises:
            TransportError: there is none, or it may not be read.
        """
        try:
            found = json.loads((store / _ACCESS).read_text())
            return cls(url=str(found["url"]), token=str(found["token"]))
        except (OSError, ValueError, LookupError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it cannot be read"
            raise TransportError(
                f"DIMSE_LEAF_STORE={store}: {_ACCESS}: {reason}; the proxy writes it, for its own user, while it runs"
            ) from None

    def write(self, store: Path) -> None:
        """Write it down."""
        path = store / f"{_ACCESS}.new"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"url": self.url, "token": self.token}, file)
        path.replace(store / _ACCESS)


class LeafNode:
    """The server: `start`, then `keep` until it is cancelled, then `stop`."""

    def __init__(self, store: Path, configuration: Callable[[str], str], *, min_free: int) -> None:
        """Prepare it.

        Args:
            store: folder for all that it keeps.
            configuration: takes the token of its clients and returns its configuration, with monitoring on this
                machine; asked at each start.
            min_free: bytes that must be free on the disk before a server that met a full one is restarted.
        """
        self._store: Final = store
        self._min_free: Final = min_free
        self._lock: int | None = None
        self._token: Final = secrets.token_hex(16)
        self._server: Final = EmbeddedNats(
            configuration=lambda: configuration(self._token),
            log=store / "nats-server.log",
            descriptors=lambda: () if self._lock is None else (self._lock,),
            start_timeout=_START_TIMEOUT,
        )
        self._unwell = 0
        self._has_hub: bool | None = None

    @property
    def access(self) -> LeafAccess:
        """How to reach it, once started; the same after each restart."""
        return LeafAccess(url=self._server.url, token=self._token)

    @property
    def pid(self) -> int:
        """Its process id; 0 while it does not run."""
        return self._server.pid

    async def start(self) -> None:
        """Start it.

        Raises:
            TransportError: the store cannot be used, or the server does not start.
        """
        try:
            self._store.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._store / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            await self._wait_for_lock(self._lock)
        except OSError as error:
            raise TransportError(f"DIMSE_LEAF_STORE={self._store}: {error.strerror}") from None
        await self._server.start()
        self.access.write(self._store)
        log.info("leaf node: nats-server with JetStream in %s, PID %d", self._store, self.pid)

    async def stop(self) -> None:
        """End it."""
        await self._server.stop()
        if self._lock is not None:
            (self._store / _ACCESS).unlink(missing_ok=True)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    async def keep(self) -> None:
        """Keep it running until cancelled."""
        loop = asyncio.get_running_loop()
        failures, started = 0, loop.time()
        while True:
            await asyncio.sleep(_LOOK_INTERVAL)
            if not (trouble := await self._look()):
                continue
            failures = 0 if loop.time() - started >= _LASTING else failures
            pause = _RESTART_PAUSES[min(failures, len(_RESTART_PAUSES) - 1)]
            log.warning("leaf node: nats-server is started again in %g s: %s", pause, trouble)
            await asyncio.sleep(pause)
            failures += 1
            await self._restart()
            started = loop.time()

    # Inside.

    async def _wait_for_lock(self, descriptor: int) -> None:
        """Wait until no other server has the store: that of a killed proxy holds the same lock until it ends."""
        end = asyncio.get_running_loop().time() + _LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if asyncio.get_running_loop().time() >= end:
                    raise TransportError(
                        f"DIMSE_LEAF_STORE={self._store}: another nats-server uses it; each proxy needs one of its own"
                    ) from None
            else:
                return
            await asyncio.sleep(0.1)

    async def _restart(self) -> None:
        self._unwell, self._has_hub = 0, None
        await self._server.stop()
        try:
            await self._server.start()
        except (TransportError, ConfigError, OSError) as error:
            log.error("leaf node: nats-server does not start: %s", error)
        else:
            log.info("leaf node: nats-server runs again, PID %d", self.pid)

    async def _look(self) -> str:
        """Return why the server has to be started again; empty if it has not."""
        if not self._server.is_running:
            return f"it has ended: {self._server.last_words}"
        try:
            health, leafs = await self._ask("/healthz"), await self._ask("/leafz")
        except (OSError, ValueError, TimeoutError):
            return ""  # It has just ended, which the next look sees, or has too much to do.
        self._say_hub(bool(leafs.get("leafnodes")))
        if health.get("status") == "ok":
            self._unwell = 0
            return ""
        self._unwell += 1
        if self._unwell < _UNWELL:
            return ""
        text = str(health.get("error", "it is not healthy"))
        if self._unwell == _UNWELL:
            log.error("leaf node: %s", text)
        return text if self._has_room() else ""

    def _say_hub(self, has_hub: bool) -> None:
        if has_hub is self._has_hub:
            return
        if has_hub:
            log.info("leaf node: connected to its hub")
        else:
            words = self._server.last_words
            log.warning("leaf node: no connection to its hub; what is queued waits here (%s)", words)
        self._has_hub = has_hub

    def _has_room(self) -> bool:
        with suppress(OSError):
            found = os.statvfs(self._store)
            return found.f_bavail * found.f_frsize >= self._min_free
        return False

    async def _ask(self, path: str) -> dict[str, Any]:
        """Ask the server's monitoring; an answer that says it is unwell is one as well."""
        async with asyncio.timeout(_ASK_TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._server.monitoring_port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        if not isinstance(found, dict):
            raise ValueError("no answer of nats-server's monitoring")
        return found

"""The queues of these settings, and the connection to them."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from dimse_proxy.cli.queuebook.asked import IN, OUT, Asked, wanted_of
from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.secret_files import Secrets
from dimse_proxy.config.settings import Settings, load_settings
from dimse_proxy.errors import ConfigError, TransportError
from dimse_proxy.observability.log import configure_logging
from dimse_proxy.observability.queue_log import QueueLog
from dimse_proxy.parts import nats_options_of
from dimse_proxy.proxy.routes import Routes
from dimse_proxy.proxy.store_and_forward.listing import Reading
from dimse_proxy.queueing.listing import Wanted
from dimse_proxy.queueing.records import Lease
from dimse_proxy.queues import channels_delivered_from, inbox_of, keys_of, queue_of
from dimse_proxy.routing import Routing
from dimse_proxy.service import run as run_loop
from dimse_proxy.transports.jetstream_link import JetStreamLink
from dimse_proxy.transports.leaf_node import LeafAccess

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for the connection to NATS."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OneFlow:
    """One queue."""

    reading: Reading
    channel: str
    """At the other end."""
    is_sender: bool
    """This side accepts what is in it."""

    @property
    def direction(self) -> str:
        """As `--direction` has it."""
        return OUT if self.is_sender else IN

    @property
    def name(self) -> str:
        """In words."""
        return f"accepted here for channel {self.channel}" if self.is_sender else f"from channel {self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """What a command works with."""

    settings: Settings
    routes: Routes
    wanted: Wanted
    flows: tuple[OneFlow, ...]
    began: float
    """When the command began, seconds since 1970."""


class _Connection:
    """Remembers why there is none; a `jetstream_link.LinkUser`."""

    def __init__(self) -> None:
        self.trouble = f"no NATS server has answered within {CONNECT_TIMEOUT:g} s"
        self.is_hopeless: Final = asyncio.Event()

    def link_up(self, server: str) -> None:
        """Requests can be made."""

    def link_down(self, reason: str) -> None:
        """They cannot."""

    def link_error(self, text: str, fatal: bool) -> None:
        """The server, or the way to it, said something."""
        self.trouble = text
        if fatal:
            self.is_hopeless.set()


def with_flows(
    environ: Mapping[str, str], env_file: Path | None, asked: Asked, work: Callable[[Flows], Awaitable[T]]
) -> T:
    """Connect, and do `work` with the queues of the settings that are asked for.

    Raises:
        ConfigError: settings or options are wrong, or nothing is queued.
        TransportError: NATS, or JetStream, cannot be used.
    """
    loaded = load_settings(environ, env_file, {})
    settings = loaded.settings
    access = NatsAccess(settings, Secrets(settings, loaded.origins))
    access.check()
    wanted = wanted_of(asked, settings)
    routes = Routing(settings).table
    sides = _sides(settings, routes, asked)
    configure_logging(settings.model_copy(update={"log_level": "ERROR"}))
    name = f"queue-command-{secrets.token_hex(4)}"
    leaf = None if settings.leaf_store is None else LeafAccess.of(settings.leaf_store)
    options = nats_options_of(settings, access, name=f"dimse-proxy {settings.nats_subject_channel} {name}", leaf=leaf)
    results: list[T] = []

    async def main() -> None:
        user = _Connection()
        link = JetStreamLink(options, inbox_of(settings), user)
        running = asyncio.get_running_loop().create_task(link.run())
        try:
            await _connected(link, user)
            keys, lease, observer = keys_of(settings), Lease(instance=name, epoch=int(time.time())), QueueLog()
            flows = tuple(
                OneFlow(
                    reading=Reading(
                        queue_of(settings, link, keys, channel, is_sender=sender, lease=lease, observer=observer)
                    ),
                    channel=channel,
                    is_sender=sender,
                )
                for channel, sender in sides
            )
            chosen = Flows(settings=settings, routes=routes, wanted=wanted, flows=flows, began=time.time())
            results.append(await work(chosen))
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    run_loop(main)
    return results[0]


def _sides(settings: Settings, routes: Routes, asked: Asked) -> list[tuple[str, bool]]:
    """Return channel and direction of each queue; true for what is accepted here."""
    sides = [(channel, True) for channel in routes.queued_channels]
    sides += [(channel, False) for channel in channels_delivered_from(settings, routes)]
    if not sides:
        raise ConfigError(
            ["nothing is queued with these settings: store and forward is off (DIMSE_DELIVERY, DIMSE_DELIVERY_IN)."]
        )
    found = [
        (channel, is_sender)
        for channel, is_sender in sides
        if asked.channel in ("", channel) and asked.direction in ("", OUT if is_sender else IN)
    ]
    if not found:
        there = ", ".join(f"{OUT if is_sender else IN} with channel {channel}" for channel, is_sender in sides)
        raise ConfigError([f"--channel or --direction: there is no such queue; there is {there}."])
    return found


async def _connected(link: JetStreamLink, user: _Connection) -> None:
    ready = asyncio.ensure_future(link.wait_ready())
    hopeless = asyncio.ensure_future(user.is_hopeless.wait())
    try:
        await asyncio.wait({ready, hopeless}, timeout=CONNECT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if not link.is_ready:
            raise TransportError(f"dimse-proxy queue: {user.trouble}")
    finally:
        ready.cancel()
        hopeless.cancel()

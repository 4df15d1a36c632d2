"""Everything that watches one process for an operator, wired: counts, health, live state, and HTTP in front of them.

Made only where the HTTP listener is on. It listens to the same hooks as the log, and reads the tunnel and NATS when it
is asked. Nothing here decides about associations; the two actions are given to it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from dimse_proxy import __version__
from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import TransportError
from dimse_proxy.observability.counts import Counts
from dimse_proxy.observability.exposition import AuditNumbers, Exposition, NatsNumbers, Sources, TunnelNumbers
from dimse_proxy.observability.health import Health
from dimse_proxy.observability.http import Actions, HttpServer
from dimse_proxy.observability.listener import Listener
from dimse_proxy.observability.queue_view import FlowView, QueuesView
from dimse_proxy.observability.snapshot import Identity, Snapshot
from dimse_proxy.observability.state import LiveState
from dimse_proxy.proxy.hooks import AssociationRecord
from dimse_proxy.proxy.routes import Routes, Target

SAMPLE: Final = 1.0
"""Seconds between two looks at the bytes that passed."""

log: Final = logging.getLogger(__name__)


class Monitor:
    """Of one process."""

    def __init__(
        self,
        settings: Settings,
        *,
        instance: str,
        tunnel: TunnelNumbers,
        routes: Callable[[], Routes],
        audit: AuditNumbers | None = None,
    ) -> None:
        """Begin to listen to hooks; nothing is open yet.

        Args:
            settings: of this process.
            instance: its name.
            tunnel: its tunnel.
            routes: the table of routes in use.
            audit: its audit trail, if it has one.
        """
        loop = asyncio.get_running_loop()
        self._settings: Final = settings
        self._tunnel: Final = tunnel
        self._routes: Final = routes
        self._audit: Final = audit
        self._loop: Final = loop
        self._counts: Final = Counts()
        self.queues: QueuesView | None = None
        """Store and forward, once it is there, where it is on."""
        self.health: Final = Health(tunnel, routes, loop.time, time.time, self._flows)
        self._state: Final = LiveState(self._counts.p_data_bytes, loop.time, time.time)
        self.listeners: Final[Sequence[Listener]] = (self._counts, self.health, self._state)
        self._identity = Identity(
            version=__version__,
            instance=instance,
            channel=settings.nats_subject_channel,
            listens_on="",
            nats_servers=settings.nats_servers,
            limit=settings.max_associations,
            can_act=settings.http_token is not None,
        )
        self._server: HttpServer | None = None

    async def open(
        self,
        nats: NatsNumbers,
        *,
        listens_on: str,
        settings_shown: Sequence[tuple[str, str, str]],
        abort: Callable[[AssociationRecord], bool],
        test_target: Callable[[Target], Awaitable[tuple[bool, str]]],
    ) -> None:
        """Open the HTTP listener, once that for DICOM is open.

        Args:
            nats: the connection.
            listens_on: where the DICOM listeners are, for people.
            settings_shown: variable, value (masked) and origin of each.
            abort: ends an association.
            test_target: sends a C-ECHO to a target; whether that went well, and a sentence.

        Raises:
            TransportError: the address cannot be had, and was asked for.
        """
        settings = self._settings
        if settings.http_port is None:
            return
        self.health.is_listening = True
        identity = replace(self._identity, listens_on=listens_on, settings=settings_shown)
        build = {"version": __version__, "channel": identity.channel, "proxy_instance": identity.instance}
        exposition = Exposition(
            Sources(
                counts=self._counts,
                health=self.health,
                tunnel=self._tunnel,
                nats=nats,
                build=build,
                audit=self._audit,
                clock=self._loop.time,
                wall_clock=time.time,
                flows=self._flows,
            )
        )
        snapshot = Snapshot(
            identity=identity,
            routes=self._routes,
            state=self._state,
            health=self.health,
            tunnel=self._tunnel,
            nats=nats,
            totals=self._totals,
            clock=self._loop.time,
            wall_clock=time.time,
            flows=self._flows,
        )
        server = HttpServer(snapshot, exposition, self._actions(abort, test_target))
        try:
            address = await server.listen(settings.http_host, settings.http_port)
        except TransportError as error:
            if not settings.is_http_optional:
                raise
            log.warning(
                "%s: no metrics, health and status page. That is the default port; DIMSE_HTTP_PORT chooses another "
                "one, and empty none.",
                error,
            )
            return
        self._server = server
        log.info("metrics, health and status page: http://%s/", address)

    async def run(self) -> None:
        """Look at the bytes that passed once a second, until cancelled."""
        while True:
            self._state.sample(self._loop.time())
            await asyncio.sleep(SAMPLE)

    async def close(self) -> None:
        """Close the HTTP listener."""
        if self._server is not None:
            await self._server.close()

    def _actions(
        self,
        abort: Callable[[AssociationRecord], bool],
        test_target: Callable[[Target], Awaitable[tuple[bool, str]]],
    ) -> Actions | None:
        token = self._settings.http_token
        if token is None:
            return None

        def abort_number(number: int) -> bool:
            record = self._state.find(number)
            return record is not None and abort(record)

        async def test() -> tuple[bool, str]:
            targets = self._routes().targets
            said = await asyncio.gather(*(test_target(target) for target in targets))
            for target, (is_good, sentence) in zip(targets, said, strict=True):
                self.health.target_said(target.name, None if is_good else sentence)
            if not said:
                return False, "This side has no target (DIMSE_TARGET_HOST is not set)."
            return all(is_good for is_good, _ in said), " ".join(sentence for _, sentence in said)

        return Actions(token=token.get_secret_value(), abort=abort_number, test_target=test)

    def _flows(self) -> Sequence[FlowView]:
        return () if self.queues is None else self.queues.flows()

    def _totals(self) -> Mapping[str, int]:
        counts = self._counts
        aborted = sum(count for (_, cause), count in counts.ended.items() if cause != "released")
        return {
            "requested": sum(counts.requested.values()),
            "established": sum(counts.established.values()),
            "refused": sum(counts.refused.values()),
            "released": sum(counts.ended.values()) - aborted,
            "aborted": aborted,
        }

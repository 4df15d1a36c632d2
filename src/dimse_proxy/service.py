"""The composition root: one proxy process, wired from its settings, in one TaskGroup.

This is the one place that knows all parts. It decides nothing about associations.
"""

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from dimse_proxy import __version__
from dimse_proxy.config.contexts import ContextFilter
from dimse_proxy.config.material import Material
from dimse_proxy.config.settings import Settings
from dimse_proxy.config.shown import settings_shown
from dimse_proxy.config.sources import Origin
from dimse_proxy.config.values import ANY
from dimse_proxy.endpoints import EndPoints, raise_file_limit
from dimse_proxy.errors import ConfigError, TransportError
from dimse_proxy.free_memory import give_back, keep_pages, settle
from dimse_proxy.observability.association_log import AssociationLog
from dimse_proxy.observability.listener import PeerListeners
from dimse_proxy.parts import admission_of, nats_options_of, policy_of, tcp_options_of, tunnel_of
from dimse_proxy.proxy.acceptor import Acceptor
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.exchange import Exchange, SessionUser
from dimse_proxy.proxy.hooks import AssociationRecord, observers
from dimse_proxy.proxy.relay import Relay
from dimse_proxy.proxy.requestor import Requestor
from dimse_proxy.proxy.routes import Routes, Target
from dimse_proxy.proxy.target_check import TargetError, check_target
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.reloading import Reloader
from dimse_proxy.routing import Routing, described
from dimse_proxy.supervision import Supervision
from dimse_proxy.transports.nats_link import NatsLink
from dimse_proxy.tunnel.session import Session
from dimse_proxy.tunnel.tunnel import Tunnel

if TYPE_CHECKING:
    from dimse_proxy.observability.audit.trail import AuditTrail
    from dimse_proxy.observability.monitor import Monitor
    from dimse_proxy.observability.traces import Traces
    from dimse_proxy.queues import Queues
    from dimse_proxy.transports.leaf_node import LeafNode

log: Final = logging.getLogger(__name__)
NATS_PATIENCE: Final = 0.2
"""Seconds that the ready line waits for NATS, so that it can say how that went; the listener is open before."""

LAST_WORDS: Final = 2.0
"""Seconds that the A-ABORTs of a shutdown have to leave, and again the last frames."""


class Closing(Protocol):
    """An association that runs."""

    @property
    def relay(self) -> Relay:
        """Its rules, and what is known of it."""

    def abort(self) -> None:
        """Aborts it, because an operator wants it."""

    def shut_down(self) -> None:
        """Aborts it."""


class Service:
    """One running proxy."""

    def __init__(
        self,
        settings: Settings,
        material: Material,
        routing: Routing,
        contexts: ContextFilter | None,
        contexts_in: ContextFilter | None,
        origins: Mapping[str, Origin] = MappingProxyType({}),
        supervision: Supervision | None = None,
        leaf: "LeafNode | None" = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            settings: that have passed every check.
            material: what the settings name files for.
            routing: the table of routes.
            contexts: the dimse-config folder; None for no filter.
            contexts_in: the same for associations that arrive through the tunnel.
            origins: where each variable came from, for the status page.
            supervision: whoever wants to hear when this process is ready and when it stops.
            leaf: the nats-server of this process, started.
        """
        self._origins: Final = origins
        self._leaf: Final = leaf
        self._supervision: Final = supervision or Supervision()
        self._settings: Final = settings
        self._material: Final = material
        self._routing: Final = routing
        self._policy: Final = policy_of(settings, routing.table, contexts, contexts_in)
        self._log: Final = AssociationLog(is_tunnel_sealed=settings.tunnel_key is not None)
        self._over: Final = asyncio.Event()

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT, and then for as long as the grace period allows.

        Raises:
            ConfigError: the spool of audit messages cannot be used.
            TransportError: the listener's address cannot be had, or NATS refuses us from the first.
        """
        raise_file_limit()
        settings, loop = self._settings, asyncio.get_running_loop()
        instance = settings.instance or secrets.token_hex(4)
        tunnel = tunnel_of(settings, self._routing.table, instance=instance)
        admission = admission_of(settings)
        relay_settings = RelaySettings(
            artim=settings.artim_timeout,
            open_timeout=settings.nats_reply_timeout,
            accept_timeout=settings.accept_timeout,
            release_timeout=settings.release_timeout,
            idle_timeout=settings.idle_timeout,
            max_associate_length=settings.max_associate_length,
            reads_contents=settings.audit_content,
        )
        audit = self._audit(tunnel, instance)
        monitor = self._monitor(tunnel, instance, audit)
        traces = self._traces(instance)
        listeners = [
            *(() if monitor is None else monitor.listeners),
            *(() if audit is None else (audit.observer,)),
            *(() if traces is None else (traces,)),
        ]
        observer = observers([self._log, *listeners])
        end_points = EndPoints(
            settings,
            self._material.tls,
            tcp_options_of(settings),
            *(() if audit is None else (audit.observer.tls_failed,)),
        )
        requestor = Requestor(
            policy=self._policy,
            admission=admission,
            settings=relay_settings,
            connect=end_points.connect,
            observer=observer,
            loop=loop,
            over=lambda _leg: self._over.set(),
        )

        def session_opened(session: Session) -> SessionUser:
            return requestor.session_opened(session, exchange)

        exchange = Exchange(
            tunnel, loop=loop, session_opened=session_opened, observer=PeerListeners([self._log, *listeners])
        )
        admission.changed = lambda: self._load_changed(admission, tunnel)
        queues = self._queues(exchange, requestor, audit, monitor)
        acceptor = Acceptor(
            policy=self._policy,
            admission=admission,
            settings=relay_settings,
            observer=observer,
            exchange=exchange,
            loop=loop,
            over=lambda _leg: self._over.set(),
            max_waiting=settings.max_unassociated_connections,
            open_session=None if queues is None else queues.open_session,
        )
        link = NatsLink(
            nats_options_of(
                settings,
                self._material.nats,
                name=f"dimse-proxy {settings.nats_subject_channel} {instance}",
                leaf=None if self._leaf is None else self._leaf.access,
            ),
            tunnel.subscriptions(),
            exchange,
        )
        exchange.attach(link)
        stop = self._stop_signal(loop)
        refusals: list[str] = []

        def refused(text: str) -> None:
            """A secret that never worked is wrong; one that did may have been rotated, and is tried again."""
            refusals.append(text)
            stop.set()

        exchange.refused = refused
        reloader = self._reloader(end_points, exchange, acceptor, requestor, audit, queues)
        loop.add_signal_handler(signal.SIGHUP, reloader.reload)
        end_points.warn()
        await end_points.listen(acceptor.connection_made)
        async with AsyncExitStack() as stack:
            stack.callback(end_points.close)
            if audit is not None:
                await stack.enter_async_context(audit)
            if traces is not None:
                stack.push_async_callback(traces.close)
            watchers: list[asyncio.Task[None]] = []
            if monitor is not None:
                stack.push_async_callback(monitor.close)
                await self._open_monitor(monitor, link, end_points, lambda: [*acceptor.legs, *requestor.legs])
            async with asyncio.TaskGroup() as tasks:
                linked = tasks.create_task(link.run())
                watchers.append(tasks.create_task(reloader.watch()))
                if self._leaf is not None:
                    watchers.append(tasks.create_task(self._leaf.keep()))
                keep_pages()
                watchers.append(tasks.create_task(give_back()))
                if monitor is not None:
                    watchers.append(tasks.create_task(monitor.run()))
                if audit is not None:
                    watchers.append(tasks.create_task(audit.run()))
                if queues is not None:
                    watchers.append(tasks.create_task(queues.run()))
                await self._say_ready(end_points, exchange, instance)
                settle()
                self._supervision.ready()
                await stop.wait()
                self._supervision.stopping(settings.grace_timeout)
                if monitor is not None:
                    monitor.health.is_stopping = True
                if queues is not None:
                    queues.stop()
                await self._wind_down(exchange, admission, lambda: [*acceptor.legs, *requestor.legs])
                if queues is not None:
                    await queues.close(LAST_WORDS)
                await link.flush(LAST_WORDS)
                exchange.close()
                linked.cancel()
                for watcher in watchers:
                    watcher.cancel()
        self._hear_no_more(loop)
        if refusals:
            raise TransportError(f"stopped: {refusals[0]}")
        log.info("stopped")

    def _reloader(
        self,
        end_points: EndPoints,
        exchange: Exchange,
        acceptor: Acceptor,
        requestor: Requestor,
        audit: "AuditTrail | None",
        queues: "Queues | None",
    ) -> Reloader:
        """What reads routes, keys and certificates again; the parts get new routes for the associations to come."""

        def taken(table: Routes) -> None:
            acceptor.policy = requestor.policy = replace(self._policy, routes=table)
            end_points.warn()
            exchange.tunnel.talk_to(table.channels)
            exchange.flush()
            if queues is not None:
                queues.serve(table)

        def prepare(table: Routes) -> None:
            if queues is None and table.queued_channels:
                raise ConfigError([f"{self._routing.path}: the first route with store-and-forward needs a restart."])
            self._prepare(table, end_points)

        self._routing.prepare = prepare
        self._routing.taken = taken
        return Reloader((self._routing, end_points, *(() if audit is None else (audit,))))

    def _prepare(self, table: Routes, end_points: EndPoints) -> None:
        """Has contexts for targets with TLS, before there are such targets."""
        if not table.has_tls_targets:
            return
        if end_points.tls is None:
            from dimse_proxy.config.tls import DicomTls

            end_points.tls = DicomTls(self._settings, self._material.secrets, has_targets=True)
        else:
            end_points.tls.serve_targets()

    def _audit(self, tunnel: Tunnel, instance: str) -> "AuditTrail | None":
        """What writes audit messages, where they go anywhere."""
        if not self._settings.has_audit:
            return None
        from dimse_proxy.observability.audit.trail import AuditTrail

        table = self._routing.table
        titles = dict.fromkeys((table.own_ae_title, *(each.called for each in table.local_aes)))
        return AuditTrail(
            self._settings,
            self._material.audit,
            instance=instance,
            titles=tuple(title for title in titles if title not in ("", ANY)),
            tunnel=tunnel,
        )

    def _queues(
        self, exchange: Exchange, requestor: Requestor, audit: "AuditTrail | None", monitor: "Monitor | None"
    ) -> "Queues | None":
        """Store and forward, where it is on; its imports are paid for only then."""
        settings, table = self._settings, self._routing.table
        if not table.queued_channels and not (settings.forwards and table.targets):
            return None
        from dimse_proxy.queues import Queues

        name = f"dimse-proxy {settings.nats_subject_channel} {exchange.tunnel.identity.instance} queue"
        queues = Queues(
            settings,
            nats_options_of(
                settings, self._material.nats, name=name, leaf=None if self._leaf is None else self._leaf.access
            ),
            exchange=exchange,
            requestor=requestor,
            audit=None if audit is None else audit.observer,
            is_watched=monitor is not None,
        )
        queues.serve(table)
        if monitor is not None:
            monitor.queues = queues
        return queues

    def _monitor(self, tunnel: Tunnel, instance: str, audit: "AuditTrail | None") -> "Monitor | None":
        """What watches this process over HTTP, unless that is off; its imports are paid for only then."""
        if self._settings.http_port is None:
            return None
        from dimse_proxy.observability.monitor import Monitor

        return Monitor(
            self._settings,
            instance=instance,
            tunnel=tunnel,
            routes=lambda: self._routing.table,
            audit=audit,
        )

    def _traces(self, instance: str) -> "Traces | None":
        """What tells OpenTelemetry, if that is turned on; it is loaded only then."""
        if not self._settings.traces_enabled:
            return None
        from dimse_proxy.observability.traces import open_traces

        clock = asyncio.get_running_loop().time
        channel = self._settings.nats_subject_channel
        return open_traces(instance=instance, channel=channel, clock=clock, wall_clock=time.time_ns)

    async def _open_monitor(
        self, monitor: "Monitor", link: NatsLink, end_points: EndPoints, legs: Callable[[], Sequence["Closing"]]
    ) -> None:
        def abort(record: AssociationRecord) -> bool:
            leg = next((leg for leg in legs() if leg.relay.record is record), None)
            if leg is not None:
                leg.abort()
            return leg is not None

        await monitor.open(
            link,
            listens_on=end_points.described,
            settings_shown=settings_shown(self._settings, self._origins),
            abort=abort,
            test_target=lambda target: self._test_target(target, end_points),
        )

    async def _test_target(self, target: Target, end_points: EndPoints) -> tuple[bool, str]:
        """Sends a target a C-ECHO, at the first of its hosts that answers; whether that went well, and a sentence."""
        troubles = []
        for host in target.hosts:
            try:
                seconds = await check_target(
                    self._routing.table, target, host, end_points.connect, accept_timeout=self._settings.accept_timeout
                )
            except TargetError as error:
                troubles.append(str(error))
            else:
                address = target.address(target.title_for_tests, host)
                return True, f"{address} answered C-ECHO with success, in {seconds * 1000:.0f} ms."
        return False, f"{target.name}: {'; '.join(troubles)}"

    def _load_changed(self, admission: Admission, tunnel: Tunnel) -> None:
        """Tells the other side, which asks a full instance for nothing more; so the log must say it here."""
        tunnel.set_load(admission.active, admission.limit or None)
        if admission.active == admission.limit:
            log.warning(
                "the limit of %d associations (DIMSE_MAX_ASSOCIATIONS) is reached: more are refused here and at the "
                "other side until one ends",
                admission.limit,
            )

    async def _say_ready(self, end_points: EndPoints, exchange: Exchange, instance: str) -> None:
        """One line once this process can be used; NATS may come later."""
        with suppress(TimeoutError):
            await asyncio.wait_for(exchange.was_connected.wait(), NATS_PATIENCE)
        settings, routes = self._settings, self._routing.table
        log.info(
            "ready: DIMSE Proxy %s listens on %s as %s, channel %s to %s, target %s, NATS %s, instance %s",
            __version__,
            end_points.described,
            described([local.called for local in routes.local_aes], "AE titles"),
            settings.nats_subject_channel,
            ", ".join(routes.channels),
            described([target.name for target in routes.targets], "targets"),
            "connected"
            if exchange.was_connected.is_set()
            else f"not there yet, trying {', '.join(settings.nats_servers)}",
            instance,
        )

    def _stop_signal(self, loop: asyncio.AbstractEventLoop) -> asyncio.Event:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        return stop

    def _hear_no_more(self, loop: asyncio.AbstractEventLoop) -> None:
        """A second signal while the process ends must not change how it ends."""
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    async def _wind_down(self, exchange: Exchange, admission: Admission, legs: Callable[[], Sequence[Closing]]) -> None:
        """Refuses new associations, lets the running ones finish for the grace period, then aborts them."""
        loop = asyncio.get_running_loop()
        grace = self._settings.grace_timeout
        log.info("stopping: %d associations have %g s to finish, new ones are refused", admission.active, grace)
        admission.is_shutting_down = True
        exchange.tunnel.go_away(loop.time())
        exchange.flush()
        await self._until(lambda: admission.active == 0, grace)
        for leg in legs():
            leg.shut_down()
        await self._until(lambda: not legs(), LAST_WORDS)

    async def _until(self, is_done: Callable[[], bool], seconds: float) -> None:
        """Waits until `is_done`, looking again whenever a leg is over, for `seconds` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_done():
                    self._over.clear()
                    await self._over.wait()


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs `main` on uvloop where there is one, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())

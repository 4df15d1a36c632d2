"""The composition root: one proxy process, wired from its settings, in one TaskGroup.

This is the one place that knows all parts. It decides nothing about associations.
"""

import asyncio
import logging
import os
import secrets
import signal
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from typing import Final, Protocol

from dimse_proxy import __version__
from dimse_proxy.config.contexts import ContextFilter
from dimse_proxy.config.credentials import nats_credentials
from dimse_proxy.config.settings import Settings
from dimse_proxy.config.values import EVERY_NETWORK
from dimse_proxy.observability.association_log import AssociationLog
from dimse_proxy.proxy.acceptor import Acceptor
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.exchange import Exchange, SessionUser
from dimse_proxy.proxy.hooks import observers
from dimse_proxy.proxy.policy import Policy, Target
from dimse_proxy.proxy.relay import RelaySettings
from dimse_proxy.proxy.requestor import Requestor
from dimse_proxy.transports.nats_link import NatsCredentials, NatsLink, NatsOptions
from dimse_proxy.transports.tcp import DEFAULT_OPTIONS, TcpListener, TcpOptions, listen
from dimse_proxy.tunnel.session import Session
from dimse_proxy.tunnel.settings import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.tunnel import Tunnel

log: Final = logging.getLogger(__name__)
NATS_PATIENCE: Final = 0.2
"""Seconds that the ready line waits for NATS, so that it can say how that went; the listener is open before."""

LAST_WORDS: Final = 2.0
"""Seconds that the A-ABORTs of a shutdown have to leave, and again the last frames."""
ABORT_BOUND: Final = 3.0
"""Seconds that an abort may wait in the tunnel for the bytes before it: with `relay.FLUSH_BOUND`, below 5 s."""


def policy_of(settings: Settings, contexts: ContextFilter | None) -> Policy:
    """The rules that the settings and the dimse-config folder make."""
    target = None
    if settings.target_host is not None:
        target = Target(ae_title=settings.target_ae, host=settings.target_host, port=settings.target_port)
    return Policy(
        local_ae_titles=settings.local_ae_titles,
        own_ae_title=settings.own_ae_title or "",
        calling_ae=settings.calling_ae,
        target=target,
        move_aliases=settings.move_aliases,
        allowed_calling=settings.allowed_calling_aes,
        allowed_hosts=() if settings.allowed_hosts == EVERY_NETWORK else settings.allowed_hosts,
        decide_context=None if contexts is None else contexts.decide,
    )


def tunnel_of(settings: Settings, *, instance: str, accepts: bool = True) -> Tunnel:
    """The tunnel end of this process."""
    return Tunnel(
        TunnelIdentity(
            channel=settings.nats_subject_channel,
            instance=instance,
            epoch=time.time_ns() // 1_000_000,
            version=__version__,
            accepts=accepts,
        ),
        TunnelSettings(
            root=settings.nats_subject_root,
            window=settings.window_size,
            chunk_size=settings.nats_chunk_size,
            resume_timeout=settings.resume_timeout,
            open_timeout=settings.nats_reply_timeout,
            abort_bound=ABORT_BOUND,
        ),
        (settings.peer_channel,),
        os.urandom,
    )


def tcp_options_of(settings: Settings) -> TcpOptions:
    """How DICOM connections are set up: a vanished end point is noticed within DIMSE_TCP_TIMEOUTSECONDS."""
    timeout = settings.tcp_timeout
    if not timeout:
        return TcpOptions(user_timeout=0)
    return TcpOptions(
        user_timeout=timeout,
        keep_alive_idle=max(1, min(DEFAULT_OPTIONS.keep_alive_idle, int(timeout / 3))),
        keep_alive_interval=max(1, min(DEFAULT_OPTIONS.keep_alive_interval, int(timeout / 6))),
    )


def nats_options_of(settings: Settings, *, name: str) -> NatsOptions:
    """How to reach NATS."""

    def credentials() -> NatsCredentials:
        token = settings.nats_auth_token
        if token is None:
            return NatsCredentials()
        ours = nats_credentials(token.get_secret_value())
        return NatsCredentials(user=ours.user, password=ours.password, token=ours.token)

    return NatsOptions(
        servers=settings.nats_servers,
        name=name,
        tls=ssl.create_default_context()
        if any(url.startswith(("tls:", "wss:")) for url in settings.nats_servers)
        else None,
        credentials=credentials,
        trace=settings.nats_trace_connection,
    )


class Closing(Protocol):
    """What is left of an association when the grace period is over."""

    def shut_down(self) -> None:
        """Aborts it."""


class Service:
    """One running proxy."""

    def __init__(self, settings: Settings, contexts: ContextFilter | None) -> None:
        """Opens nothing yet.

        Args:
            settings: that have passed every check.
            contexts: the dimse-config folder; None for no filter.
        """
        self._settings: Final = settings
        self._policy: Final = policy_of(settings, contexts)
        self._log: Final = AssociationLog()
        self._over: Final = asyncio.Event()

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT, and then for as long as the grace period allows.

        Raises:
            TransportError: the listener's address cannot be had.
        """
        settings, loop = self._settings, asyncio.get_running_loop()
        instance = secrets.token_hex(4)
        tunnel = tunnel_of(settings, instance=instance)
        admission = Admission(settings.max_associations)
        relay_settings = RelaySettings(
            artim=settings.artim_timeout,
            open_timeout=settings.nats_reply_timeout,
            accept_timeout=settings.accept_timeout,
            release_timeout=settings.release_timeout,
            idle_timeout=settings.idle_timeout,
        )
        observer = observers([self._log])
        requestor = Requestor(
            policy=self._policy,
            admission=admission,
            settings=relay_settings,
            connect_timeout=settings.connect_timeout,
            bind_host=settings.bind_host,
            tcp_options=tcp_options_of(settings),
            observer=observer,
            loop=loop,
            over=lambda _leg: self._over.set(),
        )

        def session_opened(session: Session) -> SessionUser:
            return requestor.session_opened(session, exchange)

        exchange = Exchange(tunnel, loop=loop, session_opened=session_opened, observer=self._log)
        admission.changed = lambda: self._load_changed(admission, tunnel)
        acceptor = Acceptor(
            channel=settings.peer_channel,
            policy=self._policy,
            admission=admission,
            settings=relay_settings,
            observer=observer,
            exchange=exchange,
            loop=loop,
            over=lambda _leg: self._over.set(),
        )
        link = NatsLink(
            nats_options_of(settings, name=f"dimse-proxy {settings.nats_subject_channel} {instance}"),
            tunnel.subscriptions(),
            exchange,
        )
        exchange.attach(link)
        stop = self._stop_signal(loop)
        listener = await listen(
            settings.host, settings.port, acceptor.connection_made, options=tcp_options_of(settings)
        )
        with ExitStack() as stack:
            stack.callback(listener.close)
            async with asyncio.TaskGroup() as tasks:
                linked = tasks.create_task(link.run())
                await self._say_ready(listener, exchange, instance)
                await stop.wait()
                await self._wind_down(exchange, admission, lambda: [*acceptor.legs, *requestor.legs])
                await link.flush(LAST_WORDS)
                exchange.close()
                linked.cancel()
        log.info("stopped")

    def _load_changed(self, admission: Admission, tunnel: Tunnel) -> None:
        """Tells the other side, which asks a full instance for nothing more; so the log must say it here."""
        tunnel.set_load(admission.active, admission.limit or None)
        if admission.active == admission.limit:
            log.warning(
                "the limit of %d associations (DIMSE_MAX_ASSOCIATIONS) is reached: more are refused here and at the "
                "other side until one ends",
                admission.limit,
            )

    async def _say_ready(self, listener: TcpListener, exchange: Exchange, instance: str) -> None:
        """One line once this process can be used; NATS may come later."""
        with suppress(TimeoutError):
            await asyncio.wait_for(exchange.was_connected.wait(), NATS_PATIENCE)
        settings = self._settings
        target = self._policy.target
        log.info(
            "ready: DIMSE Proxy %s listens on %s as %s, channel %s to %s, target %s, NATS %s, instance %s",
            __version__,
            ", ".join(map(str, listener.addresses)),
            ", ".join(settings.local_ae_titles),
            settings.nats_subject_channel,
            settings.peer_channel,
            "none" if target is None else target.address(target.ae_title),
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

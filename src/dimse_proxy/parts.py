"""What settings make of each part of a process: its rules, its tunnel end, how its connections are set up.

Values and objects that have done nothing yet; `service` and the subcommands wire them. Nothing here decides anything.
"""

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dimse_proxy import __version__
from dimse_proxy.config.contexts import ContextFilter
from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.settings import Settings
from dimse_proxy.config.values import EVERY_NETWORK
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.policy import Operations, Policy
from dimse_proxy.proxy.routes import Routes
from dimse_proxy.transports.nats_link import NatsCredentials, NatsOptions
from dimse_proxy.transports.tcp import DEFAULT_OPTIONS, TcpOptions
from dimse_proxy.tunnel.settings import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.tunnel import Tunnel

if TYPE_CHECKING:
    from dimse_proxy.transports.leaf_node import LeafAccess

ABORT_BOUND: Final = 3.0
"""Seconds that an abort may wait in the tunnel for the bytes before it: with `relay.FLUSH_BOUND`, below 5 s."""


def policy_of(
    settings: Settings, routes: Routes, contexts: ContextFilter | None, contexts_in: ContextFilter | None
) -> Policy:
    """The rules that the settings, the routes and the dimse-config folders make."""
    return Policy(
        routes=routes,
        allowed_calling=settings.allowed_calling_aes,
        allowed_hosts=() if settings.allowed_hosts == EVERY_NETWORK else settings.allowed_hosts,
        decide_context=None if contexts is None else contexts.decide,
        allowed_calling_in=settings.allowed_calling_aes_in,
        allowed_called_in=settings.allowed_called_aes_in,
        allowed_hosts_in=() if settings.allowed_hosts_in == EVERY_NETWORK else settings.allowed_hosts_in,
        decide_context_in=None if contexts_in is None else contexts_in.decide,
        operations_out=Operations.of(settings.allowed_operations_out),
        operations_in=Operations.of(settings.allowed_operations_in),
    )


def admission_of(settings: Settings) -> Admission:
    """The limits of this process."""
    return Admission(
        settings.max_associations,
        per_calling_ae=settings.max_associations_per_calling_ae,
        per_host=settings.max_associations_per_host,
        rate=settings.max_association_rate,
    )


def tunnel_of(settings: Settings, routes: Routes, *, instance: str, accepts: bool = True) -> Tunnel:
    """The tunnel end of this process."""
    return Tunnel(
        TunnelIdentity(
            channel=settings.nats_subject_channel,
            instance=instance,
            epoch=time.time_ns() // 1_000_000,
            version=__version__,
            accepts=accepts,
            wall_clock=lambda: time.time_ns() // 1_000_000,
        ),
        TunnelSettings(
            root=settings.nats_subject_root,
            window=settings.window_size,
            chunk_size=settings.nats_chunk_size,
            resume_timeout=settings.resume_timeout,
            open_timeout=settings.nats_reply_timeout,
            abort_bound=ABORT_BOUND,
            keys=settings.tunnel_keys,
        ),
        routes.channels,
        os.urandom,
    )


def tcp_options_of(settings: Settings) -> TcpOptions:
    """How DICOM connections are set up.

    A vanished end point is noticed within DIMSE_TCP_TIMEOUTSECONDS. What waits in the write buffer without being told
    of as drained is credit withheld, so the marks stay well below the window.
    """
    high = min(DEFAULT_OPTIONS.write_high, settings.window_size // 4)
    marks = replace(DEFAULT_OPTIONS, write_high=high, write_low=high // 2)
    timeout = settings.tcp_timeout
    if not timeout:
        return replace(marks, user_timeout=0)
    return replace(
        marks,
        user_timeout=timeout,
        keep_alive_idle=max(1, min(marks.keep_alive_idle, int(timeout / 3))),
        keep_alive_interval=max(1, min(marks.keep_alive_interval, int(timeout / 6))),
    )


def nats_options_of(
    settings: Settings, access: NatsAccess, *, name: str, leaf: "LeafAccess | None" = None
) -> NatsOptions:
    """How to reach NATS: the leaf node of this process, if there is one.

    Who we are is asked for each connection, so a secret that was rotated is used.
    """
    if leaf is not None:
        token = leaf.token
        return NatsOptions(
            servers=(leaf.url,),
            name=name,
            credentials=lambda: NatsCredentials(token=token),
            trace=settings.nats_trace_connection,
        )

    def credentials() -> NatsCredentials:
        ours = access.identity()
        return NatsCredentials(
            user=ours.user,
            password=ours.password,
            token=ours.token,
            jwt=ours.jwt,
            nkey=ours.nkey,
            sign=ours.sign,
        )

    return NatsOptions(
        servers=settings.nats_servers,
        name=name,
        tls=access.tls if settings.has_nats_tls else None,
        credentials=credentials,
        trace=settings.nats_trace_connection,
    )

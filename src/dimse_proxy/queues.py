"""Store and forward of one process, made from its settings.

A part of the composition root, imported only where it is on. It decides nothing about associations.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dimse_proxy.config.contexts import Service, service_of
from dimse_proxy.config.settings import Settings
from dimse_proxy.observability.counts import IN, OUT
from dimse_proxy.observability.queue_log import QueueLog
from dimse_proxy.observability.queue_view import FlowView
from dimse_proxy.observability.queue_watch import QueueWatch
from dimse_proxy.proxy.exchange import Exchange, SessionUser
from dimse_proxy.proxy.ports import SessionPort
from dimse_proxy.proxy.requestor import Requestor
from dimse_proxy.proxy.routes import STORE_AND_FORWARD, AskedFor, Routes
from dimse_proxy.proxy.store_and_forward.again import Asked
from dimse_proxy.proxy.store_and_forward.asking import Targets
from dimse_proxy.proxy.store_and_forward.association import DeliveryOptions
from dimse_proxy.proxy.store_and_forward.delivery import Delivery
from dimse_proxy.proxy.store_and_forward.meter import Meter
from dimse_proxy.proxy.store_and_forward.queue import Queue, QueueOptions
from dimse_proxy.proxy.store_and_forward.store import Store
from dimse_proxy.proxy.store_and_forward.sweep import Sweep
from dimse_proxy.queueing.backoff import Backoff
from dimse_proxy.queueing.claims import Limits
from dimse_proxy.queueing.hooks import QueueObserver, QueueObservers
from dimse_proxy.queueing.records import Codec, Lease
from dimse_proxy.queueing.subjects import Flow, title_token
from dimse_proxy.transports.jetstream import JetStream
from dimse_proxy.transports.jetstream_link import JetStreamLink
from dimse_proxy.transports.nats_link import NatsOptions
from dimse_proxy.upper_layer.pdu import AssociateRequest

if TYPE_CHECKING:
    from dimse_proxy.observability.audit.observer import AuditObserver
    from dimse_proxy.queueing.sealing import QueueKeys

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""What runs until it is cancelled."""

FAULT_PAUSE: Final = 5.0
"""Seconds after which what failed begins again."""

_UNREADABLE_TURNS: Final = 3.0
"""Times the longest pause after which an object of which nobody says any more that it cannot be read is gone."""

log: Final = logging.getLogger(__name__)


class Queues:
    """What this process queues, and what it delivers of the queues of other sites."""

    def __init__(
        self,
        settings: Settings,
        options: NatsOptions,
        *,
        exchange: Exchange,
        requestor: Requestor,
        audit: "AuditObserver | None" = None,
        is_watched: bool = False,
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: that have passed every check.
            options: how to reach NATS; the connection is one of its own.
            exchange: the tunnel, which knows who this process is.
            requestor: makes associations with targets.
            audit: makes audit messages.
            is_watched: somebody may want to know how much waits.
        """
        self._settings: Final = settings
        self._exchange: Final = exchange
        self._requestor: Final = requestor
        self._is_watched: Final = is_watched
        self._watch: Final = QueueWatch(
            asyncio.get_running_loop().time, time.time, forget=_UNREADABLE_TURNS * _longest_retry(settings)
        )
        self._observer: Final = QueueObservers([QueueLog(), self._watch])
        if audit is not None:
            from dimse_proxy.observability.audit.queue_audit import QueueAudit

            self._observer.members.append(QueueAudit(audit))
        identity = exchange.tunnel.identity
        self._lease: Final = Lease(instance=identity.instance, epoch=identity.epoch)
        self._link: Final = JetStreamLink(options, inbox_of(settings), self)
        self._keys: Final = keys_of(settings)
        self._stores: Final[dict[str, Store]] = {}
        self._deliveries: Final[dict[str, Delivery]] = {}
        self._waiting: Final[list[Work]] = [self._link.run]
        self._tasks: asyncio.TaskGroup | None = None
        self._table: Routes | None = None

    def serve(self, table: Routes) -> None:
        """Queue and deliver for the channels of a table of routes; what was begun for others goes on."""
        self._table = table
        for channel in table.queued_channels:
            self._store_for(channel)
        for channel in channels_delivered_from(self._settings, table):
            if channel not in self._deliveries:
                self._deliveries[channel] = self._make_delivery(channel)

    def open_session(
        self, asked: AskedFor, info: Mapping[str, str], request: AssociateRequest, user: SessionUser
    ) -> SessionPort:
        """Open a session for an association that was accepted here: of a queue, or of the tunnel."""
        if asked.delivery != STORE_AND_FORWARD:
            return self._exchange.open_session(asked.channel, info, user)
        return self._store_for(asked.channel).open_session(asked, info, request, user)

    def flows(self) -> Sequence[FlowView]:
        """Return how everything is that is queued or delivered here (`queue_view.QueuesView`)."""
        return self._watch.flows()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for work in self._waiting:
                tasks.create_task(_always(work))

    def stop(self) -> None:
        """Take no more work, and end what is being delivered behind the object that is on its way."""
        for delivery in self._deliveries.values():
            delivery.is_stopping = True

    async def close(self, grace: float) -> None:
        """Finish what has been begun, for `grace` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace), asyncio.TaskGroup() as tasks:
                for store in self._stores.values():
                    tasks.create_task(store.close())
                for delivery in self._deliveries.values():
                    tasks.create_task(delivery.close())

    # What the connection does (`jetstream_link.LinkUser`); the tunnel's connection says the same in the log.

    def link_up(self, server: str) -> None:
        """Requests can be made."""

    def link_down(self, reason: str) -> None:
        """They cannot."""

    def link_error(self, text: str, fatal: bool) -> None:
        """The server said something, or did not take what nobody waits for an answer to."""
        self._observer.queue_trouble(", ".join({*self._stores, *self._deliveries}), text)

    # Inside.

    def _begin(self, *works: Work) -> None:
        """Run these from now on, or from the beginning."""
        if self._tasks is None:
            self._waiting.extend(works)
        else:
            for work in works:
                self._tasks.create_task(_always(work))

    def _store_for(self, channel: str) -> Store:
        store = self._stores.get(channel)
        if store is None:
            store = self._stores[channel] = self._make_store(channel)
        return store

    def _make_store(self, channel: str) -> Store:
        settings, exchange = self._settings, self._exchange
        queue = self._queue(channel, is_sender=True)

        def open_tunnel(info: Mapping[str, str], user: SessionUser) -> SessionPort:
            return exchange.open_session(channel, info, user)

        targets = Targets(
            open_tunnel,
            exchange.flush,
            refresh=settings.queue_refresh,
            timeout=settings.connect_timeout + settings.accept_timeout,
        )
        self._begin(queue.keep)
        self._show(OUT, queue, needs_target=partial(self._needs_target, channel))
        return Store(
            queue,
            targets,
            open_tunnel=open_tunnel,
            flush=exchange.flush,
            is_storage=lambda uid: service_of(uid) is Service.IMAGE,
            random_bytes=os.urandom,
            commitment_timeout=settings.queue_commitment,
        )

    def _make_delivery(self, channel: str) -> Delivery:
        settings = self._settings
        queue = self._queue(channel, is_sender=False)
        options = DeliveryOptions(
            associations=settings.queue_associations,
            idle=settings.queue_idle_timeout,
            response_timeout=settings.queue_response_timeout,
            limits=Limits(tries=settings.queue_max_tries, age=settings.queue_max_age),
            backoff=Backoff(first=settings.queue_retry, longest=_longest_retry(settings)),
        )
        delivery = Delivery(queue, options, requestor=self._requestor, exchange=self._exchange)
        self._begin(
            partial(queue.keep, delivery.ensure_consumer),
            delivery.run,
            Sweep(queue, delivery).run,
            Asked(queue, delivery).run,
        )
        self._show(IN, queue, needs_target=lambda: False)
        return delivery

    def _needs_target(self, channel: str) -> bool:
        return self._table is None or not self._table.takes_without_target(channel)

    def _show(self, direction: str, queue: Queue, *, needs_target: Callable[[], bool]) -> None:
        """Have a flow looked at, if somebody wants to know how it is."""
        if self._is_watched:
            meter = Meter(queue, may_read=direction == IN)
            self._watch.add(direction, meter, needs_target=needs_target)
            self._begin(meter.run)

    def _queue(self, channel: str, *, is_sender: bool) -> Queue:
        return queue_of(
            self._settings,
            self._link,
            self._keys,
            channel,
            is_sender=is_sender,
            lease=self._lease,
            observer=self._observer,
        )


def queue_of(
    settings: Settings,
    link: JetStreamLink,
    keys: "QueueKeys | None",
    channel: str,
    *,
    is_sender: bool,
    lease: Lease,
    observer: QueueObserver,
) -> Queue:
    """Return one flow, not looked at yet.

    Args:
        settings: that have passed every check.
        link: to JetStream.
        keys: the tunnel's, for what is stored.
        channel: at the other end.
        is_sender: this side accepts what is in it, else it delivers that.
        lease: who works with it.
        observer: is told of everything.
    """
    own = settings.nats_subject_channel
    sender, receiver = (own, channel) if is_sender else (channel, own)
    flow = Flow(root=settings.nats_subject_root, sender=sender, receiver=receiver)
    options = QueueOptions(
        chunk_size=settings.queue_chunk_size,
        store_timeout=settings.queue_store_timeout,
        max_bytes=settings.queue_max_bytes,
        replicas=settings.queue_replicas,
        creates_streams=settings.queue_creates_streams and is_sender,
        hint="" if is_sender else f": the proxy of channel {sender} makes it (DIMSE_DELIVERY there)",
        disk_path=(settings.queue_disk_path or settings.leaf_store) if is_sender else None,
        min_free=settings.queue_min_free_bytes,
    )
    domain = settings.queue_domain if is_sender else settings.domain_in(channel)
    # What answers from a domain of the other side is that side's own server, and may publish below this only.
    inbox = f"{settings.nats_subject_root}.{own}.{channel}.inbox" if domain and not is_sender else ""
    return Queue(
        flow,
        JetStream(link, domain, name=f"{receiver}.{sender}", inbox=inbox),
        Codec(flow, keys),
        options,
        lease=lease,
        channel=channel,
        observer=observer,
    )


def inbox_of(settings: Settings) -> str:
    """Return the subject below which answers come: the server alone can publish there."""
    own = settings.nats_subject_channel
    return f"{settings.nats_subject_root}.{own}.{own}.inbox"


def askers_of(settings: Settings, title: str) -> frozenset[str]:
    """Return all that may stand for a calling AE title in subjects; with two tunnel keys there are two."""
    keys = settings.tunnel_keys or ()
    if not keys:
        return frozenset({title_token(title)})
    from dimse_proxy.queueing.sealing import QueueKeys

    return frozenset(QueueKeys([key]).token(title) for key in keys)


def channels_delivered_from(settings: Settings, table: Routes) -> tuple[str, ...]:
    """Return the channels whose queues are delivered here."""
    if not settings.forwards:
        return ()
    return tuple(dict.fromkeys(channel for target in table.targets for channel in target.channels))


def _longest_retry(settings: Settings) -> float:
    return max(settings.queue_retry, settings.queue_max_retry)


async def _always(work: Work) -> None:
    """Run it; a fault of ours must not take relayed associations with it."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("A fault in store and forward; it begins again in %g s.", FAULT_PAUSE)
        else:
            return
        await asyncio.sleep(FAULT_PAUSE)


def keys_of(settings: Settings) -> "QueueKeys | None":
    """Return the tunnel keys, for what is stored."""
    keys = settings.tunnel_keys
    if not keys:
        return None
    from dimse_proxy.queueing.sealing import QueueKeys

    return QueueKeys(keys)

"""What can be wrong with store and forward: JetStream, streams, permissions to read. It looks, and makes nothing.

Whether nats-server writes to the disk before it acknowledges (`sync_interval`) cannot be read: nothing is said of it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from dimse_proxy.cli.diagnosis.findings import Report
from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import TransportError
from dimse_proxy.observability.queue_listener import QueueListener
from dimse_proxy.parts import nats_options_of
from dimse_proxy.proxy.routes import Routes
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.records import Lease
from dimse_proxy.queueing.streams import planned_streams, wrong_settings
from dimse_proxy.queueing.subjects import AssociationKey, Kind, new_association
from dimse_proxy.queues import channels_delivered_from, inbox_of, queue_of
from dimse_proxy.transports.jetstream_link import JetStreamError, JetStreamLink, Trouble
from dimse_proxy.transports.leaf_node import LeafAccess

QUEUE: Final = "queue"
PATIENCE: Final = 10.0
"""Seconds for a second connection to NATS; the first one was made just before."""

_REMEDIES: Final = {
    Trouble.NOT_ENABLED: "Turn JetStream on in nats-server, for this account too, or correct DIMSE_QUEUE_DOMAIN (_IN).",
    Trouble.DENIED: "Give this user the permissions of docs/store-and-forward.md: each subject is written there.",
}
_OTHER_REMEDY: Final = "Look at the log of nats-server, and at docs/store-and-forward.md."


class _Quiet:
    """What the connection does is no finding; what is asked on it is (`jetstream_link.LinkUser`)."""

    def link_up(self, server: str) -> None:
        """Nothing."""

    def link_down(self, reason: str) -> None:
        """Nothing."""

    def link_error(self, text: str, fatal: bool) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flow:
    channel: str
    is_sender: bool

    @property
    def name(self) -> str:
        return f"objects {'to' if self.is_sender else 'from'} channel {self.channel}"


async def check_queues(report: Report, settings: Settings, access: NatsAccess, routes: Routes, *, name: str) -> None:
    """Look at the queues that these settings and routes make; says nothing where there are none."""
    flows = list(_flows(settings, routes))
    if not flows:
        return
    try:
        leaf = None if settings.leaf_store is None else LeafAccess.of(settings.leaf_store)
    except TransportError as error:
        report.skipped.append(f"the queues, which are in the proxy's own nats-server: {error}")
        return
    options = nats_options_of(settings, access, name=name, leaf=leaf)
    link = JetStreamLink(options, inbox_of(settings), _Quiet())
    running = asyncio.get_running_loop().create_task(link.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await link.wait_ready()
    except TimeoutError:
        report.error(QUEUE, f"no second connection to NATS within {PATIENCE:g} s", _OTHER_REMEDY)
    else:
        for flow in flows:
            await _check(report, settings, link, flow)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def _flows(settings: Settings, routes: Routes) -> Iterator[_Flow]:
    for channel in routes.queued_channels:
        yield _Flow(channel=channel, is_sender=True)
    for channel in channels_delivered_from(settings, routes):
        yield _Flow(channel=channel, is_sender=False)


async def _check(report: Report, settings: Settings, link: JetStreamLink, found: _Flow) -> None:
    nobody = Lease(instance="doctor", epoch=0)
    queue = queue_of(
        settings, link, None, found.channel, is_sender=found.is_sender, lease=nobody, observer=QueueListener()
    )
    flow, jetstream = queue.flow, queue.jetstream
    try:
        if not await _streams_are_right(report, settings, queue, found):
            return
        if not found.is_sender:
            nothing = AssociationKey("nobody", new_association(0, bytes(10)))
            await jetstream.get(flow.record_stream, flow.of_association(Kind.WORK, nothing))
            await jetstream.get(flow.chunk_stream, flow.chunk(nothing, 0, 0))
        records = await jetstream.count_subjects(flow.record_stream, flow.every(Kind.RECORD))
        dead = await jetstream.count_subjects(flow.record_stream, flow.every(Kind.DEAD))
    except JetStreamError as error:
        report.error(QUEUE, f"{found.name}: {error}", _REMEDIES.get(error.trouble, _OTHER_REMEDY))
        return
    report.good(QUEUE, f"{found.name}: the streams are right; {records - dead} objects wait, {dead} dead letters")


async def _streams_are_right(report: Report, settings: Settings, queue: Queue, found: _Flow) -> bool:
    """Judge both streams; false if there is nothing more to be looked at."""
    for plan in planned_streams(queue.flow, max_bytes=settings.queue_max_bytes, replicas=settings.queue_replicas):
        state = await queue.jetstream.stream(plan.name)
        if state is None:
            _missing(report, settings, found, plan.name)
            return False
        wrong = wrong_settings(plan, state.config, largest_message=settings.queue_chunk_size)
        if wrong:
            report.error(
                QUEUE,
                f"{found.name}: stream {plan.name} has wrong settings: {'; '.join(wrong)}",
                "Correct them with `nats stream edit`; what cannot be changed needs a new stream, once it has drained.",
            )
            return False
    return True


def _missing(report: Report, settings: Settings, found: _Flow, name: str) -> None:
    text = f"{found.name}: stream {name} does not exist"
    if not found.is_sender:
        report.warning(QUEUE, text, f"Start the proxy of channel {found.channel} with DIMSE_DELIVERY: it makes it.")
    elif settings.queue_creates_streams:
        report.good(QUEUE, f"{text} yet: the proxy makes it when it starts")
    else:
        report.error(QUEUE, text, "Make it as docs/store-and-forward.md says, or set DIMSE_QUEUE_CREATE_STREAMS=true.")

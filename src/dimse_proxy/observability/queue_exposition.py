"""The metrics of store and forward. It reads; it counts nothing, and asks JetStream nothing."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.metrics_core import Metric

from dimse_proxy.observability.counts import IN, OUT
from dimse_proxy.observability.families import counter_of, gauges_of
from dimse_proxy.observability.queue_view import ALARM, GOOD, FlowView

REASONS: Final = ("status", "no-context", "tries", "age", "data-lost")
"""Why objects become dead letters (`queueing.records.DeadLetter`)."""
_REFUSED: Final = 0xA700
"""What an SCU is told when its object cannot be queued."""
_FLOW: Final = ("channel", "direction")


def queue_families(flows: Sequence[FlowView], wall_clock: float) -> Iterator[Metric]:
    """Yield every family; without flows none has a sample.

    Args:
        flows: what is known now.
        wall_clock: seconds since 1970.
    """
    yield from _depths(flows, wall_clock)
    yield from _sender([flow for flow in flows if flow.direction == OUT])
    yield from _receiver([flow for flow in flows if flow.direction == IN])


def _depths(flows: Sequence[FlowView], wall_clock: float) -> Iterator[Metric]:
    by_flow = {(flow.channel, flow.direction): flow for flow in flows}
    yield gauges_of(
        "queue_usable",
        "Whether JetStream and the streams of the flow can be used: 1 or 0.",
        _FLOW,
        {key: not flow.trouble for key, flow in by_flow.items()},
    )
    depths = {key: flow.depth for key, flow in by_flow.items() if flow.depth is not None and not flow.trouble}
    gauges: tuple[tuple[str, str, dict[tuple[str, ...], float | None]], ...] = (
        (
            "queue_waiting",
            "Objects that are to be delivered.",
            {key: depth.waiting for key, depth in depths.items()},
        ),
        ("queue_dead", "Dead letters that are kept.", {key: depth.dead for key, depth in depths.items()}),
        (
            "queue_bytes",
            "Bytes of data sets in the stream, those of dead letters included.",
            {key: depth.bytes for key, depth in depths.items()},
        ),
        (
            "queue_limit_bytes",
            "Bytes that the stream may grow to; absent without a limit.",
            {key: depth.limit or None for key, depth in depths.items()},
        ),
        (
            "queue_oldest_seconds",
            "Age of the object that waits longest, 0 when nothing waits.",
            {
                key: 0.0 if depth.oldest is None else max(0.0, wall_clock - depth.oldest)
                for key, depth in depths.items()
            },
        ),
    )
    for name, text, values in gauges:
        yield gauges_of(name, text, _FLOW, values)


def _sender(flows: Sequence[FlowView]) -> Iterator[Metric]:
    counts = {flow.channel: flow.counts for flow in flows}
    by_channel = ("channel",)
    yield counter_of(
        "queue_queued",
        "Objects for which an SCU was told success.",
        by_channel,
        {(channel,): each.queued for channel, each in counts.items()},
    )
    yield counter_of(
        "queue_queued_bytes",
        "Bytes of their data sets.",
        by_channel,
        {(channel,): each.queued_bytes for channel, each in counts.items()},
    )
    yield counter_of(
        "queue_refused",
        "Objects that could not be queued, by the status that the SCU was told.",
        ("channel", "status"),
        {
            (channel, f"{status:04X}"): number
            for channel, each in counts.items()
            for status, number in {_REFUSED: 0, **each.refused}.items()
        },
    )
    yield counter_of(
        "queue_handed_over",
        "Queued associations that went on through the tunnel, because of a command that is not for the queue.",
        by_channel,
        {(channel,): each.handed_over for channel, each in counts.items()},
    )
    yield counter_of(
        "queue_commitments_refused",
        "Requests for storage commitment that could not wait until the queue had drained.",
        by_channel,
        {(channel,): each.commitments_refused for channel, each in counts.items()},
    )
    yield counter_of(
        "queue_contexts_assumed",
        "Associations with presentation contexts that the target was not asked about.",
        by_channel,
        {(channel,): each.assumed for channel, each in counts.items()},
    )


def _receiver(flows: Sequence[FlowView]) -> Iterator[Metric]:
    counts = {flow.channel: flow.counts for flow in flows}
    by_channel = ("channel",)
    yield counter_of(
        "queue_delivered",
        "Objects that a target took, by whether with a warning.",
        ("channel", "warning"),
        {
            (channel, str(has_warning).lower()): each.delivered[has_warning]
            for channel, each in counts.items()
            for has_warning in (False, True)
        },
    )
    yield counter_of(
        "queue_delivered_bytes",
        "Bytes of their data sets.",
        by_channel,
        {(channel,): each.delivered_bytes for channel, each in counts.items()},
    )
    yield counter_of(
        "queue_retried",
        "Tries of objects that came to nothing, and are made again.",
        by_channel,
        {(channel,): each.retried for channel, each in counts.items()},
    )
    yield counter_of(
        "queue_given_up",
        "Objects that became dead letters, by reason.",
        ("channel", "reason"),
        {
            (channel, reason): number
            for channel, each in counts.items()
            for reason, number in {**dict.fromkeys(REASONS, 0), **each.dead}.items()
        },
    )
    yield counter_of(
        "queue_swept",
        "Times that something was found lying about in the streams, and put right.",
        by_channel,
        {(channel,): each.swept for channel, each in counts.items()},
    )
    yield gauges_of(
        "queue_unreadable",
        "Objects that this process could not read, and left where they are.",
        by_channel,
        {(flow.channel,): flow.unreadable for flow in flows},
    )
    states = {flow.channel: [target.state for target in flow.targets] for flow in flows}
    yield gauges_of(
        "queue_targets_resting",
        "Targets that are not asked for a while, because they could not be had; those with an alarm among them.",
        by_channel,
        {(channel,): len(each) - each.count(GOOD) for channel, each in states.items()},
    )
    yield gauges_of(
        "queue_targets_alarmed",
        "Targets that will not take objects before somebody changes something.",
        by_channel,
        {(channel,): each.count(ALARM) for channel, each in states.items()},
    )

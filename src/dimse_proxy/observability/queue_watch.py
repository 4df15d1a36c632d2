"""Counts what happens in store and forward, and remembers how its targets are: for metrics, page, API and health.

It listens and is asked; it asks JetStream nothing (that is the meter's), and everything it keeps is bounded. An object
is a number here: nothing of a data set is kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Final, Protocol

from dimse_proxy.observability.counts import IN, OUT
from dimse_proxy.observability.queue_listener import QueueListener
from dimse_proxy.observability.queue_view import FlowCounts, FlowView, TargetView
from dimse_proxy.proxy.depth import Depth
from dimse_proxy.queueing.records import DeadLetter, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey

MOST_TARGETS: Final = 64
"""AE titles of a flow that are remembered, the latest: they come from SCUs, and there is no end of them."""
MOST_UNREADABLE: Final = 10_000
RATE_SPAN: Final = 10.0
"""Seconds over which a rate is averaged, about."""


class MeterNumbers(Protocol):
    """What is read of a flow."""

    @property
    def channel(self) -> str:
        """At the other end."""

    @property
    def depth(self) -> Depth | None:
        """What it holds; None before anybody has looked."""

    @property
    def said(self) -> str:
        """What was said last that is wrong with it."""

    def trouble(self) -> str:
        """Return why it cannot be used at all; empty if it can."""


class Rate:
    """Something a second, lately: what happened counts the less, the longer ago it was."""

    __slots__ = ("_at", "_value")

    def __init__(self) -> None:
        self._value = 0.0
        self._at = 0.0

    def add(self, amount: float, now: float) -> None:
        """`amount` of it happened."""
        self._value, self._at = self.at(now) + amount / RATE_SPAN, now

    def at(self, now: float) -> float:
        """Return it."""
        return self._value * exp((self._at - now) / RATE_SPAN)


@dataclass(slots=True, kw_only=True)
class _Target:
    objects: int = 0
    dead: int = 0
    rests_until: float | None = None
    is_alarm: bool = False
    text: str = ""


@dataclass(slots=True, kw_only=True)
class _Flow:
    counts: FlowCounts = field(default_factory=FlowCounts)
    objects_rate: Rate = field(default_factory=Rate)
    bytes_rate: Rate = field(default_factory=Rate)
    targets: OrderedDict[str, _Target] = field(default_factory=OrderedDict)
    """By called AE title; that of which there was news last is the last."""
    unreadable: OrderedDict[tuple[AssociationKey, int], float] = field(default_factory=OrderedDict)
    """When it was said last."""
    last_trouble: tuple[float, str] | None = None

    def target(self, called: str) -> _Target:
        target = self.targets.get(called)
        if target is None:
            if len(self.targets) >= MOST_TARGETS:
                self.targets.popitem(last=False)
            target = self.targets[called] = _Target()
        self.targets.move_to_end(called)
        return target


class QueueWatch(QueueListener):
    """Of one process; a `queue_view.QueuesView`."""

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], float], *, forget: float) -> None:
        """Begin with nothing.

        Args:
            clock: seconds, monotonic.
            wall_clock: seconds since 1970.
            forget: seconds after which an object that could not be read is taken for gone, unless it is said again.
        """
        self._clock: Final = clock
        self._wall_clock: Final = wall_clock
        self._forget: Final = forget
        self._flows: Final[dict[tuple[str, str], _Flow]] = {}
        self._meters: Final[list[tuple[str, MeterNumbers, Callable[[], bool]]]] = []

    def add(self, direction: str, meter: MeterNumbers, *, needs_target: Callable[[], bool]) -> None:
        """Show this flow too; `needs_target` tells whether nothing is taken while the target is away."""
        self._meters.append((direction, meter, needs_target))

    def flows(self) -> Sequence[FlowView]:
        """Return what is known now."""
        return [self._view(direction, meter, needs_target()) for direction, meter, needs_target in self._meters]

    # `queueing.hooks.QueueObserver`

    def object_queued(self, channel: str, key: AssociationKey, record: QueuedObject) -> None:
        """One more."""
        flow = self._flow(channel, OUT)
        flow.counts.queued += 1
        flow.counts.queued_bytes += record.length
        self._passed(flow, record)

    def object_refused(self, channel: str, key: AssociationKey, status: int, text: str) -> None:
        """One that its SCU has to keep."""
        flow = self._flow(channel, OUT)
        flow.counts.refused[status] += 1
        self._trouble(flow, f"an object was refused with {status:04X}H: {text}")

    def object_delivered(
        self, channel: str, key: AssociationKey, record: QueuedObject, text: str, is_warning: bool
    ) -> None:
        """One that is done."""
        flow = self._flow(channel, IN)
        flow.counts.delivered[is_warning] += 1
        flow.counts.delivered_bytes += record.length
        self._passed(flow, record)
        flow.unreadable.pop((key, record.number), None)

    def object_put_off(self, channel: str, key: AssociationKey, number: int, text: str, pause: float) -> None:
        """One that did not get through."""
        flow = self._flow(channel, IN)
        flow.counts.retried += 1
        self._trouble(flow, f"an object will be tried again: {text}")

    def object_dead(self, channel: str, key: AssociationKey, record: QueuedObject, letter: DeadLetter) -> None:
        """One more dead letter."""
        flow = self._flow(channel, IN)
        flow.counts.dead[letter.reason] += 1
        flow.target(record.parties.called).dead += 1
        flow.unreadable.pop((key, record.number), None)
        self._trouble(flow, f"an object became a dead letter: {letter.text}")

    def object_unreadable(self, channel: str, key: AssociationKey, number: int, text: str) -> None:
        """One that stays; this is said again each time that its association is tried."""
        flow = self._flow(channel, IN)
        if len(flow.unreadable) >= MOST_UNREADABLE:
            flow.unreadable.popitem(last=False)
        flow.unreadable[key, number] = self._clock()
        flow.unreadable.move_to_end((key, number))
        self._trouble(flow, f"an object cannot be read: {text}")

    def target_rests(self, channel: str, called: str, text: str, pause: float, is_alarm: bool) -> None:
        """Nothing is delivered to it for a while."""
        flow = self._flow(channel, IN)
        target = flow.target(called)
        target.rests_until, target.is_alarm, target.text = self._clock() + pause, is_alarm, text
        self._trouble(flow, f"{called}: {text}")

    def target_back(self, channel: str, called: str) -> None:
        """It takes objects."""
        target = self._flow(channel, IN).target(called)
        target.rests_until, target.is_alarm, target.text = None, False, ""

    def handed_over(self, channel: str, key: AssociationKey, session: str, what: str) -> None:
        """One association less for the queue."""
        self._flow(channel, OUT).counts.handed_over += 1

    def commitment_refused(self, channel: str, calling: str, text: str) -> None:
        """One that its asker has to send again."""
        flow = self._flow(channel, OUT)
        flow.counts.commitments_refused += 1
        self._trouble(flow, f"a request for storage commitment was refused: {text}")

    def contexts_assumed(self, channel: str, called: str, count: int, text: str) -> None:
        """What may become a dead letter."""
        self._flow(channel, OUT).counts.assumed += 1

    def swept(self, channel: str, text: str) -> None:
        """The receiver sweeps."""
        self._flow(channel, IN).counts.swept += 1

    # Inside.

    def _flow(self, channel: str, direction: str) -> _Flow:
        flow = self._flows.get((channel, direction))
        if flow is None:
            flow = self._flows[channel, direction] = _Flow()
        return flow

    def _passed(self, flow: _Flow, record: QueuedObject) -> None:
        now = self._clock()
        flow.objects_rate.add(1, now)
        flow.bytes_rate.add(record.length, now)
        flow.target(record.parties.called).objects += 1

    def _trouble(self, flow: _Flow, text: str) -> None:
        flow.last_trouble = self._wall_clock(), text

    def _view(self, direction: str, meter: MeterNumbers, needs_target: bool) -> FlowView:
        flow, now, depth = self._flow(meter.channel, direction), self._clock(), meter.depth
        while flow.unreadable and now - next(iter(flow.unreadable.values())) > self._forget:
            flow.unreadable.popitem(last=False)
        return FlowView(
            channel=meter.channel,
            direction=direction,
            trouble=meter.trouble(),
            said=meter.said,
            needs_target=needs_target,
            depth=depth,
            unreadable=len(flow.unreadable),
            counts=flow.counts,
            objects_rate=flow.objects_rate.at(now),
            bytes_rate=flow.bytes_rate.at(now),
            last_trouble=flow.last_trouble,
            targets=[self._target_view(called, target, depth, now) for called, target in flow.targets.items()],
        )

    def _target_view(self, called: str, target: _Target, depth: Depth | None, now: float) -> TargetView:
        until = target.rests_until
        if until is not None and until < now and depth is not None and not depth.waiting:
            until = None  # It is not asked again, because there is nothing for it: it was moved or purged.
        return TargetView(
            called=called,
            objects=target.objects,
            dead=target.dead,
            rests_for=None if until is None else max(0.0, until - now),
            is_alarm=target.is_alarm,
            text=target.text,
        )

"""What is shown of store and forward, as values: by flow (channel and direction) and by target.

Loaded also where nothing is queued, so it knows nothing of `queueing`; `queue_watch` makes these values.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dimse_proxy.observability.counts import OUT
from dimse_proxy.proxy.depth import Depth

UNUSABLE: Final = "unusable"
"""JetStream, a permission or a stream is missing."""
ALARM: Final = "alarm"
"""A target will not do: somebody has to change something."""
RESTING: Final = "resting"
"""A target cannot be had, and is tried again."""
WAITING: Final = "waiting"
"""There is something to deliver."""
EMPTY: Final = "empty"
GOOD: Final = "good"
UNKNOWN: Final = "unknown"
"""Nobody has looked yet."""


@dataclass(slots=True, kw_only=True)
class FlowCounts:
    """What this process has done with one flow since it began; these only grow."""

    queued: int = 0
    """Objects for which an SCU was told success."""
    queued_bytes: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Objects that could not be queued, by the status that the SCU was told."""
    delivered: Counter[bool] = field(default_factory=Counter)
    """Objects that a target took, by whether with a warning."""
    delivered_bytes: int = 0
    retried: int = 0
    """Tries of objects that came to nothing and are made again."""
    dead: Counter[str] = field(default_factory=Counter)
    """Objects that became dead letters, by reason."""
    handed_over: int = 0
    """Associations that went on through the tunnel."""
    commitments_refused: int = 0
    """Requests for storage commitment that could not wait until the queue had drained."""
    assumed: int = 0
    """Associations with contexts about which the target was not asked."""
    swept: int = 0
    """Times that something was found lying about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """What is known of one AE title that objects are for."""

    called: str
    objects: int
    """Queued for it here, or delivered to it from here, since this process began."""
    dead: int
    rests_for: float | None
    """Seconds until it is asked again, 0 for now; None if it takes objects, as far as is known."""
    is_alarm: bool
    text: str
    """Why it rests."""

    @property
    def state(self) -> str:
        """One of `ALARM`, `RESTING` and `GOOD`."""
        if self.rests_for is None:
            return GOOD
        return ALARM if self.is_alarm else RESTING


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowView:
    """What is known of one flow."""

    channel: str
    """At the other end."""
    direction: str
    """`OUT`: what is queued here. `IN`: what is delivered here."""
    trouble: str
    """Why it cannot be used at all; empty if it can."""
    said: str
    """What was said last that is wrong with it, also if it can be used; empty if nothing is."""
    needs_target: bool
    """Nothing is queued while the target cannot be had."""
    depth: Depth | None
    unreadable: int
    """Objects that this process could not read, and left where they are."""
    counts: FlowCounts
    objects_rate: float
    """Objects a second, queued or delivered, about now."""
    bytes_rate: float
    last_trouble: tuple[float, str] | None
    """When it was, seconds since 1970, and a sentence."""
    targets: Sequence[TargetView]

    @property
    def name(self) -> str:
        """For people."""
        return f"to channel {self.channel}" if self.direction == OUT else f"from channel {self.channel}"

    @property
    def state(self) -> str:
        """The worst word that is true of it."""
        if self.trouble:
            return UNUSABLE
        states = {target.state for target in self.targets}
        for state in (ALARM, RESTING):
            if state in states:
                return state
        if self.depth is None:
            return UNKNOWN
        return WAITING if self.depth.waiting else EMPTY


class QueuesView(Protocol):
    """Where the values come from."""

    def flows(self) -> Sequence[FlowView]:
        """Return what is known now; empty where nothing is queued."""


def no_flows() -> Sequence[FlowView]:
    """Return what there is where nothing is queued."""
    return ()

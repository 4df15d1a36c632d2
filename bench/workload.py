"""What a work load is: a table of the report, with contenders that do the work once; and names of figures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.measurement import Run

RATE: Final = "MB/s"
OBJECT_MILLISECONDS: Final = "ms an object"
MEDIAN: Final = "ms, median"
P99: Final = "ms, 99th percentile"
RESPONSES: Final = "responses/s"

SCU: Final = "SCU"
SCP: Final = "SCP"

DIRECT: Final = "direct"
FORWARDER: Final = "forwarder"
PAIR: Final = "pair"
PAIR_ON_UNTUNED_NATS: Final = "pair, untuned NATS"
PAIR_WITH_KEY: Final = "pair, tunnel key"
PAIR_WITH_TLS: Final = "pair, TLS"
DIRECT_WITH_TLS: Final = "direct, TLS"
QUEUE: Final = "queue"
QUEUE_SYNC_ALWAYS: Final = "queue, sync always"
ACCEPTED: Final = "MB/s accepted"
OBJECTS: Final = "objects/s"

Contenders = Mapping[str, Callable[[], Run]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One table of the report."""

    title: str
    what: str
    """A sentence or two: what is done, by whom."""
    contenders: Contenders
    """By name; each does the work once."""
    rounds: int
    base: str = DIRECT
    """The contender that the others are compared with."""
    is_warmed_up: bool = True
    """Each contender runs once before its runs count."""

"""What goes on now and went on lately: live associations, the last ended ones, throughput of the last 15 minutes.

Kept for the status page, `dimse-proxy top` and the API; values only. Everything here is bounded, and nothing of a data
set is kept: services are named, patients are not.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dimse_proxy.dimse.status import StatusClass
from dimse_proxy.dimse.tracking import MessageSeen
from dimse_proxy.observability.association_log import requests_in_words
from dimse_proxy.observability.counts import IN, OUT
from dimse_proxy.observability.listener import Listener
from dimse_proxy.proxy.hooks import AssociationRecord, Ending, Refusal, Side
from dimse_proxy.upper_layer.pdu import AssociateRequest

MOST_ENDED: Final = 200
REFUSED: Final = "refused"
BIN_SECONDS: Final = 5.0
"""Of one point of the throughput graph."""
BINS: Final = 180
"""Points of it: 15 minutes."""
RATE_SPAN: Final = 2.0
"""Seconds over which a rate is averaged, about."""


@dataclass(slots=True, kw_only=True)
class Live:
    """One association that is not over."""

    number: int
    """Of this process, for people and the API: counts up from 1."""
    record: AssociationRecord
    services: dict[str, int] = field(default_factory=dict)
    """Requests by service, in the order in which they occurred first."""
    failures: int = 0
    """Responses with a status of failure."""
    rate: float = 0.0
    """Bytes a second, both directions."""
    sampled: int = 0
    """Bytes at the last sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One association that is over, or was refused."""

    live: Live
    at: float
    """Seconds since the epoch."""
    outcome: str
    """A sentence for people."""
    cause: str
    """A short word: `released`, `end-point-lost`...; `REFUSED` of one that was refused."""
    code: str
    """Of a refused one the proxy's own code; else empty."""
    duration: float
    unanswered: str = ""
    """Requests that were under way, in words."""


class Throughput:
    """Bytes a second in each direction, a point each `BIN_SECONDS`."""

    def __init__(self) -> None:
        self.points: Final[deque[tuple[float, float]]] = deque(maxlen=BINS)
        """Out and in, the oldest first."""
        self._begun: float | None = None
        self._bytes: tuple[int, int] = (0, 0)

    def sample(self, total: tuple[int, int], now: float) -> None:
        """Take the totals of bytes; makes a point when one is due, or several after a pause."""
        if self._begun is None:
            self._begun, self._bytes = now, total
            return
        bins = int((now - self._begun) / BIN_SECONDS)
        if bins < 1:
            return
        out, into = ((new - old) / (bins * BIN_SECONDS) for new, old in zip(total, self._bytes, strict=True))
        self.points.extend([(out, into)] * min(bins, BINS))
        self._begun += bins * BIN_SECONDS
        self._bytes = total


class LiveState(Listener):
    """Of one process."""

    def __init__(
        self, p_data_bytes: Callable[[], dict[str, int]], clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        """Begin with nothing.

        Args:
            p_data_bytes: all bytes so far, by direction.
            clock: seconds, that of `AssociationRecord.started`.
            wall_clock: seconds since the epoch.
        """
        self.live: Final[dict[int, Live]] = {}
        """By `id` of the record; the oldest first."""
        self.ended: Final[deque[Ended]] = deque(maxlen=MOST_ENDED)
        """The latest last."""
        self.throughput: Final = Throughput()
        self.rate: tuple[float, float] = (0.0, 0.0)
        """Bytes a second now, out and in."""
        self._p_data_bytes: Final = p_data_bytes
        self._clock: Final = clock
        self._wall_clock: Final = wall_clock
        self._last_number = 0
        self._sampled_at: float | None = None
        self._sampled: tuple[int, int] = (0, 0)

    def sample(self, now: float) -> None:
        """Bring the rates up to date; call it about once a second, `now` of any monotonic clock."""
        total = self._p_data_bytes()
        both = (total[OUT], total[IN])
        self.throughput.sample(both, now)
        if self._sampled_at is not None and now > self._sampled_at:
            elapsed = now - self._sampled_at
            weight = min(1.0, elapsed / RATE_SPAN)
            out, into = (
                rate + weight * ((new - old) / elapsed - rate)
                for rate, new, old in zip(self.rate, both, self._sampled, strict=True)
            )
            self.rate = (_settled(out), _settled(into))
            for live in self.live.values():
                size = bytes_of(live.record)
                live.rate = _settled(live.rate + weight * ((size - live.sampled) / elapsed - live.rate))
                live.sampled = size
        self._sampled_at, self._sampled = now, both

    def find(self, number: int) -> AssociationRecord | None:
        """Return the live association of that number."""
        return next((live.record for live in self.live.values() if live.number == number), None)

    # `proxy.hooks.Observer`

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """One more."""
        self._begin(record)

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """Over before it began."""
        numbers = f"result {refusal.result}, source {refusal.source}, reason {refusal.reason}"
        self._end(
            self._begin(record),
            outcome=f"refused: {refusal.cause} ({numbers})",
            cause=REFUSED,
            duration=self._clock() - record.started,
            code=str(refusal.code),
        )

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """What it is about."""
        live = self.live.get(id(record))
        if live is None:
            return
        if message.status_class is None:
            live.services[message.service] = live.services.get(message.service, 0) + 1
        elif message.status_class is StatusClass.FAILURE:
            live.failures += 1

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """One more of the last ones."""
        live = self._begin(record)
        self._end(
            live,
            outcome=ending.outcome,
            cause=str(ending.cause),
            duration=ending.duration,
            unanswered=requests_in_words(ending.unanswered, record.started + ending.duration),
        )

    # Inside.

    def _begin(self, record: AssociationRecord) -> Live:
        live = self.live.get(id(record))
        if live is None:
            self._last_number += 1
            live = self.live[id(record)] = Live(number=self._last_number, record=record)
        return live

    def _end(
        self, live: Live, *, outcome: str, cause: str, duration: float, code: str = "", unanswered: str = ""
    ) -> None:
        del self.live[id(live.record)]
        self.ended.append(
            Ended(
                live=live,
                at=self._wall_clock(),
                outcome=outcome,
                cause=cause,
                code=code,
                duration=duration,
                unanswered=unanswered,
            )
        )


def bytes_of(record: AssociationRecord) -> int:
    """Return bytes of P-DATA-TF PDUs, both directions."""
    return record.bytes_from_requestor + record.bytes_from_acceptor


def bytes_out_and_in(record: AssociationRecord) -> tuple[int, int]:
    """Return bytes that left for the other side, and that came from it."""
    pair = record.bytes_from_requestor, record.bytes_from_acceptor
    return pair if record.side is Side.ACCEPTOR else (pair[1], pair[0])


def _settled(rate: float) -> float:
    return rate if rate >= 1.0 else 0.0

"""The numbers behind the metrics, counted as associations go by: plain dictionaries, added to on the hot path.

What is shown of them, and under which names, is in `exposition`. No label here is of unbounded kind: AE titles,
addresses and UIDs come from peers, and there is no end of them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from dimse_proxy.dimse.tracking import MessageSeen
from dimse_proxy.observability.listener import Listener
from dimse_proxy.proxy.hooks import AssociationRecord, Ending, Refusal, Side
from dimse_proxy.proxy.refusals import RefusalCode
from dimse_proxy.tunnel.events import TunnelCode
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult

OTHER: Final = "other"
"""In place of a label's value that no standard and none of our own lists knows."""
OUT: Final = "out"
"""From this side's network towards the other side."""
IN: Final = "in"

RESPONSE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_BUCKETS: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)

_CODES: Final = frozenset(str(code) for kind in (RefusalCode, TunnelCode) for code in kind)
_RESULTS: Final = frozenset({0, 1, 2})
_SOURCES: Final = frozenset({0, 1, 2, 3})
_REASONS: Final = frozenset(range(11))
"""PS3.8 Table 9-21 has reasons up to 10; 0 stands with result 0, which is no A-ASSOCIATE-RJ: no context was left."""


class Histogram:
    """Seconds, by bucket."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin with nothing; `bounds` are the upper ends of the buckets, ascending."""
        self._bounds: Final = bounds
        self.counts: Final = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return upper end and number of those up to it, as the exposition format wants them."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


class Counts(Listener):
    """Counts everything; the keys are the labels' values, in the order of `exposition`."""

    def __init__(self) -> None:
        self.requested: Final = Counter[Side]()
        self.established: Final = Counter[Side]()
        self.refused: Final = Counter[tuple[Side, str, str, str, str]]()
        """Side, result, source, reason, code."""
        self.ended: Final = Counter[tuple[Side, str]]()
        """Side, cause."""
        self.requests: Final = Counter[tuple[str, str]]()
        """Service, direction."""
        self.responses: Final = Counter[tuple[str, str, str]]()
        """Service, direction, status class."""
        self.data_set_bytes: Final = Counter[tuple[str, str]]()
        self.operations_refused: Final = Counter[tuple[str, str]]()
        self.without_association: Final = Counter[str]()
        self.nats_connections = 0
        self.nats_disconnections = 0
        self.nats_errors: Final = Counter[bool]()
        self.peers_appeared = 0
        self.peers_lost: Final = Counter[str]()
        self.durations: Final = {side: Histogram(DURATION_BUCKETS) for side in Side}
        self.establishments: Final = {side: Histogram(RESPONSE_BUCKETS) for side in Side}
        self.response_times: Final[dict[tuple[str, str], Histogram]] = {}
        """Service, who was waited for."""
        self.active: Final[dict[int, AssociationRecord]] = {}
        """Those that were asked for and are neither refused nor over, by `id`."""
        self._bytes_of_ended: Final = {OUT: 0, IN: 0}

    def p_data_bytes(self) -> dict[str, int]:
        """Return bytes of P-DATA-TF PDUs by direction, those of running associations included."""
        total = dict(self._bytes_of_ended)
        for record in self.active.values():
            _add_bytes(total, record)
        return total

    # `proxy.hooks.Observer`

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """One more."""
        self._begin(record)

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        """One that was answered with an A-ASSOCIATE-AC."""
        self.established[record.side] += 1
        if record.established is not None:
            self.establishments[record.side].observe(record.established - record.started)

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """One that was not; on the requestor side it may never have got as far as a request."""
        self._begin(record)
        self._end(record)
        numbers = (refusal.result, refusal.source, refusal.reason)
        result, source, reason = (
            str(number) if number in known else OTHER
            for number, known in zip(numbers, (_RESULTS, _SOURCES, _REASONS), strict=True)
        )
        code = str(refusal.code)
        self.refused[record.side, result, source, reason, code if code in _CODES else OTHER] += 1

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """One DIMSE message."""
        is_from_end_point = message.from_requestor is (record.side is Side.ACCEPTOR)
        direction = OUT if is_from_end_point else IN
        service, kind = message.service, message.status_class
        if message.data_set_length:
            self.data_set_bytes[service, direction] += message.data_set_length
        if kind is None:
            self.requests[service, direction] += 1
            return
        self.responses[service, direction, kind.value] += 1
        if message.duration is not None:
            key = (service, "end-point" if is_from_end_point else "tunnel")
            histogram = self.response_times.get(key)
            if histogram is None:
                histogram = self.response_times[key] = Histogram(RESPONSE_BUCKETS)
            histogram.observe(message.duration)

    def operation_refused(self, record: AssociationRecord, service: str, *, from_end_point: bool) -> None:
        """One request that this proxy answered itself."""
        self.operations_refused[service, OUT if from_end_point else IN] += 1

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """One that is over."""
        self._begin(record)
        self._end(record)
        self.ended[record.side, str(ending.cause)] += 1
        self.durations[record.side].observe(ending.duration)

    def connection_idle(self, record: AssociationRecord, cause: str) -> None:
        """A probe of a load balancer, say."""
        self.without_association["idle"] += 1

    def connection_turned_away(self, record: AssociationRecord, cause: str) -> None:
        """One that made room."""
        self.without_association["turned-away"] += 1

    def stranger_called(self, record: AssociationRecord, cause: str) -> None:
        """One that does not speak DICOM."""
        self.without_association["not-dicom"] += 1

    # `proxy.exchange.PeerObserver`

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """One more, or one that is back."""
        self.peers_appeared += 1

    def peer_lost(self, channel: str, instance: str, code: str) -> None:
        """One fewer, or a silent one."""
        self.peers_lost[code if code in _CODES else OTHER] += 1

    def nats_connected(self, server: str, max_payload: int) -> None:
        """The first time, and after each loss."""
        self.nats_connections += 1

    def nats_disconnected(self, reason: str) -> None:
        """A loss."""
        self.nats_disconnections += 1

    def nats_error(self, text: str, fatal: bool) -> None:
        """Something is wrong with NATS."""
        self.nats_errors[fatal] += 1

    # Inside.

    def _begin(self, record: AssociationRecord) -> None:
        if id(record) not in self.active:
            self.active[id(record)] = record
            self.requested[record.side] += 1

    def _end(self, record: AssociationRecord) -> None:
        del self.active[id(record)]
        _add_bytes(self._bytes_of_ended, record)


def _add_bytes(total: dict[str, int], record: AssociationRecord) -> None:
    is_acceptor = record.side is Side.ACCEPTOR
    total[OUT] += record.bytes_from_requestor if is_acceptor else record.bytes_from_acceptor
    total[IN] += record.bytes_from_acceptor if is_acceptor else record.bytes_from_requestor

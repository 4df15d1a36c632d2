import pytest

from dimse_proxy.observability.counts import RESPONSE_BUCKETS, Counts, Histogram
from dimse_proxy.proxy.hooks import EndCause, Side
from tests.unit.observability.watching import (
    ACCEPT,
    NO_STATUS,
    REQUEST,
    STORE_RQ,
    STORE_RSP,
    ending,
    message,
    record,
    refusal,
)


def test_every_association_ends_once_and_its_bytes_are_kept() -> None:
    counts = Counts()
    asked = record(established=100.5)
    counts.association_requested(asked, REQUEST)
    counts.association_accepted(asked, ACCEPT, REQUEST, ())
    asked.bytes_from_requestor, asked.bytes_from_acceptor = 1000, 10
    assert counts.p_data_bytes() == {"out": 1000, "in": 10}
    counts.association_ended(asked, ending())
    assert counts.p_data_bytes() == {"out": 1000, "in": 10}
    assert not counts.active
    assert counts.requested[Side.ACCEPTOR] == counts.established[Side.ACCEPTOR] == 1
    assert counts.ended == {(Side.ACCEPTOR, "released"): 1}
    assert counts.durations[Side.ACCEPTOR].sum == 2.0
    assert counts.establishments[Side.ACCEPTOR].sum == 0.5


def test_bytes_go_the_other_way_on_the_requestor_side() -> None:
    counts = Counts()
    asked = record(Side.REQUESTOR, bytes_from_requestor=5, bytes_from_acceptor=7)
    counts.association_requested(asked, REQUEST)
    assert counts.p_data_bytes() == {"out": 7, "in": 5}


def test_a_refusal_before_the_request_counts_as_asked_for() -> None:
    counts = Counts()
    counts.association_refused(record(Side.REQUESTOR), refusal())
    assert counts.requested[Side.REQUESTOR] == 1
    assert counts.refused == {(Side.REQUESTOR, "2", "3", "2", "limit"): 1}
    assert not counts.active


def test_what_a_peer_invents_makes_no_new_label() -> None:
    counts = Counts()
    for number in range(200):
        counts.association_refused(
            record(), refusal(code=f"made-up-{number}", result=20 + number, source=20 + number, reason=20 + number)
        )
        counts.peer_lost("B", str(number), f"made-up-{number}")
    assert counts.refused == {(Side.ACCEPTOR, "other", "other", "other", "other"): 200}
    assert counts.peers_lost == {"other": 200}


def test_messages_by_direction_and_status() -> None:
    counts = Counts()
    here, there = record(), record(Side.REQUESTOR)
    counts.message_seen(here, message(STORE_RQ, from_requestor=True, length=500))
    counts.message_seen(here, message(STORE_RSP, from_requestor=False, duration=0.2))
    counts.message_seen(there, message(STORE_RQ, from_requestor=True, length=500))
    counts.message_seen(there, message(NO_STATUS, from_requestor=False, duration=0.1))
    counts.message_seen(there, message(STORE_RSP, from_requestor=False))
    assert counts.requests == {("C-STORE", "out"): 1, ("C-STORE", "in"): 1}
    assert counts.responses == {("C-STORE", "in", "failure"): 1, ("C-STORE", "out", "failure"): 2}
    assert counts.data_set_bytes == {("C-STORE", "out"): 500, ("C-STORE", "in"): 500}
    assert {key: round(each.sum, 3) for key, each in counts.response_times.items()} == {
        ("C-STORE", "tunnel"): 0.2,
        ("C-STORE", "end-point"): 0.1,
    }


def test_everything_else_is_counted() -> None:
    counts = Counts()
    counts.operation_refused(record(), "N-DELETE", from_end_point=True)
    counts.operation_refused(record(), "N-DELETE", from_end_point=False)
    counts.connection_idle(record(), "")
    counts.connection_turned_away(record(), "")
    counts.stranger_called(record(), "")
    counts.nats_connected("", 1)
    counts.nats_disconnected("")
    counts.nats_error("", True)
    counts.peer_appeared("B", "b1", "1")
    counts.peer_lost("B", "b1", "silent")
    counts.peer_refused("B", "b1", "key-mismatch")
    assert counts.operations_refused == {("N-DELETE", "out"): 1, ("N-DELETE", "in"): 1}
    assert counts.without_association == {"idle": 1, "turned-away": 1, "not-dicom": 1}
    assert (counts.nats_connections, counts.nats_disconnections, counts.peers_appeared) == (1, 1, 1)
    assert counts.nats_errors == {True: 1}
    assert counts.peers_lost == {"silent": 1}
    counts.association_ended(record(), ending(EndCause.FAULT))
    assert counts.requested[Side.ACCEPTOR] == 1


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1), (60.0, 14), (61.0, 15)])
def test_a_bucket_holds_what_is_up_to_its_bound(seconds: float, bucket: int) -> None:
    histogram = Histogram(RESPONSE_BUCKETS)
    histogram.observe(seconds)
    assert histogram.counts[bucket] == 1
    assert histogram.cumulative()[-1] == ("+Inf", 1.0)
    assert [count for _, count in histogram.cumulative()] == [0.0] * bucket + [1.0] * (16 - bucket)

import math

from dimse_proxy.tunnel.pacing import LARGE, SMALLEST, SPACING, SPACING_SMALL, STALE, Pace
from tests.unit.tunnel.network import Fault, pair

MEBIBYTE = 1 << 20


def measure(pace: Pace, length: int, seconds: float, now: float, in_flight: int = 0) -> None:
    pace.start("session", pace.delivered + length, in_flight, now)
    pace.acknowledged("session", pace.delivered + length, length, now + seconds)


def test_a_fast_short_way_needs_no_measurement() -> None:
    pace = Pace()
    assert pace.bound == SMALLEST
    measure(pace, 262144, 0.0001, 0.0)
    assert pace.bound == SMALLEST


def test_twice_rate_times_round_trip() -> None:
    pace = Pace()
    measure(pace, 10 * MEBIBYTE, 0.1, 0.0)
    assert math.isclose(pace.bound, 20 * MEBIBYTE, rel_tol=1e-6)


def test_a_queue_does_not_widen_the_bound() -> None:
    pace = Pace()
    measure(pace, MEBIBYTE, 0.1, 0.0)
    measure(pace, 2 * MEBIBYTE, 0.2, 1.0, in_flight=MEBIBYTE)
    measure(pace, 2 * MEBIBYTE, 0.2, 20.0, in_flight=MEBIBYTE)
    assert pace.round_trip == 0.1


def test_a_longer_way_is_learnt_when_nothing_is_in_flight() -> None:
    pace = Pace()
    measure(pace, MEBIBYTE, 0.01, 0.0)
    measure(pace, MEBIBYTE, 0.5, STALE / 2)
    assert pace.round_trip == 0.01
    measure(pace, MEBIBYTE, 0.5, STALE * 2)
    assert pace.round_trip == 0.5


def test_one_measurement_at_a_time_and_few_small_ones() -> None:
    pace = Pace()
    assert pace.wants_mark(10, 0.0)
    pace.start("session", 10, 0, 0.0)
    assert not pace.wants_mark(LARGE, 1.0)
    pace.acknowledged("other", 10, 10, 1.0)
    pace.acknowledged("session", 9, 9, 1.0)
    assert not pace.wants_mark(LARGE, 1.0)
    pace.discard("other")
    assert not pace.wants_mark(LARGE, 1.0)
    pace.discard("session")
    assert not pace.wants_mark(LARGE, SPACING / 2)
    assert pace.wants_mark(LARGE, SPACING)
    assert not pace.wants_mark(10, SPACING_SMALL / 2)
    assert pace.wants_mark(10, SPACING_SMALL)
    pace.start("session", 20, 0, 2.0)
    pace.restart()
    assert pace.wants_mark(LARGE, 2.0)


def test_a_small_session_is_not_queued_behind_large_ones_on_a_slow_link() -> None:
    network, a, b = pair()
    network.fault = Fault(delay=0.02, bandwidth=1.25e6)
    large = [a.tunnel.open_session("B", {}, network.now) for _ in range(8)]

    def keep_sending() -> None:
        for session in large:
            while session.writable:
                session.send_data(bytes(65536), network.now)

    network.user = keep_sending
    network.run(10)
    started = network.now
    small = a.tunnel.open_session("B", {"small": "yes"}, network.now)
    small.send_data(b"echo", network.now)
    assert network.run(5, lambda: small.id in b.sides and b.sides[small.id].received == b"echo")
    assert network.now - started < 1.5
    sent = sum(len(b.sides[session.id].received) for session in large)
    assert sent > 0.9 * 10 * 1.25e6
    fewest = min(len(b.sides[session.id].received) for session in large)
    assert fewest > 0.8 * sent / 8


def test_a_long_fast_way_is_filled() -> None:
    network, a, b = pair()
    network.fault = Fault(delay=0.04, bandwidth=50e6)
    ours = a.tunnel.open_session("B", {}, network.now)

    def keep_sending() -> None:
        while ours.writable:
            ours.send_data(bytes(262144), network.now)

    network.user = keep_sending
    network.run(1)
    before = len(b.sides[ours.id].received)
    network.run(2)
    rate = (len(b.sides[ours.id].received) - before) / 2
    assert rate > 0.8 * 4 * MEBIBYTE / 0.08  # the window of one session is what limits it

from dimse_proxy.observability.flood import Flood


def test_one_line_an_interval_and_the_next_tells_of_the_others() -> None:
    now = 100.0
    flood = Flood(1.0, clock=lambda: now)
    assert flood.left_out() == 0
    assert [flood.left_out() for _ in range(3)] == [None] * 3
    now = 101.0
    assert flood.left_out() == 3
    assert flood.left_out() is None
    now = 250.0
    assert flood.left_out() == 1
    now = 300.0
    assert flood.left_out() == 0

from dimse_proxy.proxy.failover import DOWN_SECONDS, Failover
from dimse_proxy.transports.streams import Address

ONE, TWO, THREE = (Address(f"10.0.0.{number}", 104) for number in (1, 2, 3))
ALL = (ONE, TWO, THREE)


def test_the_order_is_that_of_the_routes_as_long_as_nothing_is_known() -> None:
    assert Failover().order(ALL, 0.0) == ALL


def test_who_could_not_be_had_comes_last_for_a_while() -> None:
    failover = Failover()
    assert failover.failed(ONE, 10.0)
    assert failover.order(ALL, 10.0) == (TWO, THREE, ONE)
    assert failover.order(ALL, 10.0 + DOWN_SECONDS - 0.1) == (TWO, THREE, ONE)
    assert failover.order(ALL, 10.0 + DOWN_SECONDS) == ALL


def test_only_one_association_looks_whether_it_is_back() -> None:
    failover = Failover()
    failover.failed(ONE, 0.0)
    later = DOWN_SECONDS
    assert failover.order(ALL, later) == ALL
    assert failover.order(ALL, later) == (TWO, THREE, ONE), "those that come meanwhile go around it"
    assert not failover.failed(ONE, later + 10), "no news"
    assert failover.order(ALL, later + 10) == (TWO, THREE, ONE)


def test_who_is_back_is_first_again() -> None:
    failover = Failover()
    failover.failed(ONE, 0.0)
    assert failover.succeeded(ONE)
    assert not failover.succeeded(ONE)
    assert failover.order(ALL, 1.0) == ALL
    assert failover.failed(ONE, 2.0), "news again"


def test_all_of_them_down_are_tried_in_their_order_and_a_single_one_always() -> None:
    failover = Failover()
    for host in (TWO, ONE, THREE):
        failover.failed(host, 0.0)
    assert failover.order(ALL, 1.0) == ALL
    assert failover.order((ONE,), 1.0) == (ONE,)


def test_a_later_host_that_was_down_keeps_its_place() -> None:
    failover = Failover()
    failover.failed(TWO, 0.0)
    assert failover.order(ALL, 1.0) == (ONE, THREE, TWO)
    assert failover.order(ALL, DOWN_SECONDS) == ALL
    assert failover.order(ALL, DOWN_SECONDS) == ALL, "it is not the one that will be tried"

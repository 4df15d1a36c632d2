"""Who works: what is done with a Lease, on our own clock."""

from typing import Any

import pytest

from dimse_proxy.kubernetes.lease import DURATION, PATIENCE, RENEWAL, Observed, Step, decide

Json = dict[str, Any]


def lease(holder: str, renewed: str = "t1", duration: int | None = DURATION) -> Json:
    return {"spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": duration}}


def test_there_is_none() -> None:
    assert decide(None, "me", Observed(), 0.0) is Step.CREATE


@pytest.mark.parametrize("free", [lease(""), {"spec": {}}, {}])
def test_one_that_is_free(free: Json) -> None:
    assert decide(free, "me", Observed(), 0.0) is Step.TAKE


def test_our_own() -> None:
    assert decide(lease("me"), "me", Observed(), 0.0) is Step.RENEW


def test_a_holder_that_renews_keeps_it_for_ever() -> None:
    observed = Observed()
    for number in range(100):
        assert decide(lease("other", f"t{number}"), "me", observed, number * DURATION * 1.0) is Step.WAIT


def test_a_holder_that_is_silent_for_its_whole_duration_here_loses_it() -> None:
    """Whatever its clock says: the time in the Lease is only compared with itself."""
    observed = Observed()
    long_ago = lease("other", "1999-01-01T00:00:00.000000Z")
    assert decide(long_ago, "me", observed, 100.0) is Step.WAIT
    assert decide(long_ago, "me", observed, 100.0 + DURATION) is Step.WAIT
    assert decide(long_ago, "me", observed, 100.1 + DURATION) is Step.TAKE


def test_a_new_holder_has_its_own_time() -> None:
    observed = Observed()
    decide(lease("other", "t1"), "me", observed, 0.0)
    assert decide(lease("third", "t1"), "me", observed, DURATION + 1.0) is Step.WAIT


def test_the_duration_is_the_holders() -> None:
    observed = Observed()
    decide(lease("other", duration=60), "me", observed, 0.0)
    assert decide(lease("other", duration=60), "me", observed, 59.0) is Step.WAIT
    assert decide(lease("other", duration=60), "me", observed, 61.0) is Step.TAKE


def test_the_holder_stops_before_another_may_take_over() -> None:
    assert RENEWAL < PATIENCE < DURATION

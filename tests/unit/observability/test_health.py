import pytest

from dimse_proxy.observability.health import Health
from dimse_proxy.proxy.hooks import Side
from tests.unit.observability.watching import ACCEPT, REQUEST, TARGET, TunnelDouble, peer, record, refusal, routes

NOW = 102.0
EPOCH = 1_700_000_000


def ready(tunnel: TunnelDouble) -> Health:
    health = Health(tunnel, routes, lambda: NOW, lambda: EPOCH + NOW)
    health.is_listening = True
    health.nats_connected("nats", 1)
    return health


def test_ready_when_all_is_there() -> None:
    assert not ready(TunnelDouble()).reasons


def test_every_reason_has_a_sentence() -> None:
    tunnel = TunnelDouble(is_connected=False)
    health = Health(tunnel, routes, lambda: NOW, lambda: EPOCH + NOW)
    assert list(health.reasons) == ["listener", "nats"]
    health.nats_error("authorization violation", True)
    assert health.reasons["nats"] == "NATS: authorization violation; not connected since 2023-11-14 22:15:02 UTC"
    health.nats_disconnected("closed")
    assert health.reasons["nats"].startswith("NATS: closed; not connected since ")
    health.is_stopping = True
    assert "stopping" in health.reasons


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ([], "no proxy is present on channel B"),
        ([peer(channel="C")], "no proxy is present"),
        ([peer(going_away=True)], "shutting down"),
        ([peer(compatible=False)], "other versions"),
        ([peer(present=False)], "has been heard since 2023-11-14 22:14:59 UTC (the last was b1)"),
        ([peer(late_at=NOW)], "has been heard since 2023-11-14 22:14:59 UTC (the last was b1)"),
        ([peer(late_at=NOW), peer(instance="b0", last_seen=90.0, present=False)], "(the last was b1)"),
        ([peer(late_at=NOW), peer(instance="b0", going_away=True)], "shutting down"),
        ([peer(accepts=False)], "no proxy is present"),
        ([peer(accepts=False, late_at=NOW)], "no proxy is present"),
    ],
)
def test_why_no_peer_can_be_asked(known: list[object], words: str) -> None:
    health = ready(TunnelDouble(known=known))  # type: ignore[arg-type]
    assert words in health.reasons["peer"]
    health = ready(TunnelDouble(known=[*known, peer(instance="b2")]))  # type: ignore[list-item]
    assert not health.reasons


def test_a_tunnel_key_that_does_not_fit() -> None:
    health = ready(TunnelDouble(known=[]))
    health.peer_refused("B", "b1", "key-mismatch")
    assert "DIMSE_TUNNEL_KEY" in health.reasons["peer"]
    health.peer_appeared("B", "b2", "1")
    assert "no proxy" in health.reasons["peer"]


def test_the_target_is_what_was_last_heard_of_it() -> None:
    health = ready(TunnelDouble())
    assert not health.is_target_known
    health.association_refused(record(), refusal("target-unreachable"))
    assert not health.is_target_known, "that is the other side's target"
    health.association_refused(record(Side.REQUESTOR), refusal("limit"))
    assert not health.is_target_known
    health.association_refused(record(Side.REQUESTOR), refusal("target-timeout", cause="no answer"))
    assert (health.is_target_known, health.target_trouble) == (True, "no answer")
    health.association_refused(record(Side.REQUESTOR), refusal("target-rejected"))
    assert health.target_trouble is None, "it answered"


def test_an_accepted_association_shows_that_the_target_is_there() -> None:
    health = ready(TunnelDouble())
    health.target_said(TARGET, "refused")
    health.association_accepted(record(), ACCEPT, REQUEST, ())
    assert health.target_trouble == "refused"
    health.association_accepted(record(Side.REQUESTOR), ACCEPT, REQUEST, ())
    assert health.target_trouble is None

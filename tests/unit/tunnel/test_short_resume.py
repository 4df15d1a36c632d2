"""A resume time-out that is shorter than the time after which a peer counts as silent."""

from dimse_proxy.tunnel import TunnelCode, TunnelSettings
from tests.unit.tunnel.network import open_session, pair

SHORT = TunnelSettings(resume_timeout=2.0)


def test_a_peer_is_lost_without_having_been_silent_first() -> None:
    network, a, b = pair(SHORT)
    open_session(network, a, b)
    b.is_frozen = True
    network.run(SHORT.resume_timeout + SHORT.sync_interval - 0.1)
    assert a.codes() == []
    network.run(0.2)
    assert a.codes() == [TunnelCode.PEER_LOST]
    assert a.tunnel.peers() == ()

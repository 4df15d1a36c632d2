"""The wall clock in a hello: told when there is one, read when it comes, and never needed."""

import pytest

from dimse_proxy.errors import TunnelError
from dimse_proxy.tunnel.hello import decode_hello
from dimse_proxy.tunnel.settings import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.tunnel import Tunnel


def make(channel: str, *, clock: int | None) -> Tunnel:
    identity = TunnelIdentity(
        channel=channel,
        instance=f"{channel.lower()}1",
        epoch=1,
        version="1",
        wall_clock=None if clock is None else lambda: clock,
    )
    return Tunnel(identity, TunnelSettings(), ("B" if channel == "A" else "A",), bytes)


@pytest.mark.parametrize("clock", [None, 1_700_000_000_123])
def test_a_peer_s_clock(clock: int | None) -> None:
    a, b = make("A", clock=None), make("B", clock=clock)
    for tunnel in (a, b):
        tunnel.connected(1 << 20, 0.0)
    (hello,) = b.messages_to_send(0.0)
    payload = b"".join(hello.parts)
    assert decode_hello(payload).time == clock
    a.receive_message(hello.subject, payload, 0.0)
    (peer,) = a.peers()
    assert peer.time == clock
    assert (peer.in_flight, peer.round_trip) == (0, None)


def test_a_clock_that_is_none() -> None:
    (hello,) = _hellos(make("B", clock=5))
    with pytest.raises(TunnelError):
        decode_hello(hello.replace(b'"time":5', b'"time":"noon"'))


def _hellos(tunnel: Tunnel) -> list[bytes]:
    tunnel.connected(1 << 20, 0.0)
    return [b"".join(message.parts) for message in tunnel.messages_to_send(0.0)]

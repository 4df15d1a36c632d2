"""Whose turn it is when several sessions wait for one peer."""

from dimse_proxy.tunnel.frames import HEADER_SIZE, FrameType
from dimse_proxy.tunnel.pacing import SMALLEST
from tests.unit.tunnel.network import Network, open_session, pair


def data_sessions(network: Network, start: int) -> list[bytes]:
    """Session ids of the DATA frames that A published, in order, from the log's entry `start` on."""
    frames = [b"".join(message.parts) for message in network.log[start:] if message.subject.startswith("DIMSE.B.A.i.")]
    return [frame[8:24] for frame in frames if frame[1] == FrameType.DATA and len(frame) > HEADER_SIZE]


def test_session_that_grew_while_it_waited_is_no_small_one() -> None:
    """It began with a command, which is little; its data set came while others had their turn."""
    network, a, b = pair()
    filling, growing, echo = (open_session(network, a, b)[0] for _ in range(3))
    network.drop = lambda message: message.subject.startswith("DIMSE.A.")
    filling.send_data(bytes(4 * SMALLEST), network.now)
    network.settle()
    growing.send_data(bytes(100), network.now)
    growing.send_data(bytes(SMALLEST), network.now)
    echo.send_data(bytes(80), network.now)
    network.settle()
    start = len(network.log)
    network.drop = lambda message: False
    network.run(10)
    turns = data_sessions(network, start)
    assert turns[0] == echo.id
    assert growing.id in turns

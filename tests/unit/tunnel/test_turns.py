"""Whose turn it is when several sessions wait for one peer."""

from dimse_proxy.tunnel.frames import HEADER_SIZE, FrameType
from dimse_proxy.tunnel.pacing import SMALLEST
from tests.unit.tunnel.network import Network, open_session, pair


def data_sessions(network: Network, start: int) -> list[bytes]:
    """Session ids of the DATA frames that A published, in order, from the log's entry `start` on."""
    frames = [b"".join(message.parts) for message in network.log[start:] if message.subject.startswith("DIMSE.B.A.i.")]
    return [frame[8:24] for frame in frames if frame[1] == FrameType.DATA and len(frame) > HEADER_SIZE]


def test_session_that_grew_while_it_waited_is_no_small_one() -> None:
    """It began with a command, which is little; its data set came before its turn did."""
    network, a, b = pair()
    growing, echo = (open_session(network, a, b)[0] for _ in range(2))
    start = len(network.log)
    growing.send_data(bytes(100), network.now)
    growing.send_data(bytes(SMALLEST), network.now)
    echo.send_data(bytes(80), network.now)
    network.settle()
    turns = data_sessions(network, start)
    assert turns[0] == echo.id
    assert growing.id in turns


def test_session_that_ended_while_it_waited_has_no_turn() -> None:
    network, a, b = pair()
    ended, echo = (open_session(network, a, b)[0] for _ in range(2))
    start = len(network.log)
    ended.send_data(bytes(80), network.now)
    echo.send_data(bytes(80), network.now)
    ended.close(network.now)
    network.settle()
    assert data_sessions(network, start) == [echo.id]

import pytest

from dimse_proxy.errors import LocalProtocolError, TunnelError
from dimse_proxy.tunnel.receive_window import ReceiveWindow


def accept(window: ReceiveWindow, offset: int, data: bytes) -> bytes | None:
    new = window.accept(offset, memoryview(data))
    return None if new is None else bytes(new)


def test_in_order_only_whatever_the_borders() -> None:
    window = ReceiveWindow(100)
    assert accept(window, 0, b"abcd") == b"abcd"
    assert accept(window, 6, b"gh") is None
    assert accept(window, 0, b"abcd") is None
    assert accept(window, 2, b"cdef") == b"ef"
    assert window.received == 6


def test_credit_grows_as_bytes_leave() -> None:
    window = ReceiveWindow(8)
    accept(window, 0, b"12345678")
    with pytest.raises(TunnelError, match="beyond the limit"):
        accept(window, 8, b"9")
    window.consume(3)
    assert window.limit == 11
    assert accept(window, 8, b"9ab") == b"9ab"


def test_acknowledgements_wait_for_more() -> None:
    window = ReceiveWindow(1000)
    due = []
    for length in (249, 1):
        accept(window, window.received, bytes(length))
        due.append(window.is_ack_due)
    window.told()
    due.append(window.is_ack_due)
    window.consume(250)
    due.append(window.is_ack_due)
    assert due == [False, True, False, True]


def test_more_than_received_cannot_be_consumed() -> None:
    window = ReceiveWindow(10)
    accept(window, 0, b"ab")
    with pytest.raises(LocalProtocolError):
        window.consume(3)
    with pytest.raises(LocalProtocolError):
        ReceiveWindow(10).consume(-1)


def test_nothing_comes_behind_the_final_offset() -> None:
    window = ReceiveWindow(10)
    accept(window, 0, b"ab")
    with pytest.raises(TunnelError):
        window.finish(1)
    window.finish(4)
    window.finish(4)
    with pytest.raises(TunnelError):
        window.finish(5)
    with pytest.raises(TunnelError):
        accept(window, 2, b"cde")
    assert accept(window, 2, b"cd") == b"cd"


def test_empty_data_is_an_error() -> None:
    with pytest.raises(TunnelError):
        accept(ReceiveWindow(10), 0, b"")

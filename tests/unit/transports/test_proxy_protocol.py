"""The PROXY protocol's header, and the gate that takes it off."""

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.transports.proxy_protocol import SIGNATURE, ProxyGate, ProxyHeader, read_header
from dimse_proxy.transports.streams import Address, StreamHandler


def binary(command: int, family: int, addresses: bytes, more: bytes = b"") -> bytes:
    body = addresses + more
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def tcp4(source: str = "192.0.2.7", port: int = 40000, more: bytes = b"") -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton("198.51.100.1") + struct.pack(">HH", port, 11112)
    return binary(0x21, 0x11, addresses, more)


def tcp6(source: str = "2001:db8::7", port: int = 40001) -> bytes:
    both = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    return binary(0x21, 0x21, both + struct.pack(">HH", port, 11112))


RIGHT = [
    (tcp4(), Address("192.0.2.7", 40000)),
    (tcp4(more=b"\x20\x00\x05\x01\0\0\0\0"), Address("192.0.2.7", 40000)),
    (tcp6(), Address("2001:db8::7", 40001)),
    (binary(0x20, 0x00, b""), None),
    (binary(0x20, 0x11, bytes(12)), None),
    (binary(0x21, 0x00, b""), None),
    (binary(0x21, 0x31, bytes(216)), None),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 11112\r\n", Address("192.0.2.7", 40000)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 40001 104\r\n", Address("2001:db8::7", 40001)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
]
WRONG = [
    b"\x01\x00\x00\x00\x00\xcd",
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/1.1\r\n",
    SIGNATURE + b"\x11\x11\x00\x0c",
    SIGNATURE + b"\x22\x11\x00\x0c",
    SIGNATURE + b"\x21\x11\xff\xff",
    binary(0x21, 0x11, bytes(11)),
    binary(0x21, 0x21, bytes(35)),
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 nonsense 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 70000 2\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 1 99999\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
    b"PROXY " + b"x" * 101,
    b"PROXY UNKNOWN\rjunk\r\n",
]


@pytest.mark.parametrize(("data", "source"), RIGHT)
def test_headers_are_read_as_soon_as_they_are_whole(data: bytes, source: Address | None) -> None:
    assert read_header(data) == ProxyHeader(source=source, length=len(data))
    assert read_header(data + b"\x01\x00\x00") == ProxyHeader(source=source, length=len(data))
    for cut in range(len(data)):
        assert read_header(data[:cut]) is None


@pytest.mark.parametrize("data", WRONG)
def test_anything_else_is_no_header(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_header(data)


@given(data=st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda rest: SIGNATURE + b"\x21" + rest)))
@settings(deadline=None, max_examples=200)
def test_nothing_but_the_declared_error(data: bytes) -> None:
    try:
        header = read_header(data)
    except RemoteProtocolError:
        return
    assert header is None or header.length <= len(data)


class Fronted:
    """A connection of a load balancer, as the gate sees it."""

    def __init__(self) -> None:
        self.peer_address = Address("10.0.0.1", 5)
        self.local_address = Address("10.0.0.2", 11112)
        self.unsent = 0
        self.calls: list[str] = []
        self.handler: StreamHandler | None = None

    def speak_for(self, peer: Address) -> None:
        self.peer_address = peer

    def give_to(self, handler: StreamHandler) -> None:
        self.handler = handler

    def lend_to(self, take: Callable[[memoryview], None]) -> None:
        raise AssertionError("the user asks for that")

    def write(self, data: bytes | memoryview) -> None:
        raise AssertionError("nothing is written")

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        raise AssertionError("nothing is written")

    def write_eof(self) -> None:
        raise AssertionError("nothing is written")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def close(self) -> None:
        self.calls.append("close")

    def reset(self) -> None:
        self.calls.append("reset")


class User:
    """Whom a connection is handed on to."""

    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        """Nothing."""

    def connection_lost(self, error_text: str) -> None:
        """Nothing."""

    def write_drained(self) -> None:
        """Nothing."""


class Hall:
    """A gate and what came of it."""

    def __init__(self, *, limit: int = 0, timeout: float = 60.0) -> None:
        self.user = User()
        self.peers: list[Address] = []
        self.failures: list[str] = []
        self.gate = ProxyGate(
            self._made, lambda peer, text: self.failures.append(f"{peer}: {text}"), timeout=timeout, limit=limit
        )

    def _made(self, connection: object) -> StreamHandler:
        assert isinstance(connection, Fronted)
        self.peers.append(connection.peer_address)
        return self.user

    def enter(self) -> tuple[Fronted, StreamHandler]:
        connection = Fronted()
        return connection, self.gate.connection_made(connection)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_the_next_in_line_sees_the_address_and_what_follows(size: int) -> None:
    hall = Hall()
    connection, first = hall.enter()
    stream = tcp4() + b"AFTER"
    for start in range(0, len(stream), size):
        (connection.handler or first).data_received(stream[start : start + size])
    assert hall.peers == [Address("192.0.2.7", 40000)]
    assert connection.handler is hall.user
    assert hall.user.data == b"AFTER"
    assert hall.gate.waiting == 0
    assert connection.calls == []


async def test_a_health_check_keeps_the_load_balancer_s_address() -> None:
    hall = Hall()
    _, first = hall.enter()
    first.data_received(binary(0x20, 0, b""))
    assert hall.peers == [Address("10.0.0.1", 5)]


async def test_a_malformed_header_closes_and_is_told_once() -> None:
    hall = Hall()
    connection, first = hall.enter()
    first.data_received(b"GET / HTTP/1.1\r\n\r\n")
    first.data_received(b"more")
    first.connection_lost("closed")
    assert connection.calls == ["close"]
    assert hall.failures == ["10.0.0.1:5: no PROXY protocol header: it does not begin with one"]
    assert hall.peers == []


async def test_who_leaves_without_a_header_is_no_news() -> None:
    hall = Hall()
    connection, first = hall.enter()
    first.data_received(b"PROXY ")
    first.eof_received()
    first.write_drained()
    assert connection.calls == ["close"]
    assert (hall.failures, hall.gate.waiting) == ([], 0)


async def test_no_header_in_time_is_a_reset() -> None:
    hall = Hall(timeout=0.0)
    connection, _ = hall.enter()
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    assert connection.calls == ["reset"]


async def test_the_oldest_makes_room() -> None:
    hall = Hall(limit=2)
    connections = [hall.enter()[0] for _ in range(3)]
    assert [connection.calls for connection in connections] == [["reset"], [], []]
    hall.gate.close()
    assert [connection.calls for connection in connections] == [["reset"]] * 3

"""TCP connections on real sockets, both ends ours or one end a plain socket."""

import asyncio
import gc
import os
import resource
import socket
import struct
import sys
import time
import tracemalloc
from collections.abc import Callable

import pytest

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.streams import Address, StreamConnection
from dimse_proxy.transports.tcp import TcpConnection, TcpListener, TcpOptions, connect, listen
from tests.integration.peers.waiting import free_port
from tests.integration.transports.conftest import Run

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO and TCP_USER_TIMEOUT are Linux's")


class Recorder:
    """A user that notes what it is told."""

    def __init__(self) -> None:
        self.connection: TcpConnection | None = None
        self.data = bytearray()
        self.eofs = 0
        self.lost: list[str] = []
        self.drained = 0

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        assert not self.lost
        self.data += data

    def eof_received(self) -> None:
        self.eofs += 1

    def connection_lost(self, error_text: str) -> None:
        self.lost.append(error_text)

    def write_drained(self) -> None:
        self.drained += 1


class Accepting:
    """A listener that gives every connection a recorder."""

    def __init__(self) -> None:
        self.users: list[Recorder] = []
        self.listener: TcpListener | None = None

    def __call__(self, connection: TcpConnection) -> Recorder:
        user = Recorder()
        user.connection = connection
        self.users.append(user)
        return user

    async def start(self, **settings: object) -> int:
        self.listener = await listen("127.0.0.1", 0, self, **settings)  # type: ignore[arg-type]
        return self.listener.addresses[0].port

    async def first(self) -> tuple[Recorder, TcpConnection]:
        await until(lambda: self.users)
        user = self.users[0]
        assert user.connection is not None
        return user, user.connection

    def close(self) -> None:
        assert self.listener is not None
        self.listener.close()


async def until(condition: Callable[[], object], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


def plain(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def read_all(sock: socket.socket) -> None:
    while sock.recv(1000):
        pass


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_who_borrows_sees_everything_where_it_was_read(run: Run) -> None:
    async def main() -> None:
        accepting, client = Accepting(), Recorder()
        port = await accepting.start()
        connection = await connect("127.0.0.1", port, timeout=5, handler=client)
        user, accepted = await accepting.first()
        seen, lent = bytearray(), []

        def take(data: memoryview) -> None:
            seen.extend(data)
            lent.append(data)

        accepted.lend_to(take)
        data = os.urandom(3_000_000)
        connection.write(data)
        await until(lambda: len(seen) >= len(data))
        assert seen == data
        assert not user.data
        # The next read overwrites what was lent: it is one piece of memory.
        connection.write(b"next")
        await until(lambda: len(seen) > len(data))
        assert bytes(lent[0][:4]) == b"next"
        connection.close()
        await until(lambda: client.lost and user.eofs)
        accepted.close()
        await until(lambda: user.lost)
        accepting.close()

    run(main())


def test_bytes_both_ways_and_addresses(run: Run) -> None:
    async def main() -> None:
        accepting, client = Accepting(), Recorder()
        port = await accepting.start()
        connection: StreamConnection = await connect("127.0.0.1", port, timeout=5, handler=client)
        user, accepted = await accepting.first()
        assert connection.peer_address == Address("127.0.0.1", port)
        assert accepted.peer_address == connection.local_address
        assert str(accepted.local_address) == f"127.0.0.1:{port}"
        data = os.urandom(3_000_000)
        connection.writelines([data[:1000], memoryview(data)[1000:]])
        accepted.write(data[::-1])
        await until(lambda: len(user.data) == len(data) and len(client.data) == len(data))
        assert user.data == data
        assert client.data == data[::-1]
        assert connection.unsent == 0
        connection.close()
        await until(lambda: client.lost and user.eofs)
        assert client.lost == ["closed by this side"]
        assert user.lost == []
        accepted.close()
        await until(lambda: user.lost)
        assert user.lost == ["closed by this side"]
        accepting.close()

    run(main())


def test_half_close_leaves_the_other_direction_open(run: Run) -> None:
    async def main() -> None:
        accepting, client = Accepting(), Recorder()
        port = await accepting.start()
        connection = await connect("127.0.0.1", port, timeout=5, handler=client)
        user, accepted = await accepting.first()
        connection.write(b"A-RELEASE-RQ")
        connection.write_eof()
        await until(lambda: user.eofs)
        assert user.data == b"A-RELEASE-RQ"
        accepted.pause_reading()
        accepted.resume_reading()
        await asyncio.sleep(0.05)
        accepted.write(b"A-RELEASE-RP")
        accepted.close()
        await until(lambda: client.eofs and user.lost)
        assert client.data == b"A-RELEASE-RP"
        assert user.eofs == 1, "told once, whatever reading was asked for"
        connection.close()
        await until(lambda: client.lost)
        accepting.close()

    run(main())


def test_peer_closes_after_both_have_finished(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start(options=TcpOptions(watch_interval=0.05))
        sock = plain(port)
        user, accepted = await accepting.first()
        sock.sendall(b"x")
        sock.shutdown(socket.SHUT_WR)
        await until(lambda: user.eofs)
        reset(sock)
        await until(lambda: user.lost)
        assert user.lost == ["reset by peer"]
        assert accepted.unsent == 0
        accepted.write(b"nobody")
        accepted.close()
        accepted.reset()
        accepting.close()

    run(main())


@LINUX
def test_reset_while_reading_is_paused_is_noticed(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start()
        sock = plain(port)
        user, accepted = await accepting.first()
        accepted.pause_reading()
        await asyncio.sleep(0.05)
        sock.sendall(b"x" * 1000)
        await asyncio.sleep(0.05)
        start = time.monotonic()
        reset(sock)
        await until(lambda: user.lost)
        assert user.lost == ["reset by peer while reading was paused"]
        assert time.monotonic() - start < 2
        accepting.close()

    run(main())


@LINUX
def test_closing_while_reading_is_paused_is_no_loss(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start(options=TcpOptions(watch_interval=0.02))
        sock = plain(port)
        user, accepted = await accepting.first()
        accepted.pause_reading()
        await asyncio.sleep(0.05)
        sock.sendall(b"x" * 1000)
        sock.close()
        await asyncio.sleep(0.2)
        assert (user.lost, user.eofs) == ([], 0)
        accepted.resume_reading()
        await until(lambda: user.eofs)
        assert len(user.data) == 1000
        accepted.close()
        await until(lambda: user.lost)
        accepting.close()

    run(main())


def test_paused_from_the_first_moment(run: Run) -> None:
    class Pausing(Accepting):
        def __call__(self, connection: TcpConnection) -> Recorder:
            connection.pause_reading()
            return super().__call__(connection)

    async def main() -> None:
        accepting = Pausing()
        port = await accepting.start()
        sock = plain(port)
        user, accepted = await accepting.first()
        await asyncio.sleep(0.05)
        sock.sendall(b"x" * 1000)
        await asyncio.sleep(0.1)
        assert user.data == b""
        accepted.resume_reading()
        await until(lambda: len(user.data) == 1000)
        sock.close()
        accepted.close()
        await until(lambda: user.lost)
        accepting.close()

    run(main())


def test_back_pressure(run: Run) -> None:
    async def main() -> None:
        options = TcpOptions(write_high=100_000, write_low=50_000)
        accepting, client = Accepting(), Recorder()
        port = await accepting.start()
        connection = await connect("127.0.0.1", port, timeout=5, handler=client, options=options)
        user, accepted = await accepting.first()
        accepted.pause_reading()
        await asyncio.sleep(0.05)
        total = 0
        while connection.unsent <= 1_000_000:
            connection.write(bytes(100_000))
            total += 100_000
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        held = connection.unsent
        assert 100_000 < held <= total
        assert client.drained == 0
        accepted.resume_reading()
        await until(lambda: client.drained)
        assert connection.unsent <= 50_000
        await until(lambda: len(user.data) == total)
        assert client.drained == 1
        connection.close()
        accepted.close()
        await until(lambda: client.lost and user.lost)
        accepting.close()

    run(main())


def test_reset_is_a_reset(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start()
        sock = plain(port)
        user, accepted = await accepting.first()
        accepted.write(b"lost with the reset")
        accepted.reset()
        await until(lambda: user.lost)
        assert user.lost == ["reset by this side"]
        sock.settimeout(2)
        with pytest.raises(ConnectionResetError):
            read_all(sock)
        sock.close()
        accepting.close()

    run(main())


def test_reset_ends_a_close_that_waits(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start()
        sock = plain(port)
        user, accepted = await accepting.first()
        accepted.write(bytes(20_000_000))
        accepted.close()
        accepted.write(b"dropped")
        await asyncio.sleep(0.1)
        assert user.lost == []
        accepted.reset()
        await until(lambda: user.lost)
        assert user.lost == ["reset by this side"]
        sock.close()
        accepting.close()

    run(main())


def test_peer_resets_while_reading(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start()
        sock = plain(port)
        user, _ = await accepting.first()
        reset(sock)
        await until(lambda: user.lost)
        assert user.lost == ["reset by peer"]
        accepting.close()

    run(main())


def test_what_comes_before_connect_has_returned_is_kept(run: Run) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Recorder()
        connecting = asyncio.create_task(
            connect("127.0.0.1", server.sockets[0].getsockname()[1], timeout=5, handler=client)
        )
        connection = await connecting
        await until(lambda: client.eofs)
        assert client.data == b"first"
        connection.close()
        await until(lambda: client.lost)
        server.close()

    run(main())


def test_options_are_on_the_socket(run: Run) -> None:
    async def main() -> None:
        accepting, client = Accepting(), Recorder()
        port = await accepting.start()
        connection = await connect("127.0.0.1", port, timeout=5, handler=client)
        _, accepted = await accepting.first()
        for end in (connection, accepted):
            sock = end._sock
            assert sock is not None
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if sys.platform == "linux":
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 180_000
            end.close()
        await until(lambda: client.lost and accepting.users[0].lost)
        accepting.close()

    run(main())


@LINUX
def test_peer_that_takes_nothing_for_too_long(run: Run) -> None:
    """Shows that TCP_USER_TIMEOUT works, and why it must be long: the peer here lives."""

    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start(options=TcpOptions(user_timeout=0.5))
        sock = plain(port)
        user, accepted = await accepting.first()
        accepted.write(bytes(20_000_000))
        await until(lambda: user.lost, within=20)
        assert user.lost == ["the peer no longer answers"]
        sock.close()
        accepting.close()

    run(main())


def test_listener_stops_at_once_and_connections_live_on(run: Run) -> None:
    async def main() -> None:
        accepting, client = Accepting(), Recorder()
        port = await accepting.start()
        connection = await connect("127.0.0.1", port, timeout=5, handler=client)
        user, accepted = await accepting.first()
        accepting.close()
        with pytest.raises(TransportError, match=f"^connection refused by 127.0.0.1:{port}$"):
            await connect("127.0.0.1", port, timeout=5, handler=Recorder())
        connection.write(b"still here")
        await until(lambda: user.data)
        connection.close()
        accepted.close()
        await until(lambda: client.lost and user.lost)

    run(main())


def test_sentences_of_failed_connects(run: Run) -> None:
    async def main() -> None:
        port = free_port()
        with pytest.raises(TransportError, match=r"^name nowhere\.invalid cannot be resolved$"):
            await connect("nowhere.invalid", port, timeout=10, handler=Recorder())
        with pytest.raises(TransportError, match=rf"^connection refused by 127\.0\.0\.1:{port}$"):
            await connect("127.0.0.1", port, timeout=5, handler=Recorder())
        with pytest.raises(TransportError, match=r"from 192\.0\.2\.1: this machine has no such address"):
            await connect("127.0.0.1", port, timeout=5, handler=Recorder(), bind_host="192.0.2.1")

    run(main())


@LINUX
def test_host_that_does_not_answer(run: Run) -> None:
    """A listener whose queue is full lets Linux drop what asks for a connection."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            where = full.getsockname()
            waiting = []
            for _ in range(3):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(where)
                waiting.append(sock)
            await asyncio.sleep(0.05)
            start = time.monotonic()
            with pytest.raises(TransportError, match=rf"^no answer from 127\.0\.0\.1:{where[1]} within 0\.3 s$"):
                await connect("127.0.0.1", where[1], timeout=0.3, handler=Recorder())
            assert time.monotonic() - start < 2
            for sock in waiting:
                sock.close()

    run(main())


def test_bind_address_of_outgoing_connections(run: Run) -> None:
    async def main() -> None:
        accepting, client = Accepting(), Recorder()
        port = await accepting.start()
        connection = await connect("127.0.0.1", port, timeout=5, handler=client, bind_host="127.0.0.1")
        assert connection.local_address.host == "127.0.0.1"
        connection.reset()
        await until(lambda: client.lost and accepting.users[0].lost)
        accepting.close()

    run(main())


def test_sentences_of_failed_listens(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start()
        with pytest.raises(TransportError, match=f"^cannot listen on 127.0.0.1:{port}: the port is in use$"):
            await listen("127.0.0.1", port, accepting)
        with pytest.raises(TransportError, match="this machine has no such address"):
            await listen("192.0.2.1", 0, accepting)
        with pytest.raises(TransportError, match="cannot be resolved"):
            await listen("nowhere.invalid", 0, accepting)
        accepting.close()

    run(main())


def test_both_address_families(run: Run) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")

    async def main() -> None:
        accepting = Accepting()
        port = free_port()
        listener = await listen("", port, accepting)
        for host in ("127.0.0.1", "::1"):
            client = Recorder()
            connection = await connect(host, port, timeout=5, handler=client)
            assert connection.peer_address == Address(host, port)
            connection.close()
            await until(lambda client=client: client.lost)  # type: ignore[misc]
        assert {user.connection.peer_address.host for user in accepting.users if user.connection} == {
            "127.0.0.1",
            "::1",
        }
        for user in accepting.users:
            assert user.connection is not None
            user.connection.close()
        await until(lambda: all(user.lost for user in accepting.users))
        listener.close()

    run(main())


def test_idle_connections_cost_little_memory() -> None:
    """A few KiB each, whichever loop: what is measured here is asyncio's, whose objects are Python's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(500, soft // 2 - 100)

    async def main() -> None:
        accepting = Accepting()
        port = await accepting.start()
        await asyncio.sleep(0)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        socks = []
        for _ in range(count):
            socks.append(plain(port))
            await until(lambda: len(accepting.users) == len(socks))
        for sock in socks:
            sock.sendall(b"x" * 10_000)
        await until(lambda: all(len(user.data) == 10_000 for user in accepting.users))
        for user in accepting.users:
            user.data.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (after - before) / count < 8 * 1024
        for sock in socks:
            sock.close()
        await until(lambda: all(user.eofs for user in accepting.users))
        for user in accepting.users:
            assert user.connection is not None
            user.connection.close()
        await until(lambda: all(user.lost for user in accepting.users))
        accepting.close()

    assert hard >= soft
    asyncio.run(main())

"""The NATS link when servers and networks fail."""

import asyncio
import contextlib
import importlib.util
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dimse_proxy.errors import ConfigError, TransportError
from dimse_proxy.transports.nats_connection import NatsConnection
from dimse_proxy.transports.nats_link import NatsLink, NatsOptions
from dimse_proxy.transports.nats_servers import NatsServer, parse_server
from tests.integration.peers.waiting import free_port
from tests.integration.transports.conftest import Run
from tests.integration.transports.link_user import LinkUser, running
from tests.integration.transports.server_process import ServerProcess


class Forwarder:
    """A TCP forwarder that can stop forwarding without closing anything: a black hole."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    def swallow(self) -> None:
        self._open.clear()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open.is_set():
            self._writers.append(writer)
            return
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, onward_writer]
        await asyncio.gather(self._copy(reader, onward_writer), self._copy(onward_reader, writer))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Forwarder"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._open.set()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0.05)


def test_server_that_is_not_there_yet(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(NatsOptions(servers=[server.url]), "R.A.>") as (link, user):
            await user.until(lambda: user.errors)
            await asyncio.sleep(0.5)
            assert user.errors == [(f"connection refused by 127.0.0.1:{server.port}", False)], "told once"
            assert not link.publish([("R.A.x", (b"x",))])
            server.start()
            await user.until(lambda: user.is_connected)
            assert link.publish([("R.A.x", (b"not the one before",))])
            await user.until(lambda: user.messages)
            assert user.messages == [("R.A.x", b"not the one before")]

    server = ServerProcess(tmp_path)
    try:
        run(main())
    finally:
        server.kill()


def test_server_that_is_killed_and_comes_back(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(NatsOptions(servers=[server.url]), "R.A.>") as (link, user):
            for times in range(1, 4):
                await user.until(lambda times=times: len(user.connections) == times)  # type: ignore[misc]
                for part in range(100):
                    link.publish([("R.A.x", (b"%d" % part, bytes(200_000)))])
                server.kill()
                await user.until(lambda times=times: len(user.losses) == times)  # type: ignore[misc]
                assert not link.publish([("R.A.x", (b"x",))])
                seen = len(user.messages)
                server.start()
            await user.until(lambda: user.is_connected)
            assert link.publish([("R.A.x", (b"again",))])
            await user.until(lambda: user.messages and user.messages[-1][1] == b"again")
            assert len(user.messages) == seen + 1, "nothing stale is sent after a reconnect"
            assert all(text in {"reset by peer", "closed by peer"} for text in user.losses), user.losses

    with ServerProcess(tmp_path) as server:
        run(main())


def test_stricter_max_payload_after_a_restart(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(NatsOptions(servers=[server.url])) as (link, user):
            await user.until(lambda: user.is_connected)
            server.kill()
            server.configure("max_payload: 65536")
            server.start()
            await user.until(lambda: len(user.connections) == 2)
            assert [size for size, _ in user.connections] == [1 << 20, 65536]
            assert link.max_payload == 65536

    with ServerProcess(tmp_path) as server:
        run(main())


def test_max_payload_that_a_reload_makes_smaller_without_saying(run: Run, tmp_path: Path) -> None:
    """The server closes on the first message that is too long; the new limit is known after that."""

    async def main() -> None:
        async with running(NatsOptions(servers=[server.url])) as (link, user):
            await user.until(lambda: user.is_connected)
            server.reload("max_payload: 65536")
            while len(user.connections) == 1:
                link.publish([("R.B.A.x", (bytes(100_000),))])
                await asyncio.sleep(0.05)
            await user.until(lambda: len(user.connections) == 2)
            assert link.max_payload == 65536

    with ServerProcess(tmp_path) as server:
        run(main())


def test_lame_duck_mode_means_another_server_now(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        # Only the first is configured; the second is discovered.
        async with running(NatsOptions(servers=[first.url]), "R.A.>") as (link, user):
            await user.until(lambda: user.is_connected)
            await asyncio.sleep(0.3)
            first.enter_lame_duck_mode()
            start = time.monotonic()
            await user.until(lambda: len(user.connections) == 2)
            assert time.monotonic() - start < 3
            assert link.server == second.url
            assert user.losses == ["the NATS server is about to stop (lame duck mode)"]
            link.publish([("R.A.x", (b"x",))])
            await user.until(lambda: user.messages)

    routes = [free_port(), free_port()]
    configs = [
        f'lame_duck_duration: "60s"\ncluster {{ name: c, listen: "127.0.0.1:{own}", '
        f'routes: ["nats://127.0.0.1:{other}"], pool_size: -1 }}'
        for own, other in (routes, routes[::-1])
    ]
    with (
        ServerProcess(tmp_path, configs[0], name="first") as first,
        ServerProcess(tmp_path, configs[1], name="second") as second,
    ):
        run(main())


@pytest.mark.slow
def test_black_hole_with_unsent_bytes_is_noticed_within_12_seconds(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with Forwarder(server.port).running() as forwarder:
            servers = [f"127.0.0.1:{forwarder.port}"]
            async with running(NatsOptions(servers=servers), "R.A.>") as (link, user):
                await user.until(lambda: user.is_connected)
                forwarder.swallow()
                start = time.monotonic()
                while link.unsent < 8 << 20:
                    assert link.publish([("R.B.x", (bytes(262144),))])
                    await asyncio.sleep(0)
                await user.until(lambda: user.losses, within=15)
                assert 9 < time.monotonic() - start < 13.5
                assert "silent" in user.losses[0]
                assert link.unsent == 0
                await user.until(lambda: user.errors, within=15)
                assert "no answer from" in user.errors[0][0]

    with ServerProcess(tmp_path) as server:
        run(main())


@pytest.mark.slow
def test_idle_connection_is_kept(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(NatsOptions(servers=[server.url], ping_interval=0.5), "R.A.>") as (_, user):
            await user.until(lambda: user.is_connected)
            await asyncio.sleep(5)
            assert user.losses == []

    with ServerProcess(tmp_path) as server:
        run(main())


def test_silent_server_with_short_interval(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with Forwarder(server.port).running() as forwarder:
            given = NatsOptions(servers=[f"127.0.0.1:{forwarder.port}"], ping_interval=0.2, connect_timeout=0.3)
            async with running(given, "R.A.>") as (link, user):
                await user.until(lambda: user.is_connected)
                ping = asyncio.create_task(link.rtt())
                await ping
                forwarder.swallow()
                waiting = asyncio.create_task(link.rtt())
                await user.until(lambda: user.losses)
                assert "silent for 0.4 s" in user.losses[0]
                with pytest.raises(Exception, match="silent"):
                    await waiting

    with ServerProcess(tmp_path) as server:
        run(main())


def test_a_ping_that_is_never_answered_does_not_wait_for_ever(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with Forwarder(server.port).running() as forwarder:
            options = NatsOptions(servers=[f"127.0.0.1:{forwarder.port}"], connect_timeout=0.5)
            connection = NatsConnection(parse_server(options.servers[0]), options, _Deaf())
            await connection.open(())
            assert await connection.answer() > 0
            forwarder.swallow()
            with pytest.raises(TransportError, match="no answer to a PING"):
                await connection.answer()
            asyncio.get_running_loop().call_later(0.1, connection.lose, "cut")
            with pytest.raises(TransportError, match="cut"):
                await connection.answer()
            await connection.close()

    with ServerProcess(tmp_path) as server:
        run(main())


class _Deaf:
    """A user of a connection that wants to know nothing."""

    def message_received(self, subject: str, payload: bytes) -> None: ...

    def read_done(self) -> None: ...

    def servers_discovered(self, source: NatsServer, addresses: Sequence[str], has_tls: bool) -> None: ...

    def publish_denied(self, text: str) -> None: ...


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "expecting INFO"),
        (b"", "no answer from nats://"),
        (b'INFO {"max_payload":\r\n', "json"),
        (b"\x00" * 2_000_000, "line without end"),
    ],
    ids=["ssh", "silent", "broken INFO", "zeros"],
)
def test_servers_that_are_none(run: Run, greeting: bytes, expected: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        with contextlib.suppress(OSError):
            await reader.read(1)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with running(NatsOptions(servers=[f"127.0.0.1:{port}"], connect_timeout=0.3)) as (_, user):
            await user.until(lambda: user.errors)
            assert expected in user.errors[0][0]
            assert not user.errors[0][1]
        server.close()

    run(main())


def test_stopping_while_connecting_leaves_nothing(run: Run) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        ended.set()

    async def main() -> None:
        silent = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        async with running(NatsOptions(servers=[f"127.0.0.1:{port}"])) as (_, user):
            await asyncio.sleep(0.1)
            assert user.errors == []
        await ended.wait()
        silent.close()
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_websocket_without_its_package_is_a_clear_sentence() -> None:
    if importlib.util.find_spec("aiohttp") is not None:
        pytest.skip("aiohttp is installed")
    with pytest.raises(ConfigError, match="aiohttp"):
        NatsLink(NatsOptions(servers=["wss://nats.example.org"]), [], LinkUser())


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")  # nats-py's
def test_websocket(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    port = free_port()

    async def main() -> None:
        given = NatsOptions(servers=[f"ws://127.0.0.1:{port}"], ping_interval=0.2)
        async with running(given, "R.A.>") as (link, user):
            await user.until(lambda: user.is_connected)
            for size in (1, 1000, 262144):
                assert link.publish([("R.A.x", (b"a" * (size - 1), b"b"))])
            assert await link.flush(5)
            assert link.unsent == 0
            await user.until(lambda: len(user.messages) == 3)
            assert [len(payload) for _, payload in user.messages] == [1, 1000, 262144]
            await asyncio.sleep(1)
            assert user.losses == [], "a PONG is a sign of life"
            server.kill()
            await user.until(lambda: user.losses)
            server.start()
            await user.until(lambda: len(user.connections) == 2)

    with ServerProcess(tmp_path, f'websocket {{ listen: "127.0.0.1:{port}", no_tls: true }}') as server:
        asyncio.run(main())

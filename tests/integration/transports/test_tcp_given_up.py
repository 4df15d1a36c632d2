"""A connection that is given up in the very moment in which it is made."""

import asyncio
import contextlib
import gc

import pytest

from dimse_proxy.transports import tcp
from dimse_proxy.transports.tcp import TcpConnection
from tests.integration.transports.conftest import Run


class Silent:
    """Takes everything."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = ""

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> None:
        pass

    def connection_lost(self, error_text: str) -> None:
        self.lost = error_text

    def write_drained(self) -> None:
        pass


def test_its_file_descriptor_is_not_closed_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is soon somebody else's: closing it again would end a connection that has nothing to do with it."""

    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(100):
                    writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        gone: list[asyncio.Task[TcpConnection]] = []

        def made_and_given_up(connection: TcpConnection, transport: asyncio.BaseTransport) -> None:
            connection_made(connection, transport)
            gone[-1].cancel()

        connection_made = TcpConnection.connection_made
        for _ in range(10):
            with monkeypatch.context() as patched:
                patched.setattr(TcpConnection, "connection_made", made_and_given_up)
                gone.append(asyncio.create_task(tcp.connect("127.0.0.1", port, timeout=5, handler=Silent())))
                await asyncio.wait(gone[-1:])
                assert gone[-1].cancelled()
            others = []
            for _ in range(5):
                handler = Silent()
                others.append((await tcp.connect("127.0.0.1", port, timeout=5, handler=handler), handler))
            gone.clear()
            gc.collect()
            for connection, _ in others:
                connection.write(b"still here")
            async with asyncio.timeout(5):
                while not all(handler.received == b"still here" for _, handler in others):
                    assert [handler.lost for _, handler in others] == [""] * 5
                    await asyncio.sleep(0.01)
            for connection, _ in others:
                connection.close()
        server.close()
        await asyncio.sleep(0.05)

    run(main())

"""What we rely on in nats-py beyond its documentation; one of these failing says what to look at after an upgrade."""

import asyncio
import inspect
from importlib.metadata import version

import nats.aio.client
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import Transport

from dimse_proxy.transports.nats_transport import NatsTransport


class Deaf:
    def message_received(self, subject: str, payload: bytes) -> None: ...

    def read_done(self) -> None: ...

    def server_error(self, text: str) -> None: ...

    def transport_lost(self, reason: str) -> None: ...


def source(function: object) -> str:
    return inspect.getsource(function)  # type: ignore[arg-type]


def test_version_is_the_one_that_was_read() -> None:
    assert version("nats-py").startswith("2.16.")


def test_transport_has_the_methods_we_implement_and_no_more() -> None:
    assert Transport.__abstractmethods__ == {
        "__bool__",
        "at_eof",
        "close",
        "connect",
        "connect_tls",
        "drain",
        "read",
        "readline",
        "wait_closed",
        "write",
        "writelines",
    }
    for name in Transport.__abstractmethods__ - {"__bool__"}:
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (NatsTransport, Transport))
        assert list(ours.parameters) == list(theirs.parameters), name


async def test_a_transport_that_is_set_is_kept() -> None:
    transport = NatsTransport(Deaf())
    assert bool(transport), "nats-py replaces a transport that is false"
    assert "if not self._transport:" in source(Client._connect_to_server)
    assert Client()._transport is None


def test_client_attributes_that_we_use() -> None:
    client = Client()
    assert client._reading_task is None
    assert client._flusher_task is None
    assert inspect.iscoroutinefunction(Client._flush_pending)
    assert "force_flush" in inspect.signature(Client._flush_pending).parameters


def test_hooks_that_we_override() -> None:
    assert list(inspect.signature(Client._process_info).parameters) == ["self", "info", "initial_connection"]
    assert list(inspect.signature(Client._process_err).parameters) == ["self", "err_msg"]
    assert inspect.iscoroutinefunction(Client._process_info)
    assert inspect.iscoroutinefunction(Client._process_err)


def test_first_info_passes_the_hook_before_tls_is_decided() -> None:
    text = source(Client._process_connect_init)
    assert text.index("self._server_info = srv_info") < text.index("_process_info(srv_info, initial_connection=True)")
    assert text.index("_process_info(srv_info, initial_connection=True)") < text.index(
        'self._server_info["tls_required"]'
    )
    assert text.index('self._server_info["tls_required"]') < text.index("self._connect_command()")


def test_subscribing_returns_before_anything_was_written() -> None:
    """So that a subscription's number is known to the transport before its first message."""
    text = source(Client._send_subscribe) + source(Client._send_command) + source(Client._flush_pending)
    assert "await self._flush_queue.put(future)" in text
    subscription = inspect.signature(Subscription.__init__).parameters
    assert "id" in subscription
    assert "self._id = id" in source(Subscription.__init__)


def test_a_flush_that_times_out_breaks_the_reading_task() -> None:
    """Why our own timers watch the connection, and nats-py's never fire. If this fails, that may be simplified."""
    assert "future = self._pongs.pop(0)\n            future.set_result(True)" in source(Client._process_pong)


def test_a_connection_without_reconnects_raises_at_once() -> None:
    text = source(Client.connect)
    assert 'if not self.options["allow_reconnect"]:' in text
    assert nats.aio.client.DEFAULT_BUFFER_SIZE > 0


async def test_reading_side_serves_nats_py() -> None:
    transport = NatsTransport(Deaf())
    buffer = transport.get_buffer(-1)
    data = b'INFO {"a":1}\r\nPONG\r\nPI'
    line = asyncio.create_task(transport.readline())
    await asyncio.sleep(0)
    buffer[: len(data)] = data
    transport.buffer_updated(len(data))
    assert await line == b'INFO {"a":1}\r\n'
    assert await transport.read(4) == b"PONG"
    assert await transport.read(1000) == b"\r\n"
    assert not transport.at_eof()
    rest = asyncio.create_task(transport.read(1000))
    await asyncio.sleep(0)
    transport.connection_lost(None)
    assert await rest == b""
    assert transport.at_eof()
    assert await transport.readline() == b""
    await transport.drain()
    transport.write(b"dropped")

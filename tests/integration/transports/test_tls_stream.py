"""TLS over real sockets, on both event loops: data, both kinds of end, what is no TLS, time-outs and limits."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.streams import Address, StreamConnection
from dimse_proxy.transports.tcp import TcpListener, listen
from dimse_proxy.transports.tls import TlsFailure, TlsGate, TlsStream, connect_tls
from tests.certificates import Authority, Identity
from tests.integration.transports.conftest import Run


class Recorder:
    """A user that notes what it is told."""

    def __init__(self) -> None:
        self.connection: StreamConnection | None = None
        self.data = bytearray()
        self.eofs = 0
        self.lost: list[str] = []

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
        pass


class Accepting:
    """A listener with a gate that gives every connection a recorder."""

    def __init__(self, context: ssl.SSLContext, *, handshake_timeout: float = 5.0, limit: int = 0) -> None:
        self.context = context
        self.users: list[Recorder] = []
        self.failures: list[TlsFailure] = []
        self.peers: list[Address] = []
        self.limits = 0
        self.gate = TlsGate(
            lambda: self.context,
            self._made,
            self._failed,
            handshake_timeout=handshake_timeout,
            limit=limit,
            on_limit=self._limit_reached,
        )
        self._listener: TcpListener | None = None

    async def start(self) -> int:
        self._listener = await listen("0.0.0.0", 0, self.gate.connection_made)
        return self._listener.addresses[0].port

    def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        self.gate.close()

    def _made(self, stream: TlsStream) -> Recorder:
        user = Recorder()
        user.connection = stream
        self.users.append(user)
        return user

    def _failed(self, peer: Address, failure: TlsFailure) -> None:
        self.peers.append(peer)
        self.failures.append(failure)

    def _limit_reached(self) -> None:
        self.limits += 1


async def until(condition: Callable[[], object], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("root")


@pytest.fixture(scope="module")
def identity(authority: Authority) -> Identity:
    return authority.issue("acceptor", kind="rsa")


@pytest.fixture
def acceptor(identity: Identity, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.pem(tmp_path_factory.mktemp("own") / "own.pem"))
    context.load_verify_locations(cadata=authority.der)
    return context


@pytest.fixture
def requestor(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.der)
    return context


async def call(port: int, context: ssl.SSLContext, user: Recorder, *, host: str = "127.0.0.1") -> TlsStream:
    return await connect_tls(host, port, context=context, timeout=5, handshake_timeout=5, handler=user)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bytes_both_ways(
    run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        accepting, client = Accepting(acceptor), Recorder()
        port = await accepting.start()
        stream = await call(port, requestor, client)
        await until(lambda: accepting.users)
        [user] = accepting.users
        other = user.connection
        assert other is not None
        assert stream.peer_address == Address("127.0.0.1", port) == other.local_address
        assert other.peer_address == stream.local_address
        assert stream.version == version.name.replace("_", ".", 1)
        assert stream.cipher_suite
        data = os.urandom(3_000_000)
        stream.writelines([data[:1000], b"", memoryview(data)[1000:]])
        other.write(data[::-1])
        await until(lambda: len(user.data) == len(data) == len(client.data))
        assert user.data == data
        assert client.data == data[::-1]
        assert stream.unsent == 0
        stream.close()
        stream.write(b"too late")
        await until(lambda: client.lost and user.eofs)
        assert client.lost == ["closed by this side"]
        assert user.eofs == 1
        other.close()
        await until(lambda: user.lost)
        accepting.close()
        assert accepting.failures == []

    requestor.minimum_version = requestor.maximum_version = version
    run(main())


def test_the_end_of_one_direction_leaves_the_other_open(
    run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext
) -> None:
    """An A-RELEASE-RP is still delivered to whoever has closed its direction behind the RQ."""

    async def main() -> None:
        accepting, client = Accepting(acceptor), Recorder()
        stream = await call(await accepting.start(), requestor, client)
        stream.write(b"RQ")
        stream.write_eof()
        stream.write(b"nothing any more")
        await until(lambda: accepting.users and accepting.users[0].eofs)
        [user] = accepting.users
        assert user.data == b"RQ"
        assert (user.eofs, user.lost) == (1, [])
        assert user.connection is not None
        user.connection.write(b"RP")
        await until(lambda: client.data == b"RP")
        user.connection.close()
        await until(lambda: client.eofs)
        stream.close()
        await until(lambda: client.lost and user.lost)
        accepting.close()

    run(main())


def test_a_fin_without_close_notify_is_an_end_too(
    run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext
) -> None:
    async def main() -> None:
        accepting = Accepting(acceptor)
        port = await accepting.start()
        got: list[bytes] = []

        def peer() -> None:
            with socket.create_connection(("127.0.0.1", port)) as raw:
                secured = requestor.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=True)
                secured.sendall(b"RQ")
                socket.socket.shutdown(secured, socket.SHUT_WR)
                got.append(secured.recv(100))
                secured.close()

        thread = threading.Thread(target=peer, daemon=True)
        thread.start()
        await until(lambda: accepting.users and accepting.users[0].eofs)
        [user] = accepting.users
        assert user.data == b"RQ"
        assert user.lost == []
        assert user.connection is not None
        user.connection.write(b"RP")
        await until(lambda: got)
        assert got == [b"RP"]
        user.connection.close()
        await until(lambda: user.lost)
        thread.join(5)
        accepting.close()

    run(main())


def test_reading_that_is_paused(run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext) -> None:
    async def main() -> None:
        accepting, client = Accepting(acceptor), Recorder()
        stream = await call(await accepting.start(), requestor, client)
        await until(lambda: accepting.users)
        [user] = accepting.users
        assert user.connection is not None
        user.connection.pause_reading()
        await asyncio.sleep(0.02)
        data = os.urandom(20_000_000)
        stream.write(data)
        await asyncio.sleep(0.1)
        before = len(user.data)
        assert before < len(data)
        assert stream.unsent > 0
        await asyncio.sleep(0.1)
        assert len(user.data) == before
        user.connection.resume_reading()
        await until(lambda: len(user.data) == len(data))
        assert user.data == data
        user.connection.reset()
        await until(lambda: client.lost and user.lost)
        assert (client.lost, user.lost) == (["reset by peer"], ["reset by this side"])
        accepting.close()

    run(main())


@pytest.mark.parametrize(
    ("sent", "is_plain"),
    [
        (b"\x01\x00\x00\x00\x01\x00" + bytes(250), True),
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"\x16" + b"nonsense" * 5, True),
        (b"\x80\x2e\x01\x03", False),
    ],
)
def test_who_does_not_speak_tls(run: Run, acceptor: ssl.SSLContext, sent: bytes, is_plain: bool) -> None:
    async def main() -> None:
        accepting = Accepting(acceptor, handshake_timeout=0.3)
        port = await accepting.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with suppress(ConnectionResetError):
            await reader.read()
        await until(lambda: accepting.failures)
        [failure] = accepting.failures
        assert failure.is_plain is is_plain
        assert failure.received == sent[:16]
        assert accepting.peers[0].host == "127.0.0.1"
        assert (accepting.users, accepting.gate.unfinished) == ([], 0)
        writer.close()
        accepting.close()

    run(main())


def test_probes_and_handshakes_that_never_end(run: Run, acceptor: ssl.SSLContext) -> None:
    async def main() -> None:
        accepting = Accepting(acceptor, handshake_timeout=0.2)
        port = await accepting.start()
        _, probe = await asyncio.open_connection("127.0.0.1", port)
        probe.close()
        await until(lambda: accepting.failures)
        assert accepting.failures.pop() == TlsFailure(text="it closed the connection during the handshake")
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        slow, slow_writer = await asyncio.open_connection("127.0.0.1", port)
        slow_writer.write(bytes.fromhex("1603010200"))
        for reader in (silent, slow):
            with pytest.raises(ConnectionResetError):
                await reader.read()
        text = "the handshake was not done within 0.2 s"
        assert accepting.failures == [
            TlsFailure(text=text),
            TlsFailure(text=text, received=bytes.fromhex("1603010200")),
        ]
        for writer in (silent_writer, slow_writer):
            writer.close()
        accepting.close()

    run(main())


def test_a_limit_of_unfinished_handshakes(run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext) -> None:
    async def main() -> None:
        accepting, client = Accepting(acceptor, limit=3), Recorder()
        port = await accepting.start()
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await until(lambda: accepting.gate.unfinished == 3)
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
        assert accepting.limits == 1
        for _, writer in waiting:
            writer.close()
        await until(lambda: accepting.gate.unfinished == 0)
        stream = await call(port, requestor, client)
        stream.close()
        await until(lambda: client.lost)
        accepting.close()

    run(main())


def test_certificates_that_are_not_accepted(
    run: Run,
    acceptor: ssl.SSLContext,
    requestor: ssl.SSLContext,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def failed(port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> str:
        with pytest.raises(TransportError) as raised:
            await call(port, context, Recorder(), host=host)
        return str(raised.value).replace(str(port), "PORT")

    async def main() -> None:
        accepting = Accepting(acceptor)
        port = await accepting.start()
        trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        text = await failed(port, trusting_nobody)
        assert text.startswith("TLS with 127.0.0.1:PORT failed: its certificate is not trusted: ")
        await until(lambda: accepting.failures)
        assert accepting.failures.pop().text.startswith("it does not accept our certificate")
        assert "IP address mismatch" in await failed(port, requestor, "127.0.0.2")
        await until(lambda: accepting.failures)
        accepting.failures.clear()
        expired = authority.issue("expired", days=5, from_days=-10)
        accepting.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        accepting.context.load_cert_chain(expired.pem(tmp_path_factory.mktemp("expired") / "own.pem"))
        assert (await failed(port, requestor)).endswith("its certificate is not trusted: certificate has expired")
        await until(lambda: accepting.failures)
        assert accepting.failures.pop().text == "it does not accept our certificate: expired"
        accepting.close()

    run(main())


def test_a_client_certificate_is_required(run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext) -> None:
    async def main(version: ssl.TLSVersion) -> None:
        requestor.minimum_version = requestor.maximum_version = version
        accepting, client = Accepting(acceptor), Recorder()
        port = await accepting.start()
        if version is ssl.TLSVersion.TLSv1_3:
            # Here the requestor is done before the acceptor has seen that there is no certificate.
            await call(port, requestor, client)
            await until(lambda: client.lost)
            assert client.lost == ["TLS failed: it requires a certificate of ours"]
        else:
            with pytest.raises(TransportError, match="refuses"):
                await call(port, requestor, client)
        await until(lambda: accepting.failures)
        assert accepting.failures[0].text == "it shows no certificate, and one is required"
        accepting.close()

    acceptor.verify_mode = ssl.CERT_REQUIRED
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        run(main(version))


def test_nothing_in_common(run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext) -> None:
    async def main() -> None:
        accepting = Accepting(acceptor)
        port = await accepting.start()
        requestor.minimum_version = ssl.TLSVersion.TLSv1_3
        acceptor.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(TransportError, match="no TLS version in common, it says"):
            await call(port, requestor, Recorder())
        requestor.minimum_version = requestor.maximum_version = ssl.TLSVersion.TLSv1_2
        requestor.set_ciphers("AES256-SHA")
        acceptor.set_ciphers("AES128-SHA")
        with pytest.raises(TransportError, match="it refuses: no cipher suite in common"):
            await call(port, requestor, Recorder())
        await until(lambda: len(accepting.failures) == 2)
        assert [failure.text for failure in accepting.failures] == [
            "no TLS version in common",
            "no cipher suite in common",
        ]
        accepting.close()

    run(main())


@pytest.mark.parametrize("answer", [b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01", b"SSH-2.0-x\r\n", b""])
def test_a_target_that_does_not_speak_tls(run: Run, requestor: ssl.SSLContext, answer: bytes) -> None:
    async def main() -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TransportError, match="it does not speak TLS"):
            await call(port, requestor, Recorder())
        server.close()

    run(main())


def test_a_target_that_never_answers(run: Run, requestor: ssl.SSLContext) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            with pytest.raises(TransportError, match=r"TLS with .* failed: the handshake was not done within 0\.2 s"):
                await connect_tls(
                    "127.0.0.1", port, context=requestor, timeout=5, handshake_timeout=0.2, handler=Recorder()
                )
            user = Recorder()
            connecting = asyncio.ensure_future(call(port, requestor, user))
            await asyncio.sleep(0.05)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            assert user.lost == []

    run(main())


def test_damaged_records_end_the_connection(run: Run, acceptor: ssl.SSLContext, requestor: ssl.SSLContext) -> None:
    async def main() -> None:
        accepting, client = Accepting(acceptor), Recorder()
        stream = await call(await accepting.start(), requestor, client)
        await until(lambda: accepting.users)
        below = stream._below
        assert below is not None
        below.write(bytes.fromhex("1703030020") + bytes(32))
        await until(lambda: accepting.users[0].lost and client.lost)
        assert accepting.users[0].lost == ["TLS failed: decryption failed or bad record mac"]
        assert client.lost == ["TLS failed: it ended TLS with the alert bad record mac"]
        accepting.close()

    run(main())

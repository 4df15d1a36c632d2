"""The NATS link against a real nats-server: messages, limits, credentials, TLS."""

import asyncio
import os
import ssl
import time
from pathlib import Path

import nats
import pytest

from dimse_proxy.errors import ConfigError, LocalProtocolError, TransportError
from dimse_proxy.transports.nats_link import NatsCredentials, NatsLink, NatsOptions
from tests.integration.transports.conftest import Run
from tests.integration.transports.link_user import LinkUser, running
from tests.integration.transports.server_process import ServerProcess

LARGEST = 8 * 1024 * 1024


def options(*servers: ServerProcess, **changes: object) -> NatsOptions:
    return NatsOptions(servers=[server.url for server in servers], **changes)  # type: ignore[arg-type]


def test_messages_of_every_size_there_and_back(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        sizes = [0, 1, 2, 100, 4095, 65536, 262144, 1 << 20, 4 << 20, (4 << 20) + 1, LARGEST]
        payloads = [os.urandom(size) for size in sizes]
        async with running(options(server), "R.A.>") as (left, user), running(options(server), "R.B.>") as (right, _):
            await user.until(lambda: left.is_connected and right.is_connected)
            assert left.max_payload == LARGEST
            assert left.server == server.url
            for payload in payloads:
                cut = len(payload) // 3
                assert right.publish([("R.A.B.hello", (payload[:cut], memoryview(payload)[cut:]))])
            await user.until(lambda: len(user.messages) == len(sizes))
            assert [payload == got for payload, (_, got) in zip(payloads, user.messages, strict=True)] == [True] * len(
                sizes
            )
            assert {subject for subject, _ in user.messages} == {"R.A.B.hello"}
            assert 1 <= user.batches <= len(sizes)
            assert await right.flush(5)
            assert right.unsent == 0
            assert 0 < await left.rtt() < 5

    with ServerProcess(tmp_path, f"max_payload: {LARGEST}") as server:
        run(main())


def test_a_burst_arrives_whole_and_in_order(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(options(server), "R.A.>") as (left, user), running(options(server)) as (right, _):
            await user.until(lambda: left.is_connected and right.is_connected)
            for start in range(0, 20000, 8):  # one at a time, and eight together
                burst = [("R.A.B.i.x", (b"%d " % number, b"x" * (number % 300))) for number in range(start, start + 8)]
                for batch in [burst] if start % 16 else [[message] for message in burst]:
                    assert right.publish(batch)
            await user.until(lambda: len(user.messages) == 20000)
            assert [int(payload.split()[0]) for _, payload in user.messages] == list(range(20000))
            assert user.batches < 20000

    with ServerProcess(tmp_path) as server:
        run(main())


def test_messages_that_are_not_ours_or_have_headers_are_ignored(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(options(server), "R.A.>") as (_, user):
            other = await nats.connect(server.url)
            await user.until(lambda: user.is_connected)
            await other.publish("R.A.B.hello", b"-ERR 'Authorization Violation'\r\nPING\r\n", headers={"a": "b"})
            await other.publish("R.C.B.hello", b"for somebody else")
            await other.publish("R.A.B.hello", b"-ERR 'Authorization Violation'\r\nPING\r\n", reply="_INBOX.x")
            await user.until(lambda: user.messages)
            assert user.messages == [("R.A.B.hello", b"-ERR 'Authorization Violation'\r\nPING\r\n")]
            assert user.losses == []
            await other.close()

    with ServerProcess(tmp_path) as server:
        run(main())


def test_subscriptions_hold_when_connected_is_told(run: Run, tmp_path: Path) -> None:
    """Whoever is told can be sent to: no message may be lost from then on."""

    class Sending(LinkUser):
        def connected(self, max_payload: int, server: str) -> None:
            super().connected(max_payload, server)
            assert senders[0].publish([("R.A.B.hello", (b"at once",))])

    async def main() -> None:
        async with running(options(server)) as (sender, ready):
            await ready.until(lambda: ready.is_connected)
            senders.append(sender)
            for _ in range(20):
                async with running(options(server), "R.A.>", user=Sending()) as (_, user):
                    await user.until(lambda user=user: user.messages)  # type: ignore[misc]

    senders: list[NatsLink] = []
    with ServerProcess(tmp_path) as server:
        run(main())


def test_longer_than_max_payload_is_our_own_mistake(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(options(server)) as (link, user):
            assert not link.publish([("R.B.A.hello", (b"x",))])
            assert (link.is_connected, link.max_payload, link.unsent, link.server) == (False, 0, 0, "")
            with pytest.raises(TransportError):
                await link.rtt()
            assert not await link.flush(1)
            await user.until(lambda: user.is_connected)
            assert user.connections == [(1000, server.url)]
            assert link.publish([("R.B.A.hello", (bytes(500), bytes(500)))])
            with pytest.raises(LocalProtocolError):
                link.publish([("R.B.A.hello", (bytes(500), bytes(501)))])
            with pytest.raises(ValueError, match="subject"):
                link.publish([("R.B.A.hello\r\nPUB x 0", (b"",))])
            assert await link.flush(5)
            assert user.losses == []

    with ServerProcess(tmp_path, "max_payload: 1000") as server:
        run(main())


def test_a_failing_handler_costs_one_message_only(tmp_path: Path) -> None:
    class Failing(LinkUser):
        def message(self, subject: str, payload: bytes) -> None:
            super().message(subject, payload)
            if payload == b"1":
                raise RuntimeError("a bug")

    async def main() -> None:
        failures: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: failures.append(context["message"]))
        async with (
            running(options(server), "R.A.>", user=Failing()) as (_, user),
            running(options(server)) as (peer, _),
        ):
            await user.until(lambda: user.is_connected and peer.is_connected)
            for number in range(3):
                peer.publish([("R.A.B.hello", (b"%d" % number,))])
            await user.until(lambda: len(user.messages) == 3)
            assert failures == ["handling a message on R.A.B.hello failed"]
            assert user.losses == []

    with ServerProcess(tmp_path) as server:
        asyncio.run(main())


TOKEN = 'authorization { token: "right" }'


def test_wrong_token_is_reported_and_the_right_one_used_once_it_is_there(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        asked: list[float] = []

        def credentials() -> NatsCredentials:
            asked.append(time.monotonic())
            return NatsCredentials(token=secret["token"])

        async with running(options(server, credentials=credentials), "R.A.>") as (_, user):
            await user.until(lambda: user.errors)
            (text, fatal), *_ = user.errors
            assert fatal
            assert "does not accept our credentials" in text
            assert "wrong" not in text
            secret["token"] = "right"
            await user.until(lambda: user.is_connected)
            assert len(asked) == 2
            assert asked[1] - asked[0] > 0.45, "no faster than the back-off allows"
            assert len(user.errors) == 1

    secret = {"token": "wrong"}
    with ServerProcess(tmp_path, TOKEN) as server:
        run(main())


def test_secret_rotated_by_reload(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(options(server, credentials=lambda: NatsCredentials(token=secret["token"])), "R.A.>") as (
            _,
            user,
        ):
            await user.until(lambda: user.is_connected)
            secret["token"] = "new"
            server.reload('authorization { token: "new" }')
            await user.until(lambda: len(user.connections) == 2)
            assert user.errors == []

    secret = {"token": "right"}
    with ServerProcess(tmp_path, TOKEN) as server:
        run(main())


def test_user_and_password_also_out_of_the_url(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        given = options(server, credentials=lambda: NatsCredentials(user="me", password="p@ss"))
        in_url = NatsOptions(servers=[f"me:p%40ss@127.0.0.1:{server.port}"])
        async with running(given) as (_, one), running(in_url) as (other_link, other):
            await one.until(lambda: one.is_connected)
            await other.until(lambda: other.is_connected)
            assert "p@ss" not in other_link.server

    with ServerProcess(tmp_path, 'authorization { user: me, password: "p@ss" }') as server:
        run(main())


def test_unreadable_credentials_are_reported_and_tried_again(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        secret = tmp_path / "token"
        given = options(server, credentials=lambda: NatsCredentials(token=secret.read_text()))
        async with running(given) as (_, user):
            await user.until(lambda: user.errors)
            assert "credentials cannot be read" in user.errors[0][0]
            secret.write_text("right")
            await user.until(lambda: user.is_connected)

    with ServerProcess(tmp_path, TOKEN) as server:
        run(main())


PERMISSIONS = """
authorization {
  users = [
    {user: a, password: a, permissions: {subscribe: "R.A.>", publish: "R.B.A.>"}}
  ]
}
"""


def as_a() -> NatsCredentials:
    return NatsCredentials(user="a", password="a")


def test_subject_we_may_not_subscribe_to(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(options(server, credentials=as_a), "R.B.>") as (_, user):
            await user.until(lambda: user.errors)
            assert user.errors == [("the NATS server does not let this user subscribe to R.B.>", True)]
            assert user.connections == []

    with ServerProcess(tmp_path, PERMISSIONS) as server:
        run(main())


def test_subject_we_may_not_publish_to(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(options(server, credentials=as_a), "R.A.>") as (link, user):
            await user.until(lambda: user.is_connected)
            for _ in range(3):
                assert link.publish([("R.C.A.hello", (b"x",))])
            assert link.publish([("R.B.A.hello", (b"x",))])
            await user.until(lambda: user.errors)
            await link.rtt()
            assert user.errors == [("the NATS server does not let this user publish to R.C.A.hello", True)]
            assert user.losses == []

    with ServerProcess(tmp_path, PERMISSIONS) as server:
        run(main())


def tls_config(certificate: tuple[Path, Path], more: str = "") -> str:
    return f'tls {{ key_file: "{certificate[0]}", cert_file: "{certificate[1]}", {more} }}'


@pytest.mark.parametrize("first", [False, True], ids=["after INFO", "first"])
def test_tls(run: Run, tmp_path: Path, certificate: tuple[Path, Path], first: bool) -> None:
    async def main() -> None:
        trusting = ssl.create_default_context(cafile=str(certificate[1]))
        given = options(server, tls=trusting, tls_first=first)
        async with running(given, "R.A.>") as (link, user):
            await user.until(lambda: user.is_connected)
            payloads = [os.urandom(size) for size in (1, 1000, 262144, 1 << 20)] * 5
            for payload in payloads:
                assert link.publish([("R.A.x", (payload[:7], payload[7:]))])
            await user.until(lambda: len(user.messages) == len(payloads))
            assert [payload for _, payload in user.messages] == payloads
            server.kill()
            await user.until(lambda: user.losses)
            server.start()
            await user.until(lambda: len(user.connections) == 2)

    with ServerProcess(tmp_path, tls_config(certificate, "handshake_first: true" if first else "")) as server:
        run(main())


def test_certificate_that_is_not_trusted(run: Run, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    async def main() -> None:
        async with running(options(server)) as (_, user):
            await user.until(lambda: user.errors)
            assert "certificate of 127.0.0.1" in user.errors[0][0]
            assert "not trusted" in user.errors[0][0]

    with ServerProcess(tmp_path, tls_config(certificate)) as server:
        run(main())


@pytest.mark.parametrize("how", ["scheme", "context"])
def test_no_secret_is_sent_to_a_server_without_tls(run: Run, how: str) -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.11.0","max_payload":1024,"auth_required":true}\r\n')
        while data := await reader.read(1000):
            heard.extend(data)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        given = NatsOptions(
            servers=[f"{'tls' if how == 'scheme' else 'nats'}://127.0.0.1:{port}"],
            tls=ssl.create_default_context() if how == "context" else None,
            credentials=lambda: NatsCredentials(token="s3cret"),
        )
        async with running(given) as (_, user):
            await user.until(lambda: user.errors)
            assert "offers no TLS" in user.errors[0][0]
        await asyncio.sleep(0.05)
        assert heard == b""
        server.close()

    run(main())


def test_tls_that_the_server_offers_but_does_not_ask_for(
    run: Run, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    async def main() -> None:
        trusting = ssl.create_default_context(cafile=str(certificate[1]))
        async with running(options(server, tls=trusting), "R.A.>") as (link, user):
            await user.until(lambda: user.is_connected)
            link.publish([("R.A.x", (b"x",))])
            await user.until(lambda: user.messages)
        async with running(options(server)) as (_, plain):
            await plain.until(lambda: plain.is_connected)

    with ServerProcess(tmp_path, tls_config(certificate) + "\nallow_non_tls: true") as server:
        run(main())


def test_addresses_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match="no NATS server"):
        NatsLink(NatsOptions(servers=[]), [], LinkUser())
    with pytest.raises(ConfigError, match="http"):
        NatsLink(NatsOptions(servers=["http://x"]), [], LinkUser())

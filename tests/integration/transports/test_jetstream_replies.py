"""Replies of JetStream reach who waits for them: those without headers go past nats-py, the others through it."""

import asyncio
from collections.abc import Iterator

import pytest

from dimse_proxy.transports.jetstream import JetStream
from dimse_proxy.transports.jetstream_link import JetStreamError, JetStreamLink, Trouble
from dimse_proxy.transports.nats_link import NatsOptions
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.waiting import LOOPBACK, free_port

STREAM = "S"
LARGE = bytes(range(256)) * 3000


class Nobody:
    """Is told what the connection does."""

    def link_up(self, server: str) -> None:
        pass

    def link_down(self, reason: str) -> None:
        pass

    def link_error(self, text: str, fatal: bool) -> None:
        raise AssertionError(text)


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of one server, over TCP and over a WebSocket."""
    folder, port = tmp_path_factory.mktemp("jetstream"), free_port()
    websocket = {"host": LOOPBACK, "port": port, "no_tls": True}
    with NatsServer(folder, config={"jetstream": {"store_dir": str(folder)}, "websocket": websocket}) as server:
        yield {"tcp": server.url, "websocket": f"ws://{LOOPBACK}:{port}"}


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")  # nats-py's
@pytest.mark.parametrize("way", ["tcp", "websocket"])
async def test_acknowledgements_errors_and_messages(urls: dict[str, str], way: str) -> None:
    if way == "websocket":
        pytest.importorskip("aiohttp")
    link = JetStreamLink(NatsOptions(servers=[urls[way]]), f"{way}.inbox", Nobody())
    running = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(20):
            await link.wait_ready()
            jetstream, stream = JetStream(link), f"{STREAM}-{way}"
            config = {"name": stream, "subjects": [f"{way}.s.>"], "allow_direct": True, "storage": "memory"}
            await jetstream.create_stream(config)
            # Many at once, each with an answer of its own.
            subjects = [f"{way}.s.{number}" for number in range(50)]
            puts = [jetstream.publish(stream, subject, LARGE, expected=0) for subject in subjects]
            sequences = await asyncio.gather(*puts)
            assert sorted(sequences) == list(range(1, 51))
            with pytest.raises(JetStreamError) as again:
                await jetstream.publish(stream, subjects[0], b"", expected=0)
            assert again.value.trouble is Trouble.WRONG_SEQUENCE
            found = await asyncio.gather(*(jetstream.get(stream, subject) for subject in subjects))
            assert [(one.subject, one.data, one.sequence) for one in found if one is not None] == [
                (subject, LARGE, sequence) for subject, sequence in zip(subjects, sequences, strict=True)
            ]
            assert await jetstream.get(stream, f"{way}.s.none") is None
            with pytest.raises(JetStreamError) as nobody:
                await jetstream.publish(stream, "nobody.listens", b"")
            assert nobody.value.trouble is Trouble.NO_STREAM
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

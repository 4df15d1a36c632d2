"""The stream behind the page: only what has changed, and not more readers than it says."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from dimse_proxy.observability.http import MOST_STREAMS, TICK
from tests.integration.observability.conftest import Watched


@asynccontextmanager
async def stream(session: aiohttp.ClientSession, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with session.get(f"{url}/api/v1/events") as response:
        yield response


async def event(response: aiohttp.ClientResponse) -> dict[str, str]:
    while not (line := await asyncio.wait_for(response.content.readline(), 5)).startswith(b"data: "):
        pass
    pieces: dict[str, str] = json.loads(line[6:])
    return pieces


async def test_first_everything_then_what_has_changed(watched: Watched) -> None:
    async with aiohttp.ClientSession() as session, stream(session, watched.http_a.url) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert set(await event(response)) == {"ready", "alert", "parts", "graph", "live", "live-note", "ended"}
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(watched.pair.b.process.stop)
        begin = loop.time()
        while "ready" not in (pieces := await event(response)):
            assert loop.time() - begin < 3
        assert "not ready" in pieces["ready"]
        assert "ended" not in pieces, "nothing has ended"


async def test_readers_are_bounded_and_places_are_given_back(watched: Watched) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with AsyncExitStack() as stack:
            for _ in range(MOST_STREAMS):
                await stack.enter_async_context(stream(session, watched.http_a.url))
            async with session.get(f"{watched.http_a.url}/api/v1/events") as refused:
                assert refused.status == 503
            assert (await asyncio.to_thread(watched.http_a.read, "/healthz"))[0] == 200
        for _ in range(100):
            async with session.get(f"{watched.http_a.url}/api/v1/events") as again:
                if again.status == 200:
                    return
            await asyncio.sleep(TICK / 5)
        raise AssertionError("no place has been given back")


def test_every_answer_has_the_headers_that_protect_it(watched: Watched) -> None:
    for path in ("/", "/metrics", "/api/v1/status"):
        with urllib.request.urlopen(watched.http_a.url + path) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
    assert watched.http_a.read("/nothing")[0] == 404
    assert watched.http_a.read("/", method="POST")[0] == 405

"""What is in the streams of a pair, seen with nats-py from outside."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats
from nats.aio.client import Client

T = TypeVar("T")


def with_client(url: str, work: Callable[[Client], Awaitable[T]]) -> T:
    """Runs `work` with a connection of its own."""

    async def run() -> T:
        client = await nats.connect(url)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def api(client: Client, what: str, body: object = None) -> dict[str, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    answer: dict[str, Any] = json.loads((await client.request(f"$JS.API.{what}", data, timeout=10)).data)
    return answer


def subjects(url: str, stream: str, kind: str = "") -> list[str]:
    """The subjects of a stream, those of one kind: `record`, `dead`, `chunk`..."""

    async def ask(client: Client) -> list[str]:
        answer = await api(client, f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
        return sorted(answer.get("state", {}).get("subjects") or ())

    found = with_client(url, ask)
    return [subject for subject in found if f".queue.{kind}" in subject]


def named_contents(url: str, stream: str, kind: str) -> dict[str, dict[str, Any]]:
    """What is stored of a kind, by subject, read as JSON."""

    async def ask(client: Client) -> dict[str, dict[str, Any]]:
        found = {}
        for subject in names:
            stored = await client.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", timeout=10)
            if stored.data:
                found[subject] = json.loads(stored.data)
        return found

    names = subjects(url, stream, kind)
    return with_client(url, ask)


def contents(url: str, stream: str, kind: str) -> list[dict[str, Any]]:
    """The same without the subjects."""
    return list(named_contents(url, stream, kind).values())

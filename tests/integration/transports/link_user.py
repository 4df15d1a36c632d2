"""A user of a `NatsLink` that notes everything and can be waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dimse_proxy.transports.nats_link import NatsLink, NatsOptions


class LinkUser:
    def __init__(self) -> None:
        self.connections: list[tuple[int, str]] = []
        self.losses: list[str] = []
        self.messages: list[tuple[str, bytes]] = []
        self.batches = 0
        self.errors: list[tuple[str, bool]] = []
        self.is_connected = False
        self.in_batch = False

    def connected(self, max_payload: int, server: str) -> None:
        assert not self.is_connected
        self.is_connected = True
        self.connections.append((max_payload, server))

    def disconnected(self, reason: str) -> None:
        assert self.is_connected
        assert not self.in_batch
        self.is_connected = False
        self.losses.append(reason)

    def message(self, subject: str, payload: bytes) -> None:
        assert self.is_connected
        assert type(payload) is bytes
        self.in_batch = True
        self.messages.append((subject, payload))

    def batch_done(self) -> None:
        assert self.in_batch
        self.in_batch = False
        self.batches += 1

    def error(self, text: str, fatal: bool) -> None:
        self.errors.append((text, fatal))

    async def until(self, condition: Callable[[], object], within: float = 10) -> None:
        """Waits for anything at all to become true, also elsewhere."""
        try:
            async with asyncio.timeout(within):
                while not condition():  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(
                f"connections {self.connections}, losses {self.losses}, errors {self.errors}, "
                f"{len(self.messages)} messages"
            ) from None


@asynccontextmanager
async def running(
    options: NatsOptions, *subjects: str, user: LinkUser | None = None
) -> AsyncIterator[tuple[NatsLink, LinkUser]]:
    user = user or LinkUser()
    link = NatsLink(options, subjects, user)
    task = asyncio.create_task(link.run())
    try:
        yield link, user
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()
        assert not user.is_connected

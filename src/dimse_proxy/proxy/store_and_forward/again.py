"""Looks, every other second, whether somebody asks by hand for associations to be tried at once (`dimse-proxy queue`).

The receiver's side alone can read and write that place, and each of its proxies looks there. What was changed of the
objects has been changed by whoever asks; here it is only found out that it was.
"""

import asyncio
from contextlib import suppress
from typing import Final

from dimse_proxy.proxy.store_and_forward.delivery import Delivery
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.records import RecordError, decode_asked
from dimse_proxy.transports.jetstream_link import JetStreamError

LOOK_INTERVAL: Final = 2.0
"""Seconds between looks: each reads one message, a quarter of a millisecond of the server's time."""


class Asked:
    """What is asked for in one flow."""

    def __init__(self, queue: Queue, delivery: Delivery) -> None:
        self._queue: Final = queue
        self._delivery: Final = delivery
        self._seen = 0
        """Sequence of what was done last."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            if not self._queue.trouble():
                with suppress(JetStreamError, RecordError):  # Who cannot read it says so elsewhere.
                    await self._look()

    async def _look(self) -> None:
        queue = self._queue
        stored = await queue.jetstream.get(queue.flow.record_stream, queue.flow.asked_again)
        if stored is None or stored.sequence == self._seen:
            return
        keys = decode_asked(stored.data)
        await self._delivery.try_at_once(keys)
        self._seen = stored.sequence

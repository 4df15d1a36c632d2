"""What was delivered and is not written down yet: so many at most, and nobody goes on while it takes long.

An object whose record is still there when its deliverer is killed comes a second time; so while JetStream does not
answer, no more are delivered than in the time that a note may take.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

MOST: Final = 256
"""Objects whose delivery is being written down while the next ones are sent: at 80 ms that is 3000 a second."""
PATIENCE: Final = 1.0
"""Seconds that a note may take before no further object is sent, where notes are quick."""
_TIMES: Final = 4.0
"""The same, as a multiple of what the slow ones of late have taken: on a thin link they wait behind the chunks."""
_FORGOTTEN: Final = 0.9
"""What a slow note still counts after the next one, as a part of it."""


class Closings:
    """The notes on the objects of one association."""

    def __init__(self) -> None:
        self._begun: Final[dict[asyncio.Task[None], float]] = {}
        """When each of them was begun; the oldest first."""
        self._slow = 0.0
        """Seconds that the slow ones of late have taken."""

    async def begin(self, note: Coroutine[Any, Any, None]) -> None:
        """Write something down beside what the caller does next; waits if that should not be."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(note)
        self._begun[task] = loop.time()
        task.add_done_callback(self._done)
        while len(self._begun) >= MOST or self._oldest(loop.time()) > max(PATIENCE, _TIMES * self._slow):
            await asyncio.wait(list(self._begun), return_when=asyncio.FIRST_COMPLETED)

    async def finish(self) -> None:
        """Wait for all of them."""
        if self._begun:
            await asyncio.wait(list(self._begun))

    def _done(self, task: asyncio.Task[None]) -> None:
        took = asyncio.get_running_loop().time() - self._begun.pop(task)
        self._slow = max(took, _FORGOTTEN * self._slow)

    def _oldest(self, now: float) -> float:
        return now - next(iter(self._begun.values()), now)

"""Whose turn it is: each resource one pass at a time, again when it was asked for meanwhile, later after a failure.

Knows nothing of what a pass does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

log: Final = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds before each repetition of what failed; the last one from then on."""
AT_ONCE: Final = 4
"""Passes at the same time: each waits for the API most of its time."""


@dataclass(slots=True)
class _Turn:
    task: asyncio.Task[None] | None = None
    is_wanted: bool = False
    failures: int = 0
    later: asyncio.TimerHandle | None = None


class Work(Generic[K]):
    """Calls a function for keys that are asked for."""

    def __init__(
        self,
        do: Callable[[K], Awaitable[None]],
        *,
        expected: type[Exception],
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """Start nothing yet.

        Args:
            do: a pass; whatever it raises is logged, and the pass repeated later.
            expected: what it raises when it is not at fault; of all else the log has the stack.
            pauses: seconds before each repetition.
        """
        self._do: Final = do
        self._expected: Final = expected
        self._pauses: Final = pauses
        self._turns: Final[dict[K, _Turn]] = {}
        self._places: Final = asyncio.Semaphore(AT_ONCE)
        self._is_closed = False

    def ask(self, key: K) -> None:
        """Have a pass that begins after this call."""
        if self._is_closed:
            return
        turn = self._turns.setdefault(key, _Turn())
        turn.is_wanted = True
        if turn.later is not None:
            turn.later.cancel()
            turn.later = None
        if turn.task is None:
            turn.task = asyncio.get_running_loop().create_task(self._run(key, turn))

    async def close(self) -> None:
        """End what runs, and take nothing more."""
        self._is_closed = True
        tasks = []
        for turn in self._turns.values():
            if turn.later is not None:
                turn.later.cancel()
            if turn.task is not None:
                turn.task.cancel()
                tasks.append(turn.task)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: K, turn: _Turn) -> None:
        while turn.is_wanted:
            turn.is_wanted = False
            async with self._places:
                try:
                    await self._do(key)
                except Exception as error:
                    self._failed(key, turn, error)
                else:
                    turn.failures = 0
        turn.task = None
        if turn.later is None:
            del self._turns[key]

    def _failed(self, key: K, turn: _Turn, error: Exception) -> None:
        pause = self._pauses[min(turn.failures, len(self._pauses) - 1)]
        turn.failures += 1
        text = str(error) or type(error).__name__
        if isinstance(error, self._expected):
            log.warning("%s: %s: again in %g s", key, text, pause)
        else:
            log.error("%s: %s: again in %g s", key, text, pause, exc_info=error)
        turn.later = asyncio.get_running_loop().call_later(pause, self.ask, key)

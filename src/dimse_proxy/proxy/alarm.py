"""One timer of the event loop for a core's `next_timer`, set anew no more often than needed."""

import asyncio
from collections.abc import Callable
from typing import Final


class Alarm:
    """Calls `ring` at the time it was last set to, or earlier: a core's `handle_timer` does only what is due."""

    __slots__ = ("_due", "_handle", "_loop", "_ring")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop: Final = loop
        self._ring: Final = ring
        self._due: float | None = None
        self._handle: asyncio.Handle | None = None

    def set(self, due: float | None) -> None:
        """Sets the time, seconds of the loop's clock; None for none.

        An alarm that is already set to an earlier time stays, and is set again when it has rung: deadlines mostly move
        away, and this costs nothing then.
        """
        if self._due is not None and due is not None and self._due <= due:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        self._handle = None if due is None else self._loop.call_at(due, self._rings)

    def _rings(self) -> None:
        self._due = self._handle = None
        self._ring()

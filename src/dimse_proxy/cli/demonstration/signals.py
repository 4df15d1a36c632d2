"""What the signals that stop the demonstration do: they interrupt it, wait a moment, or come too late.

Python handlers all the time, never SIG_IGN where a child may be started: a child would inherit that.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupting() -> Iterator[None]:
    """Makes each of them do what Ctrl-C does, so that nothing is left running after SIGTERM either."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


@contextmanager
def held_back() -> Iterator[None]:
    """Lets the block finish first: a child must not be started and then be forgotten."""
    came = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    with _handled(remember):
        yield
    if came:
        raise KeyboardInterrupt


@contextmanager
def disregarded() -> Iterator[None]:
    """For the clean-up, which takes a few seconds at most and is not to be cut short."""

    def disregard(_number: int, _frame: FrameType | None) -> None:
        pass

    with _handled(disregard):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)

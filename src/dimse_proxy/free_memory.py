"""Gives back to the system what nobody uses: associations that are over, and what the C library keeps after a burst.

An association and its leg know each other, so what is left of them (10 KiB) waits for the garbage collector, which does
not come to an idle process. glibc's malloc keeps the pages of chunks that were freed in another order than they came.
After ten minutes of mixed load both together showed as 60 MiB in a proxy that held nothing more than before. Nothing
here knows what the memory was used for.
"""

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Final

EVERY: Final = 30.0
"""Seconds from one time to the next: 50 MiB of pages take 3 to 15 ms, in which nothing else happens."""


def malloc_trim() -> Callable[[], object] | None:
    """What gives free pages back; None where the C library has nothing of that name."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):
        trim = ctypes.CDLL(None).malloc_trim
        return lambda: trim(0)
    return None


def settle() -> None:
    """Takes what is there now for good: the garbage collector looks at what comes later only (40 ms less)."""
    gc.collect()
    gc.freeze()


async def give_back(every: float = EVERY) -> None:
    """Gives back what is not used every so many seconds, until cancelled.

    Always, not only after growth: what is resident does not tell whether it is used, and a burst may have been under
    way the last time.
    """
    trim = malloc_trim()
    while True:
        await asyncio.sleep(every)
        gc.collect()
        if trim is not None:
            trim()

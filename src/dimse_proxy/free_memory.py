"""Gives back to the system what nobody uses, but not at once: what associations leave, and free pages of the C library.

An association and its leg know each other, so what is left of them (10 KiB) waits for the garbage collector, which does
not come to an idle process. glibc's malloc keeps the pages of chunks that were freed in another order than they came.
After ten minutes of mixed load both together showed as 60 MiB in a proxy that held nothing more than before. While
data flows it is the other way round: given back with every chunk, its pages have to be had again, and cleared, for the
next. Nothing here knows what the memory was used for.
"""

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Final

EVERY: Final = 30.0
"""Seconds from one time to the next: 50 MiB of pages take 3 to 15 ms, in which nothing else happens."""

KEPT: Final = 4 << 20
"""Free bytes at the end of the heap that glibc keeps by itself; 128 KiB are less than one chunk of a data set."""
MAPPED: Final = 1 << 20
"""Bytes of a chunk from which on glibc maps memory for it alone, which is gone when it is freed."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_pages() -> None:
    """Has the C library keep what the next chunk will need; does nothing where it cannot be told."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT)
        mallopt(_M_MMAP_THRESHOLD, MAPPED)


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

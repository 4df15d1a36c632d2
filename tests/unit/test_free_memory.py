"""Free pages go back to the system."""

import asyncio
import os
from contextlib import suppress

import pytest

from dimse_proxy.free_memory import give_back, malloc_trim


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_the_system_gets_back_what_is_free() -> None:
    if malloc_trim() is None:
        pytest.skip("this C library has no malloc_trim")
    chunks = []
    pins = []  # what stands between the chunks and the end of the heap
    for _ in range(400):
        chunks.append(bytes(100_000))
        pins.append(bytes(2000))
    held = resident()
    chunks.clear()
    with suppress(TimeoutError):
        await asyncio.wait_for(give_back(every=0.001), 0.05)  # the first time is enough
    assert resident() <= held - (20 << 20)
    assert pins

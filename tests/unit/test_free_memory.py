"""Free pages go back to the system."""

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from contextlib import suppress

import pytest

from dimse_proxy.free_memory import give_back, malloc_trim


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Leg:
    """Knows itself by way of another, as an association and its leg do."""

    def __init__(self) -> None:
        self.relay = [self]


async def test_what_knows_each_other_and_nobody_else_knows_is_forgotten() -> None:
    gc.disable()  # as in an idle process
    try:
        left = weakref.ref(Leg())
        assert left() is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(give_back(every=0.001), 0.05)
        assert left() is None
    finally:
        gc.enable()


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


CHUNKS_COME_AND_GO = """
import resource
from dimse_proxy.free_memory import keep_pages

keep_pages()
before = 0
for number in range(101):
    chunks = [bytes(150_000 + 1000 * size) for size in range(10)]
    del chunks
    if number == 0:  # the first ones need new pages
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_chunks_find_the_pages_of_those_before_them() -> None:
    if malloc_trim() is None:
        pytest.skip("this C library cannot be told")
    said = subprocess.run([sys.executable, "-c", CHUNKS_COME_AND_GO], capture_output=True, text=True, check=True).stdout
    assert int(said) < 100, "pages were given back and had again; 100 times 10 chunks have 38000 pages"

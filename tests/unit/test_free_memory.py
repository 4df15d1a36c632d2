"""Free pages go back to the system when that is worth it."""

import sys

import pytest

from dimse_proxy.free_memory import WORTH_IT, FreeMemory, malloc_trim, resident


class Process:
    """Resident memory as a number, and what malloc keeps of it."""

    def __init__(self) -> None:
        self.used = 50 << 20
        self.kept = 0
        self.trims = 0
        self.memory = FreeMemory(self.trim, lambda: self.used + self.kept)

    def trim(self) -> None:
        self.kept = 0
        self.trims += 1

    def look(self) -> None:
        self.memory.look(self.trim)


def test_a_burst_is_given_back_once() -> None:
    process = Process()
    process.look()
    process.kept = WORTH_IT
    process.look()
    assert (process.trims, process.kept) == (1, 0)
    process.look()
    assert process.trims == 1


def test_little_is_left_alone() -> None:
    process = Process()
    process.look()
    process.kept = WORTH_IT - 1
    process.look()
    assert process.trims == 0


def test_what_is_in_use_is_not_asked_for_again_and_again() -> None:
    process = Process()
    process.look()
    process.used += 3 * WORTH_IT
    for _ in range(5):
        process.look()
    assert process.trims == 1
    process.used -= 3 * WORTH_IT
    process.look()
    process.kept = WORTH_IT
    process.look()
    assert process.trims == 2


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_the_system_really_gets_it_back() -> None:
    trim = malloc_trim()
    if trim is None:
        pytest.skip("this C library has no malloc_trim")
    chunks = [bytes(100_000) for _ in range(400)]
    pins = [bytes(2000) for _ in range(400)]  # what stands between the chunks and the end of the heap
    held = resident()
    chunks.clear()
    trim()
    assert resident() < held - (20 << 20)
    assert pins

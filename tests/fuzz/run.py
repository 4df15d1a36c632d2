"""`python -m tests.fuzz.run TARGET [RUNS]`: a million inputs for one target, guided by coverage (atheris, libFuzzer).

Ends with an error at the first exception that is not declared, and if memory grows. What led there is in the folder
that is named at the end.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["dimse_proxy"]):
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS

GROWTH_LIMIT: Final = 64 * 1024 * 1024
"""Bytes between a tenth of the inputs and the last; the fuzzer's own corpus, a few megabytes, is part of it."""
LONGEST: Final = 2048


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Counted:
    """Counts the inputs of a target and looks at memory."""

    def __init__(self, name: str, runs: int) -> None:
        self._name = name
        self._target = TARGETS[name]
        self._runs = runs
        self._done = 0
        self._before = 0
        self._begin = time.monotonic()

    def __call__(self, data: bytes) -> None:
        """One input."""
        self._target(data)
        self._done += 1
        if self._done == self._runs // 10:
            self._before = resident()
        if self._done == self._runs:
            growth = resident() - self._before
            seconds = time.monotonic() - self._begin
            sys.stderr.write(
                f"{self._name}: {self._done} inputs in {seconds:.0f} s, no undeclared exception, "
                f"memory {growth / 1048576:+.1f} MiB since the first tenth\n"
            )
            if growth > GROWTH_LIMIT:
                raise MemoryError(f"{self._name} grew by {growth} bytes")


def main() -> None:
    """Fuzz one target."""
    name = sys.argv[1]
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(seed)
    options = [
        f"-runs={runs}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/",
        "-verbosity=0",
        "-print_final_stats=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], Counted(name, runs))
    sys.stderr.write(f"{name}: {runs} inputs, corpus in {folder}\n")
    atheris.Fuzz()


if __name__ == "__main__":
    main()

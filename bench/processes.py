"""Processes under measurement: their CPU seconds, their memory, and programs run to their end.

CPU is what the kernel's clock of a process says, in nanoseconds, threads that ended included.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.integration.peers.processes import ChildProcess

_CPU_CLOCK: Final = 2
"""CPUCLOCK_SCHED: the kind of the clock that counts the time on a CPU (Linux, posix-timers.h)."""


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, all its threads together."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Meter:
    """CPU seconds of some processes since the meter was made."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        """Starts counting.

        Args:
            processes: id of each, by what it is called in the report.
        """
        self._processes: Final = dict(processes)
        self._before: Final = {name: cpu_seconds(pid) for name, pid in processes.items()}

    def cpu(self) -> dict[str, float]:
        """Seconds of each so far."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._processes.items()}

    def memory(self) -> dict[str, int]:
        """Resident bytes of each now."""
        return {name: resident_bytes(pid) for name, pid in self._processes.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A program that ran to its end."""

    seconds: float
    """From its start to its end."""
    cpu: float
    """User and system seconds."""
    output: str

    def said(self) -> dict[str, Any]:
        """The JSON object in the last line of its output."""
        found: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return found


def run(command: Sequence[object], *, env: Mapping[str, str] | None = None) -> Finished:
    """Run a program to its end.

    Raises:
        RuntimeError: it failed.
    """
    words = [str(word) for word in command]
    begun = time.perf_counter()
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}\nended with {process.returncode}:\n{output[-2000:]}")
    return Finished(seconds=seconds, cpu=usage.ru_utime + usage.ru_stime, output=output)


def program(name: str, *arguments: object) -> list[str]:
    """The command line of one of `bench.programs`."""
    return [sys.executable, "-m", f"bench.programs.{name}", *(str(argument) for argument in arguments)]


def start_program(name: str, *arguments: object, folder: Path, port: int | None = None) -> ChildProcess:
    """Start one of `bench.programs` that runs until it is ended, and wait until it listens on `port`."""
    folder.mkdir(parents=True, exist_ok=True)
    label = name if port is None else f"{name}-{port}"
    child = ChildProcess(label, program(name, *arguments), folder, cwd=Path.cwd())
    if port is not None:
        child.wait_for_listener(port)
    return child

"""A child process with its output in files, ended by its own id.

Knows nothing of DICOM or NATS.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.integration.peers.waiting import listens, wait_until


class ChildProcess:
    """One running program."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Starts `command`; its output goes to `<name>.out` and `<name>.err` in `folder`.

        Args:
            name: of the process in file names and messages.
            command: the program and its arguments.
            folder: an existing folder of this test.
            env: the whole environment; without it, this process's own.
            cwd: its working directory; without it, `folder`.
        """
        self.name: Final = name
        self.command: Final = tuple(command)
        self.stdout_path: Final = folder / f"{name}.out"
        self.stderr_path: Final = folder / f"{name}.err"
        with self.stdout_path.open("ab") as out, self.stderr_path.open("ab") as err:
            self.popen: Final = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=None if env is None else dict(env),
                cwd=folder if cwd is None else cwd,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def is_running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        """Everything written so far, standard output first."""
        return self.stdout_path.read_text(errors="replace") + self.stderr_path.read_text(errors="replace")

    def wait_for_listener(self, port: int, *, seconds: float = 40.0) -> None:
        """Returns once something listens on `port`; fails at once if this process ends before."""

        def check() -> bool:
            assert self.is_running(), f"{self.name} ended with {self.popen.returncode}:\n{self.output()[-4000:]}"
            return listens(port)

        try:
            wait_until(check, seconds=seconds, what=f"{self.name} to listen on port {port}")
        except AssertionError:
            self.kill()
            raise

    def signal(self, number: int) -> None:
        if self.is_running():
            self.popen.send_signal(number)

    def wait(self, *, seconds: float = 20.0) -> int:
        """Waits for its own end; returns the exit code (negative: the signal that ended it)."""
        return self.popen.wait(seconds)

    def stop(self, *, seconds: float = 20.0) -> int:
        """SIGTERM, then SIGKILL after `seconds`; returns the exit code (negative: the signal that ended it)."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.popen.returncode

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.signal(signal.SIGKILL)
        self.popen.wait(10)

    def rss(self) -> int:
        """Resident memory now, in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """User and system time used so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> int:
        """How many file descriptors it holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class PeakMemory:
    """The largest resident memory of some processes, sampled whenever `sample` is called."""

    def __init__(self, *processes: ChildProcess) -> None:
        self._processes = processes
        self.before: Final = [process.rss() for process in processes]
        self.peak: Final = list(self.before)
        self.since: Final = time.monotonic()

    def sample(self) -> None:
        for index, process in enumerate(self._processes):
            self.peak[index] = max(self.peak[index], process.rss())

    def growth(self) -> list[int]:
        """Bytes above what there was at the beginning, a process each."""
        return [peak - before for peak, before in zip(self.peak, self.before, strict=True)]

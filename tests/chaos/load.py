"""The bench's hold on a site: its process, its commands and its figures."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.chaos.accounts import Account
from tests.integration.peers.waiting import free_port, wait_until

ROOT: Final = Path(__file__).resolve().parents[2]


class Load:
    """One running `tests.chaos.site`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name: Final = name
        self.port: Final = free_port()
        self._account_path: Final = folder / f"site-{name}.account"
        self._stderr_path: Final = folder / f"site-{name}.err"
        self._figures: dict[str, int] = {}
        given = folder / f"site-{name}.json"
        given.write_text(json.dumps({"name": name, "port": self.port, "account": str(self._account_path)}))
        with self._stderr_path.open("wb") as stderr:
            self.process: Final = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.site", str(given)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                text=True,
            )
        self._reader: Final = threading.Thread(target=self._read)
        self._reader.start()
        wait_until(lambda: self._figures, seconds=20, what=f"site {name} to start: {self._errors()}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._figures = json.loads(line)

    def _errors(self) -> str:
        return self._stderr_path.read_text(errors="replace")[-2000:]

    def figure(self, name: str) -> int:
        """One of `site.FIGURES`, as of now."""
        assert self.process.poll() is None, f"site {self.name} ended: {self._errors()}"
        return self._figures[name]

    def last_figure(self, name: str) -> int:
        """The same, also when the site has ended."""
        return self._figures[name]

    def do(self, command: str, **arguments: object) -> None:
        """Have a method of `site.Site` called."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self.process.stdin.flush()

    def wait_until_done(self, *, seconds: float) -> None:
        """Return once all loads have come to their end, after `finish`."""
        wait_until(
            lambda: not self.figure("loads"),
            seconds=seconds,
            what=f"site {self.name} to come to its end: {self._figures}",
        )

    def leave(self) -> Account:
        """End the process, and return its account."""
        self.do("leave")
        try:
            self.process.wait(30)
        finally:
            self.close()
        return Account.load(self._account_path)

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

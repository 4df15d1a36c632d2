"""SCUs that ask for one association after the other, each with one operation, and what became of each."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.faults import say
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.plain_scu import PlainScu
from tests.integration.peers.waiting import wait_until
from tests.integration.wire.raw_peers import EndedError

SCUS: Final = 4
SECONDS: Final = 2.0
"""Of load before and after each end of something, at least."""
FEWEST: Final = 20
"""Associations of that time."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One association with a C-STORE or a C-ECHO."""

    begun: float
    accepted_after: float | None
    """Seconds; None if it was not."""
    ended: float
    outcome: str


@dataclass(slots=True)
class Load:
    """Runs in a with block."""

    port: int
    file: DicomFile | None = None
    """What is stored; without it, a C-ECHO is sent."""
    attempts: list[Attempt] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._run) for _ in range(SCUS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for_more(self) -> None:
        """Returns after a while, and not before there were some: those on a killed instance hold up their SCUs."""
        enough = len(self.attempts) + FEWEST
        time.sleep(SECONDS)
        wait_until(lambda: len(self.attempts) >= enough, seconds=60, what=f"{FEWEST} more associations")

    def _run(self) -> None:
        while not self._over.is_set():
            self.attempts.append(self._attempt())

    def _attempt(self) -> Attempt:
        begun = time.monotonic()
        accepted = None
        try:
            scu = PlainScu(self.port, called="PACS")
            accepted = time.monotonic() - begun
            try:
                if self.file is None:
                    scu.echo(1)
                else:
                    assert scu.store(self.file, 1) == 0, "not stored"
                outcome = "well"
                scu.release()
            finally:
                scu.close()
        except EndedError:
            outcome = "lost"
        except AssertionError as error:
            words = {"came RJ": "refused", "came ABORT": "lost"}
            outcome = next((word for said, word in words.items() if said in str(error)), f"wrong: {error}")
        except OSError:
            outcome = "lost"
        return Attempt(begun, accepted, time.monotonic(), outcome)


def tell(what: str, attempts: list[Attempt]) -> None:
    """Prints what became of the associations that were asked for after something had ended."""
    waits = sorted(each.accepted_after for each in attempts if each.accepted_after is not None)
    assert waits
    say(
        f"{what}: {len(attempts)} new associations, {dict(Counter(each.outcome for each in attempts))}; accepted after "
        f"{waits[len(waits) // 2] * 1000:.0f} ms (median), {waits[-1]:.2f} s (slowest)"
    )

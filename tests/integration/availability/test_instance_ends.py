"""One of two instances ends under load, on the near or the far side, by a crash or as it should: what users see."""

import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from pynetdicom import evt

from tests.chaos.faults import say
from tests.integration.availability.scale import IS_LONG
from tests.integration.availability.sites import Sites
from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.plain_scu import PlainScu
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import EndedError

# Those that PlainScu proposes.
SOP_CLASSES: Final = (pdus.VERIFICATION, pdus.CT_STORAGE, pdus.STUDY_FIND, pdus.STUDY_GET, pdus.STUDY_MOVE)
SCUS: Final = 4
RESUME: Final = "2"
"""Seconds of the resume time-out: the test waits until what ran on a killed instance is aborted."""
SECONDS: Final = 2.0
"""Of load before and after each end of an instance, at least."""
FEWEST: Final = 20
"""Associations of that time."""
IN_PASSING: Final = 0.2
"""Seconds after the end of an instance in which an association may have reached it before."""
AT_ONCE: Final = 3.0
"""Seconds in which a new association has to be accepted; half of one is usual, the rest is for a busy machine."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One association with a C-STORE."""

    begun: float
    accepted_after: float | None
    """Seconds; None if it was not."""
    ended: float
    outcome: str


@dataclass(slots=True)
class Load:
    """SCUs that store one object an association, one after the other, until told to stop."""

    port: int
    file: DicomFile
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
                outcome = "stored" if scu.store(self.file, 1) == 0 else "failed"
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


@pytest.fixture
def sites(nats_server: NatsServer, tmp_path: Path) -> Iterator[tuple[Sites, Load]]:
    target_port = free_port()
    hospital = {
        "DIMSE_AE": "CLOUD",
        "DIMSE_TARGET_HOST": "127.0.0.1",
        "DIMSE_TARGET_PORT": str(target_port),
        "DIMSE_TARGET_AE": "TARGET",
        "DIMSE_RESUME_TIMEOUTSECONDS": RESUME,
    }
    cloud = {"DIMSE_AE": "PACS", "DIMSE_RESUME_TIMEOUTSECONDS": RESUME}
    file = dicom_files.write_object(tmp_path / "objects", patient_id="LOAD")
    with (
        Scp(target_port, offers(*SOP_CLASSES), [(evt.EVT_C_STORE, lambda _event: 0x0000)]),
        Sites(nats_server.url, tmp_path, hospital, cloud) as both,
    ):
        yield both, Load(both.cloud.port, file)


def tell(what: str, attempts: list[Attempt]) -> None:
    """Prints what became of the associations that were asked for after an instance had ended."""
    waits = sorted(each.accepted_after for each in attempts if each.accepted_after is not None)
    assert waits
    say(
        f"{what}: {len(attempts)} new associations, {dict(Counter(each.outcome for each in attempts))}; accepted after "
        f"{waits[len(waits) // 2] * 1000:.0f} ms (median), {waits[-1]:.2f} s (slowest)"
    )


@pytest.mark.slow
@pytest.mark.alone
def test_new_associations_succeed_at_once_after_a_kill(sites: tuple[Sites, Load]) -> None:
    """First the near side loses one of its two instances, then the far side."""
    both, load = sites
    kills = []
    with load:
        for site, name in ((both.cloud, "b1"), (both.hospital, "a1")):
            load.wait_for_more()
            kills.append(time.monotonic())
            site.instances[name].process.signal(signal.SIGKILL)
        load.wait_for_more()
    for where, begin, end in (("near", kills[0], kills[1]), ("far", kills[1], math.inf)):
        new = [each for each in load.attempts if begin <= each.begun and each.ended < end]
        tell(f"kill -9 of one of two instances on the {where} side", new)
        settled = [each for each in new if each.begun > begin + IN_PASSING]
        assert {each.outcome for each in settled} == {"stored"}
        assert max(each.accepted_after or math.inf for each in settled) < AT_ONCE
    assert {each.outcome for each in load.attempts} <= {"stored", "lost", "refused"}


@pytest.mark.slow
@pytest.mark.skipif(not IS_LONG, reason="make availability")
def test_nobody_notices_that_an_instance_is_stopped(sites: tuple[Sites, Load]) -> None:
    """The near one is drained first; the other side hears at once that the far one takes no more."""
    both, load = sites
    stops = []
    with load:
        load.wait_for_more()
        both.cloud.balancer.drain("one")
        for site, name in ((both.cloud, "b1"), (both.hospital, "a1")):
            time.sleep(IN_PASSING)
            stops.append(time.monotonic())
            assert site.instances[name].process.stop() == 0
            load.wait_for_more()
    for where, begin in zip(("near, drained", "far"), stops, strict=True):
        new = [each for each in load.attempts if begin <= each.begun < begin + SECONDS]
        tell(f"SIGTERM of one of two instances on the {where} side", new)
    assert {each.outcome for each in load.attempts} == {"stored"}

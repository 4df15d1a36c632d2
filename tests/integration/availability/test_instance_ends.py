"""One of two instances ends under load, on the near or the far side, by a crash or as it should: what users see."""

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from pynetdicom import evt

from tests.integration.availability.balanced import BalancedSites
from tests.integration.availability.load import SECONDS, Load, tell
from tests.integration.availability.scale import IS_LONG
from tests.integration.peers import dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import free_port
from tests.integration.wire import pdus

# Those that PlainScu proposes.
SOP_CLASSES: Final = (pdus.VERIFICATION, pdus.CT_STORAGE, pdus.STUDY_FIND, pdus.STUDY_GET, pdus.STUDY_MOVE)
RESUME: Final = "2"
"""Seconds of the resume time-out: the test waits until what ran on a killed instance is aborted."""
IN_PASSING: Final = 0.2
"""Seconds after the end of an instance in which an association may have reached it before."""
AT_ONCE: Final = 3.0
"""Seconds in which a new association has to be accepted; half of one is usual, the rest is for a busy machine."""


@pytest.fixture
def sites(nats_server: NatsServer, tmp_path: Path) -> Iterator[tuple[BalancedSites, Load]]:
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
        BalancedSites(nats_server.url, tmp_path, hospital, cloud) as both,
    ):
        yield both, Load(both.cloud.port, file)


@pytest.mark.slow
@pytest.mark.alone
def test_new_associations_succeed_at_once_after_a_kill(sites: tuple[BalancedSites, Load]) -> None:
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
        assert {each.outcome for each in settled} == {"well"}
        assert max(each.accepted_after or math.inf for each in settled) < AT_ONCE
    assert {each.outcome for each in load.attempts} <= {"well", "lost", "refused"}


@pytest.mark.slow
@pytest.mark.skipif(not IS_LONG, reason="make availability")
def test_nobody_notices_that_an_instance_is_stopped(sites: tuple[BalancedSites, Load]) -> None:
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
    assert {each.outcome for each in load.attempts} == {"well"}

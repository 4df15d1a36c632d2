"""Routes: what is queued is said for each, and a target that is away does not hold up another one."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, request, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.sites import Sites
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.store_and_forward.conftest import QUICK

VARIABLES = {name.removeprefix("DIMSE_"): text for name, text in QUICK.items()}
QUEUED = """
[[local]]
called = "{title}"
channel = "CLOUD"
delivery = "store-and-forward"
"""


@pytest.fixture(scope="module")
def sites(jetstream: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sites, dict[str, int]]]:
    """A hospital, and a cloud with three targets."""
    ports = {title: free_port() for title in ("AWAY", "THERE", "DIRECT")}
    routes = "".join(QUEUED.format(title=title) for title in ("AWAY", "THERE"))
    routes += '[[local]]\ncalled = "DIRECT"\nchannel = "CLOUD"\n'
    targets = "".join(
        f'[[target]]\nasked_for = "{title}"\nhosts = "{LOOPBACK}:{port}"\n' for title, port in ports.items()
    )
    with Sites(jetstream.url, tmp_path_factory.mktemp("sites")) as made:
        made.start("HOSPITAL", routes, **VARIABLES)
        made.start("CLOUD", f'channels = "HOSPITAL"\n{targets}', DELIVERY_IN="store-and-forward", **VARIABLES)
        made.wait_for_peers("HOSPITAL", ["CLOUD"])
        yield made, ports


def test_a_target_that_is_away_does_not_hold_up_another(sites: tuple[Sites, dict[str, int]], tmp_path: Path) -> None:
    made, ports = sites
    port = made["HOSPITAL"].port

    def send(called: str, file: DicomFile) -> int:
        with association(port, offers(CTImageStorage), called=called) as assoc:
            return store_raw(assoc, file)

    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}") for number in range(12)]
    there, direct, away = Store(), Store(status=0xB000), Store()
    with (
        Scp(ports["THERE"], offers(CTImageStorage), there.handlers(), ae="THERE"),
        Scp(ports["DIRECT"], offers(CTImageStorage), direct.handlers(), ae="DIRECT"),
    ):
        # More associations for the one that is away than are delivered at the same time, in front of the others.
        assert [send("AWAY", file) for file in files[:8]] == [0x0000] * 8
        assert [send("THERE", file) for file in files[8:]] == [0x0000] * 4
        wait_until(lambda: len(there.received) == 4, seconds=30, what="what is for the other target")
        assert send("DIRECT", files[0]) == 0xB000, "what is relayed is answered by the target itself"
        rests = made["CLOUD"].wait_for("delivery rests")
        assert {line["called"] for line in rests} == {"AWAY"}
        with Scp(ports["AWAY"], offers(CTImageStorage), away.handlers(), ae="AWAY"):
            wait_until(lambda: len(away.received) == 8, seconds=30, what="what waited")
    assert request(port, offers(CTImageStorage), called="DIRECT").is_rejected, "relayed, and the target is gone"


def test_the_first_queued_route_needs_a_restart_and_others_do_not(sites: tuple[Sites, dict[str, int]]) -> None:
    made, _ = sites
    made.allowed_troubles = "needs a restart"
    relaying = made.start("CLINIC", '[[local]]\ncalled = "DIRECT"\nchannel = "CLOUD"\n')
    made.routes_file("CLINIC").write_text(QUEUED.format(title="THERE"))
    relaying.process.signal(signal.SIGHUP)
    relaying.wait_for("the first route with store-and-forward needs a restart")
    hospital = made.routes_file("HOSPITAL")
    hospital.write_text(hospital.read_text() + QUEUED.format(title="NEW").replace("CLOUD", "ANNEX"))
    made["HOSPITAL"].process.signal(signal.SIGHUP)
    made["HOSPITAL"].wait_for("queue ready.*ANNEX_HOSPITAL_CHUNKS")

"""A hub and two sites by routes files: titles, targets, aliases, refusals, and storage commitment back to who asked.

Both sites have a workstation WS1. At the hub, its Move alias tells one from the other: as Move Destination, as calling
AE title, and as the title that the archive calls back.
"""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pynetdicom_peers import Offer, Scp, association, offers
from tests.integration.peers.sites import Sites
from tests.integration.peers.waiting import free_port

SITES: Final = ("S1", "S2")
FULL: Final = "SIXTEEN_LETTERS_"
STUDIES: Final = {"S1": "1.2.826.0.1.3680043.8.498.7101", "S2": "1.2.826.0.1.3680043.8.498.7102"}

HUB_ROUTES: Final = """
channels = ["S1", "S2"]

[[local]]
called = "PACS_S1"
channel = "S1"
ask_for = "PACS"

[[local]]
called = "pacs s2"
channel = "S2"
ask_for = "PACS"

[[target]]
asked_for = ["ARCHIVE", "Old Archive"]
hosts = ["127.0.0.1:{nobody}", "127.0.0.1:{archive}"]
ae = "MAIN_ARCHIVE"
calling = "alias"

[[target]]
asked_for = "{full}"
hosts = "127.0.0.1:{ris}"
channels = "S1"
max_associations = 1

[[move_alias]]
asker = "WS1"
alias = "WS1_OF_S1"
channel = "S1"

[[move_alias]]
asker = "WS1"
alias = "WS1_OF_S2"
channel = "S2"
"""

SITE_ROUTES: Final = """
channels = "HUB"

[[local]]
called = "cloud archive"
ask_for = "ARCHIVE"

[[local]]
called = "Old Archive"

[[local]]
called = "{full}"

[[local]]
called = "NOT_THERE"
ask_for = "ARCHIV"

[[target]]
asked_for = "PACS"
hosts = "127.0.0.1:{pacs}"
ae = "PACS_HERE"

[[target]]
asked_for = "WS1"
hosts = "127.0.0.1:{station}"
"""
INTRUDER: Final = """
[[local]]
called = "PACS_S1"
channel = "S1"
ask_for = "PACS"
"""
"""What a site writes that would like to reach another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    sites: Sites
    ports: dict[str, int]

    def port(self, channel: str) -> int:
        return self.sites[channel].port


@pytest.fixture(scope="module")
def hub(nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    names = ("archive", "ris", "nobody", "pacs S1", "pacs S2", "station S1", "station S2")
    ports = {name: free_port() for name in names}
    with Sites(nats_server.url, tmp_path_factory.mktemp("hub")) as sites:
        sites.start("HUB", HUB_ROUTES.format(full=FULL, **ports), AE="HUB")
        for site in SITES:
            text = SITE_ROUTES.format(full=FULL, pacs=ports[f"pacs {site}"], station=ports[f"station {site}"])
            if site == "S2":
                text = text.replace('channels = "HUB"', 'channels = ["HUB", "S1"]').replace(
                    "[[local]]\n", '[[local]]\nchannel = "HUB"\n'
                )
                text += INTRUDER
            sites.start(site, text)
            sites.wait_for_peers(site, ["HUB"])
        sites.wait_for_peers("HUB", SITES)
        yield Hub(sites=sites, ports=ports)


def echo(port: int, called: str, calling: str = "WS1") -> dcmtk.Result:
    return dcmtk.scu("echoscu", port, called=called, calling=calling)


def titles_seen(scp: dcmtk.Scp) -> list[tuple[str, str]]:
    """Calling and called AE title of each association, in the order in which they came."""
    seen: dict[str, list[str]] = {"Calling": [], "Called": []}
    for line in scp.log().splitlines():
        for which, titles in seen.items():
            if f"{which} Application Name:" in line:
                titles.append(line.partition("Application Name:")[2].strip())
    pairs = zip(seen["Calling"], seen["Called"], strict=True)
    return list(dict.fromkeys(pairs))  # each is written once for the request and once for the answer


def test_three_local_aes_and_two_targets(hub: Hub, tmp_path: Path) -> None:
    """Lower case, inner spaces, outer spaces, 16 letters; the archive, whose first host is down, tells sites apart."""
    with (
        dcmtk.storescp(hub.ports["archive"], tmp_path / "archive", "-d") as archive,
        dcmtk.storescp(hub.ports["ris"], tmp_path / "ris", "-d") as ris,
    ):
        for called in ("cloud archive", " cloud archive ", "Old Archive", FULL):
            echo(hub.port("S1"), called).ok()
        echo(hub.port("S2"), "cloud archive").ok()
        echo(hub.port("S2"), "cloud archive", calling="WS2").ok()
    assert titles_seen(archive) == [
        ("WS1_OF_S1", "MAIN_ARCHIVE"),
        ("WS1_OF_S2", "MAIN_ARCHIVE"),
        ("WS2", "MAIN_ARCHIVE"),
    ]
    assert titles_seen(ris) == [("WS1", FULL)]
    assert len(hub.sites["HUB"].find("cannot be had")) == 1, "the first host that is down is said once"


@pytest.mark.parametrize(("called", "site"), [("PACS_S1", "S1"), ("pacs s2", "S2")])
def test_the_hub_reaches_one_title_at_each_site(hub: Hub, tmp_path: Path, called: str, site: str) -> None:
    with dcmtk.storescp(hub.ports[f"pacs {site}"], tmp_path, "-d") as pacs:
        echo(hub.port("HUB"), called, calling="AI").ok()
    assert titles_seen(pacs) == [("AI", "PACS_HERE")]


@pytest.mark.parametrize("called", ["CLOUD ARCHIVE", "cloudarchive", "SIXTEEN_LETTERS", "PACS_S1", "WS1"])
def test_an_unknown_title_is_refused_here(hub: Hub, called: str) -> None:
    before = len(hub.sites["HUB"].log_lines())
    assert "Called AE Title Not Recognized" in echo(hub.port("S1"), called).output
    assert len(hub.sites["HUB"].log_lines()) == before, "the hub was not asked"


@pytest.mark.parametrize(("site", "called"), [("S1", "NOT_THERE"), ("S2", FULL), ("S2", "NOT_THERE")])
def test_what_the_hub_has_no_target_for_is_refused_there(hub: Hub, site: str, called: str) -> None:
    """A title that no target is for, and one that is for the other site only."""
    seen = len(hub.sites["HUB"].find("no-route|no target of this side"))
    assert "Called AE Title Not Recognized" in echo(hub.port(site), called).output
    assert len(hub.sites["HUB"].find("no-route|no target of this side")) > seen


def test_one_site_does_not_reach_another(hub: Hub, tmp_path: Path) -> None:
    """S2 has a route to S1, and S1 none for S2: its proxy does not listen to S2, whatever NATS lets pass."""
    with dcmtk.storescp(hub.ports["pacs S1"], tmp_path, "-d") as pacs:
        assert "Temporary Congestion" in echo(hub.port("S2"), "PACS_S1").output
    assert titles_seen(pacs) == []
    assert not hub.sites["S1"].find('"channel": "S2"')


def test_a_target_has_a_limit_of_its_own(hub: Hub, tmp_path: Path) -> None:
    with (
        Scp(hub.ports["ris"], offers(Verification), []),
        association(hub.port("S1"), offers(Verification), called=FULL),
    ):
        assert "Local Limit Exceeded" in echo(hub.port("S1"), FULL).output
    with dcmtk.storescp(hub.ports["ris"], tmp_path):
        echo(hub.port("S1"), FULL).ok()


def test_doctor_looks_at_every_channel_and_every_host(hub: Hub, tmp_path: Path) -> None:
    env = hub.sites["HUB"].env | {"DIMSE_PORT": str(free_port())}
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("DIMSE_")}
    with (
        dcmtk.storescp(hub.ports["archive"], tmp_path / "archive"),
        dcmtk.storescp(hub.ports["ris"], tmp_path / "ris"),
        dcmtk.storescp(hub.ports["pacs S1"], tmp_path / "pacs"),
    ):
        command = [sys.executable, "-m", "dimse_proxy", "doctor", "--json"]
        done = subprocess.run(command, env=inherited | env, capture_output=True, text=True, timeout=60, check=False)
    report = json.loads(done.stdout)
    found = {(finding["check"], finding["severity"], finding["text"]) for finding in report["findings"]}
    said = [f"{check} {severity}: {text}" for check, severity, text in sorted(found)]

    def has(*words: str) -> bool:
        return any(all(word in line for word in words) for line in said)

    assert has("routes ok", "to channel S1, S2, 2 targets here"), said
    assert has("NATS permissions ok", ".S1.HUB.> and ", ".S2.HUB.>"), said
    assert has("peer proxy ok", "channel S1"), said
    assert has("peer proxy ok", "channel S2"), said
    assert has("other side's target ok"), said
    assert has("other side's target error", "target-unreachable"), said
    assert has("own target error", f"MAIN_ARCHIVE@127.0.0.1:{hub.ports['nobody']}: connection refused"), said
    assert has("own target ok", f"MAIN_ARCHIVE@127.0.0.1:{hub.ports['archive']}"), said
    assert has("own target ok", f"{FULL}@127.0.0.1:{hub.ports['ris']}"), said


# Both workstations at the same time.


def test_commitment_is_reported_to_the_one_who_asked(hub: Hub) -> None:
    """The archive calls back the calling AE title that it saw, on an association of its own (PS3.4 J.3.3)."""
    asked: queue.Queue[tuple[str, Dataset]] = queue.Queue()
    reported: dict[str, queue.Queue[tuple[str, str]]] = {site: queue.Queue() for site in SITES}

    def act(event: Event) -> tuple[int, None]:
        asked.put((str(event.assoc.requestor.ae_title).strip(), event.action_information))
        return 0x0000, None

    def station(site: str) -> Scp:
        def report(event: Event) -> tuple[int, None]:
            reported[site].put((str(event.assoc.requestor.ae_title), str(event.event_information.TransactionUID)))
            return 0x0000, None

        offer = Offer(sop_class=StorageCommitmentPushModel, scu_role=True, scp_role=True)
        return Scp(hub.ports[f"station {site}"], [offer], [(evt.EVT_N_EVENT_REPORT, report)], ae="WS1")

    def ask(site: str) -> None:
        request = Dataset()
        request.TransactionUID = STUDIES[site]
        with association(
            hub.port(site), offers(StorageCommitmentPushModel), calling="WS1", called="cloud archive"
        ) as one:
            status, _ = one.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        assert status.Status == 0x0000

    def call_back(title: str, information: Dataset) -> None:
        offer = Offer(sop_class=StorageCommitmentPushModel, scu_role=False, scp_role=True)
        with association(hub.port("HUB"), [offer], calling="MAIN_ARCHIVE", called=title) as back:
            status, _ = back.send_n_event_report(
                information, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
        assert status.Status == 0x0000

    with (
        Scp(hub.ports["archive"], offers(StorageCommitmentPushModel), [(evt.EVT_N_ACTION, act)]),
        station("S1"),
        station("S2"),
        ThreadPoolExecutor(2) as pool,
    ):
        list(pool.map(ask, SITES))
        for back in [pool.submit(call_back, *asked.get(timeout=10)) for _ in SITES]:
            back.result()
    assert {site: [one.get(timeout=10), one.empty()] for site, one in reported.items()} == {
        site: [("MAIN_ARCHIVE", STUDIES[site]), True] for site in SITES
    }


def test_each_gets_what_it_asked_for(hub: Hub, tmp_path: Path) -> None:
    """C-MOVE to WS1 from both sites: the same Move Destination is another one for each channel."""
    files = {
        site: [
            dicom_files.write_object(tmp_path / "objects", patient_id=site, study=study, pixel_bytes=1000)
            for _ in range(3)
        ]
        for site, study in STUDIES.items()
    }
    received: dict[str, dict[str, str]] = {site: {} for site in SITES}

    def station(site: str) -> Scp:
        def store(event: Event) -> int:
            uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
            received[site][uid] = dicom_files.digest(event.request.DataSet.getvalue())  # type: ignore[union-attr]
            return 0x0000

        return Scp(hub.ports[f"station {site}"], offers(CTImageStorage), [(evt.EVT_C_STORE, store)], ae="WS1")

    def move(site: str) -> None:
        keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDIES[site]}")
        dcmtk.scu("movescu", hub.port(site), "-aem", "WS1", *keys, called="cloud archive", calling="WS1").ok()

    peers = {f"WS1_OF_{site}": hub.port("HUB") for site in SITES}
    with (
        dcmtk.dcmqrscp(hub.ports["archive"], tmp_path / "archive", ae="MAIN_ARCHIVE", peers=peers),
        station("S1"),
        station("S2"),
        ThreadPoolExecutor(2) as pool,
    ):
        for site, objects in files.items():
            paths = [file.path for file in objects]
            dcmtk.scu("storescu", hub.port(site), files=paths, called="cloud archive", calling="WS1").ok()
        list(pool.map(move, SITES))
    assert received == {site: dicom_files.digests(objects) for site, objects in files.items()}

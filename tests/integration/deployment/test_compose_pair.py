"""The pair to play with in deploy/compose, as local processes: the same settings, NATS configuration and Orthancs.

What stands in the compose file is taken as it is, but for the names of services, which become loopback ports here.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.nats import NATS_SERVER
from tests.integration.peers.orthanc import Orthanc
from tests.integration.peers.pair import Proxy
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "compose"
PASSWORDS = {"HOSPITAL_PASSWORD": "one", "CLOUD_PASSWORD": "two"}


@dataclass(frozen=True, slots=True)
class World:
    hospital: Proxy
    cloud: Proxy
    pacs: Orthanc
    archive: Orthanc


@dataclass(frozen=True, slots=True)
class Ports:
    """Which loopback port stands for which service."""

    nats: int
    hospital: int
    cloud: int
    pacs: int
    archive: int


def environment(service: Mapping[str, Any], own_port: int, ports: Ports) -> dict[str, str]:
    """The settings of a proxy, with this machine's addresses in place of services' names."""
    target = getattr(ports, service["environment"]["DIMSE_TARGET_HOST"])
    user = service["environment"]["DIMSE_NATS_USER"]
    return {
        **service["environment"],
        "DIMSE_NATS_URL": f"{LOOPBACK}:{ports.nats}",
        "DIMSE_NATS_PASSWORD": PASSWORDS[f"{user.upper()}_PASSWORD"],
        "DIMSE_HOST": LOOPBACK,
        "DIMSE_PORT": str(own_port),
        "DIMSE_TARGET_HOST": LOOPBACK,
        "DIMSE_TARGET_PORT": str(target),
        "DIMSE_HTTP_PORT": "",
        "DIMSE_LOG_FORMAT": "json",
        "DIMSE_GRACE_TIMEOUTSECONDS": "2",
    }


def orthanc(name: str, folder: Path, ports: Ports) -> Orthanc:
    config = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    for modality in config["DicomModalities"].values():
        modality |= {"Host": LOOPBACK, "Port": getattr(ports, modality["Host"])}
    return Orthanc(getattr(ports, name), folder / name, configuration=config)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    services = yaml.safe_load((FOLDER / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    folder = tmp_path_factory.mktemp("compose")
    ports = Ports(*(free_port() for _ in range(5)))
    config = (FOLDER / "nats.conf").read_text(encoding="utf-8")
    (folder / "nats.conf").write_text(config.replace("port: 4222", f"host: {LOOPBACK}\nport: {ports.nats}"))
    with ExitStack() as stack:
        command = [str(NATS_SERVER), *services["nats"]["command"][:-1], str(folder / "nats.conf")]
        nats = ChildProcess("nats", command, folder, env=PASSWORDS)
        stack.callback(nats.stop)
        nats.wait_for_listener(ports.nats)
        orthancs = [stack.enter_context(orthanc(name, folder, ports)) for name in ("pacs", "archive")]
        proxies = []
        for name in ("hospital", "cloud"):
            proxy = Proxy(name, folder, environment(services[name], getattr(ports, name), ports))
            stack.callback(proxy.process.stop)
            proxies.append(proxy)
        for proxy in proxies:
            proxy.wait_for("peer appeared")
        yield World(proxies[0], proxies[1], *orthancs)


def test_the_hospital_stores_and_finds_and_has_it_sent_back(world: World, tmp_path: Path) -> None:
    """The commands of README.md."""
    sent = [dicom_files.write_object(tmp_path / "sent", patient_id=f"PAT{number}") for number in range(2)]
    port = world.hospital.port
    dcmtk.scu("storescu", port, called="ARCHIVE", files=[file.path for file in sent]).ok()
    assert world.archive.digests(tmp_path / "archive") == dicom_files.digests(sent)

    study = str(dicom_files.load(sent[0]).StudyInstanceUID)
    level = ("-k", "QueryRetrieveLevel=STUDY")
    found = dcmtk.scu("findscu", port, "-S", *level, "-k", "StudyInstanceUID", called="ARCHIVE").ok()
    assert found.output.count("(Pending)") == 2

    move = ("-S", "-aem", "PACS", *level, "-k", f"StudyInstanceUID={study}")
    dcmtk.scu("movescu", port, *move, called="ARCHIVE").ok()
    wait_until(world.pacs.instances, seconds=20, what="the PACS to have it back")
    assert world.pacs.digests(tmp_path / "pacs") == dicom_files.digests(sent[:1])


def test_the_pacs_sends_to_the_modality_archive(world: World, tmp_path: Path) -> None:
    file = dicom_files.write_object(tmp_path, patient_id="PAT9")
    instance = world.pacs.upload(file.path)
    world.pacs.post("/modalities/archive/store", [instance])
    assert file.sop_instance in world.archive.digests(tmp_path / "archive")

"""Two hospitals and one cloud: as documented, and with TLS in the cloud and in one of the hospitals."""

from pathlib import Path

from tests.integration.examples.conftest import Tls
from tests.integration.examples.example import Example
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.orthanc import Orthanc

PULL = ".venv/bin/python -m examples.cohort.pull_cohort --port 11114 --listen 11115"


def test_as_the_readme_says(tmp_path: Path) -> None:
    with Example("two_hospitals", tmp_path) as example:
        example.follow_readme(ready=[4222, 4242, 4243, 4244])


def test_tls_where_a_site_has_it(nats_server: NatsServer, tmp_path: Path, tls: Tls) -> None:
    """Orthanc over TLS in NORTH, dcmqrscp without it in SOUTH, and an application that takes nothing but TLS."""
    with Example("two_hospitals", tmp_path / "example", nats_port=nats_server.port) as example:
        example.script("make_studies", tmp_path / "studies").ok()
        anybody = {"DIMSE_NATS_USER": "", "DIMSE_NATS_PASSWORD_FILE": ""}
        secured = {**anybody, **tls.proxy}
        example.start_proxies({"north": secured, "cloud": secured, "south": anybody})
        north, south = (dicom_files.received(tmp_path / "studies" / name / "old") for name in ("north", "south"))
        aliases = {name: {"CLOUD_COHORT": example.port(port)} for name, port in (("north", 11112), ("south", 11113))}
        modalities = {"cohort": ("CLOUD_COHORT", aliases["north"]["CLOUD_COHORT"])}
        with (
            Orthanc(
                example.port(4242), tmp_path / "north", ae="PACS", modalities=modalities, tls=tls.orthanc
            ) as orthanc,
            dcmtk.dcmqrscp(example.port(4243), tmp_path / "south", ae="PACS", peers=aliases["south"]),
        ):
            for file in north:
                orthanc.upload(file.path)
            dcmtk.scu("storescu", example.port(4243), called="PACS", files=[file.path for file in south]).ok()
            for called, outcome in (("PACS_NORTH", "3 of 3"), ("PACS_SOUTH", "2 of 2")):
                pulled = example.run(" ".join((PULL, "--called", called, *map(str, tls.script)))).ok()
                assert f"{outcome} studies are whole" in pulled.output

"""Priors fetched when a study arrives: dcmqrscp as documented; Orthanc, which sends the new study itself, with TLS."""

import re
from pathlib import Path

from tests.integration.examples.conftest import Tls
from tests.integration.examples.example import Example
from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.orthanc import Orthanc
from tests.integration.peers.waiting import wait_until

READER = (".venv/bin/python", "-m", "examples.priors.reader", "--port", 11113, "--listen", 11114)
PRIORS = """\
EXAMPLE-1: prior of 20210304, Chest CT of 2021: C-MOVE 0000H, 3 completed, 0 failed, 3 here
EXAMPLE-1: prior of 20180909, Chest CT of 2018: C-MOVE 0000H, 3 completed, 0 failed, 3 here
"""


def test_as_the_readme_says(tmp_path: Path) -> None:
    with Example("priors", tmp_path) as example:
        example.follow_readme(ready=[4242, 11114])


def test_orthanc_sends_and_is_asked_over_tls(nats_server: NatsServer, tmp_path: Path, tls: Tls) -> None:
    """What one PACS has is sent, found and moved by the same PACS."""
    with Example("priors", tmp_path / "example", nats_port=nats_server.port) as example:
        example.start_proxies({"hospital": tls.proxy, "cloud": tls.proxy})
        example.script("make_studies", tmp_path / "studies").ok()
        port = example.port(11112)
        known = {"cloud": ("CLOUD", port), "priors": ("CLOUD_PRIORS", port)}
        with Orthanc(example.port(4242), tmp_path / "pacs", ae="PACS", modalities=known, tls=tls.orthanc) as pacs:
            reader = example.background(" ".join(map(str, (*READER, *tls.script))), ready=[11114])
            new = [pacs.upload(file.path) for file in files(tmp_path / "studies/new")]
            for file in files(tmp_path / "studies/old"):
                pacs.upload(file.path)
            assert pacs.post("/modalities/cloud/store", new)["FailedInstancesCount"] == 0
            wait_until(lambda: PRIORS in reader.output(), seconds=30, what=f"the priors: {reader.output()}")
        assert reader.output().startswith("READER listens")
        assert re.search(r"^EXAMPLE-1: a new study of 3 objects$", reader.output(), re.MULTILINE)
        assert "EXAMPLE-2" not in reader.output()
        hospital = example.proxies["hospital"]
        aliased = hospital.find('"event": "association ended".*CLOUD_PRIORS')
        assert len(aliased) == 2, "an association for each prior, by the alias"


def files(folder: Path) -> list[DicomFile]:
    return dicom_files.received(folder)

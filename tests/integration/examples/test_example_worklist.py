"""Worklist and procedure steps with a RIS in the cloud: as documented, with DCMTK's worklist SCP, and with TLS."""

from pathlib import Path

from tests.integration.examples.conftest import Tls
from tests.integration.examples.example import Example
from tests.integration.peers import dcmtk
from tests.integration.peers.nats import NatsServer

STEPS = ("-W", "-k", "PatientName", "-k", "(0040,0100)[0].ScheduledStationAETitle=CT1")


def test_as_the_readme_says(tmp_path: Path) -> None:
    with Example("worklist", tmp_path) as example:
        example.follow_readme(ready=[11114])


def test_wlmscpfs_with_modalities_over_tls(nats_server: NatsServer, tmp_path: Path, tls: Tls) -> None:
    """Modalities speak TLS; wlmscpfs cannot, so the cloud's proxy calls it plainly."""
    with Example("worklist", tmp_path / "example", nats_port=nats_server.port) as example:
        example.script("make_worklist", tmp_path / "worklists" / "RIS").ok()
        example.start_proxies({"hospital": tls.proxy})
        with dcmtk.wlmscpfs(example.port(11114), tmp_path):
            asked = (*tls.dcmtk, *STEPS)
            found = dcmtk.scu("findscu", example.port(11112), *asked, called="RIS", calling="CT1").ok()
        assert found.output.count("Pending") == 2
        assert "Example^Patient1" in found.output


def test_ris_over_tls(nats_server: NatsServer, tmp_path: Path, tls: Tls) -> None:
    """The cloud's side has TLS; the modality is an old one that has none."""
    with Example("worklist", tmp_path / "example", nats_port=nats_server.port) as example:
        example.script("make_worklist", tmp_path / "worklist").ok()
        example.start_proxies({"cloud": tls.proxy})
        ris = (
            ".venv/bin/python",
            "-m",
            "examples.worklist.ris",
            "--listen",
            11114,
            "--worklist",
            tmp_path / "worklist",
        )
        example.background(" ".join(map(str, (*ris, *tls.script))), ready=[11114])
        done = example.script("modality", "--title", "MR1", "--port", 11112).ok()
    assert done.output.splitlines() == [
        "MR1 has 1 to do: STEP-3 Head MR",
        "STEP-3 Head MR, IN PROGRESS: N-CREATE 0000H",
        "STEP-3 Head MR, COMPLETED: N-SET 0000H",
        "MR1 has 0 to do: ",
    ]

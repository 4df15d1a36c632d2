"""The audit trail where objects are queued: told once when they are taken, and once when the target has them."""

import json
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import evt

from tests.integration.peers.pair import Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.store_and_forward.conftest import QueuePair


def transferred(path: Path) -> list[tuple[str, list[str]]]:
    """Outcome and objects of each Instances Transferred."""
    told: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [
        (
            line["EventIdentification"]["EventOutcomeIndicator"],
            [each["ParticipantObjectID"] for each in line["ParticipantObjectIdentification"]],
        )
        for line in told
        if line["EventIdentification"]["EventID"]["csd-code"] == "110104"
    ]


def test_what_is_queued_and_what_is_delivered(queue_pair: QueuePair, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.json" for name in ("a", "b")}
    envs = {name: {"DIMSE_AUDIT_FILE": str(path), "DIMSE_AUDIT_CONTENT": "true"} for name, path in files.items()}
    target = Target(port=free_port())
    pair = queue_pair(env_a=envs["a"], env_b=envs["b"], target=target)
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = str(CTImageStorage), "1.2.3.4"
    image.PatientName, image.PatientID, image.StudyInstanceUID = "Doe^Jane", "4711", "1.2.3"
    image.file_meta = Dataset()  # type: ignore[assignment]
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with association(pair.a.port, offers(str(CTImageStorage))) as assoc:
        assert assoc.send_c_store(image).Status == 0
    expected = [("0", ["1.2.3", "4711"])]
    wait_until(lambda: transferred(files["a"]) == expected, seconds=20, what="the object to be told as taken")
    assert transferred(files["b"]) == []
    with Scp(target.port, offers(str(CTImageStorage)), [(evt.EVT_C_STORE, lambda _event: 0)]):
        wait_until(lambda: transferred(files["b"]) == expected, seconds=40, what="the object to be told as delivered")
    pair.stop()
    assert transferred(files["a"]) == expected

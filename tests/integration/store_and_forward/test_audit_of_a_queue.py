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

SUCCESS, MINOR, SERIOUS = "0", "4", "8"


def transferred(path: Path) -> list[tuple[str, list[str], str]]:
    """Outcome, objects and description of each Instances Transferred, without the association's name at its end."""
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""  # the last line may be half written
    told: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
    return [
        (
            line["EventIdentification"]["EventOutcomeIndicator"],
            [each["ParticipantObjectID"] for each in line["ParticipantObjectIdentification"]],
            line["EventIdentification"].get("EventOutcomeDescription", "").rpartition(", association ")[0],
        )
        for line in told
        if line["EventIdentification"]["EventID"]["csd-code"] == "110104"
    ]


def image(patient: str, study: str) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = str(CTImageStorage), f"{study}.1"
    made.PatientName, made.PatientID, made.StudyInstanceUID = "Doe^Jane", patient, study
    made.file_meta = Dataset()  # type: ignore[assignment]
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def test_what_is_queued_delivered_and_given_up(queue_pair: QueuePair, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.json" for name in ("a", "b")}
    envs = {name: {"DIMSE_AUDIT_FILE": str(path), "DIMSE_AUDIT_CONTENT": "true"} for name, path in files.items()}
    target = Target(port=free_port())
    pair = queue_pair(env_a=envs["a"], env_b=envs["b"], target=target)
    with association(pair.a.port, offers(str(CTImageStorage))) as assoc:
        for each in (image("4711", "1.2.3"), image("4712", "1.2.4")):
            assert assoc.send_c_store(each).Status == 0
    queued = [
        (SUCCESS, [study, patient], "taken into the queue for channel B")
        for study, patient in (("1.2.3", "4711"), ("1.2.4", "4712"))
    ]
    wait_until(lambda: transferred(files["a"]) == queued, seconds=20, what="the objects to be told as taken")
    assert transferred(files["b"]) == []

    def store(event: evt.Event) -> int:
        request: Any = event.request
        return 0xC000 if request.AffectedSOPInstanceUID == "1.2.4.1" else 0

    with Scp(target.port, offers(str(CTImageStorage)), [(evt.EVT_C_STORE, store)]):
        delivered = [
            (SUCCESS, ["1.2.3", "4711"], "delivered from the queue of channel A"),
            (MINOR, ["1.2.4", "4712"], "status C000H; delivered from the queue of channel A"),
        ]
        wait_until(lambda: transferred(files["b"]) == delivered, seconds=40, what="both to be told")
    pair.stop()
    assert transferred(files["a"]) == queued
    # Whose it is, is not known there.
    given_up = "given up, kept as dead letters in the queue of channel A"
    (told,) = transferred(files["b"])[2:]
    assert told[:2] == (SERIOUS, ["1.2.4", "<unknown>"])
    assert told[2].endswith(given_up), told

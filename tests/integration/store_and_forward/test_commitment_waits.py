"""Storage commitment while objects are queued: the request reaches the target behind them, or fails in clear words."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tests.integration.peers import dicom_files
from tests.integration.peers.pair import Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, store_raw
from tests.integration.peers.waiting import free_port
from tests.integration.store_and_forward.conftest import QueuePair

COMMIT = StorageCommitmentPushModel
PROCESSING_FAILURE = 0x0110
CANNOT_UNDERSTAND = 0xC000


def commit(assoc: Association) -> Any:
    """Ask for commitment; the response's command."""
    asked = Dataset()
    asked.TransactionUID = generate_uid()
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3"
    asked.ReferencedSOPSequence = [item]
    status, _ = assoc.send_n_action(asked, 1, COMMIT, StorageCommitmentPushModelInstance)
    return status


def test_a_request_waits_for_what_its_asker_has_queued(queue_pair: QueuePair, tmp_path: Path) -> None:
    target = Target(port=free_port())
    pair = queue_pair(target=target, env_a={"DIMSE_QUEUE_COMMITMENT_TIMEOUTSECONDS": "2"})
    may_answer = threading.Event()
    happened: list[str] = []
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}") for number in range(4)]

    def store(event: Event) -> int:
        assert may_answer.wait(60)
        asked: Any = event.request
        happened.append("stored")
        # The last one becomes a dead letter, which nobody waits for.
        return CANNOT_UNDERSTAND if str(asked.AffectedSOPInstanceUID) == files[3].sop_instance else 0x0000

    def act(event: Event) -> tuple[int, None]:
        happened.append(f"asked by {event.assoc.requestor.ae_title}")
        return 0x0000, None

    handlers: list[Any] = [(evt.EVT_C_STORE, store), (evt.EVT_N_ACTION, act)]
    with Scp(target.port, offers(CTImageStorage, COMMIT), handlers), ThreadPoolExecutor() as pool:
        with association(pair.a.port, offers(CTImageStorage), calling="CT1") as assoc:
            assert [store_raw(assoc, file, message_id=at + 1) for at, file in enumerate(files)] == [0] * len(files)
        # Storage beside commitment is relayed; the request waits all the same.
        with association(pair.a.port, offers(COMMIT, CTImageStorage), calling="CT1") as assoc:
            answer = commit(assoc)
            assert answer.Status == PROCESSING_FAILURE
            assert answer.ErrorComment == "4 queued objects of this AE are not delivered yet"
            pair.a.wait_for("storage commitment refused.*4 queued objects")
            with association(pair.a.port, offers(COMMIT), calling="MR1") as another:
                assert commit(another).Status == 0x0000, "another asker has nothing queued"
            assert happened == ["asked by MR1"]
            # The association goes on: a second request waits until the objects have arrived.
            asked = pool.submit(commit, assoc)
            may_answer.set()
            assert asked.result(60).Status == 0x0000
            assert happened[1:] == ["stored"] * len(files) + ["asked by CT1"]
    pair.b.wait_for("object given up")

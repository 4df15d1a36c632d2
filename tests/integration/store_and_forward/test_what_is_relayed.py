"""What store and forward leaves alone: it passes through the tunnel, and the target itself answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.integration.peers import dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, request, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.store_and_forward import streams
from tests.integration.store_and_forward.conftest import QueuePair, env_of_a, env_of_b


@pytest.fixture(scope="module")
def pair(jetstream: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """What the tests here share, where they ask for nothing special."""
    target, folder = Target(port=free_port()), tmp_path_factory.mktemp("pair")
    with Pair(jetstream.url, folder, target_b=target, env_a=env_of_a(), env_b=env_of_b()) as made:
        yield made


def test_verification_identity_and_other_services_are_relayed(pair: Pair, tmp_path: Path) -> None:
    target = pair.target_b
    assert target is not None
    echoes: list[str] = []
    file = dicom_files.write_object(tmp_path, patient_id="P")
    store = Store(status=0xB007)

    def echo(event: Event) -> int:
        echoes.append(event.assoc.requestor.ae_title)
        return 0x0000

    handlers: list[Any] = [(evt.EVT_C_ECHO, echo), *store.handlers()]
    supported = offers(Verification, CTImageStorage, StudyRootQueryRetrieveInformationModelFind)
    with Scp(target.port, supported, handlers):
        with association(pair.a.port, offers(Verification), calling="ECHO") as assoc:
            assert assoc.send_c_echo().Status == 0x0000
        assert echoes == ["ECHO"]

        identity = UserIdentityNegotiation()
        identity.user_identity_type = 1
        identity.primary_field = b"somebody"
        assoc = request(pair.a.port, offers(CTImageStorage), items=[identity])
        assert assoc.is_established
        assert store_raw(assoc, file) == 0xB007
        assoc.release()

        with association(pair.a.port, offers(CTImageStorage, StudyRootQueryRetrieveInformationModelFind)) as assoc:
            assert store_raw(assoc, file) == 0xB007

        # With Verification beside it, storage is queued, and C-ECHO is answered here.
        with association(pair.a.port, offers(CTImageStorage, Verification)) as assoc:
            assert assoc.send_c_echo().Status == 0x0000
            assert store_raw(assoc, file) == 0x0000
    assert echoes == ["ECHO"]


def test_sub_operations_of_a_c_move_are_relayed_from_their_command_on(
    pair: Pair, jetstream: NatsServer, tmp_path: Path
) -> None:
    """A PACS was told to move here: it hears what the target says of each object, and what came before was queued."""
    target = pair.target_b
    assert target is not None
    first, second, third = (dicom_files.write_object(tmp_path, patient_id=f"P{number}") for number in range(3))
    store = Store(statuses={second.sop_instance: 0xB006, third.sop_instance: 0xA900})
    with Scp(target.port, offers(CTImageStorage), store.handlers()):
        with association(pair.a.port, offers(CTImageStorage)) as assoc:
            assert store_raw(assoc, first) == 0x0000
            moved = [
                assoc.send_c_store(dicom_files.load(file), originator_aet="PACS", originator_id=7).Status
                for file in (second, third)
            ]
        assert moved == [0xB006, 0xA900]
        wait_until(lambda: first.sop_instance in store.received, seconds=20, what="the object that was queued")
    assert ("PACS", 7) in store.originators
    pair.a.wait_for("association goes on through the tunnel.*C-STORE-RQ of a C-MOVE")
    # What was relayed failed at the target, and left nothing behind here.
    assert not streams.subjects(jetstream.url, f"{pair.root}_B_A_RECORDS", "dead")


def test_a_target_that_must_be_there_refuses_for_itself(queue_pair: QueuePair, tmp_path: Path) -> None:
    target = Target(port=free_port())
    pair = queue_pair(target=target, env_a={"DIMSE_QUEUE_REQUIRES_TARGET": "true"})
    file = dicom_files.write_object(tmp_path, patient_id="P")
    assoc = request(pair.a.port, offers(CTImageStorage))
    assert assoc.is_rejected
    answer: Any = assoc.acceptor.primitive
    assert answer.result == 2
    store = Store()
    with Scp(target.port, offers(CTImageStorage), store.handlers()):
        with association(pair.a.port, offers(CTImageStorage)) as assoc:
            assert store_raw(assoc, file) == 0x0000
        wait_until(lambda: len(store.received) == 1, seconds=20, what="the object")

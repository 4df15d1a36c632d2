"""C-ECHO and C-STORE with success, warning and failure statuses, and the fields that go with them, in pynetdicom."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.peers import dicom_files
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, plain, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.routes import Route

STORE_STATUSES = [
    0x0000,
    0xB000,
    0xB006,
    0xB007,
    0x0107,
    0x0116,
    0xA700,
    0xA900,
    0xC000,
    0xC123,
    0x0110,
    0x0122,
    0x0124,
]


def status(code: int) -> Dataset:
    """A status with the fields that PS3.7 Annex C allows with warnings and failures."""
    result = Dataset()
    result.Status = code
    if code != 0x0000:
        result.ErrorComment = "the reason, in up to 64 characters: " + "x" * 28
        result.OffendingElement = [0x00100010, 0x00100020]
    return result


@pytest.mark.parametrize("code", [0x0000, 0x0122, 0x0210, 0x0211, 0x0212])
def test_c_echo_status(route: Route, code: int) -> None:
    def answer(event: Event) -> Dataset:
        result = Dataset()
        result.Status = code
        if code != 0x0000:
            result.ErrorComment = "not today"
        return result

    def echo(port: int) -> object:
        with association(port, offers(Verification)) as assoc:
            return plain(assoc.send_c_echo(msg_id=4321))

    with Scp(route.scp_port, offers(Verification), [(evt.EVT_C_ECHO, answer)]):
        assert f"'Value': [{code}]" in str(route.same(echo))


@pytest.mark.parametrize("code", STORE_STATUSES, ids=lambda code: f"{code:04X}")
def test_c_store_status(route: Route, tmp_path: Path, code: int) -> None:
    file = dicom_files.write_object(tmp_path, patient_id="P1")
    data_set = dicom_files.load(file)
    store = Store(status=status(code))

    def send(port: int) -> object:
        with association(port, offers(CTImageStorage)) as assoc:
            return plain(assoc.send_c_store(data_set, msg_id=65535))

    with Scp(route.scp_port, offers(CTImageStorage), store.handlers()):
        answered = route.same(send)
    assert f"'Value': [{code}]" in str(answered)
    assert ("00000902" in str(answered)) == (code != 0x0000)
    assert list(store.received) == [file.sop_instance]


def test_many_stores_on_one_association(route: Route, tmp_path: Path) -> None:
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}", pixel_bytes=65280) for number in range(100)]
    store = Store(statuses={file.sop_instance: STORE_STATUSES[n % len(STORE_STATUSES)] for n, file in enumerate(files)})

    def send(port: int) -> list[int]:
        with association(port, offers(CTImageStorage)) as assoc:
            return [store_raw(assoc, file, message_id=number + 1) for number, file in enumerate(files)]

    with Scp(route.scp_port, offers(CTImageStorage), store.handlers()):
        answered = route.same(send)
    assert answered == list(store.statuses.values())
    assert store.received == dicom_files.digests(files)
    assert store.calling == ["ASKER"] * len(store.calling)

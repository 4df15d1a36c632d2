"""Every transfer syntax of pydicom's files, and private SOP classes, pass bit for bit: digests at the SCP.

The SCUs send the data set as the bytes that it is, so the digest at the SCP is the file's, and also what a direct
association gives.
"""

import os
from collections import Counter
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.pynetdicom_peers import Scp, association, offers_for, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.routes import Route

PRIVATE_SOP_CLASS = "1.2.826.0.1.3680043.8.498.9999.1"
PRIVATE_TRANSFER_SYNTAX = "1.2.826.0.1.3680043.8.498.9999.2"

# As many as the syntaxes of PS3.5 among pydicom's files: a package that ships fewer would make this test say less.
SYNTAXES = 12


@pytest.fixture(scope="module", autouse=True)
def private_sop_class() -> None:
    """Makes pynetdicom take the private SOP class for a storage class."""
    register_uid(PRIVATE_SOP_CLASS, "PrivateTestStorage", StorageServiceClass)


def random_object(folder: Path, transfer_syntax: str, length: int) -> DicomFile:
    """A private object: `length` random bytes that are no data set at all, as nobody on the way should care."""
    path = folder / f"private-{transfer_syntax}-{length}.dcm"
    path.write_bytes(os.urandom(length))
    instance = f"1.2.826.0.1.3680043.8.498.9999.3.{length}"
    return DicomFile(
        path=path, sop_class=PRIVATE_SOP_CLASS, sop_instance=instance, transfer_syntax=transfer_syntax, offset=0
    )


def send(port: int, files: list[DicomFile], store: Store) -> Counter[str]:
    """Stores the files on one association; returns the digests that the SCP has after it."""
    store.digests.clear()
    with association(port, offers_for(files)) as assoc:
        for number, file in enumerate(files):
            assert store_raw(assoc, file, message_id=number + 1) == 0x0000
    return Counter(store.digests)


def test_every_shipped_file(route: Route) -> None:
    files = list(dicom_files.shipped())
    assert len({file.transfer_syntax for file in files}) >= SYNTAXES
    assert len(offers_for(files)) <= 128, "more contexts than an association can have"
    store = Store()
    with Scp(route.scp_port, offers_for(files), store.handlers()):
        digests = route.same(lambda port: send(port, files, store))
    assert digests == Counter(file.digest() for file in files)


@pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, PRIVATE_TRANSFER_SYNTAX])
def test_private_sop_class(route: Route, tmp_path: Path, transfer_syntax: str) -> None:
    """Lengths around those of PDUs, data frames and windows."""
    lengths = (2, 16370, 16372, 16384, 65536, 262144 - 6, 262144, 1 << 20, (4 << 20) + 2)
    files = [random_object(tmp_path, transfer_syntax, length) for length in lengths]
    store = Store()
    with Scp(route.scp_port, offers_for(files), store.handlers()):
        digests = route.same(lambda port: send(port, files, store))
    assert digests == Counter(file.digest() for file in files)


def test_storescp_in_bit_preserving_mode(route: Route, tmp_path: Path) -> None:
    """DCMTK writes what it reads; deflated data sets it cannot read in this mode."""
    files = [
        file for file in dicom_files.one_per_transfer_syntax() if file.transfer_syntax != DeflatedExplicitVRLittleEndian
    ]
    with dcmtk.storescp(route.scp_port, tmp_path), association(route.port, offers_for(files)) as assoc:
        for number, file in enumerate(files):
            assert store_raw(assoc, file, message_id=number + 1) == 0x0000
    received = dicom_files.received(tmp_path / "received")
    assert {(file.transfer_syntax, file.digest()) for file in received} == {
        (file.transfer_syntax, file.digest()) for file in files
    }

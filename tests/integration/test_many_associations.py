"""Many associations at the same time, none refused, none mixed up; and a limit that is set refuses the next one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from tests.integration.conftest import PairFactory
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.bulk import BulkScp, BulkScu
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.pair import Target
from tests.integration.peers.plain_scu import PlainScu
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.retrieval import Store, query
from tests.integration.peers.routes import Route
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import connect

ASSOCIATIONS = 128
AT_WORK = 16
STORING = threading.Lock()


class Worker:
    """One association that stores an object of its own, and then finds or retrieves it and nothing else."""

    def __init__(self, number: int, port: int, file: DicomFile, moved: Store) -> None:
        self.message_id = number + 1
        self.file = file
        self.mark = f"MARK{number}"
        self.study = str(dicom_files.load(file).StudyInstanceUID)
        self.moved = moved
        self.scu = PlainScu(port)
        self.service = (self.echo, self.find, self.get, self.move)[number % 4]

    def work(self) -> None:
        # Processes of dcmqrscp that store at the same moment may choose the same file name and fail.
        with STORING:
            assert self.scu.store(self.file, self.message_id) == 0x0000
        self.service()
        self.scu.release()

    def echo(self) -> None:
        for number in range(5):
            self.scu.echo(number)

    def find(self) -> None:
        codes, found = self.scu.find(query(PatientID=self.mark), self.message_id)
        assert codes == [0xFF00, 0x0000]
        assert [str(one.StudyInstanceUID) for one in found] == [self.study]

    def get(self) -> None:
        assert self.scu.get(query(StudyInstanceUID=self.study), self.message_id) == (
            0x0000,
            dicom_files.digests([self.file]),
        )

    def move(self) -> None:
        assert self.scu.move(query(StudyInstanceUID=self.study), "ASKER", self.message_id) == 0x0000
        assert self.moved.received[self.file.sop_instance] == self.file.digest()


def test_128_associations_at_the_same_time(route: Route, tmp_path: Path) -> None:
    """All are established before the first does anything; a fresh process of dcmqrscp serves each."""
    moved = Store()
    files = [dicom_files.write_object(tmp_path / "sent", patient_id=f"MARK{n}") for n in range(ASSOCIATIONS)]
    asker = Scp(route.asker_port, offers(CTImageStorage), moved.handlers(), ae="ASKER")
    archive = dcmtk.dcmqrscp(route.scp_port, tmp_path / "archive", peers={"ASKER": route.back_port})
    with archive, asker, ThreadPoolExecutor(AT_WORK) as pool, ExitStack() as stack:
        workers = list(pool.map(lambda n: Worker(n, route.port, files[n], moved), range(ASSOCIATIONS)))
        for worker in workers:
            stack.callback(worker.scu.close)
        for future in [pool.submit(worker.work) for worker in workers]:
            future.result()
    assert len(moved.received) == ASSOCIATIONS / 4


@pytest.mark.parametrize("limited", ["a", "b"])
def test_a_limit_refuses_the_next_association(make_pair: PairFactory, limited: str) -> None:
    """With the limit on either side the SCU sees the same rejection, and the side that it called logs it."""
    target = Target(port=free_port())
    with BulkScp(target.port, maximum_length=16384) as scp, ExitStack() as stack:
        pair = make_pair(target_b=target, **{f"env_{limited}": {"DIMSE_MAX_ASSOCIATIONS": "4"}})
        four = [stack.enter_context(BulkScu(pair.a.port)) for _ in range(4)]
        with connect(pair.a.port) as fifth:
            fifth.send(pdus.rq())
            rejected = fifth.expect(pdus.RJ)
        assert rejected == pdus.rj(2, 3, 2)
        pair.a.wait_for("association refused.*limit")
        assert all(scu.echo() >= 0 for scu in four)
        four[0].release()

        def accepted() -> bool:
            with connect(pair.a.port) as again:
                again.send(pdus.rq())
                answer = again.read_pdu()[0]
                if answer == pdus.AC:
                    again.send(pdus.release_rq())
                    again.expect(pdus.RELEASE_RP)
                return answer == pdus.AC

        wait_until(accepted, seconds=10, what="room for another association after one was released")
    assert not scp.errors

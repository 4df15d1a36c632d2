"""What each answer of the target does: delivered, tried again, given up; and what stays in the queue."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, JPEGBaseline8Bit, MRImageStorage
from pynetdicom import evt
from pynetdicom.events import Event

from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, offers_for, store_raw
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.store_and_forward import streams
from tests.integration.store_and_forward.conftest import QueuePair, env_of_a, env_of_b

TRIES = 3


@dataclass
class Archive:
    """Answers each object with the statuses that are laid out for it, then with success."""

    statuses: dict[str, list[int]] = field(default_factory=dict)
    aborts: frozenset[str] = frozenset()
    """The association is aborted instead of an answer."""
    came: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    def handle(self, event: Event) -> int:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        self.came.append(uid)
        self.digests.append(dicom_files.digest(request.DataSet.getvalue()))
        if uid in self.aborts:
            event.assoc.abort()
            return 0x0110
        left = self.statuses.get(uid, [])
        return left.pop(0) if left else 0x0000

    @contextmanager
    def at(self, port: int, *sop_classes: str, ae: str = "TARGET") -> Iterator[Scp]:
        with Scp(port, offers(*(sop_classes or (CTImageStorage,))), [(evt.EVT_C_STORE, self.handle)], ae=ae) as scp:
            yield scp


@dataclass(frozen=True)
class Stage:
    """The pair that these tests share, and what it has queued."""

    pair: Pair
    server: NatsServer

    @property
    def target(self) -> int:
        assert self.pair.target_b is not None
        return self.pair.target_b.port

    def store(self, files: list[DicomFile], *, calling: str = "ASKER") -> list[int]:
        with association(self.pair.a.port, offers_for(files), calling=calling) as assoc:
            return [store_raw(assoc, file, message_id=number + 1) for number, file in enumerate(files)]

    def left(self, kind: str) -> dict[str, dict[str, object]]:
        """What is left of a kind, by SOP instance UID of its object."""
        stream = f"{self.pair.root}_B_A_RECORDS"
        records = streams.contents(self.server.url, stream, "record")
        uids = {(record["association"], record["number"]): record["sop_instance"] for record in records}
        found = {}
        for subject, content in streams.named_contents(self.server.url, stream, kind).items():
            association_id, number = subject.split(".")[-2:]
            found[uids.get((association_id, int(number)), subject)] = content
        return found

    def dead(self, files: list[DicomFile]) -> dict[int, tuple[object, object]]:
        """Of those of the files that are dead letters, by their place: reason and status."""
        letters = self.left("dead")
        return {
            place: (letters[file.sop_instance]["reason"], letters[file.sop_instance]["status"])
            for place, file in enumerate(files)
            if file.sop_instance in letters
        }


@pytest.fixture(scope="module")
def stage(jetstream: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Pair(
        jetstream.url,
        tmp_path_factory.mktemp("pair"),
        target_b=Target(port=free_port()),
        env_a=env_of_a(),
        env_b=env_of_b({"DIMSE_QUEUE_MAX_TRIES": str(TRIES)}),
    ) as pair:
        pair.allowed_troubles = "somebody has to change something"
        yield Stage(pair, jetstream)


def files_of(folder: Path, count: int) -> list[DicomFile]:
    return [dicom_files.write_object(folder, patient_id=f"P{number}") for number in range(count)]


def test_transient_statuses_are_tried_again_and_permanent_ones_are_not(stage: Stage, tmp_path: Path) -> None:
    files = files_of(tmp_path, 8)
    names = [file.sop_instance for file in files]
    laid_out = [[0xA700, 0xA700], [0x0110], [0x0124, 0x0111], [0xB007], [0xA900], [0xC000], [0x0111], []]
    archive = Archive(statuses=dict(zip(names, laid_out, strict=True)))
    with archive.at(stage.target):
        assert stage.store(files) == [0x0000] * 8
        expected = Counter({names[0]: 3, names[1]: 2, names[2]: 2, **dict.fromkeys(names[3:], 1)})
        wait_until(lambda: Counter(archive.came) == expected, seconds=40, what="all tries")
        wait_until(lambda: not set(names) & set(stage.left("attempt")), seconds=20, what="the last success")
    # A duplicate that was never sent before is a failure like others; order was kept where nothing failed.
    assert stage.dead(files) == {4: ("status", 0xA900), 5: ("status", 0xC000), 6: ("status", 0x0111)}
    assert set(names) & set(stage.left("record")) == {names[4], names[5], names[6]}
    first_time = [uid for place, uid in enumerate(archive.came) if uid not in archive.came[:place]]
    assert first_time == names
    assert stage.pair.b.find("delivered with a warning")
    assert stage.pair.b.find("given up")


def test_an_object_that_kills_the_association_does_not_stop_the_others(stage: Stage, tmp_path: Path) -> None:
    files = files_of(tmp_path, 5)
    poison = files[1].sop_instance
    archive = Archive(aborts=frozenset([poison]))
    with archive.at(stage.target):
        stage.store(files)
        wait_until(lambda: len(set(archive.came)) == len(files), seconds=30, what="all the others")
        assert archive.came.count(poison) < TRIES
        wait_until(lambda: stage.dead(files) == {1: ("tries", None)}, seconds=40, what="the poisonous object's end")
    assert archive.came.count(poison) == TRIES


def test_what_no_context_is_accepted_for_is_given_up_at_once(stage: Stage, tmp_path: Path) -> None:
    """The target was away when the contexts were accepted, so the dimse-config folder had the word."""
    files = [
        dicom_files.write_object(tmp_path, patient_id="CT"),
        dicom_files.write_object(tmp_path, patient_id="MR", sop_class=MRImageStorage),
    ]
    assert stage.store(files, calling="NEWCOMER") == [0x0000, 0x0000]
    assert stage.pair.a.find("accepted without asking the target")
    archive = Archive()
    with archive.at(stage.target, CTImageStorage):
        wait_until(lambda: stage.dead(files) == {1: ("no-context", None)}, seconds=30, what="the dead letter")
        wait_until(lambda: archive.came == [files[0].sop_instance], seconds=20, what="the other object")
        # Now that the target can be asked, it is the target that decides.
        both = offers(CTImageStorage, MRImageStorage)
        with association(stage.pair.a.port, both, calling="NEWCOMER") as assoc:
            assert [context.abstract_syntax for context in assoc.accepted_contexts] == [CTImageStorage]
    # It is remembered, so the target need not be there.
    with association(stage.pair.a.port, both, calling="NEWCOMER") as assoc:
        assert [context.abstract_syntax for context in assoc.accepted_contexts] == [CTImageStorage]


def test_objects_pass_while_the_association_goes_on(stage: Stage, tmp_path: Path) -> None:
    """Nobody waits for the end of the original association, and contexts are what the target accepts."""
    files = files_of(tmp_path, 2)
    archive = Archive()
    with archive.at(stage.target), association(stage.pair.a.port, offers_for(files), calling="STAYING") as assoc:
        for number, file in enumerate(files, start=1):
            assert store_raw(assoc, file, message_id=number) == 0x0000
            wait_until(lambda: len(archive.came) == number, seconds=20, what="the object")  # noqa: B023
    assert not stage.pair.a.find("accepted without asking.*STAYING")


def test_a_permanent_rejection_raises_the_alarm_and_gives_nothing_up(stage: Stage, tmp_path: Path) -> None:
    files = files_of(tmp_path, 2)
    stage.store(files)
    archive = Archive()
    with archive.at(stage.target, ae="ANOTHER") as scp:
        scp._ae.require_called_aet = True
        stage.pair.b.wait_for("delivery paused: somebody has to change something")
    assert not stage.dead(files)
    with archive.at(stage.target):
        wait_until(lambda: len(archive.came) == 2, seconds=30, what="both objects")
    stage.pair.b.wait_for("delivery goes on")


@pytest.mark.parametrize("key", ["", bytes(range(32)).hex()], ids=["plain", "tunnel-key"])
def test_every_transfer_syntax_bit_for_bit(
    queue_pair: QueuePair, jetstream: NatsServer, tmp_path: Path, key: str
) -> None:
    """And with the tunnel key, nothing on the disk of nats-server can be recognised."""
    env = {"DIMSE_TUNNEL_KEY": key} if key else {}
    stage = Stage(queue_pair(env_a=env, env_b=env), jetstream)
    files = list(dicom_files.one_per_transfer_syntax())
    assert JPEGBaseline8Bit in {file.transfer_syntax for file in files}
    marked = dicom_files.write_object(tmp_path, patient_id=f"MARKER-{len(key)}-OF-A-PATIENT", pixel_bytes=65280)
    files.append(marked)
    assert set(stage.store(files)) == {0x0000}
    stored = b"".join(path.read_bytes() for path in sorted((jetstream.folder / "store").rglob("*.blk")))
    for marker in (f"MARKER-{len(key)}-OF-A-PATIENT", marked.sop_instance):
        assert (marker.encode() in stored) is (not key)
    archive = Archive()
    with Scp(stage.target, offers_for(files), [(evt.EVT_C_STORE, archive.handle)]):
        wait_until(lambda: len(archive.came) == len(files), seconds=30, what="all objects")
        stream = f"{stage.pair.root}_B_A_RECORDS"
        wait_until(lambda: not streams.subjects(jetstream.url, stream), seconds=20, what="an empty queue")
    assert archive.digests == [file.digest() for file in files]

"""What waits: on disk and in memory, bounded, in order, there again after a crash, and with broken disks."""

import collections
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dimse_proxy.observability.audit import backlog
from dimse_proxy.observability.audit.backlog import Backlog
from dimse_proxy.observability.audit.spool import Batch, RunMark, Spool, SpoolError

MIB = 1 << 20


def opened(folder: Path, limit: int = MIB) -> Spool:
    return Spool(folder / "a.spool", limit)


def records(spool: Spool) -> list[bytes]:
    batch = spool.head(1000, MIB)
    return [] if batch is None else list(batch.records)


def full(spool: Spool) -> None:
    """From now on the file cannot grow, as if the disk were full."""
    (pages,) = spool._database.execute("PRAGMA page_count").fetchone()
    spool._database.execute(f"PRAGMA max_page_count = {pages}")


def test_first_in_first_out(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    assert spool.head(10, 10) is None
    for number in range(5):
        assert spool.append(b"%d" % number) == 0
    batch = spool.head(3, MIB)
    assert batch is not None
    assert batch.records == (b"0", b"1", b"2")
    spool.forget(batch.first_ones(2).last)
    assert records(spool) == [b"2", b"3", b"4"]
    assert spool.count == 3
    batch = spool.head(1000, MIB)
    assert batch is not None
    spool.forget(batch.last)
    assert (spool.count, spool.size, records(spool)) == (0, 0, [])
    spool.append(b"5")
    assert records(spool) == [b"5"]


def test_a_batch_ends_where_it_is_large_enough(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for _ in range(4):
        spool.append(bytes(100))
    for size, count in ((50, 1), (100, 1), (250, 2), (1000, 4)):
        batch = spool.head(100, size)
        assert batch is not None
        assert len(batch.records) == count


def test_it_is_there_after_a_crash(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for number in range(4):
        spool.append(b"%d" % number)
    batch = spool.head(2, MIB)
    assert batch is not None
    spool.forget(batch.last)
    # What a killed process leaves: file and write-ahead log as they are now.
    for path in tmp_path.iterdir():
        target = tmp_path / "copy" / path.name
        target.parent.mkdir(exist_ok=True)
        if path.is_file():
            target.write_bytes(path.read_bytes())
    spool.close()
    again = opened(tmp_path / "copy")
    assert (records(again), again.count) == ([b"2", b"3"], 2)
    again.append(b"4")
    assert records(again) == [b"2", b"3", b"4"]


def test_the_oldest_make_room(tmp_path: Path) -> None:
    spool = opened(tmp_path, 10_000)
    dropped = [spool.append(b"%04d" % number + bytes(996)) for number in range(20)]
    assert sum(dropped) == 11
    assert max(dropped) == 1
    assert [each[:4] for each in records(spool)] == [b"%04d" % number for number in range(11, 20)]
    assert (spool.count, spool.size) == (9, 9 * 1064)
    assert spool.append(bytes(9000)) == 9
    # A batch that is being sent when its records make room: striking it off takes no others.
    (tmp_path / "other").mkdir()
    spool = opened(tmp_path / "other", 3000)
    for number in range(2):
        spool.append(b"%d" % number + bytes(999))
    batch = spool.head(2, MIB)
    assert batch is not None
    spool.append(b"2" + bytes(999))
    spool.forget(batch.last)
    assert [each[:1] for each in records(spool)] == [b"2"]
    assert spool.count == 1


def test_a_bounded_file(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for _ in range(5000):
        spool.append(bytes(1500))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 4 * MIB
    assert not (tmp_path / "a.spool").stat().st_mode & 0o077


def test_what_was_sent_is_not_left_in_the_file(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for _ in range(10):
        spool.append(b"Zq1Patient" * 10)
    batch = spool.head(100, MIB)
    assert batch is not None
    spool.forget(batch.last)
    assert b"Zq1Patient" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_full_disk(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(b"first")
    full(spool)
    with pytest.raises(SpoolError, match=r"^the disk is full$"):
        collections.deque((spool.append(bytes(1000)) for _ in range(100)), maxlen=0)
    count = spool.count
    assert records(spool)[0] == b"first"
    assert len(records(spool)) == count
    spool._database.execute("PRAGMA max_page_count = 10000")
    spool.append(b"last")
    assert records(spool)[-1] == b"last"


def test_what_cannot_be_taken_out_does_not_come_again(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for number in range(3):
        spool.append(b"%d" % number)
    spool._database.execute("PRAGMA query_only = ON")
    with pytest.raises(SpoolError, match="readonly"):
        spool.forget(2)
    assert (records(spool), spool.count) == ([b"2"], 1)
    spool._database.execute("PRAGMA query_only = OFF")
    spool.forget(3)
    assert (records(spool), spool.count, spool.size) == ([], 0, 0)


def test_files_that_are_no_spool(tmp_path: Path) -> None:
    (tmp_path / "a.spool").write_bytes(b"anything but a database " * 100)
    with pytest.raises(SpoolError, match=r"^it is no spool of this program$"):
        opened(tmp_path)
    (tmp_path / "a.spool").unlink()
    other = sqlite3.connect(tmp_path / "a.spool")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(SpoolError, match="something else"):
        opened(tmp_path)
    with pytest.raises(SpoolError, match="Not a directory"):
        opened(tmp_path / "a.spool")


def test_another_process_has_it(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(SpoolError, match="another process"):
        opened(tmp_path)


def test_the_mark_of_a_running_process(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "spool"
    mark = RunMark(folder)
    assert mark.left_behind is None
    mark.begin("a1")
    with pytest.raises(SpoolError, match="another process"):
        RunMark(folder)
    os.close(mark._file)  # as a killed process does
    os.utime(folder / "running", (1000, 2000))
    again = RunMark(folder)
    assert again.left_behind == ("a1", datetime.fromtimestamp(2000, UTC))
    again.begin("a2")
    again.touch()
    again.clear()
    assert RunMark(folder).left_behind is None


def test_a_mark_that_cannot_be_read_or_made(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("???")
    mark = RunMark(tmp_path)
    assert mark.left_behind is not None
    assert mark.left_behind[0] == "unknown"
    with pytest.raises(SpoolError, match=r"Not a directory|File exists"):
        RunMark(tmp_path / "running")


class Kept:
    """A backlog, and what it said."""

    def __init__(self, spool: Spool | None, memory_limit: int = MIB) -> None:
        self.troubles: list[str | None] = []
        self.backlog = Backlog(spool, self.troubles.append, memory_limit=memory_limit)

    def add(self, *found: bytes) -> "Kept":
        for record in found:
            self.backlog.append(record)
        return self

    def take(self, most: int = 1000) -> list[bytes]:
        found = self.backlog.head()
        if found is None:
            return []
        is_on_disk, batch = found
        batch = batch.first_ones(min(most, len(batch.records)))
        self.backlog.forget(is_on_disk, batch)
        return list(batch.records)


@pytest.mark.parametrize("is_on_disk", [True, False])
def test_a_backlog(tmp_path: Path, is_on_disk: bool) -> None:
    kept = Kept(opened(tmp_path) if is_on_disk else None).add(b"0", b"1", b"2")
    assert (kept.backlog.count, kept.backlog.in_memory) == (3, 0 if is_on_disk else 3)
    assert kept.backlog.size >= 3
    assert kept.take(2) == [b"0", b"1"]
    assert kept.add(b"3").take() == [b"2", b"3"]
    assert (kept.take(), kept.backlog.count, kept.backlog.size) == ([], 0, 0)
    assert kept.troubles == []


def test_memory_has_its_bounds_too() -> None:
    kept = Kept(None, memory_limit=250).add(*(b"%d" % number + bytes(99) for number in range(5)))
    found = kept.backlog.head()
    assert found is not None
    kept.add(b"5" + bytes(99))
    kept.backlog.forget(*found)
    assert [record[:1] for record in kept.take()] == [b"5"]
    assert kept.backlog.dropped == 4
    kept.add(bytes(1000))
    assert kept.backlog.count == 1, "one is kept, whatever its size"
    kept = Kept(None).add(*(bytes(1) for _ in range(backlog.BATCH + 1)))
    assert len(kept.take()) == backlog.BATCH
    kept = Kept(None).add(bytes(backlog.BATCH_BYTES), b"1")
    assert len(kept.take()) == 1


def test_a_full_disk_is_said_once_and_order_is_kept(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    kept = Kept(spool).add(b"0" * 100)
    full(spool)
    kept.add(*(b"%d" % number * 3000 for number in range(1, 6)))
    assert kept.troubles == ["the disk is full"]
    assert kept.backlog.in_memory > 0
    taken = [kept.take(1)[0][:1]]
    spool._database.execute("PRAGMA max_page_count = 10000")
    kept.add(b"6")
    assert kept.troubles == ["the disk is full", None]
    assert kept.backlog.in_memory == 0
    while found := kept.take(2):
        taken += [record[:1] for record in found]
    assert taken == [b"%d" % number for number in range(7)]


def test_a_disk_that_goes_away(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    kept = Kept(spool).add(b"0", b"1")
    spool._database.execute("PRAGMA query_only = ON")
    assert kept.take(1) == [b"0"]
    assert kept.troubles == ["attempt to write a readonly database"]
    assert kept.take(1) == [b"1"]
    spool.close()
    kept.add(b"2")
    assert kept.take() == [b"2"]
    assert len(kept.troubles) == 2
    kept.backlog.close()
    spool.count = 1
    assert kept.add(b"3").take() == [b"3"]


def test_the_first_of_a_batch() -> None:
    batch = Batch(records=(b"a", b"b", b"c"), last=9)
    assert batch.first_ones(1) == Batch(records=(b"a",), last=7)
    assert batch.first_ones(0) == Batch(records=(), last=6)

"""Records that wait to be sent, in a file of bounded size: oldest out first, and there again after a crash.

An SQLite file, so a record is in it or not, whatever happens while it is written. One process, any of its threads, one
at a time. What a record is, and who sends it, is not known here.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

_APPLICATION_ID: Final = 0x444D4150
"""`DMAP`, in the header of the file: a database of something else is not touched."""
_OVERHEAD: Final = 64
"""Bytes that a record is reckoned to take beside its own, in the file."""
_WAL_PAGES: Final = 256
"""Pages of the write-ahead log after which it is written back: 1 MiB."""
_OWNER_ONLY: Final = 0o600

T = TypeVar("T")


class SpoolError(Exception):
    """The file cannot be used; the text is the end of a sentence about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The oldest records."""

    records: tuple[bytes, ...] = field(repr=False)
    last: int
    """Number of the last one; those before it have the numbers before it."""

    def first_ones(self, count: int) -> "Batch":
        """The first `count` of them."""
        return Batch(records=self.records[:count], last=self.last - len(self.records) + count)


class Spool:
    """One file."""

    def __init__(self, path: Path, limit: int) -> None:
        """Opens or makes it.

        Args:
            path: in a folder that is there.
            limit: bytes of all records together.

        Raises:
            SpoolError: that cannot be done.
        """
        self._limit: Final = limit
        self.count = 0
        """Records in it."""
        self.size = 0
        """Bytes that they take."""
        self._is_closed = False
        self._struck_off = 0
        """Number of the last record that is gone, though it may be in the file still."""
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY))
        except OSError as error:
            raise SpoolError(error.strerror or "it cannot be opened") from None
        # The transactions are ours alone, and threads take turns: see `backlog`.
        self._database: Final = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            self._tried(self._open)
        except SpoolError:
            self._database.close()
            raise

    def append(self, record: bytes) -> int:
        """Adds a record; returns how many of the oldest had to make room.

        Raises:
            SpoolError: it cannot be written.
        """
        return self._tried(lambda: self._append(record))

    def head(self, most: int, most_bytes: int) -> Batch | None:
        """Returns the oldest records, `most` and `most_bytes` at most, at least one; None if there is none.

        Raises:
            SpoolError: it cannot be read.
        """
        return self._tried(lambda: self._head(most, most_bytes))

    def forget(self, last: int) -> None:
        """Takes out the records up to number `last`: they do not come again, but after a crash of this process.

        Raises:
            SpoolError: the file cannot be written now; they leave it later.
        """
        self._tried(lambda: self._forget(last))

    def close(self) -> None:
        """Closes the file; what is in it stays."""
        self._is_closed = True
        self._database.close()

    def _tried(self, action: Callable[[], T]) -> T:
        if self._is_closed:
            raise SpoolError("it is closed")
        try:
            return action()
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._database.rollback()
            raise SpoolError(_reason(error)) from None

    def _open(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")  # No shared memory, which network drives do not have.
        (identity,) = run("PRAGMA application_id").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and identity != _APPLICATION_ID:
            raise SpoolError("it is a database of something else")
        run(f"PRAGMA application_id = {_APPLICATION_ID}")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA secure_delete = ON")
        run(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        run("CREATE TABLE IF NOT EXISTS record (number INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL)")
        self.count, size = run("SELECT count(*), coalesce(sum(length(data)), 0) FROM record").fetchone()
        self.size = size + self.count * _OVERHEAD

    def _append(self, record: bytes) -> int:
        run = self._database.execute
        count, size = self.count, self.size + len(record) + _OVERHEAD
        run("BEGIN IMMEDIATE")
        dropped = 0
        if size > self._limit:
            last = 0
            rows = run("SELECT number, length(data) FROM record WHERE number > ? ORDER BY number", (self._struck_off,))
            for number, length in rows:
                last, dropped, size = number, dropped + 1, size - length - _OVERHEAD
                if size <= self._limit:
                    break
            rows.close()
            run("DELETE FROM record WHERE number <= ?", (last,))
        run("INSERT INTO record (data) VALUES (?)", (record,))
        run("COMMIT")
        self.count, self.size = count - dropped + 1, size
        return dropped

    def _head(self, most: int, most_bytes: int) -> Batch | None:
        records: list[bytes] = []
        last = 0
        rows = self._database.execute(
            "SELECT number, data FROM record WHERE number > ? ORDER BY number LIMIT ?", (self._struck_off, most)
        )
        for number, data in rows:
            if records and sum(map(len, records)) + len(data) > most_bytes:
                break
            records.append(data)
            last = number
        rows.close()
        return Batch(records=tuple(records), last=last) if records else None

    def _forget(self, last: int) -> None:
        run = self._database.execute
        count, size = run(
            "SELECT count(*), coalesce(sum(length(data)), 0) FROM record WHERE number > ? AND number <= ?",
            (self._struck_off, last),
        ).fetchone()
        self.count, self.size = self.count - count, self.size - size - count * _OVERHEAD
        self._struck_off = max(self._struck_off, last)
        run("DELETE FROM record WHERE number <= ?", (self._struck_off,))
        if not self.count:
            run("PRAGMA wal_checkpoint(TRUNCATE)")


def _reason(error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", None):
        case sqlite3.SQLITE_FULL:
            return "the disk is full"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process uses it"
        case sqlite3.SQLITE_NOTADB:
            return "it is no spool of this program"
        case _:
            return f"{error}"


class RunMark:
    """A file in the folder of the spools that says that a process runs with them, and when it was last seen alive."""

    def __init__(self, folder: Path) -> None:
        """Claims the folder.

        Args:
            folder: made if it is not there.

        Raises:
            SpoolError: another process has it, or it cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file: Final = os.open(folder / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        except OSError as error:
            raise SpoolError(error.strerror or "it cannot be written") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.left_behind: Final = self._read()
            """Instance and last sign of life of a process that did not stop in order; None if there was none."""
        except BlockingIOError:
            os.close(self._file)
            raise SpoolError("another process uses it") from None
        except OSError as error:
            os.close(self._file)
            raise SpoolError(error.strerror or "it cannot be written") from None

    def _read(self) -> tuple[str, datetime] | None:
        found = os.fstat(self._file)
        if not found.st_size:
            return None
        last_seen = datetime.fromtimestamp(found.st_mtime, UTC)
        try:
            return str(json.loads(os.pread(self._file, 4096, 0))["instance"]), last_seen
        except (ValueError, KeyError, TypeError):
            return "unknown", last_seen

    def begin(self, instance: str) -> None:
        """This process runs, under this name."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"instance": instance}).encode(), 0)

    def touch(self) -> None:
        """This process is alive."""
        os.utime(self._file)

    def clear(self) -> None:
        """This process stops in order."""
        os.ftruncate(self._file, 0)
        os.close(self._file)

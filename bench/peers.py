"""Who stores and who is stored to: DCMTK as shipped, DCMTK without Nagle's delay, DCMTK over TLS, pynetdicom.

Each SCP is started for one run and keeps nothing of what it gets, which is the fastest that it can do.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK

from bench.processes import program, run, start_program
from bench.ways import Certificates

AS_SHIPPED: Final = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
NO_DELAY: Final = {**AS_SHIPPED, "TCP_NODELAY": "1"}
"""DCMTK has a switch for it in the environment; without it, it waits 40 ms for each acknowledgement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What an SCU did."""

    seconds: float
    cpu: float
    length: int
    """Bytes of the files that it sent."""


class StoragePeers(Protocol):
    """An SCU and an SCP of one kind."""

    def scp(self, port: int, folder: Path) -> AbstractContextManager[ChildProcess]:
        """Runs an SCP for a with block."""

    def store(self, port: int, objects: Path) -> Stored:
        """Stores all files of a folder over one association."""


@contextmanager
def running(child: ChildProcess) -> Iterator[ChildProcess]:
    """A process that ends with the block."""
    try:
        yield child
    finally:
        child.kill()


def length_of(objects: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in objects.iterdir())


class DcmtkPeers:
    """storescu and storescp; bit-preserving into nowhere is what costs the SCP least."""

    def __init__(self, environment: Mapping[str, str], certificates: Certificates | None = None) -> None:
        """Runs nothing yet.

        Args:
            environment: of both.
            certificates: for TLS at both ends; None for none.
        """
        self._environment: Final = dict(environment)
        files = certificates
        self._options: Final[tuple[object, ...]] = (
            () if files is None else ("+tls", files.key, files.certificate, "+cf", files.authority)
        )

    def scp(self, port: int, folder: Path) -> AbstractContextManager[ChildProcess]:
        """Storescp."""
        words = ["storescp", "--ignore", "+B", *self._options, port]
        child = ChildProcess(f"storescp-{port}", [str(word) for word in words], folder, env=self._environment)
        child.wait_for_listener(port)
        return running(child)

    def store(self, port: int, objects: Path) -> Stored:
        """storescu, its own start included."""
        length = length_of(objects)
        words = ["storescu", "+sd", "-aec", "BENCHSCP", *self._options, LOOPBACK, port, objects]
        done = run(words, env=self._environment)
        return Stored(seconds=done.seconds, cpu=done.cpu, length=length)


class PynetdicomPeers:
    """pynetdicom at both ends, without its start."""

    def scp(self, port: int, folder: Path) -> AbstractContextManager[ChildProcess]:
        """Answers at once."""
        return running(start_program("pynetdicom_scp", port, folder=folder, port=port))

    def store(self, port: int, objects: Path) -> Stored:
        """Reads each file and stores it."""
        count = len(list(objects.iterdir()))
        done = run(program("pynetdicom_scu", "store", port, "--folder", objects, "--count", count)).said()
        return Stored(seconds=done["seconds"], cpu=done["cpu"], length=done["bytes"])

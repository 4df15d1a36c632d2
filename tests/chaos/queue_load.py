"""The load of the tests that kill parts of store and forward: SCUs that never give up, and an archive that counts.

Both speak with the tests' own encoder; what was answered with success is known by the digest of its data set.
"""

import contextlib
import hashlib
import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import evt
from pynetdicom.dsutils import decode
from pynetdicom.events import Event

from tests.integration.peers import dicom_files
from tests.integration.peers.bulk import read_exactly
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK
from tests.integration.wire import pdus

LENGTHS: Final = (200, 20_000, 700_000)
"""Bytes of pixels: less than a chunk, and more."""


class Scu(threading.Thread):
    """Stores objects, one association after the other, whatever becomes of them."""

    def __init__(self, port: int, header: bytes) -> None:
        super().__init__()
        self._port: Final = port
        self._header: Final = header
        self._chance: Final = random.Random(threading.active_count())
        self.stopping: Final = threading.Event()
        self.succeeded: Final[dict[str, str]] = {}
        """SOP instance UID to digest of what was answered with success."""
        self.sent = 0

    def run(self) -> None:
        while not self.stopping.wait(0.05):
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self._port), timeout=45) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._associate(sock)

    def _associate(self, sock: socket.socket) -> None:
        sock.sendall(pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.EXPLICIT)))
        if self._read(sock)[0] != pdus.AC:
            return
        for message_id in range(1, self._chance.randint(2, 10)):
            uid = generate_uid()
            data_set = self._header + os.urandom(self._chance.choice(LENGTHS))
            self.sent += 1
            sock.sendall(pdus.command_pdu(pdus.store_rq(message_id, uid)) + pdus.data_pdus(data_set))
            answer = self._read(sock)
            if answer[0] != pdus.P_DATA:
                return
            (_, _, command) = pdus.pdvs(answer)[0]
            if decode(BytesIO(command), is_implicit_vr=True, is_little_endian=True).Status == 0x0000:
                self.succeeded[uid] = hashlib.sha256(data_set).hexdigest()
            if self.stopping.is_set():
                break
        sock.sendall(pdus.release_rq())
        self._read(sock)

    def _read(self, sock: socket.socket) -> bytes:
        """A whole PDU; raises ConnectionError when there is none any more."""
        header = bytearray(6)
        read_exactly(sock, memoryview(header))
        body = bytearray(int.from_bytes(header[2:], "big"))
        read_exactly(sock, memoryview(body))
        return bytes(header + body)


class Scus:
    """Several of them; use `with`, which ends them."""

    def __init__(self, port: int, folder: Path, *, count: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        header = dicom_files.write_object(folder, patient_id="P").data_set()
        self._all: Final = [Scu(port, header) for _ in range(count)]

    @property
    def sent(self) -> int:
        return sum(scu.sent for scu in self._all)

    def succeeded(self) -> dict[str, str]:
        """All that was answered with success so far."""
        return {uid: digest for scu in self._all for uid, digest in dict(scu.succeeded).items()}

    def stop(self) -> None:
        for scu in self._all:
            scu.stopping.set()
        for scu in self._all:
            scu.join()

    def __enter__(self) -> "Scus":
        for scu in self._all:
            scu.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


@dataclass
class Archive:
    """Answers everything with success, and knows what came how often."""

    came: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)

    def _keep(self, event: Event) -> int:
        asked: Any = event.request
        uid = str(asked.AffectedSOPInstanceUID)
        digest = hashlib.sha256(asked.DataSet.getvalue()).hexdigest()
        assert self.digests.setdefault(uid, digest) == digest, f"{uid} came twice, and not as the same"
        self.came[uid] += 1
        return 0x0000

    @property
    def duplicates(self) -> int:
        """Arrivals that were not needed: the same object once more."""
        return sum(self.came.values()) - len(self.came)

    @contextmanager
    def at(self, port: int) -> Iterator[Scp]:
        with Scp(port, offers(CTImageStorage), [(evt.EVT_C_STORE, self._keep)]) as scp:
            yield scp

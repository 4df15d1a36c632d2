"""The load of the tests that kill parts of store and forward: SCUs that never give up, and an archive that counts.

Both speak with the tests' own encoder; what was answered with success is known by the digest of its data set.
"""

import contextlib
import hashlib
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dsutils import decode
from pynetdicom.events import Event

from tests.integration.peers import dicom_files
from tests.integration.peers.bulk import read_exactly
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK
from tests.integration.wire import pdus

LENGTHS: Final = (200, 20_000, 700_000)
"""Bytes of pixels: less than a chunk, and more."""


def read_pdu(sock: socket.socket) -> bytes:
    """A whole PDU; raises ConnectionError when there is none any more."""
    header = bytearray(6)
    read_exactly(sock, memoryview(header))
    body = bytearray(int.from_bytes(header[2:], "big"))
    read_exactly(sock, memoryview(body))
    return bytes(header + body)


def status_of(answer: bytes) -> int:
    """Of a response that is one P-DATA-TF."""
    (_, _, command) = pdus.pdvs(answer)[0]
    return int(decode(BytesIO(command), is_implicit_vr=True, is_little_endian=True).Status)


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
        if read_pdu(sock)[0] != pdus.AC:
            return
        for message_id in range(1, self._chance.randint(2, 10)):
            uid = generate_uid()
            data_set = self._header + os.urandom(self._chance.choice(LENGTHS))
            self.sent += 1
            sock.sendall(pdus.command_pdu(pdus.store_rq(message_id, uid)) + pdus.data_pdus(data_set))
            answer = read_pdu(sock)
            if answer[0] != pdus.P_DATA:
                return
            if status_of(answer) == 0x0000:
                self.succeeded[uid] = hashlib.sha256(data_set).hexdigest()
            if self.stopping.is_set():
                break
        sock.sendall(pdus.release_rq())
        read_pdu(sock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An object that was answered with success."""

    uid: str
    digest: str
    seconds: float
    """From the first byte of the C-STORE-RQ to the answer."""


def timed_store(port: int, count: int, *, length: int = 25_600) -> list[Timed]:
    """Stores objects over one association; all of them must be answered with success."""
    stored = []
    with socket.create_connection((LOOPBACK, port), timeout=60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.EXPLICIT)))
        assert read_pdu(sock)[0] == pdus.AC
        for message_id in range(1, count + 1):
            uid, data_set = generate_uid(), os.urandom(length)
            message = pdus.command_pdu(pdus.store_rq(message_id, uid)) + pdus.data_pdus(data_set)
            begun = time.perf_counter()
            sock.sendall(message)
            answer = read_pdu(sock)
            seconds = time.perf_counter() - begun
            assert status_of(answer) == 0x0000
            stored.append(Timed(uid=uid, digest=hashlib.sha256(data_set).hexdigest(), seconds=seconds))
        sock.sendall(pdus.release_rq())
        assert read_pdu(sock)[0] == pdus.RELEASE_RP
    return stored


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

    pause: float = 0.0
    """Seconds that each object takes."""
    came: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)
    _groups: dict[Association, list[str]] = field(default_factory=dict)

    def _keep(self, event: Event) -> int:
        time.sleep(self.pause)
        asked: Any = event.request
        uid = str(asked.AffectedSOPInstanceUID)
        digest = hashlib.sha256(asked.DataSet.getvalue()).hexdigest()
        assert self.digests.setdefault(uid, digest) == digest, f"{uid} came twice, and not as the same"
        self.came[uid] += 1
        self._groups.setdefault(event.assoc, []).append(uid)
        return 0x0000

    def groups(self) -> list[list[str]]:
        """What each association brought, in order."""
        return list(self._groups.values())

    @property
    def duplicates(self) -> int:
        """Arrivals that were not needed: the same object once more."""
        return sum(self.came.values()) - len(self.came)

    @contextmanager
    def at(self, port: int) -> Iterator[Scp]:
        with Scp(port, offers(CTImageStorage), [(evt.EVT_C_STORE, self._keep)]) as scp:
            yield scp

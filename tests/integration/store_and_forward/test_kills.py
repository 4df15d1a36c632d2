"""kill -9 of each process under load, a few times: every object that was answered with success arrives.

The long form, a hundred kills and a cluster, is for the chaos bench.
"""

import contextlib
import hashlib
import os
import random
import socket
import threading
from collections import Counter
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import evt
from pynetdicom.dsutils import decode
from pynetdicom.events import Event

from tests.integration.peers import dicom_files
from tests.integration.peers.bulk import read_exactly
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import START_SECONDS, Pair, Proxy, Target
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.store_and_forward.conftest import env_of_a, env_of_b
from tests.integration.wire import pdus

KILLS: Final = ("b", "a", "nats", "b")
OBJECTS_BETWEEN: Final = 15


class Scu(threading.Thread):
    """Stores objects, one association after the other, whatever becomes of them."""

    def __init__(self, port: int, header: bytes) -> None:
        super().__init__()
        self._port: Final = port
        self._header: Final = header
        self._chance: Final = random.Random(port)
        self.stopping: Final = threading.Event()
        self.succeeded: Final[dict[str, str]] = {}
        """SOP instance UID to digest of what was answered with success."""

    def run(self) -> None:
        while not self.stopping.wait(0.05):
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self._port), timeout=15) as sock:
                self._associate(sock)

    def _associate(self, sock: socket.socket) -> None:
        sock.sendall(pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.EXPLICIT)))
        if self._read(sock)[0] != pdus.AC:
            return
        for message_id in range(1, self._chance.randint(2, 10)):
            uid = generate_uid()
            data_set = self._header + os.urandom(self._chance.choice((200, 20_000, 700_000)))
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


@pytest.mark.timeout(300)
def test_whatever_is_killed_nothing_is_lost(tmp_path: Path) -> None:
    came: Counter[str] = Counter()
    digests: dict[str, str] = {}

    def keep(event: Event) -> int:
        asked: Any = event.request
        uid = str(asked.AffectedSOPInstanceUID)
        came[uid] += 1
        digests[uid] = hashlib.sha256(asked.DataSet.getvalue()).hexdigest()
        return 0x0000

    config = {"jetstream": {"store_dir": str(tmp_path / "store"), "sync_interval": "always"}}
    server = NatsServer(tmp_path / "nats", config=config)
    target = Target(port=free_port())
    header = dicom_files.write_object(tmp_path, patient_id="P").data_set()
    pair = Pair(server.url, tmp_path / "pair", target_b=target, env_a=env_of_a(), env_b=env_of_b())
    proxies = {"a": pair.a, "b": pair.b}
    scus = [Scu(pair.a.port, header) for _ in range(2)]

    def succeeded() -> dict[str, str]:
        return {uid: digest for scu in scus for uid, digest in dict(scu.succeeded).items()}

    def more(count: int) -> bool:
        return len(succeeded()) >= count

    try:
        with Scp(target.port, offers(CTImageStorage), [(evt.EVT_C_STORE, keep)]):
            for scu in scus:
                scu.start()
            for turn, victim in enumerate(KILLS):
                wait_until(partial(more, len(succeeded()) + OBJECTS_BETWEEN), seconds=60, what="objects")
                if victim == "nats":
                    server.process.kill()
                    server = NatsServer(tmp_path / "nats-again", port=server.port, config=config)
                else:
                    proxies[victim].process.kill()
                    proxies[victim] = Proxy(f"{victim}-{turn}", tmp_path / "pair", proxies[victim].env)
                    proxies[victim].wait_for("ready", seconds=START_SECONDS)
            for scu in scus:
                scu.stopping.set()
            for scu in scus:
                scu.join()
            sent = succeeded()
            wait_until(
                lambda: sent.keys() <= came.keys(), seconds=90, what="every object that was answered with success"
            )
        assert {uid: digests[uid] for uid in sent} == sent
        assert not any(line for proxy in proxies.values() for line in proxy.troubles("Traceback|exception"))
    finally:
        for scu in scus:
            scu.stopping.set()
        for proxy in proxies.values():
            proxy.process.kill()
        server.stop()

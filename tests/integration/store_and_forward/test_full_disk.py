"""The disk of nats-server is full: A700 and a clear line, nothing that was answered with success is lost.

The disk is a file system in memory, in a mount namespace that a shell holds while nats-server is restarted.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from pydicom.uid import CTImageStorage

from tests.integration.peers import dicom_files
from tests.integration.peers.nats import NATS_SERVER
from tests.integration.peers.pair import Pair, Proxy, Target
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.store_and_forward.conftest import env_of_a, env_of_b

OUT_OF_RESOURCES: Final = 0xA700
MOST: Final = 80
"""Objects of 64 KiB, more than fit."""
SMALL: Final = "4m"
LARGE: Final = "64m"
SCRIPT: Final = """
mount -t tmpfs -o size={small} tmpfs {store} || exit 3
{server} -c {config}
mount -o remount,size={large} {store} || exit 4
exec {server} -c {config}
"""
"""The second nats-server finds a larger disk with what the first one has left on it."""


class SmallDisk:
    """A nats-server on it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        store, config, self._pid_file = folder / "store", folder / "nats.conf", folder / "nats.pid"
        store.mkdir()
        self.port: Final = free_port()
        settings = {
            "host": LOOPBACK,
            "port": self.port,
            "pid_file": str(self._pid_file),
            "jetstream": {"store_dir": str(store), "max_file_store": 1 << 30, "sync_interval": "always"},
        }
        config.write_text(json.dumps(settings))
        script = SCRIPT.format(small=SMALL, large=LARGE, store=store, server=NATS_SERVER, config=config)
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
        self.process: Final = ChildProcess("small-disk", command, folder)
        self.process.wait_for_listener(self.port)

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    def _server(self) -> int:
        """The id of its process, 0 while there is none."""
        text = self._pid_file.read_text() if self._pid_file.exists() else ""
        return int(text or 0)

    def _signal(self, number: int) -> int:
        server = self._server()
        if server:
            os.kill(server, number)
        return server

    def restart_with_room(self) -> None:
        """Somebody has made room."""
        before = self._signal(signal.SIGTERM)
        wait_until(lambda: self._server() not in (0, before), seconds=20, what="another nats-server")
        self.process.wait_for_listener(self.port)

    def stop(self) -> None:
        """The shell first, which would start another one."""
        self.process.kill()
        with contextlib.suppress(ProcessLookupError):
            self._signal(signal.SIGKILL)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(folder)
    try:
        yield disk
    finally:
        disk.stop()


@pytest.mark.timeout(120)
def test_a_full_disk_answers_a700_and_loses_nothing(tmp_path: Path) -> None:
    quick = {"DIMSE_QUEUE_STORE_TIMEOUTSECONDS": "2"}
    target, store = Target(port=free_port()), Store()
    files = [dicom_files.write_object(tmp_path / "files", patient_id="P", pixel_bytes=65280) for _ in range(MOST)]
    with (
        small_disk(tmp_path / "disk") as disk,
        Pair(disk.url, tmp_path / "pair", target_b=target, env_a=env_of_a(quick)) as pair,
    ):
        answers: list[int] = []
        with association(pair.a.port, offers(CTImageStorage)) as assoc:
            # Until one does not fit, and three more.
            while OUT_OF_RESOURCES not in answers[:-3]:
                answers.append(store_raw(assoc, files[len(answers)], message_id=len(answers) + 1))
        pair.a.wait_for("queue cannot be used.*JetStream does not acknowledge.*whether its disk is full")
        pair.a.wait_for("object not queued.*A700H")
        assert set(answers) == {0x0000, OUT_OF_RESOURCES}
        accepted = [file for file, status in zip(files, answers, strict=False) if status == 0x0000]
        disk.restart_with_room()
        # Nobody delivered before: what a full disk leaves unsaid is tried again after half a minute.
        env_b = {**pair.b.env, **env_of_b(), "DIMSE_PORT": str(free_port())}
        with Scp(target.port, offers(CTImageStorage), store.handlers()), running(Proxy("b2", tmp_path, env_b)):
            wanted = dicom_files.digests(accepted)
            wait_until(lambda: wanted.keys() <= store.received.keys(), seconds=60, what="all that was accepted")
            last = files[-1]
            wait_until(lambda: takes(pair.a.port, last), seconds=30, what="an object to be accepted again")
            wait_until(lambda: last.sop_instance in store.received, seconds=20, what="that object")
    assert {uid: store.received[uid] for uid in wanted} == wanted


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """A proxy that ends with the block."""
    try:
        yield proxy
    finally:
        proxy.process.kill()


def takes(port: int, file: dicom_files.DicomFile) -> bool:
    """An object is answered with success."""
    with association(port, offers(CTImageStorage)) as assoc:
        return store_raw(assoc, file) == 0x0000

"""The story of the demonstration, from start to end, and the order in which everything stops again.

Each step is a few lines here; how it is done is in the modules beside this one.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pydicom.config
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config as pynetdicom_config

from dimse_proxy import __version__
from dimse_proxy.cli.demonstration.archive import Archive
from dimse_proxy.cli.demonstration.failure import StepFailed
from dimse_proxy.cli.demonstration.files import SampleFile, sample_files
from dimse_proxy.cli.demonstration.proxies import HOST, ProxyPair
from dimse_proxy.cli.demonstration.report import Journey, Places, Report
from dimse_proxy.cli.demonstration.signals import disregarded, interrupting
from dimse_proxy.cli.demonstration.workstation import Workstation

WORKSTATION: Final = "WORKSTATION"
ARCHIVE: Final = "ARCHIVE"
ALIAS: Final = "WS_VIA_B"
"""The AE title under which the archive knows the workstation: its address is that of proxy B."""

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
"""As a shell reports a command that Ctrl-C has ended."""

_PLAIN: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_PEERS_TIMEOUT: Final = 10.0
"""Seconds until the proxies must have found each other; a fraction of one is usual."""

_LOOK: Final = 0.2
"""Seconds between two looks at whether the proxies still run, while the pair stays up."""


def play(*, keep: bool) -> int:
    """Plays it and returns the exit code: 0 if every file came back identical, both ways."""
    report = Report()
    demonstration = Demonstration(report)
    with interrupting():
        try:
            return demonstration.run(keep=keep)
        except KeyboardInterrupt:
            report.farewell()
            code = 0 if demonstration.stays_up else EXIT_INTERRUPTED
            if threading.active_count() > 1:
                # A thread of pynetdicom's may have been made and not yet told to end, and Python would wait for it.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
            return code


class Demonstration:
    """One run."""

    def __init__(self, report: Report) -> None:
        self._report: Final = report
        self._began: Final = time.perf_counter()
        self.stays_up = False
        """Whether all steps went well, and it waits to be interrupted."""

    def run(self, *, keep: bool) -> int:
        """Sets everything up, plays all steps, and takes everything down; see `play`."""
        self._report.title(__version__)
        stack = ExitStack()
        try:
            return self._play(stack, keep=keep)
        finally:
            with disregarded():
                stack.close()

    def _play(self, stack: ExitStack, *, keep: bool) -> int:
        pair = ProxyPair()
        try:
            stack.enter_context(_bytes_as_they_are())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dimse-proxy-demo-")))
            files = sample_files()
            workstation = Workstation(WORKSTATION, files)
            stack.callback(workstation.stop)
            archive = Archive(folder / "archive", ARCHIVE)
            stack.callback(archive.stop)
            stack.callback(pair.stop)
            places = self._start(folder, workstation, pair, archive)
            journeys = self._there_and_back(workstation, files)
            with self._report.step("compare") as done:
                different = [it.file.path.name for it in journeys if not it.is_identical()]
                if different:
                    self._report.table(journeys)
                    raise StepFailed(f"not identical after the way there and back: {', '.join(different)}")
                done.append("every data set byte for byte, and its transfer syntax")
            self._report.table(journeys)
            self._report.success(journeys, time.perf_counter() - self._began)
            if keep:
                workstation.stop()
                self._stay_up(pair, places, files)
        except (StepFailed, OSError) as error:
            self._report.failure(error, pair.proxies)
            return EXIT_FAILED
        return 0

    def _start(self, folder: Path, workstation: Workstation, pair: ProxyPair, archive: Archive) -> Places:
        """Starts archive, workstation and pair, and waits until a C-ECHO gets through."""
        with self._report.step("start") as done:
            places = Places(
                workstation=WORKSTATION,
                archive=ARCHIVE,
                workstation_port=workstation.start(HOST),
                archive_port=archive.start(HOST, destinations={ALIAS: (HOST, pair.port_b)}),
                port_a=pair.port_a,
                port_b=pair.port_b,
                nats_port=pair.nats_port,
            )
            pair.start(
                folder,
                {
                    # To the workstation, proxy A is the archive.
                    "DIMSE_AE": ARCHIVE,
                    "DIMSE_TARGET_AE": WORKSTATION,
                    "DIMSE_TARGET_HOST": HOST,
                    "DIMSE_TARGET_PORT": str(places.workstation_port),
                },
                {
                    # To the archive, proxy B is the workstation, under the alias.
                    "DIMSE_AE": "PROXY_B",
                    "DIMSE_MOVE_ALIASES": f"{WORKSTATION}={ALIAS}",
                    "DIMSE_TARGET_AE": ARCHIVE,
                    "DIMSE_TARGET_HOST": HOST,
                    "DIMSE_TARGET_PORT": str(places.archive_port),
                },
            )
            done.append("archive, workstation, nats-server, proxy A and proxy B are ready")
        self._report.picture(places)
        with self._report.step("C-ECHO") as done:
            workstation.call(HOST, places.port_a, ARCHIVE)
            attempts = workstation.echo_until_answered(time.perf_counter() + _PEERS_TIMEOUT)
            done.append("the archive answers" + (f" (at attempt {attempts})" if attempts > 1 else ""))
        return places

    def _there_and_back(self, workstation: Workstation, files: tuple[SampleFile, ...]) -> list[Journey]:
        """Stores, finds and retrieves all files."""
        size = sum(len(file.data_set) for file in files)
        with self._report.step("C-STORE") as done:
            stored = workstation.store()
            done.append(f"{len(stored)} files, {size:,} bytes")
        with self._report.step("C-FIND") as done:
            done.append(f"{workstation.find()} studies and images found, as stored")
        with self._report.step("C-MOVE") as done:
            moved = workstation.move()
            done.append(f"{len(moved)} files back at the workstation's storage SCP")
        with self._report.step("C-GET") as done:
            got = workstation.get()
            done.append(f"{len(got)} files back on the association that asked")
        return [
            Journey(file=file, stored=stored[uid], moved=moved.get(uid), got=got.get(uid))
            for uid, file in {str(file.sop_instance): file for file in files}.items()
        ]

    def _stay_up(self, pair: ProxyPair, places: Places, files: tuple[SampleFile, ...]) -> None:
        """Waits for the KeyboardInterrupt; raises `StepFailed` if a proxy ends before."""
        self._report.how_to_join(places, _example(files), {it.name: str(it.log) for it in pair.proxies})
        self.stays_up = True
        with self._report.step("keep"):
            while True:
                for proxy in pair.proxies:
                    proxy.must_run()
                time.sleep(_LOOK)


def _example(files: tuple[SampleFile, ...]) -> SampleFile:
    """The smallest file that every tool can store and retrieve: nothing in its study needs more than the defaults."""
    special = {file.study for file in files if file.transfer_syntax not in _PLAIN}
    plain = [file for file in files if file.study not in special]
    return min(plain or files, key=lambda file: len(file.data_set))


@contextmanager
def _bytes_as_they_are() -> Iterator[None]:
    """Lets pynetdicom send files as bytes, and pydicom read what breaks rules; both are settings of the process."""
    sending = pynetdicom_config.STORE_SEND_CHUNKED_DATASET
    settings = pydicom.config.settings
    reading, writing = settings.reading_validation_mode, settings.writing_validation_mode
    pynetdicom_config.STORE_SEND_CHUNKED_DATASET = True
    settings.reading_validation_mode = settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        yield
    finally:
        pynetdicom_config.STORE_SEND_CHUNKED_DATASET = sending
        settings.reading_validation_mode, settings.writing_validation_mode = reading, writing

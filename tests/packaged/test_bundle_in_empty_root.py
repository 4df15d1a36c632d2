"""The bundle in a Debian without Python and without a network: a pair runs, and DCMTK stores and finds through it."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tools.image import roots

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.packaged.conftest import NAME
from tests.packaged.systems import Side, run_inside, side

pytestmark = [pytest.mark.packaged, pytest.mark.timeout(600)]

SCRIPT = f"/opt/{NAME}/dicom-dimse-proxy.sh"
# The unit's MemoryDenyWriteExecute, by the kernel's own means (prctl PR_SET_MDWE, Linux 6.3); children inherit it.
DENY_WRITE_EXECUTE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A system with the bundle unpacked, and its two sides' settings."""

    root: Path

    def call(self, command: str, side: Side) -> subprocess.CompletedProcess[str]:
        """The script, from another folder, for one side."""
        return run_inside(
            self.root,
            SCRIPT,
            command,
            env={
                "PROXY_ENV_FILE": f"/etc/dimse/{side.channel}.env",
                "PROXY_RUN_DIR": f"/tmp/{side.channel}",  # noqa: S108 - of that system
            },
        )

    def pid(self, side: Side) -> int:
        return int((self.root / f"tmp/{side.channel}/dicom-dimse-proxy.pid").read_text())

    def log(self, side: Side) -> str:
        return (self.root / f"tmp/{side.channel}/dicom-dimse-proxy.log").read_text()


@pytest.fixture(scope="module")
def installed(debian: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = roots.copy(debian, tmp_path_factory.mktemp("bundle") / "root")
    with tarfile.open(bundle) as tar:
        tar.extractall(root / "opt", filter="tar")
    (root / "etc/dimse").mkdir()
    return Installed(root)


@pytest.fixture(scope="module")
def nats_server(no_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


def test_what_was_packed_is_whole_and_the_system_has_no_python(installed: Installed) -> None:
    check = run_inside(installed.root, "sh", "-c", f"cd /opt/{NAME} && sha256sum --quiet --check SHA256SUMS")
    assert check.returncode == 0, check.stderr
    python = run_inside(installed.root, "sh", "-c", "command -v python3 || command -v python")
    assert python.returncode != 0, python.stdout
    assert "# Written by" in (installed.root / f"opt/{NAME}/dicom-dimse-proxy.env").read_text()


def test_a_pair_stores_and_finds(installed: Installed, nats_server: NatsServer, tmp_path: Path) -> None:
    archive_port = free_port()
    a, b = _audited(side("A", nats_server.url)), side("B", nats_server.url, archive_port)
    for one in (a, b):
        one.env_file(installed.root / "etc/dimse")
    with dcmtk.dcmqrscp(archive_port, tmp_path / "archive"):
        try:
            for one in (a, b):
                done = installed.call("start", one)
                assert done.returncode == 0, done.stdout + done.stderr
            _appeared(installed, a, b)
            _store_and_find(a, tmp_path)
            _refuses_a_second_start(installed, a)
        finally:
            ends = [installed.call("stop", one) for one in (a, b)]
    assert [end.returncode for end in ends] == [0, 0], ends
    assert installed.call("status", a).returncode == 3
    assert "error" not in installed.log(a).lower() + installed.log(b).lower()
    trail = (installed.root / "tmp/audit.json").read_text()
    assert trail.count('"csd-code":"110104"') == 5, "five patients"
    assert (installed.root / "tmp/spool").is_dir()


def test_it_is_ready_in_less_than_two_seconds(installed: Installed, nats_server: NatsServer) -> None:
    if os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        pytest.skip("this machine is too busy to measure a start")
    one = side("A", nats_server.url)
    one.env_file(installed.root / "etc/dimse")
    took = []
    for _ in range(3):
        started = time.monotonic()
        assert installed.call("start", one).returncode == 0
        took.append(time.monotonic() - started)
        assert installed.call("stop", one).returncode == 0
    assert min(took) < 2.0, took


def _audited(one: Side) -> Side:
    """With an audit trail: its spool and its XML need modules that nothing else needs."""
    audit = {
        "DIMSE_AUDIT_FILE": "/tmp/audit.json",  # noqa: S108 - of that system
        "DIMSE_AUDIT_SYSLOG": f"udp://{LOOPBACK}:{free_port()}",
        "DIMSE_AUDIT_SPOOL": "/tmp/spool",  # noqa: S108
        "DIMSE_AUDIT_CONTENT": "true",
    }
    return replace(one, settings={**one.settings, **audit})


def _appeared(installed: Installed, *sides: Side) -> None:
    def all_have() -> bool:
        return all("peer appeared" in installed.log(one) for one in sides)

    wait_until(all_have, seconds=20, what="both to see each other")
    for one in sides:
        healthy = installed.call("health", one)
        assert healthy.returncode == 0, healthy.stderr


def _store_and_find(a: Side, folder: Path) -> None:
    sent = [dicom_files.write_object(folder / "sent", patient_id=f"PAT{number}") for number in range(5)]
    dcmtk.scu("storescu", a.port, "-R", files=[file.path for file in sent]).ok()
    database = folder / "archive" / "database"
    stored = [dicom_files.read(path) for path in database.iterdir() if path.name != "index.dat"]
    assert dicom_files.digests(stored) == dicom_files.digests(sent)
    keys = [part for key in ("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientID=PAT3") for part in ("-k", key)]
    found = dcmtk.scu("findscu", a.port, "-S", *keys).ok()
    assert found.output.count("(Pending)") == 1, found.output
    assert "Received Final Find Response (Success)" in found.output


def _refuses_a_second_start(installed: Installed, one: Side) -> None:
    pid = installed.pid(one)
    again = installed.call("start", one)
    assert again.returncode == 1, again.stdout
    assert f"runs already, with PID {pid}" in again.stderr
    assert installed.call("status", one).returncode == 0
    assert installed.pid(one) == pid


def test_a_pid_that_is_left_over_is_seen(installed: Installed, nats_server: NatsServer) -> None:
    one = side("C", nats_server.url)
    one = Side(channel="C", port=one.port, settings={**one.settings, "DIMSE_NATS_SUBJECT_CHANNEL": "A"})
    one.env_file(installed.root / "etc/dimse")
    assert installed.call("start", one).returncode == 0
    os.kill(installed.pid(one), signal.SIGKILL)
    wait_until(lambda: installed.call("status", one).returncode == 1, seconds=10, what="the PID to be left over")
    again = installed.call("start", one)
    assert again.returncode == 0, again.stderr
    assert "taken over" in again.stdout
    assert installed.call("stop", one).returncode == 0


def test_no_memory_is_written_and_executed(installed: Installed, nats_server: NatsServer, tmp_path: Path) -> None:
    one = side("A", nats_server.url)
    env_file = one.env_file(installed.root / "etc/dimse")
    program = f"/opt/{NAME}/dicom-dimse-proxy"
    inner = roots.inside(
        installed.root, program, "run", "--env-file", f"/etc/dimse/{env_file.name}", user="10001:10001", writable=False
    )
    process = ChildProcess(
        "strict", [sys.executable, "-c", DENY_WRITE_EXECUTE, *inner], tmp_path, env={"PATH": roots.PATH}
    )
    try:
        wait_until(
            lambda: "ready" in process.output() or not process.is_running(), seconds=20, what="the proxy to be ready"
        )
        if not process.is_running() and process.popen.returncode == 77:
            pytest.skip("this kernel has no PR_SET_MDWE")
        assert "ready" in process.output(), process.output()
    finally:
        code = process.stop()
    assert code == 0, process.output()

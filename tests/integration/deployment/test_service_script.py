"""`dicom-dimse-proxy.sh` with the program as it is installed here: starts, stops, and everything that goes wrong."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

BUNDLE = Path(__file__).resolve().parents[3] / "deploy" / "bundle"


@dataclass(frozen=True, slots=True)
class Folder:
    """A bundle's folder whose executable is a script with this Python."""

    path: Path

    @property
    def script(self) -> Path:
        return self.path / "dicom-dimse-proxy.sh"

    @property
    def pid_file(self) -> Path:
        return self.path / "run" / "dicom-dimse-proxy.pid"

    @property
    def log(self) -> str:
        return (self.path / "run" / "dicom-dimse-proxy.log").read_text()

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def settings(self, **more: str) -> None:
        lines = {
            "DIMSE_NATS_URL": f"{LOOPBACK}:{free_port()}",
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_HTTP_PORT": "",
            "DIMSE_CONFIG_PATH": "./dimse-config",
            **more,
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        (self.path / "dicom-dimse-proxy.env").write_text(text)

    def call(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """The script, from another folder than its own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DIMSE_")}
        return subprocess.run(
            [str(self.script), *arguments],
            cwd="/",
            env={**inherited, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "with a space")
    made.path.mkdir()
    shutil.copy(BUNDLE / "dicom-dimse-proxy.sh", made.script)
    shutil.copytree(BUNDLE.parents[1] / "dimse-config", made.path / "dimse-config")
    program = made.path / "dicom-dimse-proxy"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dimse_proxy "$@"\n')
    program.chmod(0o755)
    made.settings()
    yield made
    made.call("stop")


def test_start_status_stop(folder: Folder) -> None:
    assert folder.call("status").returncode == 3
    started = folder.call("start")
    assert started.returncode == 0, started.stderr
    assert f"ready, with PID {folder.pid()}" in started.stdout
    assert "ready: DIMSE Proxy" in folder.log
    running = folder.call("status")
    assert (running.returncode, running.stdout.strip()) == (
        0,
        f"dicom-dimse-proxy: runs, with PID {folder.pid()}",
    )
    stopped = folder.call("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "stopped" in folder.log
    assert not folder.pid_file.exists()
    assert folder.call("status").returncode == 3
    assert folder.call("stop").returncode == 0


def test_the_settings_of_the_folder_are_used_from_anywhere(folder: Folder, tmp_path: Path) -> None:
    link = tmp_path / "link.sh"
    link.symlink_to(folder.script)
    done = subprocess.run([link, "config"], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Presentation contexts that pass, from dimse-config" in done.stdout


def test_it_refuses_to_start_twice(folder: Folder) -> None:
    assert folder.call("start").returncode == 0
    pid = folder.pid()
    again = folder.call("start")
    assert again.returncode == 1
    assert f"runs already, with PID {pid}" in again.stderr
    assert folder.pid() == pid


def test_two_starts_at_once_give_one_proxy(folder: Folder) -> None:
    command = [str(folder.script), "start"]
    both = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    codes = [one.wait(60) for one in both]
    assert sorted(codes) == [0, 1], folder.log
    assert folder.call("status").returncode == 0


def test_a_restart_is_another_process(folder: Folder) -> None:
    assert folder.call("start").returncode == 0
    before = folder.pid()
    assert folder.call("restart").returncode == 0
    assert folder.pid() != before


def test_a_pid_that_is_left_over_is_seen(folder: Folder) -> None:
    assert folder.call("start").returncode == 0
    pid = folder.pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: folder.call("status").returncode == 1, seconds=10, what="the PID to be left over")
    started = folder.call("start")
    assert started.returncode == 0, started.stderr
    assert f"PID file of a process that is gone ({pid}): taken over" in started.stdout


def test_the_pid_of_another_program_is_not_stopped(folder: Folder) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        folder.pid_file.parent.mkdir()
        folder.pid_file.write_text(f"{other.pid}\n")
        assert folder.call("status").returncode == 1
        assert folder.call("stop").returncode == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_wrong_settings_are_said_with_the_exit_code(folder: Folder) -> None:
    folder.settings(DIMSE_PORT="99999")
    started = folder.call("start")
    assert started.returncode == 2
    assert "DIMSE_PORT" in started.stderr
    assert "its words are above" in started.stderr
    assert folder.call("status").returncode == 3


def test_a_port_that_is_taken_is_said(folder: Folder) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        folder.settings(DIMSE_PORT=str(taken.getsockname()[1]))
        started = folder.call("start")
    assert started.returncode == 1
    assert "the port is in use" in started.stderr


def test_old_glibc_is_said_in_a_sentence(folder: Folder) -> None:
    (folder.path / "lib").mkdir()
    (folder.path / "lib" / "GLIBC").write_text("99.1\n")
    started = folder.call("start")
    assert started.returncode == 1
    assert "this bundle needs 99.1 or later" in started.stderr
    (folder.path / "lib" / "GLIBC").write_text("2.9\n")
    assert folder.call("config").returncode == 0


def test_an_unwritable_folder_is_said(folder: Folder) -> None:
    started = folder.call("start", PROXY_RUN_DIR="/proc/none")
    assert started.returncode == 1
    assert "set PROXY_RUN_DIR" in started.stderr


def test_other_settings_and_another_run_folder(folder: Folder, tmp_path: Path) -> None:
    """Two proxies of one folder."""
    assert folder.call("start").returncode == 0
    text = (folder.path / "dicom-dimse-proxy.env").read_text()
    port = next(line for line in text.splitlines() if line.startswith("DIMSE_PORT="))
    (tmp_path / "other.env").write_text(text.replace(port, f"DIMSE_PORT={free_port()}"))
    other = {"PROXY_ENV_FILE": str(tmp_path / "other.env"), "PROXY_RUN_DIR": str(tmp_path / "other")}
    started = folder.call("start", **other)
    assert started.returncode == 0, started.stderr
    assert folder.call("stop", **other).returncode == 0
    assert folder.call("status").returncode == 0


def test_in_the_foreground_signals_reach_the_proxy(folder: Folder, tmp_path: Path) -> None:
    process = ChildProcess("foreground", [str(folder.script), "foreground"], tmp_path)
    try:
        wait_until(lambda: "ready" in process.output(), seconds=30, what="the proxy to be ready")
    finally:
        code = process.stop()
    assert code == 0
    assert "stopped" in process.output()


def test_a_stop_that_takes_longer_than_it_may_ends_all_the_same(folder: Folder) -> None:
    """A process that does not hear: SIGSTOP stands for one that hangs. The limit is the grace period and 10 s."""
    folder.settings(DIMSE_GRACE_TIMEOUTSECONDS="0")
    assert folder.call("start").returncode == 0
    pid = folder.pid()
    os.kill(pid, signal.SIGSTOP)
    # The script counts its waits; waits that take no time keep this test short.
    impatient = folder.path / "bin"
    impatient.mkdir()
    (impatient / "sleep").write_text("#!/bin/sh\n")
    (impatient / "sleep").chmod(0o755)
    stopped = folder.call("stop", PATH=f"{impatient}:{os.environ['PATH']}")
    assert stopped.returncode == 1
    assert f"PID {pid} had not ended after 10 s, and was killed" in stopped.stderr
    assert folder.call("status").returncode == 3


def test_without_a_command_it_says_what_there_is(folder: Folder) -> None:
    done = folder.call()
    assert done.returncode == 64
    assert "dicom-dimse-proxy.sh start" in done.stderr

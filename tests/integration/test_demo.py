"""`dimse-proxy demo` as a person starts it: it works, says what it did, fails with a sentence, and leaves nothing."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from pynetdicom.events import Event

from dimse_proxy.cli import demo
from dimse_proxy.cli.demonstration import proxies
from dimse_proxy.cli.demonstration.archive import Archive
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, wait_until

COMMAND: Final = (sys.executable, "-m", "dimse_proxy", "demo")
ROW: Final = re.compile(r"^(\S+\.dcm) +(\S+) +[\d,]+( +[\d.]+){3} +(yes|no) *$", re.MULTILINE)
JPEG_FAMILIES: Final = {"JPEGBaseline8Bit", "JPEGLSLossless", "JPEG2000", "RLELossless"}
PLAIN: Final = {"ImplicitVRLE", "ExplicitVRLE", "ExplicitVRBE", "DeflatedExplicitVRLE"}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files of the demonstration and its children; at the end all of them must be gone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert children_with(folder) == []


def children_with(folder: Path) -> list[str]:
    """The command lines of the processes that were started with `folder` for their temporary files; not of our own."""
    marker = f"TMPDIR={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inherits = marker in (process / "environ").read_bytes().split(b"\0")
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if inherits and int(process.name) != os.getpid():
            found.append(words)
    return found


def start(tmp_path: Path, *arguments: str) -> ChildProcess:
    return ChildProcess("demo", [*COMMAND, *arguments], tmp_path, env={**os.environ, "DIMSE_PORT": "0"})


def wait_for_line(process: ChildProcess, text: str) -> None:
    def check() -> bool:
        assert process.is_running(), f"it ended with {process.popen.returncode}:\n{process.output()}"
        return text in process.stdout_path.read_text()

    wait_until(check, seconds=30, what=f"the demonstration to print {text!r}")


def test_every_file_comes_back_identical(temporary: Path, tmp_path: Path) -> None:
    # A variable of the person's own, wrong on top of it, is none of the demonstration's proxies' business.
    environ = {**os.environ, "DIMSE_PORT": "0"}
    done = subprocess.run(COMMAND, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    rows = ROW.findall(done.stdout)
    assert len(rows) > 10
    assert {verdict for *_, verdict in rows} == {"yes"}
    assert {syntax for _, syntax, *_ in rows} >= JPEG_FAMILIES | PLAIN
    assert f"All {len(rows)} files" in done.stdout
    assert "came back identical both ways" in done.stdout


def test_keep_stays_up_for_the_commands_that_it_prints(temporary: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "--keep")
    try:
        wait_for_line(process, "log of proxy B:")
        printed = process.stdout_path.read_text()
        commands = [shlex.split(line) for line in printed.splitlines() if re.match(r"  \w+scu -", line)]
        assert [command[0] for command in commands] == ["echoscu", "storescu", "findscu", "getscu", "movescu"]
        answers = {}
        for command in commands:
            folder = tmp_path / command[0]
            folder.mkdir()
            done = subprocess.run([*command, "-v"], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
            answers[command[0]] = done.stdout + done.stderr
            assert done.returncode == 0, answers[command[0]]
        assert "StudyInstanceUID" in answers["findscu"]
        [got], [moved] = (list((tmp_path / tool).iterdir()) for tool in ("getscu", "movescu"))
        assert got.read_bytes() == moved.read_bytes()
        process.signal(signal.SIGINT)
        assert process.popen.wait(60) == 0
        assert process.stdout_path.read_text().endswith("Stopped.\n")
        assert process.stderr_path.read_text() == ""
    finally:
        process.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_leaves_nothing(temporary: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    try:
        wait_for_line(process, "C-ECHO")
        process.signal(number)
        assert process.popen.wait(60) == 130
        assert process.stderr_path.read_text() == ""
    finally:
        process.stop()


def test_a_signal_while_the_proxies_start_leaves_nothing(temporary: Path, tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        wait_until(lambda: children_with(temporary)[1:], seconds=30, what="a first child")
        process.signal(signal.SIGINT)
        assert process.popen.wait(60) == 130
    finally:
        process.stop()


def test_nobody_gets_a_port_before_the_proxy_that_it_is_for() -> None:
    # Those who ask for any port are given these numbers now and then, unless they are taken.
    with ExitStack() as stack:
        for reserved in proxies.reserve_ports(3):
            stack.enter_context(reserved)
            port = reserved.getsockname()[1]
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind((LOOPBACK, port))
            with socket.create_server((LOOPBACK, port)) as proxy:
                assert proxy.getsockname()[1] == port


def test_a_port_in_use_is_named(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reserve = proxies.reserve_ports
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(proxies, "reserve_ports", lambda _count: (*reserve(1), taken, *reserve(1)))
        assert demo.run(keep=False) == 1
    said = capsys.readouterr().err
    assert f"FAILED in step 'start': proxy A has ended with exit code 1: cannot listen on {LOOPBACK}:{port}" in said
    assert "The last lines of proxy A's log:" in said
    assert "The last lines of proxy B's log:" in said


def test_a_proxy_that_ends_while_the_pair_stays_up(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[proxies.ProxyPair] = []
    launch = proxies.ProxyPair.start

    def remember(pair: proxies.ProxyPair, *arguments: Any) -> None:
        launch(pair, *arguments)
        started.append(pair)

    def kill_b(*_arguments: Any) -> None:
        started[0].proxies[1].ask_to_stop()

    monkeypatch.setattr(proxies.ProxyPair, "start", remember)
    monkeypatch.setattr("dimse_proxy.cli.demonstration.report.Report.how_to_join", kill_b)
    assert demo.run(keep=True) == 1
    assert "FAILED in step 'keep': proxy B has ended with exit code 0" in capsys.readouterr().err


def test_a_file_that_comes_back_changed_is_noticed(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class OneBitOff:
        """A C-STORE whose data set differs in its last bit."""

        def __init__(self, event: Event) -> None:
            self._event = event

        def __getattr__(self, name: str) -> Any:
            return getattr(self._event, name)

        def encoded_dataset(self) -> bytes:
            whole = self._event.encoded_dataset()
            return whole[:-1] + bytes([whole[-1] ^ 1])

    handle_store = Archive.handle_store

    def handle(archive: Archive, event: Event) -> int:
        is_mr = event.file_meta.MediaStorageSOPClassUID.name == "MR Image Storage"
        return handle_store(archive, OneBitOff(event) if is_mr else event)  # type: ignore[arg-type]

    monkeypatch.setattr(Archive, "handle_store", handle)
    assert demo.run(keep=False) == 1
    said = capsys.readouterr()
    assert {verdict for *_, verdict in ROW.findall(said.out)} == {"yes", "no"}
    assert "came back identical both ways" not in said.out
    assert "FAILED in step 'compare': not identical after the way there and back: " in said.err


def test_an_archive_that_refuses_is_quoted(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Archive, "handle_store", lambda _archive, _event: 0xA700)
    assert demo.run(keep=False) == 1
    assert re.search(
        r"FAILED in step 'C-STORE': the C-STORE of \S+ was answered with status 0xA700", capsys.readouterr().err
    )

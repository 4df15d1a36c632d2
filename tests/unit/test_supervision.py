"""The supervisor is told, over a socket as systemd has it and in a file that only one process can have."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimse_proxy.errors import TransportError
from dimse_proxy.supervision import MARGIN, Supervision


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def test_systemd_hears_of_readiness_and_of_the_time_that_a_stop_takes(systemd: socket.socket) -> None:
    supervision = Supervision({"NOTIFY_SOCKET": systemd.getsockname()})
    supervision.ready()
    assert systemd.recv(1024) == b"READY=1"
    supervision.stopping(120)
    assert systemd.recv(1024).decode().splitlines() == [
        "STOPPING=1",
        f"EXTEND_TIMEOUT_USEC={int((120 + MARGIN) * 1_000_000)}",
    ]


def test_a_socket_in_the_abstract_namespace() -> None:
    name = f"dimse-proxy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        receiver.settimeout(5)
        Supervision({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert receiver.recv(1024) == b"READY=1"


def test_a_supervisor_that_does_not_listen_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Supervision({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
    assert "cannot be told READY=1" in caplog.text


def test_without_a_supervisor_nothing_happens() -> None:
    supervision = Supervision()
    supervision.open()
    supervision.ready()
    supervision.stopping(30)
    supervision.close()


def test_the_pid_is_there_once_it_is_ready_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    supervision = Supervision({}, path)
    supervision.open()
    assert path.read_text() == ""
    supervision.ready()
    assert path.read_text() == f"{os.getpid()}\n"
    supervision.close()
    assert not path.exists()
    supervision.close()


def test_a_second_process_is_refused_and_the_first_one_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    first, second = Supervision({}, path), Supervision({}, path)
    first.open()
    with pytest.raises(TransportError, match="or starts"):
        second.open()
    first.ready()
    with pytest.raises(TransportError, match=f"with PID {os.getpid()}"):
        second.open()
    second.close()
    assert path.exists()
    first.close()
    second.open()
    second.close()


def test_a_pid_that_was_left_over_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("999999999999\n")
    supervision = Supervision({}, path)
    supervision.open()
    assert path.read_text() == ""
    supervision.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="No such file"):
        Supervision({}, tmp_path / "no" / "pid").open()


def test_a_file_that_is_replaced_meanwhile_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner ends between our open and our lock: what we hold is no longer the file of that name."""
    import fcntl

    path, before, calls = tmp_path / "pid", fcntl.flock, 0

    def flock(descriptor: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            path.unlink()
        before(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    supervision = Supervision({}, path)
    supervision.open()
    supervision.ready()
    assert path.read_text() == f"{os.getpid()}\n"
    assert calls == 2
    supervision.close()

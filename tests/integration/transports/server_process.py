"""A nats-server of one test, with any configuration, that can be killed, started again and spoken to by signal."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from dimse_proxy.transports.embedded_nats import find_binary
from tests.integration.peers.waiting import free_port


class ServerProcess:
    """Started by `start` or `with`; the same port after every start."""

    def __init__(self, folder: Path, config: str = "", port: int = 0, name: str = "nats") -> None:
        self.port = port or free_port()
        self._config = folder / f"{name}.conf"
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(config)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(self, config: str) -> None:
        self._config.write_text(f'listen: "127.0.0.1:{self.port}"\n{config}\n')

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [find_binary(), "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.02)

    def reload(self, config: str) -> None:
        self.configure(config)
        self.send_signal(signal.SIGHUP)

    def enter_lame_duck_mode(self) -> None:
        self.send_signal(signal.SIGUSR2)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

"""A real nats-server on a free loopback port."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port

NATS_SERVER: Final = Path(sys.executable).with_name("nats-server")


class NatsServer:
    """`nats-server` with an optional configuration, ended with `stop()` or by leaving a with block."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        config: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Starts it and waits until it listens.

        Args:
            folder: for its configuration and log.
            port: to listen on, for instance that of a server stopped before; without it, a free one.
            config: settings of nats-server's configuration file, such as `{"max_payload": 65536}`.
            env: its environment; without it, ours.
        """
        self.folder: Final = folder
        self.port: Final = free_port() if port is None else port
        self.config_path: Final = folder / f"nats-{self.port}.conf"
        self._process = self._start(config or {}, env)

    def _start(self, config: Mapping[str, object], env: Mapping[str, str] | None) -> ChildProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        # nats-server's configuration format is a superset of JSON.
        self.config_path.write_text(json.dumps({"host": LOOPBACK, "port": self.port, **config}))
        command = [str(NATS_SERVER), "-c", str(self.config_path)]
        process = ChildProcess(f"nats-{self.port}", command, self.folder, env=env)
        process.wait_for_listener(self.port)
        return process

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def process(self) -> ChildProcess:
        return self._process

    def log(self) -> str:
        return self._process.output()

    def stop(self) -> None:
        self._process.stop()

    def __enter__(self) -> "NatsServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

"""NATS servers that are made to fail: one alone or a cluster, each a process that is killed, stopped, reloaded.

They are ended by their own ids. Their configuration is JSON, which nats-server reads as well.
"""

import json
import signal
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.integration.peers.nats import NATS_SERVER
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until


class Server:
    """One nats-server on a port that stays the same."""

    def __init__(self, name: str, folder: Path, config: Mapping[str, object]) -> None:
        self.name: Final = name
        self.port: Final = free_port()
        self.config: Final[dict[str, object]] = dict(config)
        self._monitor: Final = free_port()
        self._folder: Final = folder
        self._path: Final = folder / f"{name}.conf"
        self._process: ChildProcess | None = None

    def _write(self) -> None:
        fixed = {
            "host": LOOPBACK,
            "port": self.port,
            "http": f"{LOOPBACK}:{self._monitor}",
            "server_name": self.name,
            "lame_duck_grace_period": "1s",
            "lame_duck_duration": "30s",
        }
        self._path.write_text(json.dumps({**fixed, **self.config}))

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def process(self) -> ChildProcess:
        """The running process."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._write()
        self._process = ChildProcess(self.name, [str(NATS_SERVER), "-c", str(self._path)], self._folder)
        self._process.wait_for_listener(self.port)

    def kill(self) -> None:
        """SIGKILL, also while it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def suspend(self) -> None:
        """SIGSTOP."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.signal(signal.SIGCONT)

    def reload(self, **changes: object) -> None:
        """Change the configuration file and have it read again, as `nats-server --signal reload` does."""
        self.config.update(changes)
        self._write()
        before = self._log().count("Reloaded server configuration")
        self.process.signal(signal.SIGHUP)
        wait_until(
            lambda: self._log().count("Reloaded server configuration") > before,
            seconds=10,
            what=f"{self.name} to reload:\n{self._log()[-2000:]}",
        )

    def enter_lame_duck_mode(self) -> None:
        """Announce its end, as `nats-server --signal ldm` does."""
        self.process.signal(signal.SIGUSR2)

    def _log(self) -> str:
        return self.process.output()

    def monitor(self, what: str) -> dict[str, Any]:
        """What the monitoring port says: `varz`, `connz`, `routez`."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self._monitor}/{what}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def connections(self) -> dict[str, dict[str, Any]]:
        """The proxies' connections by their names."""
        return {str(each.get("name")): each for each in self.monitor("connz")["connections"]}

    def slow_consumers(self) -> int:
        """How often it cut somebody off who did not take what it sent."""
        return int(self.monitor("varz")["slow_consumers"])


class Servers:
    """One server, or a cluster of several; use `with`."""

    def __init__(
        self,
        count: int,
        folder: Path,
        *,
        config: Mapping[str, Any] | None = None,
        advertise: bool = False,
        has_store: bool = False,
    ) -> None:
        """Start them and wait until they know each other.

        Args:
            count: of servers.
            folder: for their configuration and logs.
            config: settings of all of them.
            advertise: tell the proxies of the other servers: without fault links only.
            has_store: each keeps JetStream in a folder of its own.
        """
        folder.mkdir(parents=True, exist_ok=True)
        routes = [free_port() for _ in range(count)]
        self.all: Final[list[Server]] = []
        for number, route in enumerate(routes, start=1):
            settings = dict(config or {})
            if has_store:
                settings["jetstream"] = {**settings["jetstream"], "store_dir": str(folder / f"store{number}")}
            if count > 1:
                settings["cluster"] = {
                    "name": "chaos",
                    "listen": f"{LOOPBACK}:{route}",
                    "routes": [f"nats://{LOOPBACK}:{other}" for other in routes if other != route],
                    "no_advertise": not advertise,
                }
            self.all.append(Server(f"nats{number}", folder, settings))
        try:
            for server in self.all:
                server.start()
            self.wait_for_routes()
        except BaseException:
            self.kill()
            raise

    def wait_for_routes(self) -> None:
        """Return once every server knows all others."""
        others = len(self.all) - 1
        for server in self.all:

            def knows_all(server: Server = server) -> bool:
                return len({route["remote_name"] for route in server.monitor("routez")["routes"]}) >= others

            if others:
                wait_until(knows_all, seconds=30, what=f"{server.name} to know the cluster")

    def kill(self) -> None:
        """End all of them."""
        for server in self.all:
            server.kill()

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

"""The two proxies: child processes that run `dimse-proxy run`, set up by nothing but DIMSE_* variables.

They are what a person would start by hand. Each ends by its own process id, whatever happens.
"""

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from dimse_proxy.cli.demonstration.failure import StepFailed
from dimse_proxy.cli.demonstration.signals import held_back

HOST: Final = "127.0.0.1"

_READY: Final = " ready: DIMSE Proxy "
_START_TIMEOUT: Final = 10.0
"""Seconds until the ready line; half of one is usual."""

_GRACE: Final = 1
"""Seconds that a proxy which is told to stop leaves its associations; none is left when all went well."""

_STOP_TIMEOUT: Final = 8.0
"""Seconds between asking a proxy to stop and ending it."""

_POLL: Final = 0.01


class ProxyProcess:
    """One proxy; it runs from its creation until it is told to stop."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str], arguments: Sequence[str] = ()) -> None:
        """Starts it.

        Args:
            name: of the proxy, for its log's file and for people.
            folder: an existing folder for its log, and its working directory.
            settings: DIMSE_* variables. Those of this process are not inherited.
            arguments: more words for the command line of `dimse-proxy run`.
        """
        self.name: Final = name
        self.log: Final = folder / f"{name.replace(' ', '-')}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")}
        with self.log.open("wb") as log:
            self._process: Final = subprocess.Popen(
                [sys.executable, "-m", "dimse_proxy", "run", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**inherited, **settings},
                cwd=folder,
                # A session of its own: Ctrl-C is for the demonstration, which stops the proxies in its order.
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Waits for its ready line."""
        deadline = time.monotonic() + _START_TIMEOUT
        while _READY not in self.log.read_text(errors="replace"):
            self.must_run()
            if time.monotonic() > deadline:
                raise StepFailed(f"{self.name} was not ready within {_START_TIMEOUT:g} s")
            time.sleep(_POLL)

    def must_run(self) -> None:
        """Raises `StepFailed` if it has ended by itself."""
        if self._process.poll() is not None:
            words = "".join(self.last_lines(1)) or "it says nothing"
            raise StepFailed(f"{self.name} has ended with exit code {self._process.returncode}: {words}")

    def ask_to_stop(self) -> None:
        """Sends SIGTERM."""
        self._process.terminate()

    def wait_until_stopped(self) -> None:
        """Waits until it has ended, and ends it if that takes too long."""
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int) -> list[str]:
        """The end of its log."""
        with self.log.open(errors="replace") as log:
            return [line.rstrip("\n") for line in deque(log, maxlen=count)]


class ProxyPair:
    """Proxy A with the nats-server as its child, and proxy B; they run from `start` to `stop`."""

    def __init__(self) -> None:
        """Reserves the ports."""
        self._proxies: Final[list[ProxyProcess]] = []
        self._reserved: Final = reserve_ports(3)
        self.nats_port, self.port_a, self.port_b = (it.getsockname()[1] for it in self._reserved)

    @property
    def proxies(self) -> tuple[ProxyProcess, ...]:
        """Those that have been started."""
        return tuple(self._proxies)

    def start(self, folder: Path, settings_a: Mapping[str, str], settings_b: Mapping[str, str]) -> None:
        """Starts both and waits until each is ready.

        Args:
            folder: for their logs.
            settings_a: DIMSE_* variables of A beside those of a pair on this machine.
            settings_b: of B.
        """
        nats = f"{HOST}:{self.nats_port}"
        for name, channel, port, settings, arguments in (
            ("proxy A", "A", self.port_a, settings_a, ["--embedded-nats", nats]),
            ("proxy B", "B", self.port_b, settings_b, []),
        ):
            common = {
                "DIMSE_HOST": HOST,
                "DIMSE_PORT": str(port),
                "DIMSE_NATS_URL": nats,
                "DIMSE_NATS_SUBJECT_CHANNEL": channel,
                "DIMSE_CALLING_AE": "original",
                "DIMSE_GRACE_TIMEOUTSECONDS": str(_GRACE),
                "DIMSE_LOG_FORMAT": "text",
                "DIMSE_HTTP_PORT": "",
            }
            with held_back():
                self._proxies.append(ProxyProcess(name, folder, {**common, **settings}, arguments))
        for proxy in self._proxies:
            proxy.wait_until_ready()
        self._give_up_ports()

    def stop(self) -> None:
        """Stops both at once."""
        with ExitStack() as stack:
            stack.callback(self._give_up_ports)
            for proxy in self._proxies:
                stack.callback(proxy.wait_until_stopped)
            for proxy in self._proxies:
                proxy.ask_to_stop()

    def _give_up_ports(self) -> None:
        for it in self._reserved:
            it.close()


def reserve_ports(count: int) -> tuple[socket.socket, ...]:
    """Sockets that are bound to a port of this machine each, and do not listen.

    While such a socket is open, Linux gives its port to no outgoing connection and to nobody who asks for any port. Who
    asks for that very port with SO_REUSEADDR, as the proxies and nats-server do, may listen there.
    """
    sockets = [socket.socket() for _ in range(count)]
    for it in sockets:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.bind((HOST, 0))
    return tuple(sockets)

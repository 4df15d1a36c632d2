"""Waiting for something to become true, with a deadline, and ports nobody else uses.

No test sleeps to synchronise: it polls here, and fails with what it waited for.
"""

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

LOOPBACK: Final = "127.0.0.1"

# Below Linux' ephemeral ports (from 32768), so that no outgoing connection takes a port between our look and its use.
# Each process of a run in parallel has its own, so that no other one does either.
_WORKERS: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PORTS: Final = range(12000, 32000)[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) :: _WORKERS]
_given_out: Final[set[int]] = set()
_lock: Final = threading.Lock()
_choice: Final = random.SystemRandom()


def wait_until(condition: Callable[[], T], *, seconds: float, what: str) -> T:
    """Polls `condition` until it is true and returns its value.

    Raises:
        AssertionError: after `seconds`, naming `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of the loopback interface that is free now and is given out once in this process."""
    for _ in range(1000):
        port = _choice.choice(_PORTS)
        with _lock:
            if port in _given_out:
                continue
            with socket.socket() as probe:
                try:
                    probe.bind((LOOPBACK, port))
                except OSError:
                    continue
            _given_out.add(port)
            return port
    raise AssertionError("no free port found")


def listens(port: int) -> bool:
    """Whether a socket listens on the loopback `port`, found without connecting to it.

    A probing connection would count as an association attempt, or be the one connection that a single-shot SCP takes.
    """
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                next(lines)
                for line in lines:
                    fields = line.split()
                    if fields[3] == "0A" and fields[1].endswith(wanted):
                        return True
        except FileNotFoundError:
            continue
    return False

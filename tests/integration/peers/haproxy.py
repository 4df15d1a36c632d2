"""HAProxy with the configuration that deploy/haproxy holds, its addresses replaced by those of this run."""

import re
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK

SHIPPED: Final = Path(__file__).parents[3] / "deploy/haproxy/haproxy.cfg"
HAPROXY: Final = "/usr/sbin/haproxy"


class HaProxy:
    """One load balancer in front of two instances; leaving the with block ends it."""

    def __init__(self, name: str, folder: Path, port: int, instances: Sequence[tuple[int, int]]) -> None:
        """Starts it and waits until it listens.

        Args:
            name: for its files.
            folder: for its configuration and output.
            port: to listen on.
            instances: DICOM and HTTP port of each of the two.
        """
        self.port: Final = port
        config = SHIPPED.read_text().replace("bind :104", f"bind {LOOPBACK}:{port}")
        for address, (dicom, http) in zip(("10.1.0.11", "10.1.0.12"), instances, strict=True):
            config = re.sub(rf"{address}:11112( check port )8080", rf"{LOOPBACK}:{dicom}\g<1>{http}", config)
            config = config.replace(f"{address}:11112", f"{LOOPBACK}:{dicom}")
        # The path of a socket is short; pytest's folders are not.
        self._socket: Final = Path(tempfile.mkdtemp(prefix="haproxy-")) / "admin"
        config = config.replace("/run/haproxy/admin.sock", str(self._socket))
        path = folder / f"{name}.cfg"
        path.write_text(config)
        self.process: Final = ChildProcess(name, [HAPROXY, "-db", "-f", str(path)], folder)
        self.process.wait_for_listener(port)

    def drain(self, server: str) -> None:
        """Has it send nothing new to `one` or `two`."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self._socket))
            admin.sendall(f"set server instances/{server} state drain\n".encode())
            answer = admin.recv(4096)
        assert not answer.strip(), answer

    def __enter__(self) -> "HaProxy":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        shutil.rmtree(self._socket.parent)

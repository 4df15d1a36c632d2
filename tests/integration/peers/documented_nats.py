"""The nats-server configurations that docs/security.md prints, and servers that are started with them."""

import os
import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.integration.peers.nats import NATS_SERVER
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port

DOCUMENT: Final = (Path(__file__).resolve().parents[3] / "docs" / "security.md").read_text()
PASSWORDS: Final = {
    "HOSPITAL_PASSWORD": "hospital-1",
    "CLOUD_PASSWORD": "cloud-1",
    "PROXY_PASSWORD": "proxy-1",
    "HUB_PASSWORD": "hub-1",
    "S1_PASSWORD": "s1-1",
    "S2_PASSWORD": "s2-1",
}


def printed(name: str) -> str:
    """The configuration file of this name, as the document prints it."""
    (text,) = re.findall(rf"```\n(# {re.escape(name)}\n.*?)```", DOCUMENT, re.DOTALL)
    return str(text)


@dataclass
class Servers:
    """nats-servers of one test, ended with it."""

    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)

    def start(self, name: str, text: str) -> int:
        """Starts a server with a configuration, on another port of this host only; returns the port."""
        port = free_port()
        path = self.folder / name
        path.write_text(text)
        command = [str(NATS_SERVER), "-c", str(path), "-a", LOOPBACK, "-p", str(port)]
        process = ChildProcess(name, command, self.folder, env={**os.environ, **PASSWORDS})
        self.stack.callback(process.stop)
        process.wait_for_listener(port)
        return port

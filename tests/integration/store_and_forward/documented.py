"""A nats-server with the configuration that docs/store-and-forward.md prints."""

import os
import re
from pathlib import Path
from typing import Final

from tests.integration.peers.nats import NATS_SERVER
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port

DOCUMENT: Final = Path(__file__).resolve().parents[3] / "docs" / "store-and-forward.md"
PASSWORDS: Final = {"HOSPITAL_PASSWORD": "hospital-1", "CLOUD_PASSWORD": "cloud-1"}


def printed(name: str = "queue.conf") -> str:
    """The block of the document that begins with a comment of this name."""
    (text,) = re.findall(rf"```\n(# {re.escape(name)}\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(text)


def start(folder: Path, text: str) -> tuple[ChildProcess, str]:
    """Starts a server with this text of a configuration, its store in `folder`; returns it and its URL."""
    text = text.replace("/var/lib/nats", str(folder / "store")).replace("100GB", "4GB")
    path, port = folder / "queue.conf", free_port()
    path.write_text(text)
    command = [str(NATS_SERVER), "-c", str(path), "-a", LOOPBACK, "-p", str(port)]
    process = ChildProcess("nats", command, folder, env={**os.environ, **PASSWORDS})
    process.wait_for_listener(port)
    return process, f"nats://{LOOPBACK}:{port}"

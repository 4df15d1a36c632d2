"""A proxy that runs inside a root of its own, from its settings file, as a user that the system does not know."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.image import roots

from tests.integration.peers.waiting import LOOPBACK, free_port

USER: Final = "10001:10001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a pair."""

    channel: str
    port: int
    settings: Mapping[str, str]

    def env_file(self, folder: Path) -> Path:
        """Writes the settings as a file."""
        path = folder / f"{self.channel}.env"
        path.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        return path


def side(channel: str, nats_url: str, target: int | None = None) -> Side:
    """The settings of one side: its own port, and perhaps a target."""
    port = free_port()
    settings = {
        "DIMSE_NATS_URL": nats_url,
        "DIMSE_NATS_SUBJECT_CHANNEL": channel,
        "DIMSE_HOST": LOOPBACK,
        "DIMSE_PORT": str(port),
        "DIMSE_AE": "TARGET",
        "DIMSE_HTTP_PORT": str(free_port()),
    }
    if target is not None:
        settings |= {"DIMSE_TARGET_AE": "TARGET", "DIMSE_TARGET_HOST": LOOPBACK, "DIMSE_TARGET_PORT": str(target)}
    return Side(channel=channel, port=port, settings=settings)


def run_inside(
    root: Path, *command: str, env: Mapping[str, str] | None = None, user: str = USER
) -> subprocess.CompletedProcess[str]:
    """Runs a command in `root` to its end, with nothing of this process's environment."""
    return subprocess.run(
        roots.inside(root, *command, user=user),
        env={"PATH": roots.PATH, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

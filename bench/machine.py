"""What the figures were measured on: processor, cores, memory, kernel and versions. Never a name of the machine."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Final

from tests.integration.peers.nats import NATS_SERVER

_PACKAGES: Final = ("uvloop", "nats-py", "pynetdicom", "pydicom")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    kilobytes = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1])
    return f"{kilobytes / (1 << 20):.0f} GiB"


def _first_version(*command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", output.stdout + output.stderr)
    return "unknown" if found is None else found[0]


def description() -> dict[str, str]:
    """What to print above the figures."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "DCMTK": _first_version("storescu", "--version"),
        "nats-server": _first_version(str(NATS_SERVER), "--version"),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }

"""`dimse-proxy operator` as a process of its own."""

import os
import sys
from pathlib import Path
from typing import Final

from tests.integration.kubernetes.cluster import Cluster
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import wait_until

IMAGE: Final = "registry.example.org/dimse-proxy:test"
ROOT: Final = Path(__file__).resolve().parents[3]


def start_operator(
    cluster: Cluster, folder: Path, *options: str, name: str = "operator", serving: bool = True
) -> ChildProcess:
    """Starts one; returns when it serves, or when it waits for another."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")}
    env |= {"KUBECONFIG": str(cluster.kubeconfig), "DIMSE_CONFIG_PATH": str(ROOT / "dimse-config")}
    command = [sys.executable, "-m", "dimse_proxy", "operator", "--image", IMAGE, *options]
    folder.mkdir(parents=True, exist_ok=True)
    process = ChildProcess(name, command, folder, env=env)
    wanted = "this operator works" if serving else "this operator waits"

    def check() -> bool:
        output = process.output()
        assert process.is_running(), output[-4000:]
        return (f"({process_identity(output)}) works" if serving else wanted) in output

    wait_until(check, seconds=60, what=f"{name} to start:\n{process.output()[-2000:]}")
    return process


def process_identity(output: str) -> str:
    """What an operator that works calls itself."""
    return output.rpartition("this operator (")[2].partition(")")[0]

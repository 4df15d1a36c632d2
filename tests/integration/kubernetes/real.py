"""A real kube-apiserver with etcd and the garbage collector of kube-controller-manager, where they are installed."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

OPERATOR: Final = "dimse-proxy-operator"
"""The user that the operator is."""

BINARY: Final = os.environ.get("KUBE_APISERVER")


class RealServer:
    """Ended by leaving the with block."""

    def __init__(self, folder: Path) -> None:
        assert BINARY is not None
        folder.mkdir(parents=True, exist_ok=True)
        etcd_port, peer_port, self.port = free_port(), free_port(), free_port()
        etcd_url = f"http://{LOOPBACK}:{etcd_port}"
        peer_url = f"http://{LOOPBACK}:{peer_port}"
        self.token: Final = "admin-token"
        self.operators_token: Final = "operators-token"
        people = (f"{self.token},admin,admin,system:masters", f"{self.operators_token},{OPERATOR},{OPERATOR}")
        (folder / "tokens").write_text("\n".join(people) + "\n")
        key = folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        self.etcd: Final = ChildProcess(
            "etcd",
            [str(shutil.which("etcd")), "--data-dir", str(folder / "etcd"), "--listen-client-urls", etcd_url,
             "--advertise-client-urls", etcd_url, "--listen-peer-urls", peer_url,
             "--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}",
             "--unsafe-no-fsync"],
            folder,
        )  # fmt: skip
        self.etcd.wait_for_listener(etcd_port)
        self.server: Final = ChildProcess(
            "kube-apiserver",
            [BINARY, f"--etcd-servers={etcd_url}", f"--secure-port={self.port}", f"--bind-address={LOOPBACK}",
             f"--cert-dir={folder}", f"--token-auth-file={folder / 'tokens'}", "--authorization-mode=RBAC",
             "--service-cluster-ip-range=10.0.0.0/16", f"--service-account-key-file={key}",
             f"--service-account-signing-key-file={key}", "--service-account-issuer=https://test",
             "--disable-admission-plugins=ServiceAccount", "--allow-privileged=true"],
            folder,
        )  # fmt: skip
        self.server.wait_for_listener(self.port, seconds=90)
        self.manager: ChildProcess | None = None
        self.folder: Final = folder

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def start_garbage_collector(self) -> None:
        assert BINARY is not None
        kubeconfig = self.folder / "manager.kubeconfig"
        access = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test", "user": {"token": self.token}}],
        }
        kubeconfig.write_text(json.dumps(access))
        self.manager = ChildProcess(
            "kube-controller-manager",
            [str(Path(BINARY).with_name("kube-controller-manager")), f"--kubeconfig={kubeconfig}",
             "--controllers=garbagecollector", "--leader-elect=false", "--port=0",
             f"--secure-port={free_port()}", f"--cert-dir={self.folder}"],
            self.folder,
        )  # fmt: skip

    def wait_until_ready(self, is_ready: Callable[[], bool]) -> None:
        wait_until(is_ready, seconds=90, what="kube-apiserver to be ready")

    def stop(self) -> None:
        for process in (self.manager, self.server, self.etcd):
            if process is not None:
                process.kill()

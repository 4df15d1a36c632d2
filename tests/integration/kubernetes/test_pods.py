"""What the operator would run, run here: proxies from the Deployments that it makes, and real DICOM through them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.kubernetes.balancer import Balancer
from tests.integration.kubernetes.cluster import Cluster
from tests.integration.kubernetes.pod import Pod
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

TUNNEL_KEY: Final = bytes(range(1, 33)).hex()


class Deployed:
    """A pair of resources in one namespace, the Services before them, and the archive behind the cloud's side."""

    def __init__(self, cluster: Cluster, namespace: str, nats_url: str, folder: Path) -> None:
        self.cluster: Final = cluster
        self.namespace: Final = namespace
        self.folder: Final = folder
        self.archive_port: Final = free_port()
        self.service: Final = Balancer()
        cluster.secret(namespace, "nats-token", token="first")
        cluster.secret(namespace, "tunnel-key", key=TUNNEL_KEY)
        both: dict[str, Any] = {
            "natsUrl": nats_url,
            "natsSubjectRoot": f"T{free_port()}",
            "natsTokenSecret": "nats-token",
            "tunnelKeySecret": "tunnel-key",
            "extraEnv": [{"name": "DIMSE_GRACE_TIMEOUTSECONDS", "value": "20"}],
        }
        cluster.proxy(namespace, "hospital", both | {"localApplicationEntityTitle": "TARGET"})
        archive = {
            "applicationEntityTitle": "TARGET",
            "targetDimseHost": LOOPBACK,
            "targetDimsePort": self.archive_port,
        }
        cluster.proxy(namespace, "cloud", both | archive | {"natsSubjectChannel": "B"})
        for name in ("hospital", "cloud"):
            cluster.wait_for_phase(namespace, name, "Progressing")
        self.pods: Final = {name: Pod(cluster, namespace, name, folder) for name in ("hospital", "cloud")}
        for name, pod in self.pods.items():
            pod.wait_until_ready()
            cluster.run_pods(namespace, name)
            cluster.wait_for_phase(namespace, name, "Ready")
        self.service.set_endpoints(self.pods["hospital"].ports["dicom"])

    def update(self, name: str) -> None:
        """A rolling update, as the Deployment's strategy has it: the new pod is ready before the old one goes."""

        def change(spec: dict[str, Any]) -> None:
            spec["extraEnv"] = [*spec["extraEnv"], {"name": "DIMSE_RESUME_TIMEOUTSECONDS", "value": "61"}]

        self.cluster.replace_spec(self.namespace, name, change)
        self.cluster.wait_for_phase(self.namespace, name, "Progressing")
        old, self.pods[name] = self.pods[name], Pod(self.cluster, self.namespace, name, self.folder)
        new = self.pods[name]
        new.wait_until_ready()
        if name == "hospital":
            self.service.set_endpoints(old.ports["dicom"], new.ports["dicom"])
            self.service.set_endpoints(new.ports["dicom"])
        old.stop()
        self.cluster.run_pods(self.namespace, name)
        self.cluster.wait_for_phase(self.namespace, name, "Ready")

    def close(self) -> None:
        self.service.close()
        for pod in self.pods.values():
            pod.stop()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that asks for a token."""
    with NatsServer(tmp_path / "nats", config={"authorization": {"token": "first"}}) as server:
        yield server


@pytest.fixture
def deployed(
    cluster: Cluster, operator: ChildProcess, namespace: str, nats: NatsServer, tmp_path: Path
) -> Iterator[Deployed]:
    pair = Deployed(cluster, namespace, nats.url, tmp_path / "pods")
    yield pair
    pair.close()


def test_a_store_passes_and_a_rotated_token_is_used(deployed: Deployed, nats: NatsServer, tmp_path: Path) -> None:
    file = dicom_files.write_object(tmp_path / "sent", patient_id="P")
    pids = {pod.process.pid for pod in deployed.pods.values()}
    with dcmtk.storescp(deployed.archive_port, tmp_path / "archive") as archive:
        dcmtk.scu("storescu", deployed.service.port, "-xe", "-R", files=[file.path]).ok()
        (stored,) = dicom_files.received(archive.folder / "received")
        assert (stored.sop_instance, stored.digest()) == (file.sop_instance, file.digest())
        # The Secret is rotated, the kubelet writes it, and only then does the server ask for the new one.
        deployed.cluster.secret(deployed.namespace, "nats-token", token="second")
        for pod in deployed.pods.values():
            pod.mount()
        nats.stop()
        with NatsServer(tmp_path / "other", port=nats.port, config={"authorization": {"token": "second"}}):

            def stores() -> bool:
                return dcmtk.scu("storescu", deployed.service.port, "-xe", "-R", files=[file.path]).code == 0

            wait_until(stores, seconds=60, what="a store with the new token")
            assert all(pod.is_ready() for pod in deployed.pods.values())
            assert {pod.process.pid for pod in deployed.pods.values()} == pids


class Load:
    """Several SCUs that store one object after the other, each until it is stored, until they are told to finish."""

    def __init__(self, port: int, folder: Path, *, senders: int) -> None:
        self._port: Final = port
        self._folder: Final = folder
        self._is_over: Final = threading.Event()
        self.sent: Final[list[str]] = []
        """SOP instances, each stored with success."""
        self.refused: Final[list[str]] = []
        """What an SCU said that had to try again."""
        self._threads: Final = [threading.Thread(target=self._run) for _ in range(senders)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._is_over.is_set():
            file = dicom_files.write_object(self._folder, patient_id="P")
            while (result := dcmtk.scu("storescu", self._port, "-xe", files=[file.path])).code != 0:
                self.refused.append(result.output)
                time.sleep(0.1)  # an SCU's own pause
            self.sent.append(file.sop_instance)

    def wait_for_more(self, count: int) -> None:
        """Returns when so many more objects have been stored."""
        wanted = len(self.sent) + count
        wait_until(lambda: len(self.sent) >= wanted, seconds=120, what=f"{count} more objects to be stored")

    def finish(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def test_a_rolling_update_of_the_pair_under_load(deployed: Deployed, tmp_path: Path) -> None:
    """Both sides are updated one after the other: nothing is lost, and nothing stored twice."""
    with dcmtk.storescp(deployed.archive_port, tmp_path / "archive", "--fork") as archive:
        load = Load(deployed.service.port, tmp_path / "sent", senders=3)
        try:
            load.wait_for_more(15)
            deployed.update("hospital")
            load.wait_for_more(15)
            deployed.update("cloud")
            load.wait_for_more(15)
        finally:
            load.finish()
        # The archive gives each object that it receives a file of its own, the same one twice too.
        stored = Counter(file.sop_instance for file in dicom_files.received(archive.folder / "received"))
    assert stored == Counter(load.sent)
    # An SCU is told to come again later. Anything else would be a loss that its retry covered up.
    assert not [said for said in load.refused if "Association Rejected" not in said]

"""What the tests of the operator share: a cluster with the custom resource, and an operator that serves all of it."""

import itertools
from collections.abc import Iterator

import pytest

from dimse_proxy.kubernetes.permissions import cluster_roles
from tests.integration.kubernetes import real
from tests.integration.kubernetes.cluster import ApiRefused, Cluster
from tests.integration.kubernetes.emulator import ADMIN, Emulator
from tests.integration.kubernetes.operator_process import start_operator
from tests.integration.peers.processes import ChildProcess

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """The emulated API server."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster in which the custom resource is defined."""
    folder = tmp_path_factory.mktemp("cluster")
    if real.BINARY is None:
        emulator: Emulator = request.getfixturevalue("emulator")
        cluster = Cluster(emulator.url, ADMIN, emulator.token, folder)
        cluster.define()
        yield cluster
        assert emulator.refused == []
        return
    server = real.RealServer(folder / "server")
    try:
        cluster = Cluster(server.url, server.token, server.operators_token, folder, is_real=True)

        def is_ready() -> bool:
            try:
                cluster.request("GET", "/api/v1/namespaces/default")
            except (ApiRefused, OSError):
                return False
            return True

        server.wait_until_ready(is_ready)
        cluster.define()
        grant(cluster)
        server.start_garbage_collector()
        yield cluster
    finally:
        server.stop()


def grant(cluster: Cluster) -> None:
    """The roles of the cluster-wide installation, for the user that the operator is here."""
    for obj in cluster_roles("dimse-proxy-operator", "default"):
        if "subjects" in obj:
            obj["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": real.OPERATOR}]
        group, plural = "/apis/rbac.authorization.k8s.io/v1", f"{obj['kind'].lower()}s"
        where = "" if obj["kind"].startswith("Cluster") else "/namespaces/default"
        cluster.request("POST", f"{group}{where}/{plural}", obj)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildProcess]:
    """An operator for all namespaces; it must end well, and have logged no stack."""
    process = start_operator(cluster, tmp_path_factory.mktemp("operator"), "--all-namespaces")
    yield process
    code = process.stop()
    assert code == 0, process.output()[-4000:]
    assert "Traceback" not in process.output(), process.output()[-6000:]


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """One of this test's own."""
    return cluster.make_namespace(f"test-{next(_NUMBERS)}")

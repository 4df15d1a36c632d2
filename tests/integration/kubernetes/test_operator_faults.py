"""What goes wrong between the operator and the API server: cut and expired watches, conflicts, restarts, two of them.

These need the emulated server, which can be told to misbehave.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dimse_proxy.kubernetes.reconcile import KINDS
from dimse_proxy.kubernetes.resource import KIND
from tests.integration.kubernetes.cluster import Cluster
from tests.integration.kubernetes.emulator import ADMIN, Emulator
from tests.integration.kubernetes.operator_process import process_identity, start_operator
from tests.integration.kubernetes.store import Refused
from tests.integration.peers.processes import ChildProcess

SPEC = {"natsUrl": "nats.example.org", "targetDimseHost": "archive", "applicationEntityTitle": "ARCHIVE"}
NATS = "one-proxy-nats-config"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One of this module's own, whatever the others run against."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def cluster(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    cluster = Cluster(emulator.url, ADMIN, emulator.token, tmp_path_factory.mktemp("cluster"))
    cluster.define()
    return cluster


@pytest.fixture
def applied(cluster: Cluster, namespace: str, operator: ChildProcess) -> str:
    """A namespace with the resource `one`, all of whose objects are there."""
    cluster.proxy(namespace, "one", SPEC)
    cluster.wait_for_phase(namespace, "one", "Progressing")
    return namespace


def nats_of(cluster: Cluster, namespace: str) -> str:
    return str(cluster.there("ConfigMap", namespace, NATS)["data"]["DIMSE_NATS_URL"])


def change(cluster: Cluster, namespace: str, server: str) -> None:
    """Changes the spec and waits until that has arrived."""
    cluster.replace_spec(namespace, "one", lambda spec: spec.update(natsUrl=server))
    cluster.wait(lambda: nats_of(cluster, namespace) == server, f"{server} to arrive")


def test_watches_that_are_cut(cluster: Cluster, emulator: Emulator, applied: str) -> None:
    for server in ("a.example.org", "b.example.org"):
        emulator.cut_watches()
        change(cluster, applied, server)


def test_a_watch_whose_version_is_gone(cluster: Cluster, emulator: Emulator, applied: str) -> None:
    emulator.call(emulator.store.forget_history)
    emulator.cut_watches()
    change(cluster, applied, "c.example.org")
    cluster.patch("ConfigMap", applied, NATS, {"data": {"DIMSE_NATS_URL": "by-hand"}})
    cluster.wait(lambda: nats_of(cluster, applied) == "c.example.org", "drift to be mended")


def test_an_api_server_that_restarts(cluster: Cluster, emulator: Emulator, applied: str) -> None:
    emulator.stop()
    obj = emulator.store.get(emulator.store.resource(KINDS[KIND].api_version, KINDS[KIND].plural), applied, "one")
    emulator.call(
        lambda: emulator.store.merge(
            emulator.store.resource(KINDS[KIND].api_version, KINDS[KIND].plural),
            applied,
            obj["metadata"]["name"],
            {"spec": {"natsUrl": "d.example.org"}},
        )
    )
    emulator.call(emulator.store.forget_history)
    emulator.start()
    cluster.wait(lambda: nats_of(cluster, applied) == "d.example.org", "what was changed meanwhile to arrive")


def test_a_conflict_is_read_anew(cluster: Cluster, emulator: Emulator, applied: str) -> None:
    """Somebody changes the Deployment between the operator's GET and its PUT, twice."""
    times = itertools.count()
    resource = emulator.store.resource("apps/v1", "deployments")

    def interfere(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("/deployments/one-dimse-proxy") and next(times) < 2:
            emulator.store.merge(resource, applied, "one-dimse-proxy", {"metadata": {"labels": {"n": str(times)}}})

    emulator.before_write = interfere
    try:
        change(cluster, applied, "e.example.org")
        cluster.wait(lambda: next(times) > 2, "the conflicts to happen")
        cluster.wait_for_event(applied, "one", "ObjectsUpdated", "Deployment")
    finally:
        emulator.before_write = lambda method, path: None


def test_what_the_api_refuses_is_tried_again(
    cluster: Cluster, emulator: Emulator, namespace: str, operator: ChildProcess
) -> None:
    def refuse(method: str, path: str) -> None:
        if method == "POST" and path.endswith(f"{namespace}/services"):
            raise Refused(403, "Forbidden", "services is forbidden")

    emulator.before_write = refuse
    try:
        cluster.proxy(namespace, "one", SPEC)
        status = cluster.wait_for_phase(namespace, "one", "Failed")
        assert "services is forbidden" in status["message"]
    finally:
        emulator.before_write = lambda method, path: None
    cluster.wait_for_phase(namespace, "one", "Progressing")


def test_a_token_that_is_replaced(cluster: Cluster, emulator: Emulator, applied: str) -> None:
    """The service account's token expires; the new one is already in its file."""
    cluster.operators_token = emulator.token = "second-token"
    cluster.write_kubeconfig("default")
    emulator.cut_watches()
    change(cluster, applied, "f.example.org")


def test_an_operator_that_starts_anew_writes_nothing(
    cluster: Cluster, emulator: Emulator, tmp_path: Path, namespace: str
) -> None:
    cluster.write_kubeconfig(namespace)
    process = start_operator(cluster, tmp_path)
    cluster.secret(namespace, "token", token="x")
    cluster.proxy(namespace, "one", SPEC | {"replicas": 2, "natsTokenSecret": "token", "metrics": {"enabled": True}})
    cluster.wait_for_phase(namespace, "one", "Progressing")
    cluster.run_pods(namespace, "one")
    cluster.wait_for_phase(namespace, "one", "Ready")
    assert process.stop() == 0
    before = cluster.versions(namespace)
    emulator.requests.clear()
    again = start_operator(cluster, tmp_path, name="again")
    # Another resource, made after the first was listed, is served in its turn.
    cluster.proxy(namespace, "two", SPEC)
    cluster.wait_for_phase(namespace, "two", "Progressing")
    assert again.stop() == 0
    after = cluster.versions(namespace)
    assert {key: after[key] for key in before} == before
    puts = [path for method, path in emulator.requests if method == "PUT" and "/leases/" not in path]
    assert len(puts) == len(set(puts)), "an object was put twice"
    assert not any("one" in path for method, path in emulator.requests if method in ("POST", "PATCH", "DELETE"))


def test_of_two_operators_one_works(cluster: Cluster, tmp_path: Path, namespace: str) -> None:
    cluster.write_kubeconfig(namespace)
    first = start_operator(cluster, tmp_path, name="first")
    second = start_operator(cluster, tmp_path, name="second", serving=False)
    assert f"{process_identity(first.output())} works; this operator waits" in second.output()
    cluster.proxy(namespace, "one", SPEC)
    cluster.wait_for_phase(namespace, "one", "Progressing")
    assert first.stop() == 0
    # Released, so the other does not wait until the Lease runs out.
    cluster.wait(lambda: "this operator (" in second.output(), "the second to work", seconds=14)
    cluster.replace_spec(namespace, "one", lambda spec: spec.update(natsUrl="two.example.org"))
    cluster.wait(lambda: nats_of(cluster, namespace) == "two.example.org", "the second to serve")
    # Whoever loses the Lease stops.
    lease: dict[str, Any] = {"spec": {"holderIdentity": "somebody-else", "renewTime": None}}
    cluster.patch("Lease", namespace, "dimse-proxy-operator", lease)
    assert second.wait(seconds=30) == 1
    assert "another operator has taken it" in second.output()

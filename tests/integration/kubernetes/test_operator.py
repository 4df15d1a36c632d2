"""The operator against an API server: made, changed, mended, adopted, refused, removed.

Against the emulated server by default; with `KUBE_APISERVER`, against a real one.
"""

from collections.abc import Callable
from typing import Any

import pytest

from dimse_proxy.kubernetes.resource import KIND
from tests.integration.kubernetes.cluster import ApiRefused, Cluster
from tests.integration.kubernetes.operator_process import IMAGE
from tests.integration.peers.processes import ChildProcess

Json = dict[str, Any]

pytestmark = pytest.mark.usefixtures("operator")

SPEC: Json = {
    "applicationEntityTitle": "DICOM-INGEST",
    "targetDimseHost": "dcm4che.dcm4che.svc.cluster.local",
    "targetDimsePort": 31285,
    "natsUrl": "nats.example.org:443",
    "natsSecure": True,
    "natsSubjectRoot": "DIMSE",
    "natsSubjectChannel": "A",
    "natsTokenSecret": "nats-dicom-proxy-token",
    "proxy": {},
}
"""The contract's example."""


def ready(cluster: Cluster, namespace: str, name: str = "archive-proxy", **more: Any) -> Json:
    """Makes a resource, and its pods ready; returns the status."""
    cluster.secret(namespace, "nats-dicom-proxy-token", token="example")
    cluster.proxy(namespace, name, SPEC | more)
    cluster.wait_for_phase(namespace, name, "Progressing")
    cluster.run_pods(namespace, name)
    return cluster.wait_for_phase(namespace, name, "Ready")


def container(cluster: Cluster, namespace: str, name: str = "archive-proxy") -> Json:
    deployment = cluster.there("Deployment", namespace, f"{name}-dimse-proxy")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


def start_digest(cluster: Cluster, namespace: str, name: str = "archive-proxy") -> str:
    deployment = cluster.there("Deployment", namespace, f"{name}-dimse-proxy")
    return str(deployment["spec"]["template"]["metadata"]["annotations"]["dimse-proxy/start-digest"])


def test_the_example_of_the_contract(cluster: Cluster, namespace: str) -> None:
    status = ready(cluster, namespace)
    assert status["ready"] is True
    assert status["secondaryResources"] == {
        "ConfigMap": ["archive-proxy-proxy-nats-config", "archive-proxy-dimse-config"],
        "Service": ["archive-proxy-dimse-proxy"],
        "Deployment": ["archive-proxy-dimse-proxy"],
    }
    assert {condition["type"]: condition["status"] for condition in status["conditions"]} == {
        "SpecValid": "True",
        "ObjectsApplied": "True",
        "Ready": "True",
    }
    data = cluster.there("ConfigMap", namespace, "archive-proxy-proxy-nats-config")["data"]
    assert data == {
        "DIMSE_TARGET_AE": "DICOM-INGEST",
        "DIMSE_TARGET_HOST": "dcm4che.dcm4che.svc.cluster.local",
        "DIMSE_TARGET_PORT": "31285",
        "DIMSE_NATS_URL": "nats.example.org:443",
        "DIMSE_NATS_TLS_ENABLED": "true",
        "DIMSE_NATS_SUBJECT_ROOT": "DIMSE",
        "DIMSE_NATS_SUBJECT_CHANNEL": "A",
    }
    service = cluster.there("Service", namespace, "archive-proxy-dimse-proxy")["spec"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in service["ports"]] == [
        ("tcp-proxy", 11112, 11112)
    ]
    deployment = cluster.there("Deployment", namespace, "archive-proxy-dimse-proxy")
    assert service["selector"] == deployment["spec"]["selector"]["matchLabels"]
    found = container(cluster, namespace)
    assert found["image"] == IMAGE
    assert {"containerPort": 11112, "name": "dicom", "protocol": "TCP"} in found["ports"]
    assert {"name": "config", "mountPath": "/etc/dimse/config", "readOnly": True} in found["volumeMounts"]
    env = {variable["name"]: variable.get("value") for variable in found["env"]}
    assert env["DIMSE_NATS_AUTH_TOKEN_FILE"] == "/etc/dimse/nats-token/token"
    assert "IMAGE_CUIDS" in cluster.there("ConfigMap", namespace, "archive-proxy-dimse-config")["data"]
    cluster.wait_for_event(namespace, "archive-proxy", "PodsReady")
    assert {reason for _, reason, _ in cluster.events(namespace, "archive-proxy")} == {"ObjectsCreated", "PodsReady"}


def test_nothing_is_done_again(cluster: Cluster, namespace: str) -> None:
    ready(cluster, namespace)
    before = cluster.versions(namespace)
    # A label of the resource is nothing to the operator, but gives it a turn; the event of the next change follows it.
    cluster.patch(KIND, namespace, "archive-proxy", {"metadata": {"labels": {"touched": "yes"}}})
    cluster.replace_spec(namespace, "archive-proxy", lambda spec: spec.update(natsSubjectRoot="OTHER"))
    cluster.wait_for_event(namespace, "archive-proxy", "ObjectsUpdated")
    after = cluster.versions(namespace)
    same = {key for key in before if before[key] == after[key]}
    assert same == {("ConfigMap", "archive-proxy-dimse-config"), ("Service", "archive-proxy-dimse-proxy")}
    assert not [1 for _, reason, _ in cluster.events(namespace, "archive-proxy") if reason == "ObjectsRepaired"]


Look = Callable[[Cluster, str], object]

CHANGES: dict[str, tuple[Json, Look, object]] = {
    "applicationEntityTitle": (
        {"applicationEntityTitle": "OTHER"},
        lambda c, n: c.there("ConfigMap", n, "archive-proxy-proxy-nats-config")["data"]["DIMSE_TARGET_AE"],
        "OTHER",
    ),
    "localApplicationEntityTitle": (
        {"localApplicationEntityTitle": "HERE"},
        lambda c, n: c.there("ConfigMap", n, "archive-proxy-proxy-nats-config")["data"].get("DIMSE_AE"),
        "HERE",
    ),
    "dimsePort": (
        {"dimsePort": 104},
        lambda c, n: c.there("Service", n, "archive-proxy-dimse-proxy")["spec"]["ports"][0]["port"],
        104,
    ),
    "natsSubjectChannel": (
        {"natsSubjectChannel": "B"},
        lambda c, n: c.there("ConfigMap", n, "archive-proxy-proxy-nats-config")["data"]["DIMSE_NATS_SUBJECT_CHANNEL"],
        "B",
    ),
    "proxy": (
        {"proxy": {"image": "other:1", "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "pull"}]}},
        lambda c, n: (container(c, n)["image"], container(c, n)["imagePullPolicy"]),
        ("other:1", "Always"),
    ),
    "replicas": (
        {"replicas": 2},
        lambda c, n: c.there("Deployment", n, "archive-proxy-dimse-proxy")["spec"]["replicas"],
        2,
    ),
    "resources": (
        {"resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "256Mi"}}},
        lambda c, n: container(c, n).get("resources", {}).get("limits"),
        {"memory": "512Mi"},
    ),
    "nodeSelector": (
        {"nodeSelector": {"disk": "fast"}},
        lambda c, n: c.there("Deployment", n, "archive-proxy-dimse-proxy")["spec"]["template"]["spec"].get(
            "nodeSelector"
        ),
        {"disk": "fast"},
    ),
    "tolerations": (
        {"tolerations": [{"key": "imaging", "operator": "Exists", "effect": "NoSchedule"}]},
        lambda c, n: c.there("Deployment", n, "archive-proxy-dimse-proxy")["spec"]["template"]["spec"].get(
            "tolerations"
        ),
        [{"key": "imaging", "operator": "Exists", "effect": "NoSchedule"}],
    ),
    "extraEnv": (
        {"extraEnv": [{"name": "DIMSE_GRACE_TIMEOUTSECONDS", "value": "120"}]},
        lambda c, n: c.there("Deployment", n, "archive-proxy-dimse-proxy")["spec"]["template"]["spec"][
            "terminationGracePeriodSeconds"
        ],
        135,
    ),
    "routes": (
        {"routes": {"text": "# no route\n"}},
        lambda c, n: (c.get("ConfigMap", n, "archive-proxy-dimse-routes") or {}).get("data"),
        {"routes.toml": "# no route\n"},
    ),
    "metrics": (
        {"metrics": {"enabled": True}},
        lambda c, n: c.get("Service", n, "archive-proxy-dimse-http") is not None,
        True,
    ),
    "service": (
        {"service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "annotations": {"lb": "internal"}}},
        lambda c, n: (
            c.there("Service", n, "archive-proxy-dimse-proxy")["spec"].get("externalTrafficPolicy"),
            (c.there("Service", n, "archive-proxy-dimse-proxy")["metadata"].get("annotations") or {}).get("lb"),
        ),
        ("Local", "internal"),
    ),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_is_changed_and_changed_back(cluster: Cluster, namespace: str, field: str) -> None:
    if field == "replicas" and cluster.is_real and not has_budgets(cluster):
        pytest.skip("this server does not know policy/v1")
    change, look, wanted = CHANGES[field]
    ready(cluster, namespace)
    before = look(cluster, namespace)
    assert before != wanted
    cluster.replace_spec(namespace, "archive-proxy", lambda spec: spec.update(change))
    cluster.wait(lambda: look(cluster, namespace) == wanted, f"{field} to be changed")

    def back(spec: Json) -> None:
        for name in change:
            if name in SPEC:
                spec[name] = SPEC[name]
            else:
                del spec[name]

    cluster.replace_spec(namespace, "archive-proxy", back)
    cluster.wait(lambda: look(cluster, namespace) == before, f"{field} to be as it was")


def has_budgets(cluster: Cluster) -> bool:
    try:
        return bool(cluster.request("GET", "/apis/policy/v1"))
    except ApiRefused:
        return False


def test_two_pods_have_a_disruption_budget(cluster: Cluster, namespace: str) -> None:
    if cluster.is_real and not has_budgets(cluster):
        pytest.skip("this server does not know policy/v1")
    ready(cluster, namespace, replicas=2)
    budget = cluster.there("PodDisruptionBudget", namespace, "archive-proxy-dimse-proxy")
    assert budget["spec"]["maxUnavailable"] == 1
    cluster.replace_spec(namespace, "archive-proxy", lambda spec: spec.update(replicas=1))
    cluster.wait_for_event(namespace, "archive-proxy", "ObjectsRemoved")
    assert cluster.get("PodDisruptionBudget", namespace, "archive-proxy-dimse-proxy") is None


# Secrets.


def test_a_rotated_token_restarts_nothing(cluster: Cluster, namespace: str) -> None:
    ready(cluster, namespace)
    before = cluster.there("Deployment", namespace, "archive-proxy-dimse-proxy")["metadata"]["generation"]
    cluster.secret(namespace, "nats-dicom-proxy-token", token="rotated")
    assert "nothing is restarted" in cluster.wait_for_event(namespace, "archive-proxy", "SourceChanged")
    assert cluster.there("Deployment", namespace, "archive-proxy-dimse-proxy")["metadata"]["generation"] == before


def test_another_tunnel_key_replaces_the_pods(cluster: Cluster, namespace: str) -> None:
    cluster.secret(namespace, "tunnel", key="one")
    ready(cluster, namespace, tunnelKeySecret="tunnel")
    before = start_digest(cluster, namespace)
    cluster.secret(namespace, "tunnel", key="two")
    cluster.wait(lambda: start_digest(cluster, namespace) != before, "the pods to be replaced")
    assert "replaced" in cluster.wait_for_event(namespace, "archive-proxy", "SourceChanged")


def test_a_secret_that_is_missing_and_comes(cluster: Cluster, namespace: str) -> None:
    cluster.proxy(namespace, "archive-proxy", SPEC)
    status = cluster.wait_for_phase(namespace, "archive-proxy", "Pending")
    assert "Secret nats-dicom-proxy-token does not exist" in status["message"]
    assert status["ready"] is False
    cluster.wait_for_event(namespace, "archive-proxy", "SourceMissing")
    cluster.secret(namespace, "nats-dicom-proxy-token", wrong="x")
    cluster.wait_for_phase(namespace, "archive-proxy", "Pending", "has no key token")
    cluster.secret(namespace, "nats-dicom-proxy-token", token="x")
    cluster.wait_for_phase(namespace, "archive-proxy", "Progressing")


def test_a_folder_of_the_users_own(cluster: Cluster, namespace: str) -> None:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own"}, "data": {"IMAGE_CUIDS": "*\n"}}
    cluster.create(own, namespace)
    ready(cluster, namespace, dimseConfig="own")
    assert cluster.get("ConfigMap", namespace, "archive-proxy-dimse-config") is None
    before = start_digest(cluster, namespace)
    cluster.patch("ConfigMap", namespace, "own", {"data": {"IMAGE_CUIDS": "Private:1.2.3\n*\n"}})
    cluster.wait(lambda: start_digest(cluster, namespace) != before, "the pods to be replaced")


# Drift.


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "archive-proxy-dimse-proxy"),
        ("Service", "archive-proxy-dimse-proxy"),
        ("ConfigMap", "archive-proxy-proxy-nats-config"),
        ("ConfigMap", "archive-proxy-dimse-config"),
    ],
)
def test_what_is_deleted_comes_back(cluster: Cluster, namespace: str, kind: str, name: str) -> None:
    ready(cluster, namespace)
    uid = cluster.there(kind, namespace, name)["metadata"]["uid"]
    cluster.delete(kind, namespace, name)

    def is_back() -> bool:
        found = cluster.get(kind, namespace, name)
        return found is not None and found["metadata"]["uid"] != uid

    cluster.wait(is_back, f"{kind} {name} to come back")


@pytest.mark.parametrize(
    ("kind", "name", "edit", "look"),
    [
        (
            "ConfigMap",
            "archive-proxy-proxy-nats-config",
            {"data": {"DIMSE_NATS_URL": "elsewhere:4222", "MORE": "x"}},
            lambda obj: obj["data"],
        ),
        (
            "Service",
            "archive-proxy-dimse-proxy",
            {"spec": {"selector": {"app": "other"}}},
            lambda obj: obj["spec"]["selector"],
        ),
        (
            "Deployment",
            "archive-proxy-dimse-proxy",
            {"spec": {"replicas": 5, "template": {"spec": {"hostNetwork": True}}}},
            lambda obj: (obj["spec"]["replicas"], obj["spec"]["template"]["spec"].get("hostNetwork")),
        ),
        (
            "Deployment",
            "archive-proxy-dimse-proxy",
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}, "ownerReferences": None}},
            lambda obj: (obj["metadata"].get("ownerReferences"), obj["metadata"].get("labels")),
        ),
    ],
)
def test_what_is_edited_by_hand_is_mended(
    cluster: Cluster, namespace: str, kind: str, name: str, edit: Json, look: Callable[[Json], object]
) -> None:
    ready(cluster, namespace)
    before = look(cluster.there(kind, namespace, name))
    cluster.patch(kind, namespace, name, edit)
    cluster.wait(lambda: look(cluster.there(kind, namespace, name)) == before, f"{kind} {name} to be mended")
    if "metadata" not in edit:
        assert name in cluster.wait_for_event(namespace, "archive-proxy", "ObjectsRepaired")


def test_a_restart_by_hand_is_no_drift(cluster: Cluster, namespace: str) -> None:
    ready(cluster, namespace)
    restart = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    cluster.patch("Deployment", namespace, "archive-proxy-dimse-proxy", restart)
    cluster.wait_for_phase(namespace, "archive-proxy", "Progressing")
    cluster.run_pods(namespace, "archive-proxy")
    cluster.wait_for_phase(namespace, "archive-proxy", "Ready")
    deployment = cluster.there("Deployment", namespace, "archive-proxy-dimse-proxy")
    assert deployment["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] == "now"


# Invalid, blocked.


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"applicationEntityTitle": "A-TITLE-OF-17-CHAR"}, "applicationEntityTitle"),
        ({"applicationEntityTitle": "BACK\\SLASH"}, "applicationEntityTitle"),
        ({"targetDimsePort": 0}, "targetDimsePort"),
        ({"targetDimsePort": 65536}, "targetDimsePort"),
        ({"natsSubjectChannel": "A.B"}, "natsSubjectChannel"),
        ({"natsSubjectRoot": "DIMSE.>"}, "natsSubjectRoot"),
        ({"natsUrl": "user:secret@nats.example.org"}, "natsUrl"),
        ({"replicas": -1}, "replicas"),
        ({"routes": {"text": "x", "configMap": "y"}}, "routes"),
    ],
)
def test_the_definition_refuses_what_the_proxy_would(cluster: Cluster, namespace: str, wrong: Json, field: str) -> None:
    with pytest.raises(ApiRefused, match=field) as refused:
        cluster.proxy(namespace, "wrong", SPEC | wrong)
    assert refused.value.code == 422


def test_a_name_too_long_for_a_service_is_refused(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ApiRefused, match="name"):
        cluster.proxy(namespace, "a" * 52, SPEC)


def test_an_invalid_spec_makes_nothing(cluster: Cluster, namespace: str) -> None:
    spec = SPEC | {
        "natsUrl": "http://nats.example.org",
        "extraEnv": [{"name": "DIMSE_PORT", "value": "104"}, {"name": "DIMSE_CALLING_AE", "value": "A" * 17}],
    }
    cluster.proxy(namespace, "archive-proxy", spec)
    status = cluster.wait_for_phase(namespace, "archive-proxy", "Invalid")
    assert "spec.natsUrl becomes DIMSE_NATS_URL=http://nats.example.org: scheme 'http' is unknown" in status["message"]
    assert "spec.extraEnv cannot have DIMSE_PORT" in status["message"]
    assert "DIMSE_CALLING_AE" in status["message"]
    assert status["secondaryResources"] == {}
    cluster.wait_for_event(namespace, "archive-proxy", "InvalidSpec")
    assert cluster.get("Deployment", namespace, "archive-proxy-dimse-proxy") is None
    assert cluster.get("Service", namespace, "archive-proxy-dimse-proxy") is None


def test_an_invalid_change_leaves_what_runs(cluster: Cluster, namespace: str) -> None:
    ready(cluster, namespace)
    before = {key: version for key, version in cluster.versions(namespace).items() if key[0] != KIND}
    cluster.replace_spec(namespace, "archive-proxy", lambda spec: spec.update(natsUrl="http://x"))
    status = cluster.wait_for_phase(namespace, "archive-proxy", "Invalid")
    assert "what runs goes on" in status["message"]
    assert status["secondaryResources"]["Deployment"] == ["archive-proxy-dimse-proxy"]
    assert {key: version for key, version in cluster.versions(namespace).items() if key[0] != KIND} == before


def test_an_object_of_another_controller_is_left_alone(cluster: Cluster, namespace: str) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}}
    owner = cluster.create(settings, namespace)
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "archive-proxy-dimse-proxy",
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "name": "theirs",
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    cluster.create(theirs, namespace)
    cluster.proxy(namespace, "archive-proxy", SPEC)
    status = cluster.wait_for_phase(namespace, "archive-proxy", "Blocked")
    assert "Service archive-proxy-dimse-proxy belongs to ConfigMap theirs" in status["message"]
    assert cluster.get("Deployment", namespace, "archive-proxy-dimse-proxy") is None
    assert cluster.get("ConfigMap", namespace, "archive-proxy-proxy-nats-config") is None


# Earlier deployments, several resources, deletion.


def test_objects_of_an_earlier_deployment_are_adopted(cluster: Cluster, namespace: str) -> None:
    labels = {"app": "archive-proxy-dimse-proxy"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [
                {
                    "name": "proxy",
                    "image": "earlier:1",
                    "env": [{"name": "DIMSE_ACTOR", "value": "x"}],
                    "ports": [{"containerPort": 11112}],
                }
            ]
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "archive-proxy-dimse-proxy"},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "archive-proxy-dimse-proxy"},
        "spec": {"selector": labels, "ports": [{"name": "tcp-proxy", "port": 11112}]},
    }
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "archive-proxy-proxy-nats-config"},
        "data": {"nats.url": "x"},
    }
    for obj in (deployment, service, settings):
        cluster.create(obj, namespace)
    address = cluster.there("Service", namespace, "archive-proxy-dimse-proxy")["spec"]["clusterIP"]
    uid = cluster.there("Deployment", namespace, "archive-proxy-dimse-proxy")["metadata"]["uid"]
    ready(cluster, namespace)
    now = cluster.there("Deployment", namespace, "archive-proxy-dimse-proxy")
    assert now["metadata"]["uid"] == uid
    assert [container["name"] for container in now["spec"]["template"]["spec"]["containers"]] == ["dimse-proxy"]
    assert labels.items() <= now["spec"]["template"]["metadata"]["labels"].items()
    spec = cluster.there("Service", namespace, "archive-proxy-dimse-proxy")["spec"]
    assert (spec["clusterIP"], spec["selector"]) == (address, labels)
    assert "nats.url" not in cluster.there("ConfigMap", namespace, "archive-proxy-proxy-nats-config")["data"]
    adopted = cluster.wait_for_event(namespace, "archive-proxy", "ObjectsAdopted")
    assert "Deployment archive-proxy-dimse-proxy" in adopted


def test_two_resources_in_one_namespace(cluster: Cluster, namespace: str) -> None:
    ready(cluster, namespace, "one")
    ready(cluster, namespace, "two", natsSubjectChannel="B")
    selectors = [
        cluster.there("Service", namespace, f"{name}-dimse-proxy")["spec"]["selector"] for name in ("one", "two")
    ]
    assert selectors[0] != selectors[1]
    before = cluster.there("Deployment", namespace, "two-dimse-proxy")["metadata"]["resourceVersion"]
    cluster.replace_spec(namespace, "one", lambda spec: spec.update(natsSubjectRoot="OTHER"))
    cluster.wait_for_event(namespace, "one", "ObjectsUpdated")
    assert cluster.there("Deployment", namespace, "two-dimse-proxy")["metadata"]["resourceVersion"] == before


def test_deletion_takes_all_with_it(cluster: Cluster, namespace: str, operator: ChildProcess) -> None:
    ready(cluster, namespace)
    cluster.delete(KIND, namespace, "archive-proxy")

    def is_gone() -> bool:
        return not any(
            cluster.get(kind, namespace, name)
            for kind, name in (
                (KIND, "archive-proxy"),
                ("Deployment", "archive-proxy-dimse-proxy"),
                ("Service", "archive-proxy-dimse-proxy"),
                ("ConfigMap", "archive-proxy-proxy-nats-config"),
                ("ConfigMap", "archive-proxy-dimse-config"),
            )
        )

    cluster.wait(is_gone, "everything to be gone", seconds=60)
    # The operator goes on, and has made nothing again.
    ready(cluster, namespace, "another")
    assert is_gone()
    assert operator.is_running()

"""What a spec becomes: the objects, the pod, and what makes new pods."""

import json

import pytest
from kubernetes_validate import utils as kubernetes_validate

from dimse_proxy.config.settings import SECRETS, review_settings
from dimse_proxy.kubernetes.manifests import possible
from tests.unit.kubernetes.specs import EXAMPLE, FULL, OWNER, SMALL, environment, inputs, objects, pod

WORKLOAD = "archive-proxy-dimse-proxy"


@pytest.mark.parametrize("version", ["1.33", "1.37"])
@pytest.mark.parametrize("spec", [SMALL, EXAMPLE, FULL], ids=["small", "example", "full"])
def test_the_objects_are_valid_for_kubernetes(spec: dict[str, object], version: str) -> None:
    for obj in objects(spec).values():
        kubernetes_validate.validate(obj, version, strict=True)


def test_equal_inputs_give_equal_objects() -> None:
    shuffled = dict(reversed(FULL.items()))
    assert json.dumps(list(objects(FULL).values())) == json.dumps(list(objects(shuffled).values()))


def test_everything_that_is_made_is_owned_and_may_be_removed_again() -> None:
    for spec in (SMALL, EXAMPLE, FULL):
        made = objects(spec)
        assert set(made) <= set(possible(OWNER))
        for obj in made.values():
            assert obj["metadata"]["ownerReferences"] == [OWNER.reference]
            assert obj["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "dimse-proxy-operator"
            assert len(obj["metadata"]["name"]) <= 63


def test_the_names_of_the_contract() -> None:
    made = objects(EXAMPLE)
    assert set(made) == {
        ("ConfigMap", "archive-proxy-proxy-nats-config"),
        ("ConfigMap", "archive-proxy-dimse-config"),
        ("Service", WORKLOAD),
        ("Deployment", WORKLOAD),
    }
    (port,) = made["Service", WORKLOAD]["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("tcp-proxy", 11112, 11112)


def test_every_field_leaves_a_trace() -> None:
    """Each field of FULL taken away makes other objects."""
    whole = objects(FULL)
    for field in FULL.keys() - {"natsUrl", "natsSubjectRoot", "natsSubjectChannel"}:
        assert objects({key: value for key, value in FULL.items() if key != field}) != whole, field
    for field, other in (("natsUrl", "x"), ("natsSubjectRoot", "X"), ("natsSubjectChannel", "B")):
        assert objects(FULL | {field: other}) != whole, field


def test_the_pod_meets_the_restricted_profile() -> None:
    template = pod(objects(FULL))["spec"]
    (container,) = template["containers"]
    assert template["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }
    assert {next(iter(volume.keys() - {"name"})) for volume in template["volumes"]} <= {
        "configMap",
        "secret",
        "emptyDir",
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & template.keys()
    assert template["automountServiceAccountToken"] is False
    assert template["enableServiceLinks"] is False


def test_the_environment_starts_a_proxy() -> None:
    for spec in (SMALL, EXAMPLE, FULL):
        values = {name: value for name, value in environment(objects(spec)).items() if value is not None}
        values = {name: value for name, value in values.items() if name.removesuffix("_FILE") not in SECRETS}
        reviewed = review_settings(values, None)
        assert (reviewed.problems, reviewed.settings.port, reviewed.settings.http_port) == ([], 11112, 8080)


def test_every_variable_is_set_once_and_extra_ones_win() -> None:
    spec = SMALL | {"extraEnv": [{"name": "DIMSE_HTTP_HOST", "value": "::"}, {"name": "DIMSE_NATS_URL", "value": "y"}]}
    made = objects(spec)
    (container,) = pod(made)["spec"]["containers"]
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names))
    assert environment(made)["DIMSE_HTTP_HOST"] == "::"
    assert environment(made)["DIMSE_NATS_URL"] == "y"


def test_secrets_are_files_that_the_proxy_is_told() -> None:
    made = objects(FULL)
    template = pod(made)["spec"]
    (container,) = template["containers"]
    folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    files = {
        f"{folders[volume['name']]}/{item['path']}"
        for volume in template["volumes"]
        for item in (volume.get("secret") or volume.get("configMap") or {}).get("items", ())
    }
    values = environment(made)
    told = {
        "DIMSE_NATS_AUTH_TOKEN_FILE": "/etc/dimse/nats-token/token",
        "DIMSE_TUNNEL_KEY_FILE": "/etc/dimse/tunnel-key/key",
        "DIMSE_NATS_TLS_CA_FILE": "/etc/dimse/nats-ca/ca.crt",
        "DIMSE_NATS_TLS_CERT_FILE": "/etc/dimse/nats-client/tls.crt",
        "DIMSE_NATS_TLS_KEY_FILE": "/etc/dimse/nats-client/tls.key",
        "DIMSE_TLS_TRUSTSTORE": "/etc/dimse/trust/truststore.jks",
        "DIMSE_TLS_TRUSTSTORE_PASSWORD_FILE": "/etc/dimse/trust-password/password",
        "DIMSE_ROUTES_FILE": "/etc/dimse/routes/routes.toml",
    }
    assert {name: values[name] for name in told} == told
    assert set(told.values()) <= files
    assert values["DIMSE_TLS_KEYSTORE"] == "/etc/dimse/tls"
    assert {"/etc/dimse/tls/tls.crt", "/etc/dimse/tls/tls.key"} <= files


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ({}, {"DIMSE_TLS_ENABLED": "true", "DIMSE_TLS_PORT": None, "DIMSE_TARGET_TLS_ENABLED": None}),
        ({"target": False}, {"DIMSE_TLS_ENABLED": "true", "DIMSE_TARGET_TLS_ENABLED": "false"}),
        ({"port": 2762}, {"DIMSE_TLS_ENABLED": None, "DIMSE_TLS_PORT": "2762", "DIMSE_TARGET_TLS_ENABLED": None}),
        (
            {"secretName": None, "target": True},
            {"DIMSE_TLS_ENABLED": None, "DIMSE_TLS_KEYSTORE": None, "DIMSE_TARGET_TLS_ENABLED": "true"},
        ),
        ({"keyStoreKind": "PKCS12"}, {"DIMSE_TLS_KEYSTORE": "/etc/dimse/tls/keystore.p12"}),
    ],
)
def test_tls(tls: dict[str, object], told: dict[str, str | None]) -> None:
    values = environment(objects(SMALL | {"tls": {"secretName": "dicom", **tls}}))
    assert {name: values.get(name) for name in told} == told


def test_a_pod_outlives_the_grace_period_of_its_proxy() -> None:
    assert pod(objects(SMALL))["spec"]["terminationGracePeriodSeconds"] == 45
    assert pod(objects(FULL))["spec"]["terminationGracePeriodSeconds"] == 136


def digest(spec: dict[str, object], found: dict[tuple[str, str], dict[str, str]] | None = None) -> str:
    made = objects(spec, found)  # type: ignore[arg-type]
    return str(pod(made)["metadata"]["annotations"]["dimse-proxy/start-digest"])


def test_new_pods_for_what_is_read_at_the_start_only() -> None:
    spec = EXAMPLE | {"tunnelKeySecret": "tunnel", "dimseConfig": "own", "tls": {"secretName": "dicom"}}
    found = {
        ("Secret", "tunnel"): {"key": "a", "other": "x"},
        ("ConfigMap", "own"): {"IMAGE_CUIDS": "*"},
        ("Secret", "nats-dicom-proxy-token"): {"token": "a"},
        ("Secret", "dicom"): {"tls.key": "a", "tls.crt": "a"},
    }
    before = digest(spec, found)
    assert digest(spec, found | {("Secret", "tunnel"): {"key": "b"}}) != before
    assert digest(spec, found | {("ConfigMap", "own"): {"IMAGE_CUIDS": "*", "IMAGE_TSUIDS": "*"}}) != before
    assert digest(spec | {"natsUrl": "other.example.org"}, found) != before
    # A routes file is looked at again, wherever it is.
    assert digest(spec, found | {("ConfigMap", "own"): {"IMAGE_CUIDS": "*", "routes.toml": "x"}}) == before
    with_routes = digest(spec | {"routes": {"text": "a"}}, found)
    assert digest(spec | {"routes": {"text": "b"}}, found) == with_routes
    # Read again while it runs, or not used at all.
    assert digest(spec, found | {("Secret", "nats-dicom-proxy-token"): {"token": "b"}}) == before
    assert digest(spec, found | {("Secret", "dicom"): {"tls.key": "b", "tls.crt": "b"}}) == before
    assert digest(spec, found | {("Secret", "tunnel"): {"key": "a", "other": "y"}}) == before


def test_a_new_pod_is_ready_before_an_old_one_goes() -> None:
    made = objects(EXAMPLE)
    strategy = made["Deployment", WORKLOAD]["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_what_concerns_load_balancers_is_left_out_of_a_cluster_ip() -> None:
    service = objects(FULL | {"service": FULL["service"] | {"type": "ClusterIP"}})["Service", WORKLOAD]["spec"]
    assert not {"externalTrafficPolicy", "loadBalancerSourceRanges"} & service.keys()
    assert not any("nodePort" in port for port in service["ports"])


def test_an_image_of_the_operators_own() -> None:
    (container,) = pod(objects(EXAMPLE))["spec"]["containers"]
    assert container["image"] == "dimse-proxy:test"
    assert inputs(EXAMPLE).spec.proxy.image is None

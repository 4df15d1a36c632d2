"""What kustomize and Helm make of deploy/kubernetes is valid, and grants what the operator needs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from helm_python import HelmError
from helm_python.chart import Chart, lint
from kubernetes_validate import utils as kubernetes_validate

from dimse_proxy import __version__
from dimse_proxy.kubernetes.permissions import ELECTION, WORK
from dimse_proxy.kubernetes.resource import KIND, custom_resource_definition, spec_schema
from tests.integration.kubernetes.cluster import Cluster
from tests.unit.kubernetes.specs import FULL

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy" / "kubernetes"
CHART = DEPLOY / "helm" / "dimse-proxy-operator"
KUBECTL = Path(sys.executable).with_name("kubectl")
VERSIONS = ("1.33", "1.37")


def kustomized(folder: str) -> list[Json]:
    done = subprocess.run([KUBECTL, "kustomize", DEPLOY / folder], capture_output=True, check=True, timeout=60)
    return list(yaml.safe_load_all(done.stdout))


def rendered(values: Json | None = None, name: str = "imaging") -> list[Json]:
    with Chart.load(CHART) as chart:
        files = chart.render(values=values, name=name, namespace="radiology")
    return [
        document
        for path, text in files.items()
        if path.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]


def check(objects: list[Json]) -> None:
    """Against the schemas of Kubernetes, or of the custom resource."""
    for obj in objects:
        if obj["kind"] == KIND:
            jsonschema.Draft202012Validator(spec_schema()).validate(obj["spec"])
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(obj, version, strict=True)


def of_kind(objects: list[Json], kind: str) -> list[Json]:
    return [obj for obj in objects if obj["kind"] == kind]


@pytest.mark.parametrize("folder", ["base", "cluster-wide", "examples/overlay"])
def test_what_kustomize_makes_is_valid(folder: str) -> None:
    objects = kustomized(folder)
    check(objects)
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"][:3] == ["operator", "--image", container["image"]]
    assert ("--all-namespaces" in container["args"]) == (folder == "cluster-wide")
    (account,) = of_kind(objects, "ServiceAccount")
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in of_kind(objects, kind):
            (subject,) = binding["subjects"]
            assert (subject["name"], subject["namespace"]) == (
                account["metadata"]["name"],
                account["metadata"]["namespace"],
            )


def test_the_definition_is_valid() -> None:
    (definition,) = kustomized("definition")
    check([definition])
    assert definition == custom_resource_definition()


@pytest.mark.parametrize("path", sorted((DEPLOY / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid(path: Path) -> None:
    check(list(yaml.safe_load_all(path.read_text())))


# Helm.

PROXIES: list[Json] = [
    {},
    {"proxies": {"small": {"natsUrl": "x"}, "full": FULL}},
    {"allNamespaces": True, "imagePullSecrets": [{"name": "pull"}], "nodeSelector": {"a": "b"}},
    {"namespaces": ["one", "two"], "tolerations": [{"key": "a", "operator": "Exists"}], "podAnnotations": {"a": "b"}},
]


def test_the_chart_has_this_version() -> None:
    with Chart.load(CHART) as chart:
        assert (chart.version, chart.metadata["appVersion"]) == (__version__, __version__)


@pytest.mark.parametrize("values", PROXIES)
def test_the_chart_is_right(values: Json) -> None:
    report = lint(CHART, values, strict=True, namespace="radiology")
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []
    check(rendered(values))


def test_the_chart_grants_what_is_needed() -> None:
    rules = [rule.manifest() for rule in (*WORK, *ELECTION)]
    own, other = of_kind(rendered({"namespaces": ["other"]}), "Role")
    assert (own["metadata"]["namespace"], own["rules"]) == ("radiology", rules)
    assert (other["metadata"]["namespace"], other["rules"]) == ("other", rules)
    everywhere = rendered({"allNamespaces": True})
    (cluster,) = of_kind(everywhere, "ClusterRole")
    (election,) = of_kind(everywhere, "Role")
    assert cluster["rules"] + election["rules"] == rules


@pytest.mark.parametrize(
    "values",
    [
        {"proxies": {"x": {"natsUrl": "x", "natsSubjectChannel": "A.B"}}},
        {"proxies": {"x": {"natsUrl": "x", "targetDimsePort": 0}}},
        {"proxies": {"x": {"natsUrl": "x", "tragetDimsePort": 104}}},
        {"proxies": {"x": {}}},
        {"proxies": {"a" * 52: {"natsUrl": "x"}}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"unknown": 1},
    ],
)
def test_the_values_schema_refuses(values: Json) -> None:
    with Chart.load(CHART) as chart, pytest.raises(HelmError):
        chart.validate_schema(values)


def test_the_notes_name_what_an_allow_list_needs() -> None:
    service = {"type": "LoadBalancer"}
    for policy, is_named in (({}, True), ({"externalTrafficPolicy": "Local"}, False)):
        values = {"proxies": {"hospital": {"natsUrl": "x", "service": service | policy}}}
        with Chart.load(CHART) as chart:
            notes = chart.render(values=values, name="imaging")["dimse-proxy-operator/templates/NOTES.txt"]
        assert ("externalTrafficPolicy" in notes) is is_named


# kubectl.


def kubectl(cluster: Cluster, folder: Path, namespace: str, *arguments: object) -> str:
    """Runs it as a person with all rights, without the schema of the server, which the emulated one has not."""
    access = ("--kubeconfig", cluster.kubeconfig, "--token", cluster.token, "--cache-dir", folder)
    done = subprocess.run(
        [str(part) for part in (KUBECTL, *access, "--namespace", namespace, *arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kubectl_applies_the_example_of_the_contract(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    example = ("--validate=false", "-f", DEPLOY / "examples" / "contract.yaml")
    dry = kubectl(cluster, tmp_path, namespace, "apply", "--dry-run=client", *example)
    assert dry.count("created (dry run)") == 2
    assert kubectl(cluster, tmp_path, namespace, "apply", *example).count("created") == 2
    assert kubectl(cluster, tmp_path, namespace, "apply", *example).count("unchanged") == 2

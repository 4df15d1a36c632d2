"""The pod template: how one proxy runs in a pod that meets the restricted profile of the pod security standards.

Pure: the same spec gives the same template.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dimse_proxy.kubernetes.environment import DICOM_PORT, HTTP_PORT, TLS_PORT, pod_variables
from dimse_proxy.kubernetes.mounts import Mount
from dimse_proxy.kubernetes.spec import DimseProxySpec

Json = dict[str, Any]

CONTAINER: Final = "dimse-proxy"
COMMAND: Final = ("dimse-proxy", "run")
DIGEST_ANNOTATION: Final = "dimse-proxy/start-digest"
"""Changes with whatever the proxy reads only at its start, so that Kubernetes replaces the pods."""
_SCRATCH: Final = "/tmp"  # noqa: S108 - of a pod nobody else is in


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlan:
    """What the template is made from."""

    spec: DimseProxySpec
    mounts: tuple[Mount, ...]
    image: str
    """Where the spec names none."""
    environment_from: str
    """The ConfigMap with variables."""
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    """Of the Deployment: a part of `labels`, or of an earlier Deployment."""
    start_digest: str
    termination_seconds: int


def pod_template(plan: PodPlan) -> Json:
    """Return the template of a Deployment's pods."""
    spec = plan.spec
    annotations = {DIGEST_ANNOTATION: plan.start_digest}
    if spec.metrics.enabled:
        annotations |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(HTTP_PORT),
            "prometheus.io/path": "/metrics",
        }
    pod: Json = {
        "automountServiceAccountToken": False,
        # Kubernetes would set variables for each Service, and one of a Service named `dimse` is DIMSE_PORT.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": plan.termination_seconds,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(plan)],
        "volumes": [*(_volume(mount) for mount in plan.mounts), {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    if spec.proxy.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in spec.proxy.image_pull_secrets]
    if spec.node_selector:
        pod["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        pod["tolerations"] = [_plain(toleration) for toleration in spec.tolerations]
    if spec.replicas > 1:
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(plan.selector)},
            }
        ]
    return {"metadata": {"labels": {**plan.labels, **plan.selector}, "annotations": annotations}, "spec": pod}


def _container(plan: PodPlan) -> Json:
    spec = plan.spec
    container: Json = {
        "name": CONTAINER,
        "image": spec.proxy.image or plan.image,
        "command": [COMMAND[0]],
        "args": list(COMMAND[1:]),
        "envFrom": [{"configMapRef": {"name": plan.environment_from}}],
        "env": _environment(plan),
        "ports": [{"name": "dicom", "containerPort": DICOM_PORT}],
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=5, failures=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "volumeMounts": [
            *({"name": mount.name, "mountPath": mount.folder, "readOnly": True} for mount in plan.mounts),
            {"name": "scratch", "mountPath": _SCRATCH},
        ],
    }
    if spec.tls is not None and spec.tls.port is not None:
        container["ports"].append({"name": "dicom-tls", "containerPort": TLS_PORT})
    container["ports"].append({"name": "http", "containerPort": HTTP_PORT})
    if spec.proxy.image_pull_policy is not None:
        container["imagePullPolicy"] = spec.proxy.image_pull_policy
    if spec.resources is not None:
        container["resources"] = _plain(spec.resources)
    return container


def _environment(plan: PodPlan) -> list[Json]:
    """Each variable once: those of `extraEnv` in place of ours, and behind them."""
    extra = {variable.name: _plain(variable) for variable in plan.spec.extra_env}
    # The name outlives a restart of the container, so the other side knows at once that the process is a new one.
    ours: list[Json] = [{"name": "DIMSE_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    ours += ({"name": name, "value": value} for name, value in pod_variables(plan.spec, plan.mounts).items())
    return [variable for variable in ours if variable["name"] not in extra] + list(extra.values())


def _probe(path: str, *, period: int, failures: int) -> Json:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _volume(mount: Mount) -> Json:
    kind, name = mount.source
    source: Json = {"secretName" if kind == "Secret" else "name": name}
    if mount.keys:
        source["items"] = [{"key": key, "path": key} for key in mount.keys]
    return {"name": mount.name, "secret" if kind == "Secret" else "configMap": source}


def _plain(part: Any) -> Json:
    """A part of the spec as the API has it."""
    plain: Json = part.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: value for key, value in plain.items() if value != {}}

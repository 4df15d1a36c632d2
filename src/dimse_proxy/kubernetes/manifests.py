"""The objects that a DimseProxy becomes: ConfigMaps, Services, PodDisruptionBudget, Deployment.

Pure and deterministic: equal inputs give equal objects. What is already in the cluster is not known here; `merge`
joins the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dimse_proxy.kubernetes.environment import DICOM_PORT, HTTP_PORT, TLS_PORT, Review, configuration
from dimse_proxy.kubernetes.mounts import ROUTES_KEY, Data, Mount, Source, config_name, routes_name, start_digest
from dimse_proxy.kubernetes.pods import PodPlan, pod_template
from dimse_proxy.kubernetes.resource import API_VERSION, KIND
from dimse_proxy.kubernetes.spec import DimseProxySpec

Json = dict[str, Any]

MANAGER: Final = "dimse-proxy-operator"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
ANNOTATIONS_ANNOTATION: Final = "dimse-proxy/annotations"
"""Which annotations of an object are ours, so that one is removed when it leaves the spec."""
INSTANCE: Final = "app.kubernetes.io/instance"
_NAME: Final = "app.kubernetes.io/name"
_PROGRESS_DEADLINE: Final = 600
"""Seconds after which pods that do not become ready are said to be stuck: Kubernetes' own default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The resource that owns the objects."""

    name: str
    namespace: str
    uid: str

    @property
    def workload(self) -> str:
        """Name of the Deployment, the Service and the PodDisruptionBudget."""
        return f"{self.name}-dimse-proxy"

    @property
    def labels(self) -> dict[str, str]:
        """Of everything that is made of it."""
        return self.selector | {MANAGED_BY: MANAGER}

    @property
    def selector(self) -> dict[str, str]:
        """Labels of its pods, for ever."""
        return {_NAME: "dimse-proxy", INSTANCE: self.name}

    @property
    def reference(self) -> Json:
        """What says that the objects go when it goes."""
        return {"apiVersion": API_VERSION, "kind": KIND, "name": self.name, "uid": self.uid, "controller": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that the objects are made from."""

    owner: Owner
    spec: DimseProxySpec
    mounts: tuple[Mount, ...]
    review: Review
    image: str
    """The operator's own, for the pods of a spec that names none."""
    config_files: Mapping[str, str]
    """The dimse-config folder that is shipped, file name to text."""
    found: Mapping[Source, Data]
    """The Secrets and ConfigMaps that the spec names, as far as they exist."""
    selector: Mapping[str, str]
    """Of the Deployment: `owner.selector`, or that of an earlier one."""


def manifests(inputs: Inputs) -> tuple[Json, ...]:
    """Return all objects, in the order in which they are applied."""
    spec, owner = inputs.spec, inputs.owner
    variables = configuration(spec)
    owned = _owned_config_maps(inputs, variables)
    contents = dict(inputs.found) | {("ConfigMap", name): data for name, data in owned.items()}
    objects = [_object(owner, "v1", "ConfigMap", name, data=data) for name, data in owned.items()]
    objects.append(_service(inputs))
    if spec.metrics.enabled:
        objects.append(_http_service(inputs))
    if spec.replicas > 1:
        budget = {"maxUnavailable": 1, "selector": {"matchLabels": dict(inputs.selector)}}
        objects.append(_object(owner, "policy/v1", "PodDisruptionBudget", owner.workload, spec=budget))
    plan = PodPlan(
        spec=spec,
        mounts=inputs.mounts,
        image=inputs.image,
        environment_from=environment_name(owner.name),
        labels=owner.labels,
        selector=inputs.selector,
        start_digest=start_digest(inputs.mounts, contents, variables),
        termination_seconds=inputs.review.termination_seconds,
    )
    objects.append(_deployment(inputs, pod_template(plan)))
    return tuple(objects)


def environment_name(resource: str) -> str:
    """The ConfigMap with the NATS end point and the target."""
    return f"{resource}-proxy-nats-config"


def possible(owner: Owner) -> tuple[tuple[str, str], ...]:
    """Return kind and name of everything that may ever be made: what is not wanted any more is looked for here."""
    return (
        ("ConfigMap", environment_name(owner.name)),
        ("ConfigMap", config_name(owner.name)),
        ("ConfigMap", routes_name(owner.name)),
        ("Service", owner.workload),
        ("Service", _http_name(owner)),
        ("PodDisruptionBudget", owner.workload),
        ("Deployment", owner.workload),
    )


def _http_name(owner: Owner) -> str:
    return f"{owner.name}-dimse-http"


def _owned_config_maps(inputs: Inputs, variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    spec, name = inputs.spec, inputs.owner.name
    owned = {environment_name(name): dict(variables)}
    if spec.dimse_config is None:
        owned[config_name(name)] = dict(inputs.config_files)
    if spec.routes is not None and spec.routes.text is not None:
        owned[routes_name(name)] = {ROUTES_KEY: spec.routes.text}
    return owned


def _object(owner: Owner, api_version: str, kind: str, name: str, **content: Json | dict[str, str]) -> Json:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": owner.labels,
            "ownerReferences": [owner.reference],
        },
        **content,
    }


def _service(inputs: Inputs) -> Json:
    spec, options = inputs.spec, inputs.spec.service
    dicom: Json = {"name": "tcp-proxy", "protocol": "TCP", "port": spec.dimse_port, "targetPort": DICOM_PORT}
    if options.node_port is not None and options.type != "ClusterIP":
        dicom["nodePort"] = options.node_port
    ports = [dicom]
    if spec.tls is not None and spec.tls.port is not None:
        ports.append({"name": "tls-proxy", "protocol": "TCP", "port": spec.tls.port, "targetPort": TLS_PORT})
    content: Json = {"type": options.type, "selector": dict(inputs.selector), "ports": ports}
    if options.external_traffic_policy is not None and options.type != "ClusterIP":
        content["externalTrafficPolicy"] = options.external_traffic_policy
    if options.load_balancer_source_ranges and options.type == "LoadBalancer":
        content["loadBalancerSourceRanges"] = list(options.load_balancer_source_ranges)
    service = _object(inputs.owner, "v1", "Service", inputs.owner.workload, spec=content)
    if options.annotations:
        names = ",".join(sorted(options.annotations))
        service["metadata"]["annotations"] = {**options.annotations, ANNOTATIONS_ANNOTATION: names}
    return service


def _http_service(inputs: Inputs) -> Json:
    ports = [{"name": "http", "protocol": "TCP", "port": HTTP_PORT, "targetPort": HTTP_PORT}]
    content: Json = {"type": "ClusterIP", "selector": dict(inputs.selector), "ports": ports}
    return _object(inputs.owner, "v1", "Service", _http_name(inputs.owner), spec=content)


def _deployment(inputs: Inputs, template: Json) -> Json:
    content: Json = {
        "replicas": inputs.spec.replicas,
        "selector": {"matchLabels": dict(inputs.selector)},
        # A new pod is ready, the other side in sight, before an old one is told to finish.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": _PROGRESS_DEADLINE,
        "template": template,
    }
    return _object(inputs.owner, "apps/v1", "Deployment", inputs.owner.workload, spec=content)

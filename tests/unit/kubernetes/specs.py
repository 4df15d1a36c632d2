"""Specs, and the objects that they become, for the tests of this folder."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from dimse_proxy.kubernetes.environment import review
from dimse_proxy.kubernetes.manifests import Inputs, Json, Owner, manifests
from dimse_proxy.kubernetes.mounts import Data, Source, mounts_of
from dimse_proxy.kubernetes.spec import read_spec

OWNER: Final = Owner(name="archive-proxy", namespace="imaging", uid="0f5c1f0e")

SMALL: Final[Json] = {"natsUrl": "nats.example.org"}

EXAMPLE: Final[Json] = {
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
"""The contract's."""

FULL: Final[Json] = EXAMPLE | {
    "localApplicationEntityTitle": "PROXY,ARCHIVE",
    "dimsePort": 104,
    "natsTls": {"caSecretName": "nats-ca", "clientSecretName": "nats-client"},
    "natsPeerChannel": "HUB",
    "tunnelKeySecret": "tunnel",
    "proxy": {"image": "other:1", "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "pull"}]},
    "replicas": 3,
    "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": 1, "memory": "256Mi"}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "imaging", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
    "extraEnv": [
        {"name": "DIMSE_GRACE_TIMEOUTSECONDS", "value": "120.5"},
        {"name": "DIMSE_HTTP_TOKEN", "valueFrom": {"secretKeyRef": {"name": "http", "key": "token"}}},
        {"name": "DIMSE_LOG_FORMAT", "value": "json"},
    ],
    "dimseConfig": "own-config",
    "routes": {"text": "# none\n"},
    "tls": {
        "secretName": "dicom",
        "trustSecretName": "trust",
        "port": 2762,
        "target": True,
        "trustStoreKind": "JKS",
        "trustStorePasswordSecret": "trust-password",
    },
    "service": {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "nodePort": 31104,
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "annotations": {"lb": "internal"},
    },
    "metrics": {"enabled": True},
}
"""Every field set."""


def inputs(spec: Mapping[str, Any], found: Mapping[Source, Data] | None = None, owner: Owner = OWNER) -> Inputs:
    read = read_spec(spec)
    mounts = mounts_of(owner.name, read)
    return Inputs(
        owner=owner,
        spec=read,
        mounts=mounts,
        review=review(read, mounts),
        image="dimse-proxy:test",
        config_files={"IMAGE_CUIDS": "*\n"},
        found=found or {},
        selector=owner.selector,
    )


def objects(spec: Mapping[str, Any], found: Mapping[Source, Data] | None = None) -> dict[tuple[str, str], Json]:
    """By kind and name."""
    return {(obj["kind"], obj["metadata"]["name"]): copy.deepcopy(obj) for obj in manifests(inputs(spec, found))}


def pod(made: Mapping[tuple[str, str], Json]) -> Json:
    template: Json = made["Deployment", "archive-proxy-dimse-proxy"]["spec"]["template"]
    return template


def environment(made: Mapping[tuple[str, str], Json]) -> dict[str, Any]:
    """All variables of the container, as the kubelet would set those with a value."""
    (container,) = pod(made)["spec"]["containers"]
    names = [source["configMapRef"]["name"] for source in container["envFrom"]]
    values: dict[str, Any] = {}
    for name in names:
        values |= made["ConfigMap", name]["data"]
    return values | {variable["name"]: variable.get("value") for variable in container["env"]}

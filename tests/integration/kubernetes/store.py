"""What an API server keeps: objects with resource versions, generations and a history of what happened to them.

The rules are those of Kubernetes, as far as an operator can notice them; the tests that use this run against a real
kube-apiserver too, where there is one. No HTTP here.
"""

import copy
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import jsonschema

Json = dict[str, Any]


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code: Final = code
        self.reason: Final = reason

    def status(self) -> Json:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }


@dataclass(slots=True)
class Resource:
    """One kind of object."""

    api_version: str
    plural: str
    kind: str
    is_namespaced: bool = True
    has_status: bool = False
    schema: Json | None = None
    """Structural schema of a custom resource."""

    def full_name(self, name: str) -> str:
        group = self.api_version.rpartition("/")[0]
        return f"{self.plural}{'.' + group if group else ''} {name!r}"


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a watch."""

    version: int
    type: str
    obj: Json
    before: Json | None
    """What it was, for a watch whose selector it does not match any more."""


@dataclass(slots=True)
class _Kept:
    resource: Resource
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    history: list[Happening] = field(default_factory=list)


class Store:
    """All objects of a cluster."""

    def __init__(self) -> None:
        self.version = 1000
        self.oldest = 0
        """Watches that want to begin before this version are told that it is gone."""
        self._kinds: dict[tuple[str, str], _Kept] = {}
        self.changed: Callable[[], None] = lambda: None
        for resource in BUILT_IN:
            self.add(copy.copy(resource))

    def add(self, resource: Resource) -> None:
        self._kinds.setdefault((resource.api_version, resource.plural), _Kept(resource)).resource = resource

    def resources(self) -> Iterator[Resource]:
        for kept in self._kinds.values():
            yield kept.resource

    def resource(self, api_version: str, plural: str) -> Resource:
        return self._kept(api_version, plural).resource

    def _kept(self, api_version: str, plural: str) -> _Kept:
        try:
            return self._kinds[api_version, plural]
        except KeyError:
            raise Refused(404, "NotFound", "the server could not find the requested resource") from None

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        try:
            return self._kept(resource.api_version, resource.plural).objects[namespace, name]
        except KeyError:
            raise Refused(404, "NotFound", f"{resource.full_name(name)} not found") from None

    def all(self, resource: Resource, namespace: str | None, labels: Mapping[str, str]) -> list[Json]:
        objects = self._kept(resource.api_version, resource.plural).objects
        return [
            obj for (space, _), obj in sorted(objects.items()) if namespace in (None, space) and matches(obj, labels)
        ]

    def history(self, resource: Resource, since: int) -> list[Happening]:
        if since < self.oldest:
            raise Refused(410, "Expired", f"too old resource version: {since} ({self.oldest})")
        return [happened for happened in self._kept(resource.api_version, resource.plural).history
                if happened.version > since]  # fmt: skip

    def forget_history(self) -> None:
        """Lets every watch that reconnects find its version gone, as after five minutes."""
        self.oldest = self.version + 1
        self.version += 1

    # Writing.

    def create(self, resource: Resource, namespace: str, given: Json) -> Json:
        obj = copy.deepcopy(given)
        metadata = obj.setdefault("metadata", {})
        if "name" not in metadata:
            metadata["name"] = f"{metadata.pop('generateName')}{uuid.uuid4().hex[:5]}"
        kept = self._kept(resource.api_version, resource.plural)
        if (namespace, metadata["name"]) in kept.objects:
            raise Refused(409, "AlreadyExists", f"{resource.full_name(metadata['name'])} already exists")
        if resource.is_namespaced:
            metadata["namespace"] = namespace
        metadata |= {
            "uid": str(uuid.uuid4()),
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if resource.has_status:
            metadata["generation"] = 1
            obj.pop("status", None)
        obj = self._admitted(resource, obj)
        return self._write(kept, "ADDED", obj)

    def replace(self, resource: Resource, namespace: str, name: str, given: Json, *, part: str = "") -> Json:
        old = self.get(resource, namespace, name)
        obj = copy.deepcopy(given)
        metadata = obj.setdefault("metadata", {})
        if (wanted := metadata.get("resourceVersion")) and wanted != old["metadata"]["resourceVersion"]:
            raise Refused(
                409,
                "Conflict",
                f"Operation cannot be fulfilled on {resource.full_name(name)}: the object has been modified; please "
                "apply your changes to the latest version and try again",
            )
        for key in ("uid", "creationTimestamp", "generation", "resourceVersion", "namespace", "deletionTimestamp"):
            metadata.pop(key, None)
            if key in old["metadata"]:
                metadata[key] = old["metadata"][key]
        if part == "status":
            obj = old | {"status": obj.get("status", {})}
        elif resource.has_status:
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]
        obj = self._admitted(resource, obj, old)
        if obj == old:
            return old
        if part == "" and _without_bookkeeping(obj) != _without_bookkeeping(old) and resource.has_status:
            obj["metadata"] = {**obj["metadata"], "generation": old["metadata"]["generation"] + 1}
        return self._write(self._kept(resource.api_version, resource.plural), "MODIFIED", obj)

    def merge(self, resource: Resource, namespace: str, name: str, patch: Json, *, part: str = "") -> Json:
        """A JSON merge patch (RFC 7386)."""
        old = self.get(resource, namespace, name)
        return self.replace(resource, namespace, name, _patched(old, patch), part=part)

    def delete(self, resource: Resource, namespace: str, name: str, preconditions: Mapping[str, Any]) -> Json:
        obj = self.get(resource, namespace, name)
        if preconditions.get("uid", obj["metadata"]["uid"]) != obj["metadata"]["uid"]:
            raise Refused(409, "Conflict", f"the UID in the precondition does not match that of {name!r}")
        kept = self._kept(resource.api_version, resource.plural)
        del kept.objects[namespace, name]
        self._happen(kept, "DELETED", obj)
        self._collect(obj["metadata"]["uid"])
        return obj

    def _collect(self, uid: str) -> None:
        """The garbage collector: what the object owned goes too."""
        for kept in self._kinds.values():
            for (namespace, name), obj in list(kept.objects.items()):
                references = obj["metadata"].get("ownerReferences", ())
                if references and all(reference["uid"] == uid for reference in references):
                    self.delete(kept.resource, namespace, name, {})

    def _write(self, kept: _Kept, kind: str, obj: Json) -> Json:
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        stored = self._happen(kept, kind, obj, kept.objects.get(key))
        kept.objects[key] = stored
        owners = {reference["uid"] for reference in metadata.get("ownerReferences", ())}
        if owners and owners.isdisjoint(self._uids()):
            self.delete(kept.resource, *key, {})  # The garbage collector finds no owner.
        return stored

    def _uids(self) -> set[str]:
        return {obj["metadata"]["uid"] for kept in self._kinds.values() for obj in kept.objects.values()}

    def _happen(self, kept: _Kept, kind: str, obj: Json, before: Json | None = None) -> Json:
        self.version += 1
        obj = copy.deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self.version)
        kept.history.append(Happening(self.version, kind, obj, before))
        self.changed()
        return obj

    def _admitted(self, resource: Resource, obj: Json, old: Json | None = None) -> Json:
        """Defaults, validation, pruning."""
        obj |= {"apiVersion": resource.api_version, "kind": resource.kind}
        if resource.kind == "CustomResourceDefinition":
            self._define(obj)
        if resource.schema is not None:
            obj = pruned(obj, resource.schema, is_root=True)
            errors = [
                f"{'.'.join(str(part) for part in error.path)}: {error.message}"
                for error in jsonschema.Draft202012Validator(resource.schema).iter_errors(obj)
            ]
            if errors:
                name = obj["metadata"]["name"]
                raise Refused(422, "Invalid", f"{resource.kind} {name!r} is invalid: {', '.join(errors)}")
            return obj
        match resource.kind:
            case "Deployment":
                _default_deployment(obj)
                if old is not None and obj["spec"]["selector"] != old["spec"]["selector"]:
                    raise Refused(422, "Invalid", "spec.selector: Invalid value: field is immutable")
                for key, value in obj["spec"]["selector"]["matchLabels"].items():
                    if obj["spec"]["template"]["metadata"]["labels"].get(key) != value:
                        raise Refused(422, "Invalid", "spec.template.metadata.labels: selector does not match labels")
            case "Service":
                self._default_service(obj, old)
        return obj

    def _default_service(self, obj: Json, old: Json | None) -> None:
        spec = obj["spec"]
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        if "clusterIP" not in spec:
            spec["clusterIP"] = f"10.0.{self.version // 250 % 250}.{self.version % 250}"
        if old is not None and old["spec"]["clusterIP"] != spec["clusterIP"]:
            raise Refused(422, "Invalid", "spec.clusterIP: Invalid value: field is immutable")
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        if spec["type"] != "ClusterIP":
            spec.setdefault("externalTrafficPolicy", "Cluster")
        for port in spec["ports"]:
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
            if spec["type"] != "ClusterIP":
                port.setdefault("nodePort", 30000 + self.version % 2000)
            elif "nodePort" in port:
                raise Refused(
                    422, "Invalid", "spec.ports[0].nodePort: Forbidden: may not be used when type is ClusterIP"
                )

    def _define(self, definition: Json) -> None:
        spec = definition["spec"]
        for version in spec["versions"]:
            self.add(
                Resource(
                    f"{spec['group']}/{version['name']}",
                    spec["names"]["plural"],
                    spec["names"]["kind"],
                    is_namespaced=spec["scope"] == "Namespaced",
                    has_status="status" in version.get("subresources", {}),
                    schema=version["schema"]["openAPIV3Schema"],
                )
            )


BUILT_IN: Final = (
    Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", is_namespaced=False),
    Resource("v1", "namespaces", "Namespace", is_namespaced=False),
    Resource("v1", "configmaps", "ConfigMap"),
    Resource("v1", "secrets", "Secret"),
    Resource("v1", "services", "Service", has_status=True),
    Resource("v1", "serviceaccounts", "ServiceAccount"),
    Resource("v1", "events", "Event"),
    Resource("apps/v1", "deployments", "Deployment", has_status=True),
    Resource("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", has_status=True),
    Resource("coordination.k8s.io/v1", "leases", "Lease"),
)


def matches(obj: Json, labels: Mapping[str, str]) -> bool:
    found = obj["metadata"].get("labels") or {}
    return all(found.get(key) == value for key, value in labels.items())


def pruned(value: Any, schema: Json, *, is_root: bool = False) -> Any:
    """Leaves out what a structural schema does not name, and puts its defaults in."""
    match value:
        case dict() if "properties" in schema:
            properties = dict(schema["properties"])
            if is_root:
                properties["metadata"] = {}
            result = {key: pruned(item, properties[key]) for key, item in value.items() if key in properties}
            for key, part in properties.items():
                if key not in result and "default" in part:
                    result[key] = copy.deepcopy(part["default"])
            return result
        case dict() if isinstance(schema.get("additionalProperties"), dict):
            return {key: pruned(item, schema["additionalProperties"]) for key, item in value.items()}
        case list() if "items" in schema:
            return [pruned(item, schema["items"]) for item in value]
        case _:
            return value


def _patched(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _patched(result.get(key), value)
    return result


def _without_bookkeeping(obj: Json) -> str:
    return json.dumps({key: value for key, value in obj.items() if key not in ("metadata", "status")}, sort_keys=True)


def _default_deployment(obj: Json) -> None:
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    pod = spec["template"]["spec"]
    pod.setdefault("restartPolicy", "Always")
    pod.setdefault("dnsPolicy", "ClusterFirst")
    pod.setdefault("schedulerName", "default-scheduler")
    pod.setdefault("securityContext", {})
    pod.setdefault("terminationGracePeriodSeconds", 30)
    spec["template"]["metadata"].setdefault("creationTimestamp", None)
    for container in pod["containers"]:
        container.setdefault("resources", {})
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        for port in container.get("ports", ()):
            port.setdefault("protocol", "TCP")
        for probe in ("livenessProbe", "readinessProbe"):
            if probe in container:
                container[probe].setdefault("successThreshold", 1)
                container[probe]["httpGet"].setdefault("scheme", "HTTP")
    for volume in pod.get("volumes", ()):
        for source in ("secret", "configMap"):
            if source in volume:
                volume[source].setdefault("defaultMode", 420)

"""The custom resource: its names, and the CustomResourceDefinition made from the model in `spec`.

The schema is structural: every field has a type, nothing is referred to, and what it does not name the API server
drops.
"""

from collections.abc import Mapping
from typing import Any, Final

from dimse_proxy.kubernetes.spec import NAME_LENGTH, NAME_PATTERN, DimseProxySpec, Routes

GROUP: Final = "imaging-ingestion.alvearie.org"
VERSION: Final = "v1alpha1"
KIND: Final = "DimseProxy"
PLURAL: Final = "dimseproxies"
API_VERSION: Final = f"{GROUP}/{VERSION}"

Json = dict[str, Any]

_KEPT: Final = (
    "type",
    "description",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "x-kubernetes-int-or-string",
)


def custom_resource_definition() -> Json:
    """Return the CustomResourceDefinition, ready to be written as YAML or JSON."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/name": "dimse-proxy"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower()},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                        {"name": "Ready", "type": "boolean", "jsonPath": ".status.ready"},
                        {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "priority": 1},
                        {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
                    ],
                    "schema": {"openAPIV3Schema": _schema()},
                }
            ],
        },
    }


def spec_schema() -> Json:
    """Return the structural schema of the spec alone."""
    model = DimseProxySpec.model_json_schema(by_alias=True)
    return _structural(model, model.get("$defs", {}))


def _schema() -> Json:
    return {
        "type": "object",
        "description": "One side of a pair of DIMSE proxies.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": NAME_LENGTH, "pattern": NAME_PATTERN}},
            },
            "spec": spec_schema(),
            "status": _status_schema(),
        },
    }


def _status_schema() -> Json:
    text: Json = {"type": "string"}
    names: Json = {"type": "array", "items": text}
    condition: Json = {
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": text | {"description": "SpecValid, ObjectsApplied or Ready."},
            "status": text | {"enum": ["True", "False", "Unknown"]},
            "reason": text,
            "message": text,
            "lastTransitionTime": text | {"format": "date-time"},
            "observedGeneration": {"type": "integer", "format": "int64"},
        },
    }
    return {
        "type": "object",
        "properties": {
            "phase": text | {"description": "Ready, Progressing, Pending, Blocked, Invalid or Failed."},
            "message": text | {"description": "What that means, and what to do about it."},
            "ready": {"type": "boolean", "description": "All pods have the wanted settings and are ready."},
            "secondaryResources": {
                "type": "object",
                "description": "What was made of it: kind to names.",
                "additionalProperties": names,
            },
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "description": "Generation of the spec that this status is about.",
            },
            "conditions": {
                "type": "array",
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        },
    }


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Json]) -> Json:
    """Turn JSON schema as pydantic writes it into a structural one: no references, no titles, no null."""
    if "$ref" in schema:
        referred = definitions[str(schema["$ref"]).rpartition("/")[2]]
        return _structural(referred | {key: item for key, item in schema.items() if key != "$ref"}, definitions)
    if "anyOf" in schema:
        (wanted,) = (option for option in schema["anyOf"] if option != {"type": "null"})
        rest = {key: item for key, item in schema.items() if key != "anyOf"}
        return _structural(wanted | rest, definitions)
    found: Json = {key: schema[key] for key in _KEPT if key in schema}
    if found.get("type") == "integer":
        found["format"] = "int64" if "maximum" not in found else "int32"
    if (default := schema.get("default")) not in (None, [], {}):
        found["default"] = default
    if "properties" in schema:
        found["properties"] = {name: _structural(part, definitions) for name, part in schema["properties"].items()}
    if "required" in schema:
        found["required"] = schema["required"]
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _structural(schema["additionalProperties"], definitions)
    if "items" in schema:
        found["items"] = _structural(schema["items"], definitions)
    if schema.get("title") == Routes.__name__:
        found["oneOf"] = [{"required": ["text"]}, {"required": ["configMap"]}]
    return found

"""What an object in the cluster becomes: all of ours, and of what others wrote only what is rightly theirs.

Pure. An object of one of our names is ours by contract, whoever made it; whatever else stands in its spec or data goes.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from dimse_proxy.kubernetes.manifests import ANNOTATIONS_ANNOTATION, Owner
from dimse_proxy.kubernetes.pods import DIGEST_ANNOTATION
from dimse_proxy.kubernetes.resource import GROUP, KIND

Json = dict[str, Any]

_OF_THE_CLUSTER: Final = (
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "sessionAffinity",
    "sessionAffinityConfig",
    "loadBalancerClass",
)
"""Fields of a Service that the cluster gives once, or that say nothing about where it leads."""
_CONTENT: Final = ("spec", "data", "binaryData")
_PROMETHEUS: Final = "prometheus.io/"


class NotOurs(Exception):
    """An object of our name cannot be taken: the text says why, and what to do."""


def merged(live: Json, wanted: Json) -> Json:
    """Return what is to be put in place of `live`; equal to it when nothing is to be done.

    Raises:
        NotOurs: another controller owns it.
    """
    check_owner(live, wanted)
    result = copy.deepcopy(live)
    metadata, ours = result["metadata"], wanted["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), **ours["labels"]}
    if annotations := {**_annotations_of_others(metadata), **ours.get("annotations", {})}:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    others = [reference for reference in metadata.get("ownerReferences", ()) if not _is_of_a_proxy(reference)]
    metadata["ownerReferences"] = [*others, *ours["ownerReferences"]]
    for part in _CONTENT:
        if part in wanted:
            result[part] = copy.deepcopy(wanted[part])
        else:
            result.pop(part, None)
    match wanted["kind"]:
        case "Service":
            _keep_addresses(live["spec"], result["spec"])
        case "Deployment":
            _keep_annotations(live["spec"], result["spec"])
    return result


def is_owned_by(live: Json, owner: Owner) -> bool:
    """Whether the object was made of the resource, so that it may be removed."""
    references = live["metadata"].get("ownerReferences", ())
    return any(_is_of_a_proxy(reference) and reference.get("uid") == owner.uid for reference in references)


def check_owner(live: Json, wanted: Json) -> None:
    """See whether the object may be taken.

    Raises:
        NotOurs: it has another controller, or is of another DimseProxy.
    """
    name = wanted["metadata"]["ownerReferences"][0]["name"]
    for reference in live["metadata"].get("ownerReferences", ()):
        is_other = not _is_of_a_proxy(reference) or reference.get("name") != name
        if reference.get("controller") and is_other:
            raise NotOurs(
                f"{wanted['kind']} {wanted['metadata']['name']} belongs to {reference.get('kind')} "
                f"{reference.get('name')}: remove it, or give this resource another name."
            )


def selector_of(live: Json | None, owner: Owner) -> Mapping[str, str]:
    """Return the labels by which the Deployment finds its pods: an earlier Deployment keeps its own, for ever.

    Raises:
        NotOurs: it finds them in a way that no labels can be made for.
    """
    if live is None:
        return owner.selector
    selector = live["spec"].get("selector") or {}
    labels = selector.get("matchLabels") or {}
    if selector.get("matchExpressions") or not labels:
        raise NotOurs(
            f"Deployment {owner.workload} has a selector with expressions, which cannot be changed: delete the "
            "Deployment, and it is made anew."
        )
    return dict(labels)


def _is_of_a_proxy(reference: Mapping[str, Any]) -> bool:
    return reference.get("kind") == KIND and str(reference.get("apiVersion", "")).partition("/")[0] == GROUP


def _annotations_of_others(metadata: Mapping[str, Any]) -> Json:
    """All but those that we once wrote, which we know from an annotation of our own."""
    annotations = metadata.get("annotations") or {}
    ours = {ANNOTATIONS_ANNOTATION, *annotations.get(ANNOTATIONS_ANNOTATION, "").split(",")}
    return {key: value for key, value in annotations.items() if key not in ours}


def _keep_addresses(live: Mapping[str, Any], wanted: Json) -> None:
    wanted |= {key: live[key] for key in _OF_THE_CLUSTER if key in live and key not in wanted}
    if wanted["type"] == "ClusterIP":
        return
    if wanted["type"] == "LoadBalancer":
        kept = ["allocateLoadBalancerNodePorts"]
        if wanted.get("externalTrafficPolicy") == "Local":
            kept.append("healthCheckNodePort")
        wanted |= {key: live[key] for key in kept if key in live}
    given = {port.get("name"): port["nodePort"] for port in live.get("ports", ()) if "nodePort" in port}
    for port in wanted["ports"]:
        if "nodePort" not in port and port["name"] in given:
            port["nodePort"] = given[port["name"]]


def _keep_annotations(live: Mapping[str, Any], wanted: Json) -> None:
    """What others wrote on the template stays: `kubectl rollout restart` writes there."""
    theirs = live.get("template", {}).get("metadata", {}).get("annotations") or {}
    kept = {key: value for key, value in theirs.items() if key != DIGEST_ANNOTATION and not key.startswith(_PROMETHEUS)}
    annotations = wanted["template"]["metadata"]["annotations"]
    wanted["template"]["metadata"]["annotations"] = {**kept, **annotations}

"""What a live object becomes: ours, and what is rightly of others."""

import copy
from typing import Any

import pytest

from dimse_proxy.kubernetes.merge import NotOurs, is_owned_by, merged, selector_of
from tests.unit.kubernetes.specs import EXAMPLE, FULL, OWNER, SMALL, objects

Json = dict[str, Any]
WORKLOAD = "archive-proxy-dimse-proxy"


def wanted(kind: str, name: str = WORKLOAD, spec: Json = EXAMPLE) -> Json:
    return objects(spec)[kind, name]


def live(obj: Json, **metadata: Any) -> Json:
    """As it is in the cluster."""
    found = copy.deepcopy(obj)
    found["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 2} | metadata
    return found


@pytest.mark.parametrize("key", list(objects(FULL)))
def test_what_is_as_wanted_is_left_as_it_is(key: tuple[str, str]) -> None:
    obj = objects(FULL)[key]
    assert merged(live(obj), obj) == live(obj)


def test_labels_and_annotations_of_others_stay() -> None:
    obj = wanted("Service")
    found = live(obj, labels={"team": "imaging"}, annotations={"note": "x"})
    result = merged(found, obj)
    assert result["metadata"]["labels"] == {"team": "imaging", **obj["metadata"]["labels"]}
    assert result["metadata"]["annotations"] == {"note": "x"}


def test_annotations_of_ours_go_when_they_leave_the_spec() -> None:
    first = wanted("Service", spec=FULL)
    found = live(first)
    found["metadata"]["annotations"]["note"] = "x"
    then = wanted("Service", spec=FULL | {"service": {"annotations": {"other": "y"}}})
    assert merged(found, then)["metadata"]["annotations"] == {
        "note": "x",
        "other": "y",
        "dimse-proxy/annotations": "other",
    }
    last = wanted("Service", spec=EXAMPLE)
    assert merged(found, last)["metadata"]["annotations"] == {"note": "x"}


def test_what_the_cluster_gave_a_service_stays() -> None:
    obj = wanted("Service", spec=FULL | {"service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}})
    found = live(obj)
    found["spec"] |= {
        "clusterIP": "10.0.0.7",
        "clusterIPs": ["10.0.0.7"],
        "healthCheckNodePort": 30999,
        "allocateLoadBalancerNodePorts": True,
        "publishNotReadyAddresses": True,
    }
    found["spec"]["ports"] = [{**port, "nodePort": 31000 + index} for index, port in enumerate(obj["spec"]["ports"])]
    result = merged(found, obj)["spec"]
    assert (result["clusterIP"], result["healthCheckNodePort"]) == ("10.0.0.7", 30999)
    assert [port["nodePort"] for port in result["ports"]] == [31000, 31001]
    assert "publishNotReadyAddresses" not in result


def test_a_service_that_becomes_internal_gives_its_node_ports_back() -> None:
    found = live(wanted("Service", spec=FULL))
    found["spec"] |= {"clusterIP": "10.0.0.7", "healthCheckNodePort": 30999}
    result = merged(found, wanted("Service", spec=EXAMPLE))["spec"]
    assert result["clusterIP"] == "10.0.0.7"
    assert not {"healthCheckNodePort", "externalTrafficPolicy", "loadBalancerSourceRanges"} & result.keys()
    assert not any("nodePort" in port for port in result["ports"])


def test_what_is_not_ours_in_a_deployment_goes_but_for_a_restart() -> None:
    obj = wanted("Deployment")
    found = live(obj)
    template = found["spec"]["template"]
    template["spec"]["containers"].append({"name": "sidecar", "image": "x"})
    template["metadata"]["annotations"] |= {
        "kubectl.kubernetes.io/restartedAt": "now",
        "dimse-proxy/start-digest": "old",
        "prometheus.io/scrape": "true",
    }
    result = merged(found, obj)["spec"]["template"]
    assert len(result["spec"]["containers"]) == 1
    assert result["metadata"]["annotations"] == {
        "kubectl.kubernetes.io/restartedAt": "now",
        **obj["spec"]["template"]["metadata"]["annotations"],
    }


def test_owner_references_of_others_stay_and_one_of_an_earlier_life_is_replaced() -> None:
    obj = wanted("ConfigMap", "archive-proxy-dimse-config")
    earlier = OWNER.reference | {"uid": "earlier"}
    backup = {"apiVersion": "v1", "kind": "ConfigMap", "name": "backup", "uid": "b"}
    result = merged(live(obj, ownerReferences=[backup, earlier]), obj)
    assert result["metadata"]["ownerReferences"] == [backup, OWNER.reference]
    assert is_owned_by(result, OWNER)
    assert not is_owned_by(live(obj, ownerReferences=[earlier]), OWNER)


@pytest.mark.parametrize(
    "reference",
    [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "archive-proxy", "uid": "x", "controller": True},
        OWNER.reference | {"name": "another"},
    ],
)
def test_what_belongs_to_another_is_not_taken(reference: Json) -> None:
    obj = wanted("Service")
    with pytest.raises(NotOurs, match=f"belongs to {reference['kind']} {reference['name']}"):
        merged(live(obj, ownerReferences=[reference]), obj)


def test_the_selector_of_an_earlier_deployment_is_kept() -> None:
    assert selector_of(None, OWNER) == OWNER.selector
    found = live(wanted("Deployment"))
    found["spec"]["selector"] = {"matchLabels": {"app": "x"}}
    assert selector_of(found, OWNER) == {"app": "x"}
    found["spec"]["selector"] = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
    with pytest.raises(NotOurs, match="delete the Deployment"):
        selector_of(found, OWNER)


def test_binary_data_and_what_is_not_ours_in_a_config_map_goes() -> None:
    obj = wanted("ConfigMap", "archive-proxy-proxy-nats-config", SMALL)
    found = live(obj) | {"binaryData": {"x": "eA=="}}
    found["data"] = {"OTHER": "x"}
    result = merged(found, obj)
    assert result["data"] == obj["data"]
    assert "binaryData" not in result

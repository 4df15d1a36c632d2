"""The status: phases, conditions, and that their times change only with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dimse_proxy.kubernetes.status import Outcome, Phase, applied, blocked, failed, invalid, status_of
from tests.unit.kubernetes.specs import OWNER

Json = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def deployment(replicas: int = 2, *, generation: int = 3, stuck: bool = False, **status: int) -> Json:
    counts = {"observedGeneration": 3, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    conditions = [{"type": "Progressing", "status": "False" if stuck else "True"}]
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": counts | status | {"conditions": conditions},
    }


@pytest.mark.parametrize(
    ("found", "missing", "phase", "reason", "message"),
    [
        (deployment(), [], Phase.READY, "PodsReady", "2 of 2 pods ready."),
        (deployment(0), [], Phase.STOPPED, "NoReplicas", "spec.replicas is 0"),
        (deployment(generation=4), [], Phase.PROGRESSING, "PodsNotReady", "0 of 2 pods ready"),
        (deployment(availableReplicas=1), [], Phase.PROGRESSING, "PodsNotReady", "1 of 2 pods ready"),
        (deployment(updatedReplicas=1), [], Phase.PROGRESSING, "PodsNotReady", "1 of 2 pods ready"),
        (deployment(replicas=2, availableReplicas=0, stuck=True), [], Phase.PROGRESSING, "PodsStuck", "describe pods"),
        (deployment(), ["Secret x does not exist."], Phase.PENDING, "SourceMissing", "Secret x does not exist."),
        ({"metadata": {}, "spec": {"replicas": 1}}, [], Phase.PROGRESSING, "PodsNotReady", "0 of 1 pods ready"),
    ],
)
def test_phases(found: Json, missing: list[str], phase: Phase, reason: str, message: str) -> None:
    outcome = applied(found, OWNER, missing, ())
    assert (outcome.phase, outcome.reason) == (phase, reason)
    assert message in outcome.message


def test_a_surge_is_not_done() -> None:
    found = deployment(2)
    found["status"] |= {"replicas": 3, "availableReplicas": 3}
    assert applied(found, OWNER, [], ()).phase is Phase.PROGRESSING


@pytest.mark.parametrize(
    ("outcome", "conditions"),
    [
        (applied(deployment(), OWNER, [], ()), ("True", "True", "True")),
        (applied(deployment(availableReplicas=0), OWNER, [], ()), ("True", "True", "False")),
        (invalid(["wrong."]), ("False", "False", "False")),
        (blocked("theirs."), ("True", "False", "False")),
        (failed("forbidden."), ("True", "False", "False")),
    ],
)
def test_conditions(outcome: Outcome, conditions: tuple[str, ...]) -> None:
    status = status_of(outcome, 7, {}, NOW)
    assert tuple(condition["status"] for condition in status["conditions"]) == conditions
    assert [condition["type"] for condition in status["conditions"]] == ["SpecValid", "ObjectsApplied", "Ready"]
    for condition in status["conditions"]:
        assert condition["lastTransitionTime"] == "2026-01-02T03:04:05Z"
        assert condition["observedGeneration"] == 7
        assert condition["reason"].isalnum()
        assert condition["message"]
    assert status["ready"] is (conditions[-1] == "True")


def test_times_change_with_their_condition_only() -> None:
    first = status_of(applied(deployment(availableReplicas=0), OWNER, [], ()), 1, {}, NOW)
    later = NOW + timedelta(hours=1)
    same = status_of(applied(deployment(availableReplicas=0), OWNER, [], ()), 1, first, later)
    assert same == first
    ready = status_of(applied(deployment(), OWNER, [], ()), 1, first, later)
    times = {condition["type"]: condition["lastTransitionTime"] for condition in ready["conditions"]}
    assert times == {
        "SpecValid": "2026-01-02T03:04:05Z",
        "ObjectsApplied": "2026-01-02T03:04:05Z",
        "Ready": "2026-01-02T04:04:05Z",
    }


def test_what_was_made_stays_named_when_nothing_was_applied() -> None:
    objects = (("Service", "a"), ("ConfigMap", "b"), ("ConfigMap", "c"))
    before = status_of(applied(deployment(), OWNER, [], objects), 1, {}, NOW)
    assert before["secondaryResources"] == {"Service": ["a"], "ConfigMap": ["b", "c"]}
    assert status_of(invalid(["wrong."]), 2, before, NOW)["secondaryResources"] == before["secondaryResources"]


def test_a_message_has_an_end() -> None:
    assert len(invalid(["x" * 5000]).message) < 1100

"""The status of a DimseProxy: what is said of it, for people and for `kubectl wait`.

Pure: an outcome of a pass becomes the status. A condition's time changes only when the condition does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from dimse_proxy.kubernetes.manifests import Owner

Json = dict[str, Any]

_LONGEST: Final = 1000
"""Characters of a message: more is not read, and the API has limits of its own."""


class Phase(Enum):
    """In one word."""

    READY = "Ready"
    """All pods have the wanted settings and are ready."""
    PROGRESSING = "Progressing"
    """The objects are as wanted; pods are not ready yet."""
    PENDING = "Pending"
    """A Secret or ConfigMap that the spec names is missing."""
    STOPPED = "Stopped"
    """The spec wants no pods."""
    INVALID = "Invalid"
    """The spec cannot be used; nothing was changed."""
    BLOCKED = "Blocked"
    """An object of one of our names is another's; nothing was changed."""
    FAILED = "Failed"
    """The API refused; it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a pass found."""

    phase: Phase
    reason: str
    """One word for programs."""
    message: str
    """For people: what it means, and what to do."""
    objects: tuple[tuple[str, str], ...] = field(default=())
    """Kind and name of what was made of the resource."""

    @property
    def is_valid(self) -> bool:
        """The spec can be used."""
        return self.phase is not Phase.INVALID

    @property
    def is_applied(self) -> bool:
        """The objects are as the spec wants them."""
        return self.phase in (Phase.READY, Phase.PROGRESSING, Phase.PENDING, Phase.STOPPED)


def invalid(problems: Iterable[str]) -> Outcome:
    """The spec cannot be used."""
    return Outcome(
        phase=Phase.INVALID, reason="InvalidSpec", message=_one(problems, "Nothing was changed; what runs goes on.")
    )


def blocked(sentence: str) -> Outcome:
    """An object of one of our names is another's."""
    return Outcome(phase=Phase.BLOCKED, reason="ObjectOfAnother", message=_one([sentence], "Nothing was changed."))


def failed(sentence: str) -> Outcome:
    """The API refused."""
    return Outcome(phase=Phase.FAILED, reason="ApiFailed", message=_one([sentence], "It is tried again."))


def applied(
    deployment: Mapping[str, Any], owner: Owner, missing: Sequence[str], objects: tuple[tuple[str, str], ...]
) -> Outcome:
    """The objects are as wanted.

    Args:
        deployment: as it is in the cluster.
        owner: the resource.
        missing: sentences on Secrets and ConfigMaps that pods wait for.
        objects: kind and name of everything that was made.
    """
    wanted = int(deployment["spec"]["replicas"])
    found = deployment.get("status", {})
    ready = int(found.get("availableReplicas", 0))
    is_seen = int(found.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 0))
    is_done = is_seen and ready >= wanted and found.get("updatedReplicas", 0) == wanted == found.get("replicas", 0)
    if missing:
        phase, reason, message = Phase.PENDING, "SourceMissing", _one(missing)
    elif wanted == 0:
        phase, reason, message = Phase.STOPPED, "NoReplicas", "spec.replicas is 0: no proxy runs."
    elif is_done:
        phase, reason, message = Phase.READY, "PodsReady", f"{wanted} of {wanted} pods ready."
    else:
        phase, reason = Phase.PROGRESSING, "PodsNotReady"
        updated = min(int(found.get("updatedReplicas", 0)) if is_seen else 0, ready)
        message = f"{updated} of {wanted} pods ready with these settings. " + _why(found, owner)
        if _is_stuck(found) and is_seen:
            reason = "PodsStuck"
    return Outcome(phase=phase, reason=reason, message=message, objects=objects)


def _is_stuck(found: Mapping[str, Any]) -> bool:
    return any(
        condition.get("type") == "Progressing" and condition.get("status") == "False"
        for condition in found.get("conditions", ())
    )


def _why(found: Mapping[str, Any], owner: Owner) -> str:
    if _is_stuck(found):
        return (
            f"New pods did not become ready in time: `kubectl -n {owner.namespace} describe pods -l "
            f"app.kubernetes.io/instance={owner.name}` and `kubectl -n {owner.namespace} logs deployment/"
            f"{owner.workload}` say why."
        )
    return "A pod is ready when NATS is connected and a proxy of the other side is there."


def _one(sentences: Iterable[str], last: str = "") -> str:
    text = " ".join(sentence if sentence.endswith(".") else f"{sentence}." for sentence in sentences)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return f"{text} {last}".strip()


def status_of(outcome: Outcome, generation: int, previous: Mapping[str, Any], now: datetime) -> Json:
    """Return the status; equal to `previous` when nothing is new.

    Args:
        outcome: of the pass.
        generation: of the resource that the pass read.
        previous: the status that the resource has.
        now: with a time zone.
    """
    objects = outcome.objects
    secondary: dict[str, list[str]] = {}
    for kind, name in objects:
        secondary.setdefault(kind, []).append(name)
    conditions = (
        ("SpecValid", outcome.is_valid, "Valid", "The spec can be used."),
        ("ObjectsApplied", outcome.is_applied, "Applied", "All objects are as the spec wants them."),
        ("Ready", outcome.phase is Phase.READY, outcome.reason, outcome.message),
    )
    old = {condition.get("type"): condition for condition in previous.get("conditions", ())}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = []
    for kind, is_true, reason, message in conditions:
        condition = {
            "type": kind,
            "status": "True" if is_true else "False",
            "reason": reason if is_true else outcome.reason,
            "message": message if is_true else outcome.message,
            "observedGeneration": generation,
        }
        before = old.get(kind, {})
        same = before.get("status") == condition["status"]
        made.append(condition | {"lastTransitionTime": before.get("lastTransitionTime", stamp) if same else stamp})
    return {
        "phase": outcome.phase.value,
        "message": outcome.message,
        "ready": outcome.phase is Phase.READY,
        # Where nothing was applied, what is there from earlier is still there.
        "secondaryResources": secondary if outcome.is_applied else dict(previous.get("secondaryResources") or {}),
        "observedGeneration": generation,
        "conditions": made,
    }

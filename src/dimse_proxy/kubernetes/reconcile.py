"""One pass over one DimseProxy: read it and what it names, judge it, apply its objects, write its status.

Each pass reads everything anew, so it does not matter which event asked for it, or how many. In the order of the pass,
nothing is made before everything has been judged. Knows no kopf.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from dimse_proxy.kubernetes.api import Api, ApiError, Kind
from dimse_proxy.kubernetes.apply import Applier, Change
from dimse_proxy.kubernetes.environment import review
from dimse_proxy.kubernetes.manifests import Inputs, Owner, manifests, possible
from dimse_proxy.kubernetes.merge import NotOurs, check_owner, selector_of
from dimse_proxy.kubernetes.mounts import Data, Mount, Source, digest, missing, mounts_of, routes_text
from dimse_proxy.kubernetes.resource import API_VERSION, KIND, PLURAL
from dimse_proxy.kubernetes.spec import SpecError, read_spec
from dimse_proxy.kubernetes.status import Outcome, Phase, applied, blocked, failed, invalid, status_of

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]

KINDS: Final[Mapping[str, Kind]] = {
    KIND: Kind(API_VERSION, PLURAL),
    "Deployment": Kind("apps/v1", "deployments"),
    "Service": Kind("v1", "services"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Secret": Kind("v1", "secrets"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "Event": Kind("v1", "events"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
}
"""Everything that the operator speaks of."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One resource."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Reporter(Protocol):
    """Tells people who look at a resource what happened to it."""

    async def report(self, resource: Json, reason: str, message: str, *, warning: bool = False) -> None:
        """Say it once, however often it is found again."""


class Reconciler:
    """Makes resources real, one at a time for each."""

    def __init__(
        self,
        api: Api,
        reporter: Reporter,
        *,
        image: str,
        config_files: Mapping[str, str],
        now: Callable[[], datetime],
    ) -> None:
        """Do nothing yet.

        Args:
            api: of the cluster.
            reporter: for what people should know.
            image: for the pods of a resource that names none.
            config_files: the dimse-config folder, file name to text.
            now: the time, with its zone.
        """
        self._api: Final = api
        self._reporter: Final = reporter
        self._image: Final = image
        self._config_files: Final = config_files
        self._now: Final = now
        self._applier: Final = Applier(api)
        self._sources: Final[dict[Key, dict[Source, str]]] = {}
        """What each resource names, with a hash of the data that was last seen; empty when it was not there."""

    @property
    def known(self) -> tuple[Key, ...]:
        """The resources that there are, as far as is known."""
        return tuple(self._sources)

    def naming(self, namespace: str, source: Source) -> tuple[Key, ...]:
        """Return the resources that name a Secret or ConfigMap."""
        return tuple(key for key, named in self._sources.items() if key.namespace == namespace and source in named)

    async def reconcile(self, key: Key) -> None:
        """Make a pass.

        Raises:
            ApiError: the API refused or could not be reached; the status says so if that could be written.
        """
        resource = await self._api.get(KIND, key.namespace, key.name)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._sources.pop(key, None)  # What it owned, the garbage collector removes.
            return
        self._sources.setdefault(key, {})
        try:
            outcome = await self._outcome(key, resource)
        except ApiError as error:
            if error.status != 0:
                await self._conclude(resource, failed(str(error)))
            raise
        await self._conclude(resource, outcome)

    async def _outcome(self, key: Key, resource: Json) -> Outcome:
        metadata = resource["metadata"]
        owner = Owner(name=key.name, namespace=key.namespace, uid=metadata["uid"])
        try:
            spec = read_spec(resource.get("spec") or {})
        except SpecError as error:
            return invalid(error.problems)
        mounts = mounts_of(key.name, spec)
        found = await self._read_sources(key, resource, mounts)
        reviewed = review(spec, mounts, routes_text(mounts, spec, found))
        if reviewed.problems:
            return invalid(reviewed.problems)
        if reviewed.warnings:
            await self._reporter.report(resource, "UnknownVariable", " ".join(reviewed.warnings), warning=True)
        try:
            wanted = await self._wanted(
                owner,
                lambda selector: Inputs(
                    owner=owner,
                    spec=spec,
                    mounts=mounts,
                    review=reviewed,
                    image=self._image,
                    config_files=self._config_files,
                    found=found,
                    selector=selector,
                ),
            )
            deployment = await self._apply(resource, owner, wanted)
        except NotOurs as error:
            return blocked(str(error))
        objects = tuple((obj["kind"], obj["metadata"]["name"]) for obj in wanted)
        return applied(deployment, owner, missing(mounts, found), objects)

    async def _read_sources(self, key: Key, resource: Json, mounts: Iterable[Mount]) -> dict[Source, Data]:
        """Read the Secrets and ConfigMaps that the spec names; those that do not exist are left out."""
        found: dict[Source, Data] = {}
        sources = dict.fromkeys(mount.source for mount in mounts if not mount.is_owned)
        at_start = {mount.source for mount in mounts if mount.is_read_at_start}
        seen: dict[Source, str] = {}
        for source in sources:
            kind, name = source
            obj = await self._api.get(kind, key.namespace, name)
            if obj is not None:
                found[source] = {**(obj.get("data") or {}), **(obj.get("binaryData") or {})}
            seen[source] = "" if obj is None else digest(repr(sorted(found[source].items())))
            before = self._sources[key].get(source, "")
            if before and seen[source] and before != seen[source]:
                effect = (
                    "the pods are replaced, one after the other"
                    if source in at_start
                    else "the pods see it within about a minute, and nothing is restarted"
                )
                await self._reporter.report(resource, "SourceChanged", f"{kind} {name} has changed: {effect}.")
        self._sources[key] = seen
        return found

    async def _wanted(self, owner: Owner, inputs: Callable[[Mapping[str, str]], Inputs]) -> tuple[Json, ...]:
        """Return what is to be applied, once it is known that all of it may be.

        Raises:
            NotOurs: some of it may not.
        """
        live = await self._api.get("Deployment", owner.namespace, owner.workload)
        wanted = manifests(inputs(selector_of(live, owner)))
        for obj in wanted:
            live = await self._api.get(obj["kind"], owner.namespace, obj["metadata"]["name"])
            if live is not None:
                check_owner(live, obj)
        return wanted

    async def _apply(self, resource: Json, owner: Owner, wanted: tuple[Json, ...]) -> Json:
        """Apply everything, remove what is not wanted any more; return the Deployment."""
        changes: dict[Change, list[str]] = {}
        now: Json = {}
        for obj in wanted:
            change, now = await self._applier.apply(obj)
            changes.setdefault(change, []).append(f"{obj['kind']} {obj['metadata']['name']}")
        names = {(obj["kind"], obj["metadata"]["name"]) for obj in wanted}
        removed = [
            f"{kind} {name}"
            for kind, name in possible(owner)
            if (kind, name) not in names and await self._applier.remove(kind, name, owner)
        ]
        for change, objects in changes.items():
            if change is not Change.UNCHANGED:
                await self._tell(resource, change.value, objects)
        if removed:
            await self._tell(resource, "removed", removed)
        return now

    async def _tell(self, resource: Json, what: str, objects: list[str]) -> None:
        text = f"{', '.join(objects)} {what}."
        if what == Change.REPAIRED.value:
            text += " Somebody had changed it; what should stay belongs into the DimseProxy."
        log.info("%s/%s: %s", resource["metadata"]["namespace"], resource["metadata"]["name"], text)
        await self._reporter.report(resource, f"Objects{what.capitalize()}", text)

    async def _conclude(self, resource: Json, outcome: Outcome) -> None:
        """Write the status if it is another one, and say what a person should know."""
        metadata = resource["metadata"]
        previous = resource.get("status") or {}
        status = status_of(outcome, int(metadata.get("generation", 0)), previous, self._now())
        if status != previous:
            # In a merge patch a member that is not named stays: kinds of which nothing is left must be named.
            gone = dict.fromkeys(set(previous.get("secondaryResources") or {}) - set(status["secondaryResources"]))
            patch = status | {"secondaryResources": status["secondaryResources"] | gone}
            try:
                await self._api.patch_status(KIND, metadata["namespace"], metadata["name"], patch)
            except ApiError as error:
                if error.status == 404:
                    return  # It has just been deleted.
                raise
        is_new = previous.get("phase") != status["phase"] or previous.get("message") != status["message"]
        is_bad = outcome.phase in (Phase.INVALID, Phase.BLOCKED, Phase.PENDING, Phase.FAILED)
        if is_new and (is_bad or outcome.phase is Phase.READY or outcome.reason == "PodsStuck"):
            is_warning = outcome.phase is not Phase.READY
            reason = outcome.reason
            await self._reporter.report(resource, reason, outcome.message, warning=is_warning)
        if is_new:
            level = logging.WARNING if is_bad else logging.INFO
            log.log(level, "%s/%s: %s: %s", metadata["namespace"], metadata["name"], status["phase"], status["message"])

"""One object as it should be: made, adopted, changed, mended, left alone or removed.

What it becomes is decided by `merge`; here it is read, put and read again when somebody was faster.
"""

import json
from enum import Enum
from typing import Any, Final

from dimse_proxy.kubernetes.api import Api, Conflict
from dimse_proxy.kubernetes.manifests import MANAGED_BY, MANAGER, Owner
from dimse_proxy.kubernetes.merge import is_owned_by, merged
from dimse_proxy.kubernetes.mounts import digest

Json = dict[str, Any]

_TRIES: Final = 5
"""How often an object that others write at the same time is read anew before the whole pass is."""


class Change(Enum):
    """What was done to an object."""

    CREATED = "created"
    ADOPTED = "adopted"
    """It was there, and not made by this operator."""
    UPDATED = "updated"
    """Something else is wanted of it than before."""
    REPAIRED = "repaired"
    """Somebody had changed it."""
    UNCHANGED = "unchanged"


class Applier:
    """Applies objects, and remembers which of them were found right."""

    def __init__(self, api: Api) -> None:
        self._api: Final = api
        self._right: Final[dict[tuple[str, str, str], tuple[str, str]]] = {}
        """Kind, namespace, name -> hashes of what was wanted, and of what was then there."""

    async def apply(self, wanted: Json) -> tuple[Change, Json]:
        """Make an object as wanted; return what was done, and the object as it is now.

        Raises:
            NotOurs: it belongs to another controller.
            ApiError: the API refused.
        """
        metadata = wanted["metadata"]
        for attempt in range(_TRIES):
            live = await self._api.get(wanted["kind"], metadata["namespace"], metadata["name"])
            try:
                if live is None:
                    return Change.CREATED, self._remember(wanted, await self._api.create(wanted))
                return await self._replace(live, wanted)
            except Conflict:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def remove(self, kind: str, name: str, owner: Owner) -> bool:
        """Remove an object that is not wanted any more, if it was made of the resource; say whether it was there."""
        self._right.pop((kind, owner.namespace, name), None)
        live = await self._api.get(kind, owner.namespace, name)
        if live is None or not is_owned_by(live, owner) or "deletionTimestamp" in live["metadata"]:
            return False
        await self._api.delete(kind, live)
        return True

    async def _replace(self, live: Json, wanted: Json) -> tuple[Change, Json]:
        put = merged(live, wanted)
        known = self._right.get(_key(wanted))
        if put == live or known == (_hash(wanted), _hash(_content(live))):
            self._remember(wanted, live)
            return Change.UNCHANGED, live
        put |= {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"]}
        now = await self._api.replace(put)
        self._remember(wanted, now)
        if now["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]:
            return Change.UNCHANGED, now  # It differed in defaults only.
        if (live["metadata"].get("labels") or {}).get(MANAGED_BY) != MANAGER:
            return Change.ADOPTED, now
        if known is not None and known[0] == _hash(wanted):
            return Change.REPAIRED, now
        return Change.UPDATED, now

    def _remember(self, wanted: Json, live: Json) -> Json:
        self._right[_key(wanted)] = (_hash(wanted), _hash(_content(live)))
        return live


def _key(wanted: Json) -> tuple[str, str, str]:
    return wanted["kind"], wanted["metadata"]["namespace"], wanted["metadata"]["name"]


def _content(live: Json) -> Json:
    """What of an object is not the cluster's own account of it."""
    metadata = live["metadata"]
    kept = {key: metadata.get(key) for key in ("uid", "labels", "annotations", "ownerReferences")}
    return {key: value for key, value in live.items() if key not in ("metadata", "status")} | {"metadata": kept}


def _hash(value: Json) -> str:
    return digest(json.dumps(value, sort_keys=True))

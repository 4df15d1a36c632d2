"""Events on a resource: what `kubectl describe` shows of what happened to it.

A sentence is said once in a row, so a resource that stays wrong does not fill the list. That an event cannot be written
is a line in the log, and nothing else.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from dimse_proxy.kubernetes.api import Api, ApiError
from dimse_proxy.kubernetes.manifests import MANAGER
from dimse_proxy.kubernetes.resource import API_VERSION, KIND

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]

_LONGEST: Final = 1024
"""Characters of a message, by the API's own limit."""


class Events:
    """Writes events; what `reconcile.Reporter` is."""

    def __init__(self, api: Api, *, identity: str, now: Callable[[], datetime]) -> None:
        self._api: Final = api
        self._identity: Final = identity
        self._now: Final = now
        self._said: Final[dict[tuple[str, str], str]] = {}
        """UID of the resource, reason -> the last message."""

    async def report(self, resource: Json, reason: str, message: str, *, warning: bool = False) -> None:
        """Say it once, however often it is found again."""
        metadata = resource["metadata"]
        if self._said.get((metadata["uid"], reason)) == message and warning:
            return
        self._said[metadata["uid"], reason] = message
        stamp = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:_LONGEST],
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
            "reportingInstance": self._identity,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            await self._api.create(event)
        except ApiError as error:
            log.warning("an event could not be written: %s", error)

"""Which of several operators works: the holder of a Lease.

`decide` is pure. Times of another machine are never compared with ours: a holder is gone when its Lease has not changed
for its whole duration *here*. Whoever cannot renew in time stops by itself, earlier than another may take over.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from dimse_proxy.kubernetes.api import Api, ApiError

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]

DURATION: Final = 15
"""Seconds without renewal after which another may take the Lease."""
RENEWAL: Final = 5.0
"""Seconds between renewals."""
RETRY: Final = 2.0
"""Seconds after which whoever waits looks again."""
PATIENCE: Final = 10.0
"""Seconds without a successful renewal after which the holder stops."""


class LeaseLost(Exception):
    """Another operator works now, or may."""


class Step(Enum):
    """What is to be done with a Lease."""

    CREATE = "create"
    TAKE = "take"
    """It is free, or its holder is gone."""
    RENEW = "renew"
    WAIT = "wait"


@dataclass(slots=True)
class Observed:
    """What was last seen of the Lease, and when that was, on our clock."""

    record: tuple[str, str] | None = None
    """Holder and time of renewal, as they were written."""
    since: float = 0.0


def decide(lease: Json | None, identity: str, observed: Observed, now: float) -> Step:
    """Return what is to be done.

    Args:
        lease: as it is; None if there is none.
        identity: our own.
        observed: what was seen before; brought up to date here.
        now: seconds of our clock.
    """
    if lease is None:
        return Step.CREATE
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    record = (holder, str(spec.get("renewTime") or ""))
    if record != observed.record:
        observed.record, observed.since = record, now
    if holder == identity:
        return Step.RENEW
    duration = int(spec.get("leaseDurationSeconds") or DURATION)
    if not holder or now - observed.since > duration:
        return Step.TAKE
    return Step.WAIT


class Election:
    """Takes part for one Lease."""

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        name: str,
        identity: str,
        now: Callable[[], datetime],
        renewal: float = RENEWAL,
        patience: float = PATIENCE,
    ) -> None:
        self._api: Final = api
        self._namespace: Final = namespace
        self._name: Final = name
        self._identity: Final = identity
        self._now: Final = now
        self._renewal: Final = renewal
        self._patience: Final = patience
        self._observed: Final = Observed()

    def __str__(self) -> str:
        return f"Lease {self._namespace}/{self._name}"

    async def acquire(self) -> None:
        """Wait until this operator is the one that works."""
        waiting_for = ""
        while True:
            try:
                if await self._step():
                    log.info("%s: this operator (%s) works", self, self._identity)
                    return
                holder = self._observed.record[0] if self._observed.record else "another"
                if holder != waiting_for:
                    waiting_for = holder
                    log.info("%s: %s works; this operator waits", self, holder)
            except ApiError as error:
                log.warning("%s: %s", self, error)
            await asyncio.sleep(RETRY)

    async def keep(self) -> None:
        """Renew until that fails.

        Raises:
            LeaseLost: this operator must do nothing more.
        """
        clock = asyncio.get_running_loop().time
        renewed = clock()
        while True:
            await asyncio.sleep(self._renewal)
            try:
                async with asyncio.timeout(max(self._patience - (clock() - renewed), 0.1)):
                    if not await self._step():
                        raise LeaseLost(f"{self}: another operator has taken it")
                renewed = clock()
            except (ApiError, TimeoutError) as error:
                log.warning("%s: not renewed: %s", self, error or "no answer in time")
                if clock() - renewed >= self._patience:
                    raise LeaseLost(f"{self}: it could not be renewed for {self._patience:g} s") from None

    async def release(self) -> None:
        """Let the next one work at once; that it cannot be told only costs it the wait."""
        try:
            lease = await self._api.get("Lease", self._namespace, self._name)
            if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                await self._api.replace(lease | {"spec": lease["spec"] | {"holderIdentity": ""}})
        except ApiError as error:
            log.warning("%s: not released: %s", self, error)

    async def _step(self) -> bool:
        """Look at the Lease and do what is to be done; say whether it is ours."""
        lease = await self._api.get("Lease", self._namespace, self._name)
        step = decide(lease, self._identity, self._observed, asyncio.get_running_loop().time())
        if step is Step.WAIT:
            return False
        stamp = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: Json = {"holderIdentity": self._identity, "leaseDurationSeconds": DURATION, "renewTime": stamp}
        old = (lease or {}).get("spec") or {}
        if step is Step.RENEW:
            spec |= {key: old[key] for key in ("acquireTime", "leaseTransitions") if key in old}
        else:
            spec |= {"acquireTime": stamp, "leaseTransitions": int(old.get("leaseTransitions") or 0) + bool(lease)}
        try:
            if lease is None:
                await self._api.create(
                    {
                        "apiVersion": "coordination.k8s.io/v1",
                        "kind": "Lease",
                        "metadata": {"name": self._name, "namespace": self._namespace},
                        "spec": spec,
                    }
                )
            else:
                await self._api.replace(lease | {"spec": spec})
        except ApiError as error:
            if error.status == 409:
                return False  # Somebody else was faster.
            raise
        return True

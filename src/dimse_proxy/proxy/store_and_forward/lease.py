"""An association's lease in the stream of records: who holds it may deliver, move and delete what belongs to it.

It is taken and renewed by comparing and setting, so that it has one holder. When to renew it is up to the holder.
"""

from contextlib import suppress
from typing import Final

from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.claims import LEASE_TIME, RENEW_INTERVAL, Claim, judge_lease
from dimse_proxy.queueing.records import RecordError, decode_lease, encode_lease
from dimse_proxy.queueing.subjects import AssociationKey, Kind
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble


class LeaseLostError(Exception):
    """Somebody else may have the association by now."""


class HeldLease:
    """The lease of one association, once `claim` has got it."""

    def __init__(self, queue: Queue, key: AssociationKey) -> None:
        self._queue: Final = queue
        self._key: Final = key
        self._subject: Final = queue.flow.of_association(Kind.LEASE, key)
        self._sequence = 0

    async def claim(self) -> Claim:
        """Take it, if it is free.

        Raises:
            JetStreamError: nobody knows whether it is.
        """
        queue = self._queue
        stored = await queue.get(Kind.LEASE, self._key)
        held, age = None, 0.0
        if stored is not None:
            now = await queue.server_time()
            age = LEASE_TIME if now is None else now - stored.time
            with suppress(RecordError):
                held = decode_lease(stored.data)
        claim = judge_lease(held, queue.lease, age)
        if not claim.is_free:
            return claim
        try:
            await self._write(0 if stored is None else stored.sequence)
        except JetStreamError as error:
            if error.trouble is not Trouble.WRONG_SEQUENCE:
                raise
            return Claim(is_free=False, wait=RENEW_INTERVAL)
        return claim

    async def renew(self) -> None:
        """Say that we still have it.

        Raises:
            LeaseLostError: we have not.
            JetStreamError: it is not known to be said.
        """
        try:
            await self._write(self._sequence)
        except JetStreamError as error:
            if error.trouble is not Trouble.WRONG_SEQUENCE:
                raise
            if not await self._is_still_ours():
                raise LeaseLostError from None
            raise

    async def release(self) -> None:
        """Let it go."""
        sequence, self._sequence = self._sequence, 0
        if sequence:
            with suppress(JetStreamError):
                await self._queue.jetstream.delete(self._queue.flow.record_stream, sequence)

    async def _write(self, expected: int) -> None:
        self._sequence = await self._queue.replace(self._subject, encode_lease(self._queue.lease), expected=expected)

    async def _is_still_ours(self) -> bool:
        """Whether what the lease has become is a renewal of ours whose acknowledgement was lost."""
        with suppress(JetStreamError, RecordError):
            stored = await self._queue.get(Kind.LEASE, self._key)
            if stored is not None and decode_lease(stored.data) == self._queue.lease:
                self._sequence = stored.sequence
                return True
        return False

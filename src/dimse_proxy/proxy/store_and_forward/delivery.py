"""The receiver's side of a flow: takes associations off the work list, holds their leases, and lets the target rest.

What becomes of an object is decided in `association`. Several processes may do this for one flow.
"""

import asyncio
import random
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.requestor import Requestor
from dimse_proxy.proxy.store_and_forward.association import (
    AssociationDelivery,
    DeliveryOptions,
    Interrupted,
)
from dimse_proxy.proxy.store_and_forward.lease import HeldLease, LeaseLostError
from dimse_proxy.proxy.store_and_forward.outgoing import OutgoingAssociation, TargetRefusedError
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.backoff import TargetGate
from dimse_proxy.queueing.claims import LEASE_TIME, RENEW_INTERVAL, Claim
from dimse_proxy.queueing.records import (
    RecordError,
    decode_attempt,
    decode_work,
    decode_work_again,
)
from dimse_proxy.queueing.repair import anew, steps_to_retry
from dimse_proxy.queueing.streams import planned_consumer
from dimse_proxy.queueing.subjects import CONSUMER, AssociationKey, Kind
from dimse_proxy.transports.jetstream import Work
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble

PULL_TIME: Final = 30.0
"""Seconds that one question for work waits for an answer."""
_TROUBLE_PAUSE: Final = 1.0
_BUSY_PAUSE: Final = 10.0
"""Seconds until work is delivered again whose association this process is working on."""


class Delivery:
    """All associations of one flow that this process delivers."""

    def __init__(self, queue: Queue, options: DeliveryOptions, *, requestor: Requestor, exchange: Exchange) -> None:
        self.queue: Final = queue
        self._options: Final = options
        self._requestor: Final = requestor
        self._exchange: Final = exchange
        self._gates: Final[dict[str, TargetGate]] = {}
        """Of each target, by the token of the AE title that it is asked for by."""
        self._slots: Final = asyncio.Semaphore(options.associations)
        self._active: Final[dict[AssociationKey, asyncio.Task[None]]] = {}
        self._asked_again: Final[set[AssociationKey]] = set()
        """Those being worked on, of which somebody has changed something by hand."""
        self._later: Final[dict[AssociationKey, asyncio.Task[None]]] = {}
        """Those that rest and of which the work list says nothing."""
        self._moved: Final[set[AssociationKey]] = set()
        """Those with objects for something else than the SCU called."""
        self._loop: Final = asyncio.get_running_loop()
        self.is_stopping = False

    def is_active(self, key: AssociationKey) -> bool:
        """This process is working on an association."""
        return key in self._active

    async def ensure_consumer(self) -> str:
        """Make the consumer of the work list; return what is wrong, empty if nothing is."""
        try:
            await self.queue.jetstream.create_consumer(self.queue.flow.record_stream, planned_consumer(self.queue.flow))
        except JetStreamError as error:
            return f"the consumer {CONSUMER} of {self.queue.flow.record_stream}: {error}"
        return ""

    async def run(self) -> None:
        """Take work and do it, until cancelled."""
        while not self.is_stopping:
            await self._slots.acquire()
            try:
                work = await self._next()
            except BaseException:
                self._slots.release()
                raise
            if work is None:
                self._slots.release()
                continue
            place = self.queue.flow.parse(work.subject)
            pause = self._pause_of(work)
            if place is None or pause or self.is_active(place.key):
                self._slots.release()
                with suppress(JetStreamError):
                    await self.queue.jetstream.nak(work, pause or _BUSY_PAUSE)
                continue
            self._start(place.key, work)

    async def take_up(self, key: AssociationKey) -> None:
        """Deliver an association of which the work list says nothing, as soon as there is room for it."""
        await self._slots.acquire()
        if self.is_active(key) or self.is_stopping:
            self._slots.release()
        else:
            self._start(key, None)

    async def try_at_once(self, keys: Iterable[AssociationKey]) -> None:
        """Somebody asks for these by hand: nothing rests any longer for them, if there is anything to deliver."""
        for gate in self._gates.values():
            gate.hurry()
        for key in keys:
            if self.is_active(key):
                self._asked_again.add(key)
            elif await self.queue.numbers(Kind.RECORD, key) - await self.queue.numbers(Kind.DEAD, key):
                await self.take_up(key)

    async def close(self) -> None:
        """Wait for what is being delivered; what cannot wait is cancelled together with this."""
        self.is_stopping = True
        for later in list(self._later.values()):
            later.cancel()
        tasks = set(self._active.values())
        if not tasks:
            return
        try:
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()

    # Inside.

    def _pause_of(self, work: Work) -> float:
        """The seconds that the target of some work rests; so it costs nothing to pass it by."""
        place = self.queue.flow.parse(work.subject)
        if place is not None and place.key in self._moved:
            return 0.0
        try:
            gate = self._gates.get(decode_work(work.data))
            if work.deliveries == 1 and decode_work_again(work.data) is not None:
                for closed in self._gates.values():
                    closed.hurry()
        except RecordError:
            return 0.0
        return 0.0 if gate is None else gate.wait(self._loop.time())

    async def _next(self) -> Work | None:
        if self.queue.trouble():
            await asyncio.sleep(_TROUBLE_PAUSE)
            return None
        try:
            return await self.queue.jetstream.next(self.queue.flow.record_stream, CONSUMER, PULL_TIME)
        except JetStreamError as error:
            if error.trouble is not Trouble.AWAY:
                self.queue.look_again()
            await asyncio.sleep(_TROUBLE_PAUSE)
            return None

    def _start(self, key: AssociationKey, work: Work | None) -> None:
        task = self._loop.create_task(self._do(key, work))
        self._active[key] = task
        task.add_done_callback(lambda task: self._done(key, task))

    def _done(self, key: AssociationKey, task: asyncio.Task[None]) -> None:
        self._active.pop(key, None)
        self._slots.release()
        if key in self._asked_again:
            self._asked_again.discard(key)
            self._take_up_later(key, 0.0)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "delivering an association failed", "exception": error})

    async def _do(self, key: AssociationKey, work: Work | None) -> None:
        """Deliver an association, if nobody else does."""
        tenure = _Tenure(self.queue, key, work)
        pause: float | None = None
        try:
            claim = await tenure.claim()
            if not claim.is_free:
                await tenure.put_off(claim.wait)
                return
            if work is not None:
                await self._begin_anew(key, work)
            pause = await tenure.during(self._deliver(key, tenure, claim))
        except Interrupted as interrupted:
            pause = interrupted.pause
        except LeaseLostError:
            return
        except JetStreamError as error:
            self.queue.note(error)
            pause = _BUSY_PAUSE
        if pause is None:
            await tenure.release()
        else:
            await tenure.put_off(pause)
            if work is None:
                self._take_up_later(key, pause)

    def _take_up_later(self, key: AssociationKey, pause: float) -> None:
        """Deliver an association after a pause of which the work list does not know."""

        async def wait() -> None:
            await asyncio.sleep(pause)
            await self.take_up(key)

        if key not in self._later and not self.is_stopping:
            task = self._later[key] = self._loop.create_task(wait())
            task.add_done_callback(lambda _task: self._later.pop(key, None))

    async def _begin_anew(self, key: AssociationKey, work: Work) -> None:
        """Do, once, what the sender's side asks for in `work`."""
        queue = self.queue
        try:
            again = decode_work_again(work.data)
        except RecordError:
            return
        if again is None:
            return
        records, dead = await queue.numbers(Kind.RECORD, key), await queue.numbers(Kind.DEAD, key)
        for number in sorted(records.intersection(again.numbers)):
            stored = await queue.get(Kind.ATTEMPT, key, number)
            before = None
            if stored is not None:
                with suppress(RecordError):
                    before = decode_attempt(stored.data)
            if (before is None and number not in dead) or (before is not None and before.begun >= again.at):
                continue  # It waits for its first try, or this was done.
            await queue.take(steps_to_retry(queue.flow, key, number, anew(before, again.at), is_dead=number in dead))

    async def _deliver(self, key: AssociationKey, tenure: "_Tenure", claim: Claim) -> float | None:
        """Deliver what there is; return the seconds until there is more to do, None if there is nothing."""
        is_taken_over = claim.is_taken_over
        while True:
            delivery = AssociationDelivery(
                self.queue,
                key,
                self._options,
                self._associate,
                turn=tenure.turn,
                is_taken_over=is_taken_over,
                is_stopping=lambda: self.is_stopping,
                is_asked_again=lambda: self._is_asked_again(key),
            )
            try:
                pause = await delivery.run()
            finally:
                (self._moved.add if delivery.has_moved else self._moved.discard)(key)
            if pause is not None:
                return pause
            await tenure.finish(is_empty=delivery.is_empty)
            # Between the last look and the acknowledgement another object may have come, whose sender relied on it.
            living = await self.queue.numbers(Kind.RECORD, key) - await self.queue.numbers(Kind.DEAD, key)
            if not living:
                return None

    def _is_asked_again(self, key: AssociationKey) -> bool:
        is_asked = key in self._asked_again
        self._asked_again.discard(key)
        return is_asked

    async def _associate(self, outgoing: OutgoingAssociation, called: str) -> None:
        """Ask the target for an association, or say how long it rests."""
        gate = self._gates.setdefault(self.queue.codec.token(called), TargetGate(self._options.backoff))
        pause = gate.wait(self._loop.time())
        if pause:
            raise Interrupted(pause)
        gate.enter()
        try:
            await outgoing.associate(self._requestor, self._exchange)
        except TargetRefusedError as refused:
            pause = gate.refused(
                str(refused), is_lasting=refused.is_lasting, now=self._loop.time(), chance=random.random()
            )
            self.queue.observer.target_rests(self.queue.channel, called, str(refused), pause, gate.is_alarmed)
            raise Interrupted(pause) from None
        except BaseException:
            gate.leave()
            raise
        if gate.accepted():
            self.queue.observer.target_back(self.queue.channel, called)


class _Tenure:
    """The time that this process has an association: its lease, and its place in the work list."""

    def __init__(self, queue: Queue, key: AssociationKey, work: Work | None) -> None:
        self._queue: Final = queue
        self._key: Final = key
        self._work = work
        self.turn: Final = 1 if work is None else work.deliveries
        """How often the association was taken up, as far as anybody remembers."""
        self._lease: Final = HeldLease(queue, key)
        self._loop: Final = asyncio.get_running_loop()

    async def claim(self) -> Claim:
        """Take the lease, if it is free."""
        return await self._lease.claim()

    async def during(self, work: Coroutine[Any, Any, float | None]) -> float | None:
        """Do `work` while the lease is kept; end it when the lease is lost.

        Raises:
            LeaseLostError: it was lost.
        """
        working = self._loop.create_task(work)
        keeping = self._loop.create_task(self._keep())
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LeaseLostError
            return working.result()
        finally:
            for task in (working, keeping):
                task.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)

    async def _keep(self) -> None:
        """Renew the lease until it cannot be renewed any more."""
        renewed = self._loop.time()
        while self._loop.time() - renewed < LEASE_TIME:
            await asyncio.sleep(RENEW_INTERVAL if self._loop.time() - renewed < RENEW_INTERVAL else 1.0)
            asked = self._loop.time()
            try:
                if self._work is not None:
                    await self._queue.jetstream.in_progress(self._work)
                await self._lease.renew()
            except LeaseLostError:
                return
            except JetStreamError:
                continue
            renewed = asked

    async def put_off(self, pause: float) -> None:
        """Give it up for `pause` seconds."""
        await self.release()
        if self._work is not None:
            with suppress(JetStreamError):
                await self._queue.jetstream.nak(self._work, pause)

    async def finish(self, *, is_empty: bool) -> None:
        """Everything is done: nobody need be told of it again."""
        if is_empty:
            await self._queue.clear(Kind.ASSOCIATION, Kind.END, key=self._key)
        if self._work is not None:
            work, self._work = self._work, None
            await self._queue.jetstream.ack(work)

    async def release(self) -> None:
        """Let the lease go."""
        await self._lease.release()

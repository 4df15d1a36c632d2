"""The acceptor side: what stands in for the far side of an association that is queued.

The acceptor's relay takes it for a session of the tunnel. It answers the A-ASSOCIATE-RQ from what the target accepts,
and each C-STORE once JetStream has acknowledged the object. What is not for the queue goes through the tunnel.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Final, assert_never

from dimse_proxy.proxy.exchange import SessionUser
from dimse_proxy.proxy.ports import SessionPort
from dimse_proxy.proxy.refusals import RefusalCode, Refused
from dimse_proxy.proxy.routes import AskedFor
from dimse_proxy.proxy.store_and_forward.asking import Negotiated, Targets
from dimse_proxy.proxy.store_and_forward.bridge import Bridge
from dimse_proxy.proxy.store_and_forward.commitment import CommitmentSession
from dimse_proxy.proxy.store_and_forward.probe import NotAsked
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.proxy.store_and_forward.upload import MOST_IN_PROCESS, Upload, Window
from dimse_proxy.queueing.accepting import (
    SUCCESS,
    ChunkFilled,
    Ended,
    HandedOver,
    ObjectBegun,
    ObjectEnded,
    StorageAcceptor,
)
from dimse_proxy.queueing.claims import MARK_INTERVAL
from dimse_proxy.queueing.commitment import asks_for_commitment
from dimse_proxy.queueing.eligible import is_queued
from dimse_proxy.queueing.outcome import OUT_OF_RESOURCES
from dimse_proxy.queueing.records import SALT_SIZE, Parties, QueuedAssociation, QueuedObject, encode_end, encode_work
from dimse_proxy.queueing.subjects import AssociationKey, Kind, new_association
from dimse_proxy.transports.jetstream_link import JetStreamError
from dimse_proxy.upper_layer.ae_title import validate_ae_title
from dimse_proxy.upper_layer.pdu import AssociateRequest

USABLE_TIMEOUT: Final = 3.0
"""Seconds that an association waits for a queue that cannot be used, before it is rejected."""
END_TIMEOUT: Final = 10.0
"""Seconds for saying that an association brings no more; it is not missed for long."""


class Store:
    """Opens sessions: what is to be queued gets a stand-in, all else the tunnel."""

    def __init__(
        self,
        queue: Queue,
        targets: Targets,
        *,
        open_tunnel: Callable[[Mapping[str, str], SessionUser], SessionPort],
        flush: Callable[[], None],
        is_storage: Callable[[str], bool],
        random_bytes: Callable[[int], bytes],
        commitment_timeout: float,
    ) -> None:
        """Queue nothing yet.

        Args:
            queue: where objects go.
            targets: what the other side accepts.
            open_tunnel: opens a session of the tunnel.
            flush: publishes what the tunnel has to send.
            is_storage: says whether an abstract syntax is a storage SOP class.
            random_bytes: returns that many unpredictable bytes.
            commitment_timeout: seconds that a request for storage commitment waits for what is queued.
        """
        self.queue: Final = queue
        self.targets: Final = targets
        self.open_tunnel: Final = open_tunnel
        self.flush: Final = flush
        self.random_bytes: Final = random_bytes
        self.slots: Final = asyncio.Semaphore(MOST_IN_PROCESS)
        self._is_storage: Final = is_storage
        self._commitment_timeout: Final = commitment_timeout
        self._sessions: Final[set[StoreSession]] = set()

    def open_session(
        self, asked: AskedFor, info: Mapping[str, str], request: AssociateRequest, user: SessionUser
    ) -> SessionPort:
        """Open a session for a request."""
        if not self._has_usable_titles(info):
            return self.open_tunnel(info, user)  # What could not be written again is the target's to judge.
        if asks_for_commitment(request):
            return self._open_gate(info, request, user)
        if not is_queued(request, is_storage=self._is_storage, is_alias="alias" in info):
            return self.open_tunnel(info, user)
        key = AssociationKey(
            self.queue.codec.token(info["calling"]), new_association(time.time_ns() // 1_000_000, self.random_bytes(10))
        )
        session = StoreSession(self, key, info, request, user, requires_target=asked.requires_target)
        self._sessions.add(session)
        return session

    def over(self, session: "StoreSession") -> None:
        """A session has nothing more to do."""
        self._sessions.discard(session)

    async def close(self) -> None:
        """Wait until what has been taken is stored, and answered or not."""
        self.targets.close()
        await asyncio.gather(*(session.closed() for session in list(self._sessions)), return_exceptions=True)

    def _open_gate(self, info: Mapping[str, str], request: AssociateRequest, user: SessionUser) -> SessionPort:
        """Open a session of the tunnel in which requests for storage commitment wait for what is queued."""
        gate = CommitmentSession(
            self.queue, request, info["calling"], user, seconds=self._commitment_timeout, flush=self.flush
        )
        gate.begin(self.open_tunnel(info, gate))
        return gate

    def _has_usable_titles(self, info: Mapping[str, str]) -> bool:
        try:
            validate_ae_title(info["calling"])
            validate_ae_title(info["called"])
        except ValueError:
            return False
        return True


class StoreSession:
    """One queued association; implements `ports.SessionPort`."""

    def __init__(
        self,
        store: Store,
        key: AssociationKey,
        info: Mapping[str, str],
        request: AssociateRequest,
        user: SessionUser,
        *,
        requires_target: bool,
    ) -> None:
        self._store: Final = store
        self._requires_target: Final = requires_target
        self._queue: Final = store.queue
        self.key: Final = key
        self._info: Final = info
        self._parties: Final = Parties(calling=info["calling"], called=info["called"], peer=info["peer"])
        self._request: Final = request
        self._user: Final = user
        self._loop: Final = asyncio.get_running_loop()
        self._chunk_size: Final = store.queue.chunk_size
        self._core: Final = StorageAcceptor(self._chunk_size, self._loop.time())
        self._window: Final = Window(store.slots, self._window_changed)
        self._uploads: Final[dict[int, Upload]] = {}
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._bridge: Bridge | None = None
        self._was_full = False
        self._is_gone = False
        self._is_ended = False
        self._is_entered = False
        self._is_end_said = False
        self._finishing = 0
        self._all_answered: Final = asyncio.Event()
        self._all_answered.set()
        self._recorded_at = float("-inf")
        self._started: Final = time.time()
        self._run(self._decide())

    # `ports.SessionPort`

    @property
    def id_text(self) -> str:
        """Its identifier for logs, on both sides."""
        return self.key.association[-12:]

    @property
    def writable(self) -> bool:
        """More of the SCU's bytes can be taken."""
        if self._bridge is not None:
            return self._bridge.writable
        self._was_full = self._window.waiting > 0
        return not self._was_full

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Take what the SCU sent."""
        if self._bridge is not None:
            self._bridge.send_data(data, now)
            return
        self._core.receive_data(data, now)
        self._settle()

    def send_end(self, now: float) -> None:
        """The SCU's association is over."""
        self._is_gone = True
        if self._bridge is not None:
            self._bridge.send_end(now)
        self._end()

    def send_abort(self, detail: Mapping[str, object], now: float) -> None:
        """The SCU's association was aborted."""
        self._is_gone = True
        if self._bridge is not None:
            self._bridge.send_abort(detail, now)
        self._end()

    def consumed(self, length: int, now: float) -> None:
        """Bytes for the SCU have left."""
        if self._bridge is not None:
            self._bridge.consumed(length, now)

    async def closed(self) -> None:
        """Wait until nothing more is to be done."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    # Inside.

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "a queued association failed", "exception": error})
            if not self._is_gone:
                self._user.session_failed(RefusalCode.QUEUE, "a fault in this proxy")
            self._end()
        if self._is_ended and not self._tasks:
            self._store.over(self)

    def _settle(self) -> None:
        """Do what the core wants done; what it says to the SCU leaves behind the callback that this is part of."""
        for event in self._core.events_received():
            match event:
                case ObjectBegun():
                    self._begin(event)
                case ChunkFilled(number=number, index=index, data=data):
                    self._uploads[number].add(index, data)
                    if self._uploads[number].failure:
                        self._core.discard(number)
                case ObjectEnded(number=number, length=length, chunks=chunks):
                    self._finishing += 1
                    self._all_answered.clear()
                    self._run(self._finish(self._uploads.pop(number), length, chunks))
                case HandedOver(raw=raw, what=what):
                    self._bridge = self._make_bridge()
                    self._bridge.send_data(raw, self._loop.time())
                    self._run(self._hand_over(self._bridge, what))
                case Ended():
                    self._end()
                case unreachable:
                    assert_never(unreachable)
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        parts = self._core.data_to_send()
        if parts and not self._is_gone:
            self._user.session_received(b"".join(parts))

    def _window_changed(self) -> None:
        if self._was_full and self._bridge is None and not self._is_gone and self.writable:
            self._user.session_writable()

    async def _decide(self) -> None:
        """Answer the A-ASSOCIATE-RQ."""
        trouble = await self._queue.wait_usable(USABLE_TIMEOUT)
        if trouble and not self._is_gone:
            self._user.session_failed(RefusalCode.QUEUE, trouble)
            return
        match await self._store.targets.negotiate(self._request, self._info, must_be_there=self._requires_target):
            case Negotiated(results=results, longest=longest, assumed=assumed, text=text):
                if assumed:
                    self._queue.observer.contexts_assumed(self._queue.channel, self._parties.called, assumed, text)
                self._core.accept(results, longest, self._loop.time())
                self._flush()
            case refusal:
                self._refuse(refusal)

    def _refuse(self, refusal: NotAsked) -> None:
        """Answer as a relayed association would have been answered."""
        if self._is_gone:
            return
        if refusal.reject:
            self._user.session_received(refusal.reject)
        elif refusal.detail is not None:
            self._user.session_aborted(refusal.detail)
        elif refusal.code:
            self._user.session_failed(refusal.code, refusal.text)
        else:
            detail = Refused(code=RefusalCode.TARGET_TIMEOUT, text=refusal.text).detail()
            self._user.session_aborted(detail)

    def _begin(self, begun: ObjectBegun) -> None:
        seal = self._queue.codec.new_seal(self._store.random_bytes(SALT_SIZE))
        upload = Upload(self._queue, self.key, begun, seal, self._window, self._chunk_size)
        self._uploads[begun.number] = upload
        if trouble := self._queue.object_trouble():
            upload.failure = trouble
            self._core.discard(begun.number)

    async def _finish(self, upload: Upload, length: int, chunks: int) -> None:
        """Answer a C-STORE whose data set has come to its end."""
        queue, begun = self._queue, upload.begun
        status = OUT_OF_RESOURCES
        await upload.finish()
        if not upload.failure:
            record = QueuedObject(
                number=begun.number,
                parties=self._parties,
                sop_class=begun.sop_class,
                sop_instance=begun.sop_instance,
                transfer_syntax=begun.transfer_syntax,
                priority=begun.priority,
                length=length,
                chunks=chunks,
                chunk_size=upload.chunk_size,
                accepted=time.time(),
                study=upload.study,
                seal=upload.seal,
            )
            try:
                await self._record(record)
            except JetStreamError as error:
                upload.failure = str(error)
            else:
                status = SUCCESS
                queue.observer.object_queued(queue.channel, self.key, record)
        if upload.failure:
            queue.observer.object_refused(queue.channel, self.key, status, upload.failure)
        self._finishing -= 1
        if not self._finishing:
            self._all_answered.set()
        self._core.answer(begun.number, status, self._loop.time())
        self._flush()

    async def _record(self, record: QueuedObject) -> None:
        """Store a record, and see to it that somebody is told of it within the time that a receiver waits for more."""
        marked_at = self._recorded_at
        if self._loop.time() - marked_at > MARK_INTERVAL:
            await self._mark()
            marked_at = self._loop.time()
        subject = self._queue.flow.of_object(Kind.RECORD, self.key, record.number)
        await self._queue.put(subject, self._queue.codec.encode_object(self.key, record))
        if self._loop.time() - marked_at > 2 * MARK_INTERVAL:
            await self._mark()
        self._recorded_at = self._loop.time()

    async def _mark(self) -> None:
        """Say that there is work, and the first time, of which association."""
        queue, flow = self._queue, self._queue.flow
        if not self._is_entered:
            seal = queue.codec.new_seal(self._store.random_bytes(SALT_SIZE))
            entry = QueuedAssociation(parties=self._parties, contexts=self._core.contexts(), started=self._started)
            text = queue.codec.encode_association(self.key, entry, seal)
            await queue.put(flow.of_association(Kind.ASSOCIATION, self.key), text)
            self._is_entered = True
        work = encode_work(time.time(), queue.codec.token(self._parties.called))
        await queue.insist(flow.of_association(Kind.WORK, self.key), work, queue.options.store_timeout)

    def _make_bridge(self) -> Bridge:
        accepted = self._core.accepted()
        return Bridge(self._request, accepted, self._user, self._store.flush)

    async def _hand_over(self, bridge: Bridge, what: str) -> None:
        """Let the rest of the association go through the tunnel, once all that was queued of it is answered."""
        await self._all_answered.wait()
        self._flush()
        if not self._is_gone:
            session = self._store.open_tunnel(self._info, bridge)
            bridge.begin(session)
            await self._say_end()
            self._queue.observer.handed_over(self._queue.channel, self.key, session.id_text, what)

    def _end(self) -> None:
        """No more objects come."""
        if self._is_ended:
            return
        self._is_ended = True
        for upload in self._uploads.values():
            self._run(upload.give_up())
        self._uploads.clear()
        self._run(self._say_end())

    async def _say_end(self) -> None:
        """Say so, behind the last record."""
        await self._all_answered.wait()
        if self._is_entered and not self._is_end_said:
            self._is_end_said = True
            with suppress(JetStreamError):
                subject = self._queue.flow.of_association(Kind.END, self.key)
                await self._queue.put(subject, encode_end(time.time()), seconds=END_TIMEOUT)

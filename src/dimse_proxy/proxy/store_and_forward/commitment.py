"""The acceptor side: storage commitment for objects that may still be queued.

It stands between the acceptor's relay and a session of the tunnel, on associations that propose storage commitment: an
N-ACTION-RQ goes on when what its asker had queued by then has left the queue. The target itself answers, as ever.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from dimse_proxy.proxy.exchange import SessionUser
from dimse_proxy.proxy.ports import SessionPort
from dimse_proxy.proxy.refusals import Aborted, RefusalCode
from dimse_proxy.proxy.store_and_forward.queue import Queue
from dimse_proxy.queueing.commitment import HELD_LIMIT, Bytes, CommitmentGate, Depth
from dimse_proxy.queueing.subjects import Kind
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble
from dimse_proxy.upper_layer.pdu import AssociateRequest

_POLLS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between looks at the queue; the last is repeated."""
_FAULT: Final = "a fault in this proxy"
_SILENT: Final = "the queue of this proxy does not answer"


class CommitmentSession:
    """A session of the tunnel with a gate in front; implements `ports.SessionPort` and `exchange.SessionUser`."""

    def __init__(
        self,
        queue: Queue,
        request: AssociateRequest,
        calling: str,
        user: SessionUser,
        *,
        seconds: float,
        flush: Callable[[], None],
    ) -> None:
        """Stand in front of no session yet.

        Args:
            queue: that may hold objects of the asker.
            request: the SCU's, as its filter has left it.
            calling: the asker's AE title.
            user: the SCU's relay.
            seconds: that a request waits at most.
            flush: publishes what the tunnel has to send.
        """
        self._queue: Final = queue
        self._calling: Final = calling
        self._user: Final = user
        self._seconds: Final = seconds
        self._flush: Final = flush
        self._gate: Final = CommitmentGate(request)
        self._session: SessionPort | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._trouble = _SILENT
        self._unconsumed = 0
        """Bytes of answers of our own, which the tunnel has not brought: no credit is due for them."""
        self._is_full = False

    def begin(self, session: SessionPort) -> None:
        """Stand in front of a session."""
        self._session = session

    # `ports.SessionPort`, for the SCU's relay.

    @property
    def id_text(self) -> str:
        """Of the session, for logs."""
        return "" if self._session is None else self._session.id_text

    @property
    def writable(self) -> bool:
        """More can be taken."""
        self._is_full = self._gate.held >= HELD_LIMIT
        return not self._is_full and self._session is not None and self._session.writable

    def send_data(self, data: Bytes, now: float) -> None:
        """Bytes of the SCU."""
        if self._session is None:
            return
        self._pass_on(self._gate.from_requestor(data), now)
        self._wait_if_held()

    def send_end(self, now: float) -> None:
        """The SCU's leg is over."""
        session = self._over()
        if session is not None:
            session.send_end(now)

    def send_abort(self, detail: Mapping[str, object], now: float) -> None:
        """The SCU's leg was aborted."""
        session = self._over()
        if session is not None:
            session.send_abort(detail, now)

    def consumed(self, length: int, now: float) -> None:
        """Bytes for the SCU have left."""
        ours = min(length, self._unconsumed)
        self._unconsumed -= ours
        if length > ours and self._session is not None:
            self._session.consumed(length - ours, now)

    # `exchange.SessionUser`, for the tunnel.

    def session_acknowledged(self) -> None:
        """An instance took the session."""
        self._user.session_acknowledged()

    def session_received(self, data: Bytes) -> None:
        """Bytes of the target."""
        for part in self._gate.from_acceptor(data):
            self._user.session_received(part)

    def session_ended(self) -> None:
        """The target's leg is over."""
        self._user.session_ended()

    def session_aborted(self, detail: Mapping[str, object]) -> None:
        """The target's leg was aborted, or there is none."""
        self._over()
        self._user.session_aborted(detail)

    def session_failed(self, code: str, text: str) -> None:
        """The tunnel gave up."""
        self._over()
        self._user.session_failed(code, text)

    def session_writable(self) -> None:
        """There is credit again."""
        if not self._is_full:
            self._user.session_writable()

    # Inside.

    def _over(self) -> SessionPort | None:
        session, self._session = self._session, None
        if self._waiting is not None:
            self._waiting.cancel()
        return session

    def _wait_if_held(self) -> None:
        if self._gate.is_holding and self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_task(self._wait())
            self._waiting.add_done_callback(self._waited)

    def _pass_on(self, parts: list[Bytes], now: float) -> None:
        if self._session is not None:
            for part in parts:
                self._session.send_data(part, now)

    async def _wait(self) -> None:
        while self._gate.is_holding:
            trouble = await self._drained()
            now = asyncio.get_running_loop().time()
            if trouble:
                self._queue.observer.commitment_refused(self._queue.channel, self._calling, trouble)
                onward, back = self._gate.refuse(trouble)
                answer = b"".join(back)
                self._unconsumed += len(answer)
                self._pass_on(onward, now)
                if answer:
                    self._user.session_received(answer)
            else:
                self._pass_on(self._gate.let_go(), now)
            self._flush()

    def _waited(self, task: asyncio.Task[None]) -> None:
        self._waiting = None
        if task.cancelled() or self._session is None:
            return
        if (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a request for storage commitment failed", "exception": error}
            )
            self._session.send_abort(Aborted(text=_FAULT).detail(), asyncio.get_running_loop().time())
            self._over()
            self._user.session_failed(RefusalCode.QUEUE, _FAULT)
            return
        self._wait_if_held()  # One that came when the task had just ended.
        if self._is_full and self.writable:
            self._user.session_writable()

    async def _drained(self) -> str:
        """Wait until what is queued of the asker now is not any more; return why it still is, empty if it is not."""
        self._trouble = _SILENT
        try:
            async with asyncio.timeout(self._seconds):
                return await self._watch()
        except TimeoutError:
            return self._trouble

    async def _watch(self) -> str:
        depth: Depth | None = None
        polls = 0
        while True:
            try:
                if depth is None:
                    depth = await self._depth()
                waiting = await self._still_waiting(depth)
            except JetStreamError as error:
                self._queue.note(error)
                self._trouble = _SILENT
                if error.trouble is Trouble.DENIED:
                    return self._trouble
            else:
                if not waiting:
                    return ""
                self._trouble = f"{waiting} queued objects of this AE are not delivered yet"
            await asyncio.sleep(_POLLS[min(polls, len(_POLLS) - 1)])
            polls += 1

    async def _depth(self) -> Depth:
        depth = Depth()
        async for place in self._queue.places(Kind.RECORD, self._asker):
            depth.note(place)
        return depth

    async def _still_waiting(self, depth: Depth) -> int:
        given_up = {(place.key, place.number) async for place in self._queue.places(Kind.DEAD, self._asker)}
        waiting = 0
        async for place in self._queue.places(Kind.RECORD, self._asker):
            waiting += depth.is_waiting(place, given_up)
        return waiting

    @property
    def _asker(self) -> str:
        return self._queue.codec.token(self._calling)

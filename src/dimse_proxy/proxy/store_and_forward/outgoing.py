"""The requestor side: what stands in for a tunnel session, so that the requestor's relay delivers a queued association.

The relay takes it for a session that the other side has opened. So allow lists, filter, AE titles, limits, the
connection and its TLS are the relay's. What an answer means for an object is for who delivers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, assert_never

from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.refusals import Aborted, RefusalCode, Refused, parse_detail
from dimse_proxy.proxy.requestor import Requestor, RequestorLeg
from dimse_proxy.queueing.delivering import Answered, Associated, Over, Rejected, StorageRequestor
from dimse_proxy.queueing.outcome import is_lasting
from dimse_proxy.queueing.records import Parties, QueuedObject

UNSENT: Final = 2 * 1024 * 1024
"""Bytes that wait for the target at most, before more is fetched."""
RELEASE_TIMEOUT: Final = 30.0
"""Seconds for the A-RELEASE-RP, after which the association is aborted: everything on it was answered."""
_OURS: Final = frozenset(
    {
        RefusalCode.NOT_ALLOWED,
        RefusalCode.CALLING_NOT_ALLOWED,
        RefusalCode.CALLED_NOT_ALLOWED,
        RefusalCode.NO_TARGET,
        RefusalCode.NO_CONTEXT,
    }
)
"""Refusals by this side's own configuration."""


class TargetRefusedError(Exception):
    """There is no association with the target.

    Attributes:
        is_lasting: it will be so until somebody changes something.
    """

    def __init__(self, text: str, *, is_lasting: bool) -> None:
        super().__init__(text)
        self.is_lasting: Final = is_lasting


class AssociationLostError(Exception):
    """The association with the target has ended before the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int | None


class OutgoingAssociation:
    """One association with the target; implements `ports.IncomingSession`."""

    def __init__(self, name: str, channel: str, parties: Parties, contexts: Iterable[tuple[str, str]]) -> None:
        """Prepare it.

        Args:
            name: of the original association, for logs.
            channel: where that came from.
            parties: who asked for it.
            contexts: abstract and transfer syntaxes to propose.
        """
        self._loop: Final = asyncio.get_running_loop()
        self._name: Final = name
        self._channel: Final = channel
        self._info: Final[Mapping[str, str]] = {
            "called": parties.called,
            "calling": parties.calling,
            "peer": parties.peer,
        }
        self.core: Final = StorageRequestor(parties, contexts, self._loop.time())
        self._leg: RequestorLeg | None = None
        self._refused: TargetRefusedError | None = None
        self._over: str | None = None
        self._is_associated = False
        self._answer: _Answer | None = None
        self._unsent = 0
        self._changed: Final = asyncio.Event()

    async def associate(self, requestor: Requestor, exchange: Exchange) -> None:
        """Ask the target.

        Raises:
            TargetRefusedError: it, or this side's configuration, says no.
        """
        self._leg = requestor.session_opened(self, exchange)
        self._send()
        await self._until(lambda: self._is_associated)
        if self._refused is not None:
            raise self._refused
        if self._over is not None:
            raise TargetRefusedError(self._over, is_lasting=False)

    @property
    def is_usable(self) -> bool:
        """Objects can be sent."""
        return self._is_associated and self._over is None and self.core.is_usable

    async def store(
        self,
        record: QueuedObject,
        chunks: AsyncIterator[bytes],
        response_timeout: float,
    ) -> int | None:
        """Send an object for which there is a context, and return the status of the answer; None for one without.

        Raises:
            AssociationLostError: there was no answer.
        """
        self._answer = None
        self.core.begin(record, self._loop.time())
        self._send()
        left = record.chunks
        async for data in chunks:
            left -= 1
            if self._over is not None:
                break
            self.core.add(data, self._loop.time(), is_last=not left)
            self._send()
            await self._until(lambda: self._unsent < UNSENT, response_timeout)
        return (await self._answered(response_timeout)).status

    async def _answered(self, seconds: float) -> _Answer:
        await self._until(lambda: self._answer is not None, seconds)
        if self._answer is None:
            raise AssociationLostError(self._over or "the association ended")
        return self._answer

    async def release(self) -> None:
        """End it well."""
        if self.is_usable:
            self.core.release(self._loop.time())
            self._send()
            with suppress(AssociationLostError):
                await self._until(lambda: False, RELEASE_TIMEOUT)
        self.abort()

    def abort(self) -> None:
        """End it at once, if it is not over."""
        if self._over is None:
            self.core.abort(self._loop.time())
            self._send()
            self._take_events()

    # `ports.IncomingSession`, for the relay.

    @property
    def id_text(self) -> str:
        """Its identifier for logs, on both sides."""
        return self._name

    @property
    def channel(self) -> str:
        """The channel that the objects come from."""
        return self._channel

    @property
    def info(self) -> Mapping[str, str]:
        """Who asked for the original association."""
        return self._info

    @property
    def writable(self) -> bool:
        """The target says little."""
        return True

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Take what the target sent."""
        self.core.receive_data(data, now)
        self._take_events()
        self._loop.call_soon(self._send)

    def send_end(self, now: float) -> None:
        """The target's leg is over."""
        self._lost("the association with the target has ended")

    def send_abort(self, detail: Mapping[str, object], now: float) -> None:
        """The target's leg was aborted, or there was none."""
        match parse_detail(detail):
            case Refused(code=code, text=text):
                self._refused = TargetRefusedError(text, is_lasting=code in _OURS)
                self._lost(text)
            case Aborted(text=text):
                self._lost(text or "aborted")
            case unreachable:
                assert_never(unreachable)

    def consumed(self, length: int, now: float) -> None:
        """Bytes have left for the target."""
        self._unsent -= length
        self._changed.set()

    # Inside.

    def _send(self) -> None:
        """Give the relay what the core has for the target; never within a callback of the relay's."""
        for part in self.core.data_to_send():
            if self._leg is not None and self._over is None:
                self._unsent += len(part)
                self._leg.session_received(part)

    def _take_events(self) -> None:
        for event in self.core.events_received():
            match event:
                case Associated():
                    self._is_associated = True
                case Rejected(result=result, source=source, reason=reason):
                    text = f"the target rejected the association: result {result}, source {source}, reason {reason}"
                    self._refused = TargetRefusedError(text, is_lasting=is_lasting(result))
                    self._lost(text)
                case Answered(status=status):
                    self._answer = _Answer(status=status)
                case Over(text=text):
                    self._lost(text)
                case unreachable:
                    assert_never(unreachable)
        self._changed.set()

    def _lost(self, text: str) -> None:
        if self._over is None:
            self._over = text
        self._changed.set()

    async def _until(self, is_so: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait until it is so, or the association is over; abort it when that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                while not is_so() and self._over is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.abort()
            raise AssociationLostError(f"the target did not answer within {seconds:g} s") from None

"""One flow in JetStream: whether its streams can be used, and the writing and reading of its messages.

It tries again what nobody answered, for as long as its callers have time. It knows no association's state.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dimse_proxy.queueing.hooks import QueueObserver
from dimse_proxy.queueing.records import SEAL_OVERHEAD, Codec, Lease
from dimse_proxy.queueing.repair import Purge, Put, Step
from dimse_proxy.queueing.streams import StreamPlan, planned_streams, wrong_settings
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind, Place
from dimse_proxy.transports.jetstream import REQUEST_TIMEOUT, JetStream, Stored
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble

_CHECK_INTERVAL: Final = 30.0
"""Seconds between looks at the streams: one that was deleted by hand is made anew after that at the latest."""
_RECHECK_INTERVAL: Final = 2.0
"""The same while they cannot be used."""
_RETRY_PAUSE: Final = 0.25
_PATIENCE: Final = 10.0
"""Seconds for which streams that the other side makes may be missing without a word."""
_UNANSWERED_REST: Final = 5.0
"""Seconds for which nothing more is tried after a server has not answered in all the time that there was."""
_CALM: Final = 5.0
"""Seconds after the news of a full queue before it is said that it is over."""
_HOPELESS: Final = (Trouble.FULL, Trouble.DENIED)
"""What asking again does not mend within seconds."""
_HEADERS: Final = 512
"""Bytes of a message's headers, generously."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """How a flow is stored."""

    chunk_size: int
    """Bytes of a data set in each chunk but the last."""
    store_timeout: float
    """Seconds that an SCU waits for JetStream at most."""
    max_bytes: int
    replicas: int
    creates_streams: bool
    hint: str = ""
    """Where the other side makes the streams: said behind the news that one is missing."""
    disk_path: Path | None = None
    """A folder on the disk of the streams, where that is on this machine."""
    min_free: int = 0
    """Bytes that stay free there."""


class Queue:
    """One flow."""

    def __init__(
        self,
        flow: Flow,
        jetstream: JetStream,
        codec: Codec,
        options: QueueOptions,
        *,
        lease: Lease,
        channel: str,
        observer: QueueObserver,
    ) -> None:
        """Use a flow.

        Args:
            flow: its names.
            jetstream: where it is stored.
            codec: of its messages.
            options: how it is stored.
            lease: this process.
            channel: at the other end, for the observer.
            observer: is told whether the flow can be used.
        """
        self.flow: Final = flow
        self.jetstream: Final = jetstream
        self.codec: Final = codec
        self.options: Final = options
        self.lease: Final = lease
        self.channel: Final = channel
        self.observer: Final = observer
        self._trouble = "its streams have not been looked at yet"
        self._told: str | None = None
        self._told_at = 0.0
        self._check_wanted: Final = asyncio.Event()
        self._usable: Final = asyncio.Event()
        self._unanswered_until = 0.0

    @property
    def chunk_size(self) -> int:
        """Bytes of a data set in each chunk but the last; what the server takes can be less than what is wanted."""
        largest = self.jetstream.link.max_payload - _HEADERS - SEAL_OVERHEAD
        return min(self.options.chunk_size, largest) if largest > 0 else self.options.chunk_size

    async def keep(self, ensure: Callable[[], Awaitable[str]] | None = None) -> None:
        """Look after the streams until cancelled.

        Args:
            ensure: a further check of who uses the flow; its result is what is wrong, or empty.
        """
        if self.options.hint:
            await self._wait_for_streams()
        while True:
            await self.jetstream.link.wait_ready()
            trouble = await self._look()
            if not trouble and ensure is not None:
                trouble = await ensure()
            self._set_trouble(trouble)
            self._check_wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK_INTERVAL if trouble else _CHECK_INTERVAL):
                    await self._check_wanted.wait()

    def look_again(self) -> None:
        """Something does not work that should: look at the streams now."""
        self._check_wanted.set()

    def trouble(self) -> str:
        """Return why the flow cannot be used at all; empty if it can."""
        if not self.jetstream.link.is_ready:
            return "this proxy is not connected to NATS"
        return self._trouble

    @property
    def said(self) -> str:
        """What the observer was told last that is wrong, also where the flow can be used; empty if nothing is."""
        return self._told or ""

    def object_trouble(self) -> str:
        """Return why no object can be stored now; empty if it can, as far as is known."""
        if trouble := self.trouble():
            return trouble
        if asyncio.get_running_loop().time() < self._unanswered_until:
            return "JetStream does not answer"
        trouble = self._disk_trouble()
        if trouble:
            self._tell(trouble)
        return trouble

    async def wait_usable(self, seconds: float) -> str:
        """Wait a while until it can be used; return why it cannot, empty if it can."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.jetstream.link.wait_ready()
                await self._usable.wait()
        return self.trouble()

    def note(self, error: JetStreamError) -> None:
        """Something was not stored, or not read: say so, and look at the streams if they may have changed."""
        if error.trouble is Trouble.FULL:
            self._tell(f"it is full: {error}")
        elif error.trouble is Trouble.NO_ANSWER:
            self._tell(
                f"JetStream does not acknowledge ({error}); the log of nats-server says whether its disk is full"
            )
        elif error.trouble not in (Trouble.AWAY, Trouble.WRONG_SEQUENCE):
            self._tell(str(error))
        if error.trouble in (Trouble.NO_STREAM, Trouble.NOT_ENABLED, Trouble.DENIED):
            self._check_wanted.set()

    # Writing.

    async def put(self, subject: str, data: bytes, *, is_chunk: bool = False, seconds: float | None = None) -> int:
        """Store a message on a subject that only we write, once; return its sequence.

        Args:
            subject: of it.
            data: of it.
            is_chunk: it belongs to the stream of chunks.
            seconds: that it may take; None for `store_timeout`.

        Raises:
            JetStreamError: it is not known to be stored.
        """
        stream = self.flow.chunk_stream if is_chunk else self.flow.record_stream
        timeout = self.options.store_timeout if seconds is None else seconds
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            left = max(0.1, end - loop.time())
            try:
                sequence = await self.jetstream.publish(
                    stream, subject, data, expected=0, timeout=min(REQUEST_TIMEOUT, left)
                )
            except JetStreamError as error:
                if error.sequence:
                    return error.sequence  # It was stored, and only the acknowledgement was lost.
                self.note(error)
                if error.trouble in _HOPELESS or loop.time() + _RETRY_PAUSE >= end:
                    if error.trouble is Trouble.NO_ANSWER:
                        self._unanswered_until = loop.time() + _UNANSWERED_REST
                    raise
            else:
                if is_chunk and self._told:
                    self._recovered()
                return sequence
            await asyncio.sleep(_RETRY_PAUSE)

    async def replace(self, subject: str, data: bytes, *, expected: int | None = None) -> int:
        """Store a message in the place of the one before on its subject; return its sequence."""
        return await self.jetstream.publish(self.flow.record_stream, subject, data, expected=expected)

    async def insist(self, subject: str, data: bytes, seconds: float) -> None:
        """Store a message that says what has become of an object, for `seconds` at most."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            try:
                await self.replace(subject, data)
            except JetStreamError as error:
                self.note(error)
                if loop.time() + 1.0 >= end:
                    raise
            else:
                return
            await asyncio.sleep(1.0)

    async def remove(self, sequence: int, seconds: float) -> None:
        """Delete a record, for `seconds` at most; it may be gone already."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            try:
                await self.jetstream.delete(self.flow.record_stream, sequence)
            except JetStreamError as error:
                self.note(error)
                if loop.time() + 1.0 >= end:
                    raise
            else:
                return
            await asyncio.sleep(1.0)

    async def take(self, steps: Iterable[Step]) -> None:
        """Take steps one after the other.

        Raises:
            JetStreamError: one could not be taken, and those behind it were not.
        """
        for step in steps:
            match step:
                case Put(subject, data):
                    await self.replace(subject, data)
                case Purge(subject, is_chunk):
                    stream = self.flow.chunk_stream if is_chunk else self.flow.record_stream
                    await self.jetstream.purge(stream, subject)

    async def purge_chunks(self, key: AssociationKey, number: int) -> None:
        """Purge the chunks of an object; what is left is swept."""
        with suppress(JetStreamError):
            await self.jetstream.purge(self.flow.chunk_stream, self.flow.chunks_of(key, number))

    async def purge_all_chunks(self, key: AssociationKey) -> None:
        """Purge the chunks of an association that has ended."""
        with suppress(JetStreamError):
            await self.jetstream.purge(self.flow.chunk_stream, self.flow.every(Kind.CHUNK, key))

    async def clear(self, *kinds: Kind, key: AssociationKey) -> None:
        """Purge what an association has one of; what is left is swept."""
        for kind in kinds:
            with suppress(JetStreamError):
                await self.jetstream.purge(self.flow.record_stream, self.flow.of_association(kind, key))

    async def clear_object(self, kind: Kind, *, key: AssociationKey, number: int) -> None:
        """Purge what an object has one of; what is left is swept."""
        with suppress(JetStreamError):
            await self.jetstream.purge(self.flow.record_stream, self.flow.of_object(kind, key, number))

    # Reading.

    async def get(self, kind: Kind, key: AssociationKey, number: int | None = None) -> Stored | None:
        """Return what there is of an association, or of an object."""
        flow = self.flow
        subject = flow.of_association(kind, key) if number is None else flow.of_object(kind, key, number)
        return await self.jetstream.get(flow.record_stream, subject)

    async def get_chunk(self, key: AssociationKey, number: int, index: int) -> Stored | None:
        """Return a chunk."""
        return await self.jetstream.get(self.flow.chunk_stream, self.flow.chunk(key, number, index))

    async def numbers(self, kind: Kind, key: AssociationKey) -> set[int]:
        """Return the objects of an association of which there is a `record`, an `attempt`, a `dead`."""
        found = set()
        async for page in self.jetstream.subjects(self.flow.record_stream, self.flow.every(kind, key)):
            found |= {place.number for subject in page if (place := self.flow.parse(subject)) is not None}
        return found

    async def count_chunks(self, key: AssociationKey, number: int) -> int:
        """Return how many chunks of an object there are, by the stream's leader."""
        count = 0
        async for page in self.jetstream.subjects(self.flow.chunk_stream, self.flow.chunks_of(key, number)):
            count += len(page)
        return count

    async def places(self, kind: Kind, asker: str) -> AsyncIterator[Place]:
        """Yield what there is of a kind in the stream of records, of one asker."""
        async for page in self.jetstream.subjects(self.flow.record_stream, self.flow.of_asker(kind, asker)):
            for subject in page:
                if (place := self.flow.parse(subject)) is not None:
                    yield place

    def record_pages(self, kind: Kind) -> AsyncIterator[list[str]]:
        """Yield all subjects of a kind in the stream of records, page by page."""
        return self.jetstream.subjects(self.flow.record_stream, self.flow.every(kind))

    def chunk_pages(self) -> AsyncIterator[list[str]]:
        """Yield all subjects of chunks, page by page."""
        return self.jetstream.subjects(self.flow.chunk_stream, self.flow.every(Kind.CHUNK))

    async def server_time(self) -> float | None:
        """Return the server's clock, seconds since 1970; None if it does not tell."""
        state = await self.jetstream.stream(self.flow.record_stream)
        return None if state is None else state.now

    # Inside.

    async def _wait_for_streams(self) -> None:
        """Say nothing for a while of streams that somebody else is going to make."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE
        while loop.time() < end:
            await self.jetstream.link.wait_ready()
            if not await self._look():
                return
            await asyncio.sleep(_RECHECK_INTERVAL / 4)

    async def _look(self) -> str:
        """Look at both streams, make those that are missing, and return what is wrong."""
        try:
            for plan in planned_streams(self.flow, max_bytes=self.options.max_bytes, replicas=self.options.replicas):
                if trouble := await self._look_at(plan):
                    return trouble
        except JetStreamError as error:
            return str(error)
        return ""

    async def _look_at(self, plan: StreamPlan) -> str:
        state = await self.jetstream.stream(plan.name)
        if state is None:
            if not self.options.creates_streams:
                return f"stream {plan.name} does not exist{self.options.hint}"
            await self._create(plan)
            return ""
        largest = self.chunk_size + _HEADERS if plan.name == self.flow.chunk_stream else _HEADERS * 8
        wrong = wrong_settings(plan, state.config, largest_message=largest)
        return f"stream {plan.name} has wrong settings: {'; '.join(wrong)}" if wrong else ""

    async def _create(self, plan: StreamPlan) -> None:
        try:
            await self.jetstream.create_stream(plan.config)
        except JetStreamError as error:
            wanted = f"stream {plan.name} with {plan.config['max_bytes']} bytes (DIMSE_QUEUE_MAX_BYTES)"
            raise JetStreamError(f"{wanted} cannot be made: {error}", error.trouble) from None

    def _set_trouble(self, trouble: str) -> None:
        self._trouble = trouble
        if trouble:
            self._usable.clear()
        else:
            self._usable.set()
        self._tell(trouble)

    def _tell(self, trouble: str) -> None:
        """Tell the observer what has changed."""
        if trouble == self._told:
            return
        self._told = trouble
        self._told_at = asyncio.get_running_loop().time()
        if trouble:
            self.observer.queue_trouble(self.channel, trouble)
        else:
            self.observer.queue_ready(self.channel, f"streams {self.flow.chunk_stream} and {self.flow.record_stream}")

    def _recovered(self) -> None:
        """A chunk was stored: what was told of a full queue is over, if it does not come back at once."""
        if not self._trouble and asyncio.get_running_loop().time() - self._told_at >= _CALM:
            self._tell("")

    def _disk_trouble(self) -> str:
        path = self.options.disk_path
        if path is None:
            return ""
        try:
            found = os.statvfs(path)
        except OSError as error:
            return f"the disk of {path} cannot be looked at: {error.strerror}"
        free = found.f_bavail * found.f_frsize
        if free >= self.options.min_free:
            return ""
        return f"only {free} bytes are free on the disk of {path}, and {self.options.min_free} stay free"

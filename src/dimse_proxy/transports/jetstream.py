"""JetStream's API, as far as store and forward needs it: streams, messages by subject, one work list.

Requests and replies go through `jetstream_link`. Nothing is tried again here, and nothing here knows what is stored.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nats.aio.msg import Msg

from dimse_proxy.transports.jetstream_link import JetStreamError, JetStreamLink, Trouble

REQUEST_TIMEOUT: Final = 10.0
"""Seconds for an answer: a cluster that elects a leader takes some of them."""
_PAGE_TIMEOUT: Final = 30.0
"""Seconds for a page of 100,000 subjects, 3 MB, over a slow link."""
_BEHIND_ALL: Final = 1 << 30
"""An offset that no list of subjects reaches."""
_PULL_SLACK: Final = 5.0
"""Seconds that an empty answer to a pull may come late."""
_FULL: Final = frozenset({10002, 10023, 10028, 10047, 10077})
_WRONG_SEQUENCE: Final = frozenset({10071, 10164})
_NOT_FOUND: Final = frozenset({10037, 10043, 10057})
_NO_STREAM: Final = frozenset({10014, 10059})
_NOT_ENABLED: Final = frozenset({10039, 10076})
_ACK_TOKENS: Final = 9
"""Of `$JS.ACK.<stream>.<consumer>.<delivered>...`; newer servers put domain and account in front of the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message of a stream."""

    subject: str
    data: bytes
    sequence: int
    time: float
    """When it was stored, by the server's clock, seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """A stream that is there."""

    config: Mapping[str, Any]
    messages: int
    bytes: int
    first: float | None
    """When the first message that is there was stored, seconds since 1970; None if there is none."""
    now: float | None
    """The server's clock, seconds since 1970; None from servers that do not tell it (before 2.10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A message of a work list, until it is acknowledged."""

    subject: str
    data: bytes
    reply: str
    deliveries: int
    """How often it was delivered, this one included, as far as the server remembers."""


class JetStream:
    """JetStream in one domain."""

    def __init__(self, link: JetStreamLink, domain: str = "", *, name: str = "jetstream", inbox: str = "") -> None:
        """Speak to JetStream over `link`.

        Args:
            link: the connection.
            domain: of JetStream; empty for that of the connected server.
            name: of this user of the link, different from those of others.
            inbox: subject below which JetStream may answer; empty for that of the link. A leaf node's JetStream is
                somebody else's, and not to be trusted with the link's own.
        """
        self.link: Final = link
        self._api: Final = f"$JS.{domain}.API" if domain else "$JS.API"
        self._pulled: asyncio.Future[Msg] | None = None
        self._inbox: Final = link.new_inbox(name, inbox)
        self._answers: Final = link.new_inbox(f"{name}.answers", inbox) if inbox else ""
        link.on_down.append(self._lost)

    # Messages.

    async def publish(
        self,
        stream: str,
        subject: str,
        data: bytes,
        *,
        expected: int | None = None,
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 - an answer that does not come is an answer
    ) -> int:
        """Store a message and return its sequence.

        Args:
            stream: that must store it.
            subject: of it.
            data: of it.
            expected: sequence of the subject's last message, 0 for none; None for whatever.
            timeout: seconds for the acknowledgement.

        Raises:
            JetStreamError: it is not known to be stored.
        """
        headers = {"Nats-Expected-Stream": stream}
        if expected is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
        reply = await self._request(subject, data, timeout, headers)
        answer = _checked(reply)
        sequence = answer.get("seq")
        if answer.get("stream") != stream or not isinstance(sequence, int):
            raise JetStreamError(f"{subject} was taken by something else than stream {stream}", Trouble.OTHER)
        return sequence

    async def get(self, stream: str, subject: str) -> Stored | None:
        """Return the last message of a subject, None if there is none. It may be one that was replaced just now.

        Raises:
            JetStreamError: nobody knows.
        """
        reply = await self._request(f"{self._api}.DIRECT.GET.{stream}.{subject}", b"", REQUEST_TIMEOUT)
        headers = reply.headers or {}
        status = headers.get("Status")
        if status == "404":
            return None
        if status is not None:
            raise JetStreamError(f"{stream} answers {status} {headers.get('Description', '')}", Trouble.OTHER)
        return Stored(
            subject=headers.get("Nats-Subject", ""),
            data=reply.data,
            sequence=int(headers.get("Nats-Sequence", "0")),
            time=_seconds(headers.get("Nats-Time-Stamp")) or 0.0,
        )

    async def delete(self, stream: str, sequence: int) -> bool:
        """Delete a message; false if it is not there.

        Raises:
            JetStreamError: nobody knows.
        """
        try:
            await self._ask(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
        except JetStreamError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return False
            raise
        return True

    async def purge(self, stream: str, subject: str) -> int:
        """Delete all messages whose subject fits, and return their number."""
        answer = await self._ask(f"STREAM.PURGE.{stream}", {"filter": subject})
        return int(answer.get("purged", 0))

    async def subjects(self, stream: str, subject: str) -> AsyncIterator[list[str]]:
        """Yield the subjects of a stream that fit, page by page; 100,000 make one."""
        offset, total = 0, 1
        while offset < total:
            answer = await self._ask(
                f"STREAM.INFO.{stream}", {"subjects_filter": subject, "offset": offset}, timeout=_PAGE_TIMEOUT
            )
            page = list(answer.get("state", {}).get("subjects") or ())
            if not page:
                return
            offset += len(page)
            total = int(answer.get("total", 0))
            yield page

    async def count_subjects(self, stream: str, subject: str) -> int:
        """Return how many subjects of a stream fit: a page behind the last one says it without bringing any."""
        body = {"subjects_filter": subject, "offset": _BEHIND_ALL}
        return int((await self._ask(f"STREAM.INFO.{stream}", body, timeout=_PAGE_TIMEOUT)).get("total", 0))

    # Streams and consumers.

    async def stream(self, name: str) -> StreamState | None:
        """Return a stream's state, None if there is none of that name."""
        try:
            answer = await self._ask(f"STREAM.INFO.{name}", None)
        except JetStreamError as error:
            if error.trouble is Trouble.NO_STREAM:
                return None
            raise
        state = answer.get("state", {})
        return StreamState(
            config=answer.get("config", {}),
            messages=int(state.get("messages", 0)),
            bytes=int(state.get("bytes", 0)),
            first=_seconds(state.get("first_ts")) if state.get("messages") else None,
            now=_seconds(answer.get("ts")),
        )

    async def create_stream(self, config: Mapping[str, Any]) -> None:
        """Make a stream."""
        await self._ask(f"STREAM.CREATE.{config['name']}", config)

    async def create_consumer(self, stream: str, config: Mapping[str, Any]) -> None:
        """Make a durable consumer; does nothing if it is there just like this."""
        name, subject = config["name"], config["filter_subject"]
        await self._ask(
            f"CONSUMER.CREATE.{stream}.{name}.{subject}",
            {"stream_name": stream, "config": dict(config), "action": "create"},
        )

    # The work list.

    async def next(self, stream: str, consumer: str, wait: float) -> Work | None:
        """Take the next message of a work list, waiting for it; None if there was none. One caller at a time.

        Raises:
            JetStreamError: the consumer cannot be asked.
        """
        loop = asyncio.get_running_loop()
        pulled: asyncio.Future[Msg] = loop.create_future()
        self._pulled = pulled
        body = json.dumps({"batch": 1, "expires": int(wait * 1e9)}).encode()
        try:
            await self.link.listen(self._inbox, self._take_pulled)
            await self.link.publish(f"{self._api}.CONSUMER.MSG.NEXT.{stream}.{consumer}", body, reply=self._inbox)
            async with asyncio.timeout(wait + _PULL_SLACK):
                message = await pulled
        except TimeoutError:
            return None
        finally:
            self._pulled = None
        return self._work(message)

    async def ack(self, work: Work) -> None:
        """It is done; waits until the server knows."""
        await self._request(work.reply, b"+ACK", REQUEST_TIMEOUT)

    async def nak(self, work: Work, delay: float) -> None:
        """It is to be delivered again after `delay` seconds."""
        await self.link.publish(work.reply, b'-NAK {"delay": %d}' % int(delay * 1e9))

    async def in_progress(self, work: Work) -> None:
        """It is being worked on: not to be delivered to anybody else for another while."""
        await self.link.publish(work.reply, b"+WPI")

    # Inside.

    async def _request(
        self,
        subject: str,
        data: bytes,
        timeout: float,  # noqa: ASYNC109 - an answer that does not come is an answer
        headers: Mapping[str, str] | None = None,
    ) -> Msg:
        return await self.link.request(subject, data, timeout, headers, inbox=self._answers)

    def _take_pulled(self, message: Msg) -> None:
        if self._pulled is not None and not self._pulled.done():
            self._pulled.set_result(message)

    def _lost(self, error: JetStreamError) -> None:
        if self._pulled is not None and not self._pulled.done():
            self._pulled.set_exception(error)

    def _work(self, message: Msg) -> Work | None:
        status = (message.headers or {}).get("Status")
        if status == "503":
            raise JetStreamError("the consumer of the work list does not exist", Trouble.NO_STREAM)
        if status == "409":
            raise JetStreamError(
                f"the work list answers {(message.headers or {}).get('Description', '')}", Trouble.NO_STREAM
            )
        if status is not None or not message.reply:
            return None
        tokens = message.reply.split(".")
        place = 4 if len(tokens) == _ACK_TOKENS else 6
        deliveries = 1
        with contextlib.suppress(ValueError, IndexError):
            deliveries = int(tokens[place])
        return Work(subject=message.subject, data=message.data, reply=message.reply, deliveries=deliveries)

    async def _ask(
        self,
        what: str,
        body: Mapping[str, Any] | None,
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 - an answer that does not come is an answer
    ) -> dict[str, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        try:
            reply = await self._request(f"{self._api}.{what}", data, timeout)
        except JetStreamError as error:
            if error.trouble is Trouble.NO_STREAM:
                text = "JetStream is not enabled on the NATS server"
                if self._api != "$JS.API":
                    text = f"nobody answers for JetStream in {self._api.removesuffix('.API')}"
                raise JetStreamError(text, Trouble.NOT_ENABLED) from None
            raise
        return _checked(reply)


def _checked(reply: Msg) -> dict[str, Any]:
    try:
        answer = json.loads(reply.data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise JetStreamError("an answer of JetStream that cannot be read", Trouble.OTHER)
    error = answer.get("error")
    if isinstance(error, dict):
        raise _error(error)
    return answer


def _error(error: Mapping[str, Any]) -> JetStreamError:
    code, text = error.get("err_code"), str(error.get("description", "an error"))
    sequence = 0
    if code in _WRONG_SEQUENCE:
        trouble = Trouble.WRONG_SEQUENCE
        found = re.search(r"(\d+)\s*$", text)
        sequence = int(found[1]) if found else 0
    elif code in _FULL:
        trouble = Trouble.FULL
    elif code in _NOT_FOUND:
        trouble = Trouble.NOT_FOUND
    elif code in _NO_STREAM:
        trouble = Trouble.NO_STREAM
    elif code in _NOT_ENABLED:
        trouble = Trouble.NOT_ENABLED
    else:
        trouble = Trouble.OTHER
    return JetStreamError(f"{text} ({code})", trouble, sequence=sequence)


def _seconds(text: object) -> float | None:
    """Read a time stamp of Go's; it may have nine digits of a second."""
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", str(text)).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None

"""Requests to a NATS server and their replies, over a supervised connection of its own: what JetStream is spoken over.

nats-py does the talking; its own request is not used, because it knows neither lost connections nor denied subjects
before a time-out. Nothing is sent again here, and nothing here knows what is asked for (`jetstream`).
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum, auto
from typing import Any, Final, Protocol

from nats import errors
from nats.aio.msg import Msg

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.nats_link import NatsLink, NatsOptions

_NO_RESPONDERS: Final = "503"
_DENIED: Final = re.compile(r"publish to (\S+)$")
_DENIED_TIMEOUT: Final = 1.0
"""Seconds that a request on a subject that was denied before may take: rights may have been given since."""

_FLUSH_TIMEOUT: Final = 24 * 3600
"""Seconds; the connection's own watch is the one that counts, and a PONG behind a time-out would stop nats-py."""

_log: Final = logging.getLogger(__name__)


class Trouble(Enum):
    """What is wrong, as far as it makes a difference."""

    AWAY = auto()
    """There is no connection, or it was lost before the answer: nobody knows whether the request was heard."""
    NO_ANSWER = auto()
    """There was no answer in time: nobody knows either."""
    DENIED = auto()
    """This user may not ask."""
    NOT_ENABLED = auto()
    """There is no JetStream, or not for this account, or not in this domain."""
    NO_STREAM = auto()
    """The stream or consumer does not exist."""
    FULL = auto()
    """A limit of the stream, the account or the server is reached."""
    WRONG_SEQUENCE = auto()
    """The subject has moved on."""
    NOT_FOUND = auto()
    """There is no such message."""
    OTHER = auto()


class JetStreamError(TransportError):
    """A request that came to nothing.

    Attributes:
        trouble: the kind of it.
        sequence: with `WRONG_SEQUENCE`, what the server has as the last one of the subject; else 0.
    """

    def __init__(self, text: str, trouble: Trouble, *, sequence: int = 0) -> None:
        super().__init__(text)
        self.trouble: Final = trouble
        self.sequence: Final = sequence


class LinkUser(Protocol):
    """Who is told of the connection."""

    def link_up(self, server: str) -> None:
        """Requests can be made."""

    def link_down(self, reason: str) -> None:
        """They cannot."""

    def link_error(self, text: str, fatal: bool) -> None:
        """The server said something."""


class _Waiting:
    """One request."""

    __slots__ = ("future", "subject")

    def __init__(self, subject: str, future: "asyncio.Future[Msg]") -> None:
        self.subject: Final = subject
        self.future: Final = future


class JetStreamLink:
    """One connection for requests; `run` keeps it up."""

    def __init__(self, options: NatsOptions, inbox: str, user: LinkUser) -> None:
        """Prepare it.

        Args:
            options: how to reach NATS.
            inbox: subject below which replies come; nobody but the server may be able to publish there.
            user: is told what the connection does.
        """
        self._link: Final = NatsLink(options, (), self)
        self._token: Final = secrets.token_hex(6)
        self._inbox: Final = f"{inbox}.{self._token}"
        self._user: Final = user
        self._waiting: Final[dict[str, _Waiting]] = {}
        self._denied: Final[dict[str, str]] = {}
        self._count = 0
        self._ready: Final = asyncio.Event()
        self._subscribed: Final[set[str]] = set()
        """Inboxes beside that of requests, of this connection."""
        self._subscribing: Final = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None
        self.on_down: Final[list[Callable[[JetStreamError], None]]] = []
        """Called with the reason when the connection is lost."""

    @property
    def is_ready(self) -> bool:
        """Requests can be made."""
        return self._ready.is_set()

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message that the server takes; 0 without a connection."""
        return self._link.max_payload

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        await self._link.run()

    async def wait_ready(self) -> None:
        """Wait until requests can be made."""
        await self._ready.wait()

    def new_inbox(self, name: str, below: str = "") -> str:
        """Return a subject for `listen`; `name` is a word, or several with dots, `below` empty for the link's own."""
        return f"{f'{below}.{self._token}' if below else self._inbox}.{name}.in"

    async def listen(self, inbox: str, take: Callable[[Msg], None]) -> None:
        """Give messages to `inbox`, whatever subject they say they have, to `take`; once for a connection.

        Raises:
            JetStreamError: there is no connection.
        """
        connection = self._link.connection
        if connection is None or not self.is_ready:
            raise JetStreamError("not connected to NATS", Trouble.AWAY)
        if inbox in self._subscribed:
            return
        async with self._subscribing:
            if inbox in self._subscribed:
                return
            try:
                await connection.client.subscribe(inbox, cb=_handing_to(take))
                await connection.client.flush(_FLUSH_TIMEOUT)
            except (errors.Error, OSError) as error:
                raise JetStreamError(f"subscribing failed: {error}", Trouble.AWAY) from error
            if connection is not self._link.connection:
                raise JetStreamError("the connection to NATS was lost meanwhile", Trouble.AWAY)
            self._subscribed.add(inbox)

    async def request(
        self,
        subject: str,
        data: bytes,
        timeout: float,  # noqa: ASYNC109 - an answer that does not come is an answer
        headers: Mapping[str, str] | None = None,
        *,
        inbox: str = "",
    ) -> Msg:
        """Ask, and return the reply.

        Args:
            subject: of the request.
            data: of it.
            timeout: seconds for the reply.
            headers: of the request.
            inbox: from `new_inbox`, where the reply is to come below; empty for the link's own.

        Raises:
            JetStreamError: there is none; `NO_STREAM` if nobody listens on the subject.
        """
        loop = asyncio.get_running_loop()
        if inbox:
            await self.listen(f"{inbox}.*", self._take_reply)
        self._count += 1
        token = f"{self._count:x}"
        waiting = _Waiting(subject, loop.create_future())
        self._waiting[token] = waiting
        denied = self._denied.get(subject.lower())
        timer = loop.call_later(timeout if denied is None else _DENIED_TIMEOUT, self._overdue, waiting, timeout)
        try:
            await self.publish(subject, data, reply=f"{inbox or self._inbox}.{token}", headers=headers)
            reply = await waiting.future
        finally:
            timer.cancel()
            self._waiting.pop(token, None)
        if reply.headers and reply.headers.get("Status") == _NO_RESPONDERS:
            raise JetStreamError(f"nobody answers on {subject}", Trouble.NO_STREAM)
        return reply

    async def publish(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message.

        Raises:
            JetStreamError: there is no connection, or it is longer than the server takes.
        """
        connection = self._link.connection
        if connection is None or not self.is_ready:
            raise JetStreamError("not connected to NATS", Trouble.AWAY)
        if len(data) > self.max_payload:
            text = f"a message of {len(data)} bytes is longer than the server's max_payload of {self.max_payload}"
            raise JetStreamError(text, Trouble.OTHER)
        try:
            await connection.request(subject, reply, headers or {}, data)
        except TransportError as error:
            raise JetStreamError(str(error), Trouble.AWAY) from error

    # What the connection does (`nats_link.NatsHandler`).

    def connected(self, _max_payload: int, server: str) -> None:
        """Connected; the inbox comes next."""
        self._denied.clear()
        self._subscribed.clear()
        self._starting = asyncio.get_running_loop().create_task(self._start(server))

    def disconnected(self, reason: str) -> None:
        """The connection is over: nobody will answer any more."""
        self._ready.clear()
        if self._starting is not None:
            self._starting.cancel()
        error = JetStreamError(f"the connection to NATS was lost: {reason}", Trouble.AWAY)
        for waiting in self._waiting.values():
            _fail(waiting, error)
        for told in self.on_down:
            told(error)
        self._user.link_down(reason)

    def message(self, subject: str, payload: bytes) -> None:
        """A reply without headers, as acknowledgements are: past nats-py, whose tasks would cost each 0.1 ms."""
        connection = self._link.connection
        if connection is not None:
            self._take_reply(Msg(connection.client, subject=subject, data=payload))

    def batch_done(self) -> None:
        """Nobody waits for a batch."""

    def error(self, text: str, fatal: bool) -> None:
        """The server said something: perhaps that a request was not taken."""
        if (denied := _DENIED.search(text)) is not None:
            subject = denied[1].lower()
            self._denied[subject] = text
            asked = [waiting for waiting in self._waiting.values() if waiting.subject.lower() == subject]
            for waiting in asked:
                _fail(waiting, JetStreamError(text, Trouble.DENIED))
            if asked:
                return
        self._user.link_error(text, fatal)

    # Inside.

    async def _start(self, server: str) -> None:
        connection = self._link.connection
        if connection is None:
            return
        client = connection.client
        try:
            await connection.subscribe_inbox(f"{self._inbox}.*", self._replied)
            await client.flush(_FLUSH_TIMEOUT)
        except (errors.Error, OSError) as error:
            _log.debug("the inbox could not be subscribed: %s", error)
            return
        self._ready.set()
        self._user.link_up(server)

    async def _replied(self, message: Msg) -> None:
        self._take_reply(message)

    def _take_reply(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is not None and not waiting.future.done():
            waiting.future.set_result(message)

    def _overdue(self, waiting: _Waiting, timeout: float) -> None:
        text = self._denied.get(waiting.subject.lower())
        if text is not None:
            _fail(waiting, JetStreamError(text, Trouble.DENIED))
        else:
            _fail(waiting, JetStreamError(f"no answer within {timeout:g} s", Trouble.NO_ANSWER))


def _fail(waiting: _Waiting, error: JetStreamError) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(error)


def _handing_to(take: Callable[[Msg], None]) -> Callable[[Msg], Coroutine[Any, Any, None]]:
    async def callback(message: Msg) -> None:
        take(message)

    return callback

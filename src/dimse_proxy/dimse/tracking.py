"""Which DIMSE messages pass over an association, from command PDVs and the ends of data sets alone.

For logs, counts and whoever watches: what is seen here decides nothing about what is relayed. So whatever a peer
sends, nothing raises; what cannot be understood is counted as unknown. Memory is bounded, whatever a peer sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.status import StatusClass, status_class
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd, PdvMark

UNKNOWN_SERVICE: Final = "unknown"
_CANCEL: Final = CommandField.C_CANCEL_RQ.service

COMMAND_LIMIT: Final = 1 << 20
"""Bytes of all commands that are not complete yet, of one association. The commands of PS3.7 take some hundred."""

OUTSTANDING_LIMIT: Final = 4096
"""Requests of one association that a response is awaited for. Asynchronous windows seen in the field end at some
tens; a peer that never answers must not fill memory with up to 65536 ids in each direction."""


@dataclass(slots=True, kw_only=True)
class RequestInProgress:
    """A request without a final response. Only its tracker changes it, with what passes, until there is one."""

    from_requestor: bool
    context_id: int
    service: str
    message_id: int
    sop_class_uid: str
    """Affected or requested; of the presentation context if the command has none."""
    begun: float
    """When its command had passed: of the clock of `now`."""
    since: float
    """When it had passed as a whole, or its command if its data set is still on the way."""
    is_whole: bool = False
    """It has passed as a whole, so the other end can answer."""
    data_set_length: int = 0
    """Bytes, once it has passed as a whole."""
    heard: float | None = None
    """When the last pending response passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSeen:
    """A message has passed as a whole, data set included."""

    from_requestor: bool
    """Sent by the association's requestor, not by its acceptor."""
    context_id: int
    abstract_syntax: str
    """Of the presentation context; empty if that is not known."""
    service: str
    """`C-STORE`, `N-ACTION`...; `C-CANCEL` is one of its own; `unknown` for a Command Field that PS3.7 has not."""
    command: CommandSet
    status_class: StatusClass | None
    """Of a response; None of a request."""
    data_set_length: int
    """Bytes, 0 without a data set."""
    duration: float | None
    """Seconds of a response since its request had passed as a whole (since the command of it, if its data set is still
    on the way); None of a request, and of a response to none."""
    request: RequestInProgress | None = None
    """What a response answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCount:
    """What passed of one DIMSE service. Commands that could not be read count as requests of the `unknown` service."""

    service: str
    requests_from_requestor: int
    requests_from_acceptor: int
    """Event reports, and the C-STORE sub-operations of a C-GET."""
    responses: Mapping[StatusClass, int]
    """By class; of classes that occurred."""
    data_set_bytes_from_requestor: int
    data_set_bytes_from_acceptor: int


@dataclass(slots=True, kw_only=True)
class _Count:
    requests: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    responses: dict[StatusClass, int] = field(default_factory=dict)
    data_set_bytes: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})


@dataclass(slots=True)
class _Command:
    """A complete command, and what is asked of it several times on its way: a property of it costs more each time."""

    command: CommandSet
    service: str
    status_class: StatusClass | None
    """Of a response; None of a request."""
    message_id: int | None
    """Of the request: its own one, or the one that is being responded to."""

    @classmethod
    def of(cls, command: CommandSet) -> "_Command":
        if command.is_response:
            return cls(command, service_of(command), _class_of(command), command.message_id_being_responded_to)
        return cls(command, service_of(command), None, command.message_id)


@dataclass(slots=True, kw_only=True)
class _Incoming:
    """What has passed of a message, of one presentation context in one direction."""

    fragments: bytearray = field(default_factory=bytearray)
    too_long: bool = False
    complete: _Command | None = None
    """The command, once it is complete and while its data set is awaited."""


class MessageTracker:
    """Follows the messages of one association, both directions, several outstanding in each."""

    def __init__(self, contexts: Mapping[int, str]) -> None:
        """Begin with nothing seen.

        Args:
            contexts: abstract syntax UID of each accepted presentation context.
        """
        self._contexts: Final = dict(contexts)
        self._incoming: Final[dict[tuple[bool, int], _Incoming]] = {}
        self._incomplete_bytes = 0
        self._outstanding: Final[dict[tuple[bool, int | None], RequestInProgress]] = {}
        self._counts: Final[dict[str, _Count]] = {}

    def observe(self, mark: PdvMark, *, from_requestor: bool, now: float) -> tuple[MessageSeen, ...]:
        """Take what a PDV completed and return the message that is complete by it, if any.

        Args:
            mark: from `PDataReceived.marks`, in order.
            from_requestor: sent by the association's requestor.
            now: seconds of any monotonic clock.
        """
        incoming = self._incoming.get((from_requestor, mark.context_id))
        if incoming is None:
            incoming = self._incoming[from_requestor, mark.context_id] = _Incoming()
        match mark:
            case CommandFragment():
                seen = self._command_fragment(incoming, mark, from_requestor, now)
            case DataSetEnd():
                seen = self._data_set_end(incoming, mark, from_requestor, now)
            case _:
                assert_never(mark)
        return () if seen is None else (seen,)

    def summary(self) -> tuple[ServiceCount, ...]:
        """Return what was counted up to now, in the order in which services occurred first."""
        return tuple(
            ServiceCount(
                service=service,
                requests_from_requestor=count.requests[True],
                requests_from_acceptor=count.requests[False],
                responses=dict(count.responses),
                data_set_bytes_from_requestor=count.data_set_bytes[True],
                data_set_bytes_from_acceptor=count.data_set_bytes[False],
            )
            for service, count in self._counts.items()
        )

    def data_set_awaited(self, context_id: int, *, from_requestor: bool) -> CommandSet | None:
        """Return the command whose data set has not come, or not as a whole; None where none is on its way."""
        incoming = self._incoming.get((from_requestor, context_id))
        return None if incoming is None or incoming.complete is None else incoming.complete.command

    def in_progress(self) -> tuple[RequestInProgress, ...]:
        """Return the requests that have no final response yet, in the order in which they came."""
        return tuple(self._outstanding.values())

    def _command_fragment(
        self, incoming: _Incoming, mark: CommandFragment, from_requestor: bool, now: float
    ) -> MessageSeen | None:
        incoming.complete = None  # If a data set was awaited, it did not come.
        data = mark.data
        if incoming.fragments or incoming.too_long or not mark.is_last:
            joined = self._join(incoming, mark)
            if joined is None:
                if mark.is_last:
                    self._count_unknown(from_requestor)
                return None
            data = joined
        try:
            command = _Command.of(CommandSet.decode(data))
        except RemoteProtocolError:
            self._count_unknown(from_requestor)
            return None
        self._command(mark.context_id, command, from_requestor, now)
        if command.command.has_data_set:
            incoming.complete = command
            return None
        return self._message(mark.context_id, command, 0, from_requestor, now)

    def _join(self, incoming: _Incoming, mark: CommandFragment) -> bytes | None:
        """Add a fragment to those before it; return the command with its last one, unless it was too long."""
        self._incomplete_bytes += len(mark.data)
        incoming.fragments += mark.data
        if self._incomplete_bytes > COMMAND_LIMIT:
            incoming.too_long = True
        if not (incoming.too_long or mark.is_last):
            return None
        self._incomplete_bytes -= len(incoming.fragments)
        data = bytes(incoming.fragments)
        incoming.fragments.clear()
        if incoming.too_long:
            incoming.too_long = not mark.is_last
            return None
        return data

    def _data_set_end(
        self, incoming: _Incoming, mark: DataSetEnd, from_requestor: bool, now: float
    ) -> MessageSeen | None:
        command = incoming.complete
        incoming.complete = None
        service = UNKNOWN_SERVICE if command is None else command.service
        self._count(service).data_set_bytes[from_requestor] += mark.length
        if command is None:
            return None
        return self._message(mark.context_id, command, mark.length, from_requestor, now)

    def _command(self, context_id: int, command: _Command, from_requestor: bool, now: float) -> None:
        """Count a message at its command, and begin to wait for a response."""
        count = self._count(command.service)
        kind = command.status_class
        if kind is not None:
            count.responses[kind] = count.responses.get(kind, 0) + 1
            return
        count.requests[from_requestor] += 1
        message_id = command.message_id
        if message_id is None or command.service == _CANCEL:
            return
        # A request that reuses the message ID of an outstanding one takes its place, at the end.
        self._outstanding.pop((from_requestor, message_id), None)
        if len(self._outstanding) >= OUTSTANDING_LIMIT:
            del self._outstanding[next(iter(self._outstanding))]
        self._outstanding[from_requestor, message_id] = RequestInProgress(
            from_requestor=from_requestor,
            context_id=context_id,
            service=command.service,
            message_id=message_id,
            sop_class_uid=command.command.sop_class_uid or self._contexts.get(context_id, ""),
            begun=now,
            since=now,
        )

    def _message(
        self, context_id: int, command: _Command, data_set_length: int, from_requestor: bool, now: float
    ) -> MessageSeen:
        """Tell of a complete message; end the wait for it, or restart the clock of that wait."""
        answered = duration = None
        is_response = command.status_class is not None
        key = (not from_requestor if is_response else from_requestor, command.message_id)
        request = self._outstanding.get(key)
        if request is None:
            pass
        elif is_response:
            answered = request
            duration = now - request.since
            if command.status_class is StatusClass.PENDING:
                request.heard = now
            else:
                del self._outstanding[key]
        else:
            # The peer can answer only now: how long the data set took is not its doing.
            request.since = now
            request.is_whole = True
            request.data_set_length = data_set_length
        return MessageSeen(
            from_requestor=from_requestor,
            context_id=context_id,
            abstract_syntax=self._contexts.get(context_id, ""),
            service=command.service,
            command=command.command,
            status_class=command.status_class,
            data_set_length=data_set_length,
            duration=duration,
            request=answered,
        )

    def _count(self, service: str) -> _Count:
        count = self._counts.get(service)
        if count is None:
            count = self._counts[service] = _Count()
        return count

    def _count_unknown(self, from_requestor: bool) -> None:
        self._count(UNKNOWN_SERVICE).requests[from_requestor] += 1


def service_of(command: CommandSet) -> str:
    """Return the DIMSE service that a command belongs to: `C-STORE`; `unknown` if PS3.7 has no such Command Field."""
    field = command.command_field
    return UNKNOWN_SERVICE if field is None else field.service


def _class_of(response: CommandSet) -> StatusClass:
    # Without a status, nothing says that the operation went well.
    status = response.status
    return StatusClass.FAILURE if status is None else status_class(status)

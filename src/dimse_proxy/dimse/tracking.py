"""Which DIMSE messages pass over an association, from command PDVs and the ends of data sets alone.

For logs, counts and whoever watches: what is seen here decides nothing about what is relayed. So whatever a peer
sends, nothing raises; what cannot be understood is counted as unknown. Memory is bounded, whatever a peer sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.status import StatusClass, status_class
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd, PdvMark

UNKNOWN_SERVICE: Final = "unknown"

COMMAND_LIMIT: Final = 1 << 20
"""Bytes of all commands that are not complete yet, of one association. The commands of PS3.7 take some hundred."""

OUTSTANDING_LIMIT: Final = 4096
"""Requests of one association that a response is awaited for. Asynchronous windows seen in the field end at some
tens; a peer that never answers must not fill memory with up to 65536 ids in each direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInProgress:
    """A request without a final response."""

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


@dataclass(slots=True, kw_only=True)
class _Incoming:
    """What has passed of a message, of one presentation context in one direction."""

    fragments: bytearray = field(default_factory=bytearray)
    too_long: bool = False
    complete: CommandSet | None = None
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
        incoming = self._incoming.setdefault((from_requestor, mark.context_id), _Incoming())
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
        return None if incoming is None else incoming.complete

    def in_progress(self) -> tuple[RequestInProgress, ...]:
        """Return the requests that have no final response yet, in the order in which they came."""
        return tuple(self._outstanding.values())

    def _command_fragment(
        self, incoming: _Incoming, mark: CommandFragment, from_requestor: bool, now: float
    ) -> MessageSeen | None:
        incoming.complete = None  # If a data set was awaited, it did not come.
        self._incomplete_bytes += len(mark.data)
        incoming.fragments += mark.data
        if self._incomplete_bytes > COMMAND_LIMIT:
            incoming.too_long = True
        if incoming.too_long or mark.is_last:
            self._incomplete_bytes -= len(incoming.fragments)
            data = bytes(incoming.fragments)
            incoming.fragments.clear()
        if not mark.is_last:
            return None
        if incoming.too_long:
            incoming.too_long = False
            self._count_unknown(from_requestor)
            return None
        try:
            command = CommandSet.decode(data)
        except RemoteProtocolError:
            self._count_unknown(from_requestor)
            return None
        self._command(mark.context_id, command, from_requestor, now)
        if command.has_data_set:
            incoming.complete = command
            return None
        return self._message(mark.context_id, command, 0, from_requestor, now)

    def _data_set_end(
        self, incoming: _Incoming, mark: DataSetEnd, from_requestor: bool, now: float
    ) -> MessageSeen | None:
        command = incoming.complete
        incoming.complete = None
        service = UNKNOWN_SERVICE if command is None else service_of(command)
        self._count(service).data_set_bytes[from_requestor] += mark.length
        if command is None:
            return None
        return self._message(mark.context_id, command, mark.length, from_requestor, now)

    def _command(self, context_id: int, command: CommandSet, from_requestor: bool, now: float) -> None:
        """Count a message at its command, and begin to wait for a response."""
        service = service_of(command)
        if command.is_response:
            responses = self._count(service).responses
            kind = _class_of(command)
            responses[kind] = responses.get(kind, 0) + 1
            return
        self._count(service).requests[from_requestor] += 1
        message_id = command.message_id
        if message_id is None or command.command_field is CommandField.C_CANCEL_RQ:
            return
        # A request that reuses the message ID of an outstanding one takes its place, at the end.
        self._outstanding.pop((from_requestor, message_id), None)
        if len(self._outstanding) >= OUTSTANDING_LIMIT:
            del self._outstanding[next(iter(self._outstanding))]
        self._outstanding[from_requestor, message_id] = RequestInProgress(
            from_requestor=from_requestor,
            context_id=context_id,
            service=service,
            message_id=message_id,
            sop_class_uid=command.sop_class_uid or self._contexts.get(context_id, ""),
            begun=now,
            since=now,
        )

    def _message(
        self, context_id: int, command: CommandSet, data_set_length: int, from_requestor: bool, now: float
    ) -> MessageSeen:
        """Tell of a complete message; end the wait for it, or restart the clock of that wait."""
        answered = duration = None
        if command.is_response:
            key = (not from_requestor, command.message_id_being_responded_to)
            answered = self._outstanding.get(key)
            if answered is not None:
                duration = now - answered.since
                if _class_of(command) is StatusClass.PENDING:
                    self._outstanding[key] = replace(answered, heard=now)
                else:
                    del self._outstanding[key]
        else:
            key = (from_requestor, command.message_id)
            request = self._outstanding.get(key)
            if request is not None:
                # The peer can answer only now: how long the data set took is not its doing.
                self._outstanding[key] = replace(request, since=now, is_whole=True, data_set_length=data_set_length)
        return MessageSeen(
            from_requestor=from_requestor,
            context_id=context_id,
            abstract_syntax=self._contexts.get(context_id, ""),
            service=service_of(command),
            command=command,
            data_set_length=data_set_length,
            duration=duration,
            request=answered,
        )

    def _count(self, service: str) -> _Count:
        return self._counts.setdefault(service, _Count())

    def _count_unknown(self, from_requestor: bool) -> None:
        self._count(UNKNOWN_SERVICE).requests[from_requestor] += 1


def service_of(command: CommandSet) -> str:
    """Return the DIMSE service that a command belongs to: `C-STORE`; `unknown` if PS3.7 has no such Command Field."""
    field = command.command_field
    return UNKNOWN_SERVICE if field is None else field.service


def _class_of(response: CommandSet) -> StatusClass:
    # Without a status, nothing says that the operation went well.
    return StatusClass.FAILURE if response.status is None else status_class(response.status)

"""P-DATA on its way through this proxy: counted, its messages told to the observer, and where rules ask for it changed.

Bytes come first: what they mean is found out, and told, once they have left this process (`take_note`).
Each direction is named by whether its bytes come from this side's end point. What is written where, and what an error
means for the association, is for the relay to say.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from dimse_proxy.dimse.contents import ContentReader, DataSetBegins, is_wanted
from dimse_proxy.dimse.tracking import MessageTracker, RequestInProgress, ServiceCount, service_of
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.proxy.aliases import command_rule
from dimse_proxy.proxy.commands import CommandStage, OperationRefused
from dimse_proxy.proxy.hooks import AssociationRecord, Observer, Side
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.upper_layer.events import CommandFragment, PdvMark
from dimse_proxy.upper_layer.items import AbortReason
from dimse_proxy.upper_layer.negotiation import AcceptedContext, maximum_length
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest

ANSWERS_UNHEARD: Final = 1024
"""Requests that are refused while their answers pile up, before it is an error: more than any asynchronous window, and
at most some hundred kilobytes."""
HEARD_BELOW: Final = 1 << 20
"""Bytes that wait for an end point at most, for it to count as one that reads its answers."""

Passed: TypeAlias = tuple[bytes | memoryview, Sequence[PdvMark], float, bool]
"""Bytes, what is in them, when they passed, and whether they came from this side's end point."""


class Ends(Protocol):
    """Where P-DATA goes; the relay."""

    def pass_on(self, data: bytes | memoryview, now: float, *, from_end_point: bool) -> None:
        """Sends bytes on in their direction."""

    def can_answer(self, *, to_end_point: bool) -> bool:
        """A message that this proxy makes itself can be sent there still."""

    def is_heard(self, *, to_end_point: bool) -> bool:
        """What was sent there before is being taken."""


class Passage:
    """All P-DATA of one association, from its A-ASSOCIATE-AC on."""

    def __init__(
        self,
        *,
        record: AssociationRecord,
        observer: Observer,
        ends: Ends,
        policy: Policy,
        asker: str | None,
        contexts: Mapping[int, AcceptedContext],
        request: AssociateRequest,
        accept: AssociateAccept,
        reads_contents: bool = False,
    ) -> None:
        """Begin after the A-ASSOCIATE-AC.

        Args:
            record: of the association; its numbers of bytes are kept here.
            observer: is told of each message, and of each that is refused.
            ends: where bytes go.
            policy: of this proxy.
            asker: the asker whose Move alias was called, if it was one.
            contexts: the accepted presentation contexts, by id.
            request: the A-ASSOCIATE-RQ.
            accept: the A-ASSOCIATE-AC.
            reads_contents: tell the observer whose data sets pass.
        """
        abstract_syntaxes = {number: context.abstract_syntax for number, context in contexts.items()}
        self._record: Final = record
        self._observer: Final = observer
        self._ends: Final = ends
        self._tracker: Final = MessageTracker(abstract_syntaxes)
        self._contents: Final = (
            ContentReader({number: context.transfer_syntax for number, context in contexts.items()})
            if reads_contents
            else None
        )
        self._operations: Final = {True: policy.operations_out, False: policy.operations_in}
        self._from_requestor: Final = record.side is Side.ACCEPTOR  # is what comes from this side's end point
        self._unnoted: list[Passed] = []
        self._answers_unheard = 0
        self._now = 0.0
        alias_rule = command_rule(policy.routes.aliases(record.channel), asker, abstract_syntaxes.values())
        commands = CommandStage(
            operations=self._operations,
            alias_rules={} if alias_rule is None else {self._from_requestor: alias_rule},
            maximum_lengths={
                self._from_requestor: maximum_length(accept.user_information),
                not self._from_requestor: maximum_length(request.user_information),
            },
            refused=self._refused,
        )
        self._commands: Final = commands if commands.is_needed else None

    def carry(self, data: bytes | memoryview, marks: Sequence[PdvMark], now: float, *, from_end_point: bool) -> None:
        """Send bytes of P-DATA-TF PDUs on, or what the rules make of them.

        Raises:
            RemoteProtocolError: the rules ask for a judgement that cannot be made: the association has to end.
        """
        if from_end_point is self._from_requestor:
            self._record.bytes_from_requestor += len(data)
        else:
            self._record.bytes_from_acceptor += len(data)
        if marks or self._contents is not None:
            self._unnoted.append((data, marks, now, from_end_point))
        commands = self._commands
        if commands is None:
            self._ends.pass_on(data, now, from_end_point=from_end_point)
            return
        self.take_note()  # of a request before its refusal
        self._now = now
        self._send(commands.feed(data, from_end_point=from_end_point), now, from_end_point=from_end_point)
        for direction in (from_end_point, not from_end_point):
            self._send(commands.answers(from_end_point=direction), now, from_end_point=direction)

    def take_note(self) -> None:
        """Tell the observer of what has passed since the last call; to be called when it has been sent."""
        while self._unnoted:
            passed, self._unnoted = self._unnoted, []
            for data, marks, now, from_end_point in passed:
                begins = self._track(marks, now, from_end_point=from_end_point)
                if self._contents is not None:
                    self._look_at(self._contents, data, begins, from_end_point=from_end_point)

    def flush(self, now: float, *, from_end_point: bool) -> None:
        """Send on what is held of a command that will not be completed: what comes now must not overtake it.

        Raises:
            RemoteProtocolError: as of `carry`.
        """
        if self._commands is not None:
            self._send(self._commands.flush(from_end_point=from_end_point), now, from_end_point=from_end_point)

    def summary(self) -> tuple[ServiceCount, ...]:
        """What passed, by DIMSE service; messages that this proxy answered included."""
        self.take_note()
        return self._tracker.summary()

    def unanswered(self) -> tuple[RequestInProgress, ...]:
        """Requests that no final response has passed for."""
        self.take_note()
        return self._tracker.in_progress()

    def _send(self, parts: Sequence[bytes | memoryview], now: float, *, from_end_point: bool) -> None:
        for part in parts:
            self._ends.pass_on(part, now, from_end_point=from_end_point)

    def _track(self, marks: Sequence[PdvMark], now: float, *, from_end_point: bool) -> list[DataSetBegins]:
        """Tell of messages; return where data sets begin that are to be looked at."""
        from_requestor = from_end_point is self._from_requestor
        begins = []
        for mark in marks:
            for message in self._tracker.observe(mark, from_requestor=from_requestor, now=now):
                self._observer.message_seen(self._record, message)
            if self._contents is not None and (begin := self._content(mark, from_end_point=from_end_point)) is not None:
                begins.append(begin)
        return begins

    def _content(self, mark: PdvMark, *, from_end_point: bool) -> DataSetBegins | None:
        """Return where a data set begins that is to be looked at; that of a request which may not pass is not."""
        if not (isinstance(mark, CommandFragment) and mark.is_last and mark.place is not None):
            return None
        from_requestor = from_end_point is self._from_requestor
        command = self._tracker.data_set_awaited(mark.context_id, from_requestor=from_requestor)
        if (
            command is None
            or not is_wanted(command)
            or not self._operations[from_end_point].allows(service_of(command))
        ):
            return None
        return DataSetBegins(context_id=mark.context_id, command=command, place=mark.place)

    def _look_at(
        self,
        contents: ContentReader,
        data: bytes | memoryview,
        begins: Sequence[DataSetBegins],
        *,
        from_end_point: bool,
    ) -> None:
        for seen in contents.feed(data, begins, from_requestor=from_end_point is self._from_requestor):
            self._observer.content_seen(self._record, seen)

    def _refused(self, refused: OperationRefused) -> bool:
        """Tell of a request that may not pass; return whether it can be answered.

        Raises:
            RemoteProtocolError: its sender does not read the answers, which must not fill memory.
        """
        service = service_of(refused.request)
        self._record.operations_refused[service] = self._record.operations_refused.get(service, 0) + 1
        self._observer.operation_refused(self._record, service, from_end_point=refused.from_end_point)
        to_end_point = refused.from_end_point
        if self._commands is None or not self._ends.can_answer(to_end_point=to_end_point):
            return False
        if self._ends.is_heard(to_end_point=to_end_point) and not self._commands.is_waiting(
            from_end_point=not to_end_point
        ):
            self._answers_unheard = 0
        self._answers_unheard += 1
        if self._answers_unheard > ANSWERS_UNHEARD:
            raise RemoteProtocolError(
                "requests that are refused keep coming, and their answers are not read",
                reason=AbortReason.NOT_SPECIFIED,
            )
        self._track((refused.answer,), self._now, from_end_point=not to_end_point)
        return True

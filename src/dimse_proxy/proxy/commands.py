"""The DIMSE commands of one association on their way through this proxy: which may pass, and which are changed.

A request that the configuration does not allow is swallowed, and answered with status 0124H between two whole messages
of the other direction. Nothing here sees a socket or a session. An association that no rule concerns has no stage.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.rewrite import SWALLOW, CommandRewriter, Verdict
from dimse_proxy.dimse.services import response_without_data_set
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.proxy.aliases import CommandRule
from dimse_proxy.proxy.policy import Operations
from dimse_proxy.upper_layer.codec import encode_p_data_tf
from dimse_proxy.upper_layer.events import CommandFragment
from dimse_proxy.upper_layer.items import AbortReason

NOT_AUTHORIZED: Final = 0x0124
"""Refused: not authorized (PS3.7 C.5.23)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRefused:
    """A request that may not pass."""

    from_end_point: bool
    """Sent by this side's end point; else it came through the tunnel."""
    request: CommandSet
    answer: CommandFragment
    """The response, which goes back where the request came from."""


RefusalListener: TypeAlias = Callable[[OperationRefused], bool]
"""Is told of each request that is refused; says whether an answer can still be sent. May raise RemoteProtocolError."""


class CommandStage:
    """Both directions of one association; each is named by whether its bytes come from this side's end point."""

    def __init__(
        self,
        *,
        operations: Mapping[bool, Operations],
        alias_rules: Mapping[bool, CommandRule],
        maximum_lengths: Mapping[bool, int],
        refused: RefusalListener,
    ) -> None:
        """Begin after the A-ASSOCIATE-AC.

        Args:
            operations: that may be asked for, by direction.
            alias_rules: how commands are changed, for the directions in which some are.
            maximum_lengths: of a P-DATA-TF in each direction, as its receiver announced; 0 for no limit.
            refused: is told of each request that is refused.
        """
        self._operations: Final = operations
        self._alias_rules: Final = alias_rules
        self._maximum_lengths: Final = maximum_lengths
        self._refused: Final = refused
        # Answers stand between whole messages: where requests are refused, both directions have to be walked.
        is_strict = any(not operations[direction].is_everything for direction in (True, False))
        self._streams: Final = {
            direction: CommandRewriter(self._rule(direction), maximum_lengths[direction], strict=is_strict)
            for direction in (True, False)
            if is_strict or direction in alias_rules
        }

    @property
    def is_needed(self) -> bool:
        """There is a rule for at least one direction."""
        return bool(self._streams)

    def feed(self, data: bytes | memoryview, *, from_end_point: bool) -> Sequence[bytes | memoryview]:
        """Take bytes of P-DATA-TF PDUs in and return what goes on in the same direction.

        Raises:
            RemoteProtocolError: operations are restricted, and a command cannot be read.
        """
        stream = self._streams.get(from_end_point)
        return (data,) if stream is None else stream.feed(data)

    def answers(self, *, from_end_point: bool) -> Sequence[bytes | memoryview]:
        """Return what can be sent now, in one direction, of the answers that this proxy gives by itself."""
        stream = self._streams.get(from_end_point)
        return stream.feed(b"") if stream is not None and stream.is_waiting else ()

    def flush(self, *, from_end_point: bool) -> Sequence[bytes | memoryview]:
        """Return what is held in one direction, before something that is no P-DATA-TF.

        Raises:
            RemoteProtocolError: operations are restricted, and a command was not completed.
        """
        stream = self._streams.get(from_end_point)
        return () if stream is None else stream.flush()

    def is_waiting(self, *, from_end_point: bool) -> bool:
        """Answers wait for the end of a message that is on its way in this direction."""
        stream = self._streams.get(from_end_point)
        return stream is not None and stream.is_waiting

    def _rule(self, from_end_point: bool) -> Callable[[int, CommandSet], CommandSet | Literal[Verdict.SWALLOW] | None]:
        operations = self._operations[from_end_point]
        alias_rule = self._alias_rules.get(from_end_point)

        def rule(context_id: int, command: CommandSet) -> CommandSet | Literal[Verdict.SWALLOW] | None:
            if not operations.is_everything and not _is_allowed(command, operations):
                self._refuse(context_id, command, from_end_point)
                return SWALLOW
            return None if alias_rule is None else alias_rule(context_id, command)

        return rule

    def _refuse(self, context_id: int, command: CommandSet, from_end_point: bool) -> None:
        back = not from_end_point
        answer = CommandFragment(
            context_id=context_id, data=response_without_data_set(command, NOT_AUTHORIZED).encode(), is_last=True
        )
        if self._refused(OperationRefused(from_end_point=from_end_point, request=command, answer=answer)):
            self._streams[back].insert(
                encode_p_data_tf(
                    context_id=context_id,
                    data=answer.data,
                    is_command=True,
                    maximum_length=self._maximum_lengths[back],
                )
            )


def _is_allowed(command: CommandSet, operations: Operations) -> bool:
    """Whether a command may pass. Responses and C-CANCEL-RQs may: they belong to requests that were judged.

    Raises:
        RemoteProtocolError: nobody can say, or nothing could be answered.
    """
    if command.is_response:
        return True
    field = command.command_field
    if not command.is_request:
        raise _unreadable("without a Command Field")
    if field is None:
        if operations.allows_unknown:
            return True
        raise _unreadable("with an unknown Command Field")
    if field is CommandField.C_CANCEL_RQ or operations.allows(field.service):
        return True
    if command.message_id is None:
        raise _unreadable("without a Message ID")
    return False


def _unreadable(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"a command {what}", reason=AbortReason.INVALID_PARAMETER_VALUE)

"""Storage commitment requests (PS3.4 Annex J) on their way to a target for which objects are still queued.

A core: it lets one relayed association's bytes through in both directions, holds what comes from an N-ACTION-RQ of the
Storage Commitment Push Model on, and when told to, lets it go, or answers it with a failure. What does not belong here:
how long to hold it, and what is in the queue (`Depth` only counts what it is shown).
"""

from collections import deque
from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from dimse_proxy.dimse.command_set import CommandField, CommandSet, Tag
from dimse_proxy.dimse.rewrite import SWALLOW, CommandRewriter, Verdict
from dimse_proxy.dimse.services import response_without_data_set
from dimse_proxy.dimse.tracking import COMMAND_LIMIT
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.queueing.subjects import AssociationKey, Place
from dimse_proxy.upper_layer.codec import encode_p_data_tf
from dimse_proxy.upper_layer.events import CommandFragment, PDataReceived, PdvMark
from dimse_proxy.upper_layer.negotiation import maximum_length
from dimse_proxy.upper_layer.pdu import AssociateRequest
from dimse_proxy.upper_layer.reader import PduReader

STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class (PS3.4 J.3)."""
PROCESSING_FAILURE: Final = 0x0110
"""Processing failure (PS3.7 C.5.22); it may have an Error Comment."""
HELD_LIMIT: Final = 1 << 20
"""Bytes that are held before the SCU's reading stops: the longest request names some thousand objects."""
_LONGEST_COMMENT: Final = 64
"""Characters of an Error Comment, VR LO (PS3.7 C.4.2, PS3.5 6.2)."""

Bytes: TypeAlias = bytes | memoryview


def asks_for_commitment(request: AssociateRequest) -> bool:
    """Whether an association proposes storage commitment."""
    return bool(_contexts(request))


def _contexts(request: AssociateRequest) -> frozenset[int]:
    return frozenset(
        context.context_id for context in request.presentation_contexts if context.abstract_syntax == STORAGE_COMMITMENT
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    data: Bytes
    is_p_data: bool
    asks: bool
    """An N-ACTION-RQ is complete with it."""


def _is_request(command: CommandSet) -> bool:
    return command.command_field is CommandField.N_ACTION_RQ and command.message_id is not None


class CommitmentGate:
    """Both directions of one association that proposes storage commitment."""

    def __init__(self, request: AssociateRequest) -> None:
        """Let everything pass, from the A-ASSOCIATE-RQ on.

        Args:
            request: the requestor's, as this side's filter has left it.
        """
        self._contexts: Final = _contexts(request)
        self._command: Final = bytearray()
        self._from_requestor: Final = PduReader(accepted_contexts=None)
        self._from_acceptor: Final = PduReader(accepted_contexts=None)
        self._to_requestor_length: Final = maximum_length(request.user_information)
        self._requests: Final = CommandRewriter(self._judge, 0)
        self._answers: Final = CommandRewriter(lambda _context, _command: None, self._to_requestor_length)
        self._pieces: Final[deque[_Piece]] = deque()
        self._refusal: str | None = None
        self.is_holding = False
        """A request waits for `let_go` or `refuse`."""
        self.held = 0
        """Bytes that wait."""

    def from_requestor(self, data: Bytes) -> list[Bytes]:
        """Take bytes of the association's requestor, and return what goes on to the target."""
        for piece in self._from_requestor.feed(data):
            if isinstance(piece, PDataReceived):
                self._add(_Piece(data=piece.data, is_p_data=True, asks=self._asks(piece.marks)))
            else:
                self._add(_Piece(data=piece.raw, is_p_data=False, asks=False))
        return [] if self.is_holding else self._advance()

    def from_acceptor(self, data: Bytes) -> list[Bytes]:
        """Take bytes of the target, and return what goes on to the requestor."""
        out: list[Bytes] = []
        for piece in self._from_acceptor.feed(data):
            if isinstance(piece, PDataReceived):
                out += self._answers.feed(piece.data)
                continue
            out += self._answers.flush()
            out.append(piece.raw)
        return out

    def let_go(self) -> list[Bytes]:
        """Return what goes on to the target, now that it has all that was queued."""
        return self._go_on(None)

    def refuse(self, comment: str) -> tuple[list[Bytes], list[Bytes]]:
        """Answer the request that waits with a failure.

        Args:
            comment: why, in ASCII; what is too long for an Error Comment is cut off.

        Returns:
            What goes on to the target, of what stood behind it; and what goes back to the requestor.
        """
        onward = self._go_on(comment)
        return onward, self._answers.feed(b"")

    def _go_on(self, refusal: str | None) -> list[Bytes]:
        self.is_holding = False
        self._refusal = refusal
        piece = self._take()
        out: list[Bytes] = [*self._requests.feed(piece.data)]
        self._refusal = None
        return [*out, *self._advance()]

    def _asks(self, marks: Iterable[PdvMark]) -> bool:
        """Whether a request for commitment is complete now."""
        found = False
        for mark in marks:
            if not isinstance(mark, CommandFragment) or mark.context_id not in self._contexts:
                continue
            self._command.extend(mark.data[: COMMAND_LIMIT - len(self._command)])
            if mark.is_last:
                with suppress(RemoteProtocolError):  # The target may judge it.
                    found |= _is_request(CommandSet.decode(bytes(self._command)))
                self._command.clear()
        return found

    def _add(self, piece: _Piece) -> None:
        self._pieces.append(piece)
        self.held += len(piece.data)

    def _take(self) -> _Piece:
        piece = self._pieces.popleft()
        self.held -= len(piece.data)
        return piece

    def _advance(self) -> list[Bytes]:
        """Pass on what needs not wait."""
        out: list[Bytes] = []
        while self._pieces:
            if self._pieces[0].asks:
                self.is_holding = True
                break
            piece = self._take()
            if piece.is_p_data:
                out += self._requests.feed(piece.data)
                continue
            # Behind anything but P-DATA, a stage begins anew: the A-ASSOCIATE-RQ comes first, and nothing behind the
            # A-RELEASE-RQ or -RP.
            out += self._requests.flush()
            out.append(piece.data)
        return out

    def _judge(self, context_id: int, command: CommandSet) -> Literal[Verdict.SWALLOW] | None:
        if self._refusal is None or context_id not in self._contexts or not _is_request(command):
            return None
        comment = self._refusal[:_LONGEST_COMMENT].encode("ascii", "replace")
        response = response_without_data_set(command, PROCESSING_FAILURE)
        self._answers.insert(
            encode_p_data_tf(
                context_id=context_id,
                data=response.replace({Tag.ERROR_COMMENT: comment + b" " * (len(comment) % 2)}).encode(),
                is_command=True,
                maximum_length=self._to_requestor_length,
            )
        )
        return SWALLOW


class Depth:
    """What was queued at one time: told object by object, and asked later about each that is still there.

    Numbers of objects rise within an association and are never used twice, so the highest of each says it all.
    """

    def __init__(self) -> None:
        self._last: Final[dict[AssociationKey, int]] = {}

    def note(self, record: Place) -> None:
        """This one is in the queue when the question comes."""
        self._last[record.key] = max(record.number, self._last.get(record.key, 0))

    def is_waiting(self, record: Place, given_up: Set[tuple[AssociationKey, int]]) -> bool:
        """Whether an object that is in the queue now was there then, and is still to be delivered."""
        return record.number <= self._last.get(record.key, 0) and (record.key, record.number) not in given_up

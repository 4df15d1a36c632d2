"""What data sets say of themselves: whose instance is stored, and what is asked for. Only where somebody wants it.

It stands beside the relay, which has passed the bytes on already, and looks at a data set from the mark that its
command left until it has what it wants; of all other bytes it sees none. Nothing raises, whatever a peer sends, and
memory is bounded. What is done with it is not known here; it identifies patients, so nothing of it belongs in a log.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, TypeAlias, assert_never

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.data_set_head import HeadReader, StudyHead
from dimse_proxy.upper_layer.events import Place
from dimse_proxy.upper_layer.pdu import PduType

IDENTIFIER_LIMIT: Final = 22 * 1024
"""Bytes of an identifier that are kept: in base64 it fits the 32 KiB of an audit message (PS3.15 A.6)."""
OPEN_LIMIT: Final = 4
"""Data sets of one association that are looked at at the same time: with one message after the other it is one."""

STORES: Final = frozenset({CommandField.C_STORE_RQ})
QUERIES: Final = frozenset({CommandField.C_FIND_RQ, CommandField.C_MOVE_RQ, CommandField.C_GET_RQ})

_PDU_HEADER: Final = Struct(">BxI")
_PDV_HEADER: Final = Struct(">IBB")
_HEADER_LENGTH: Final = 6
"""Of a PDU and of a PDV as well (PS3.8 9.3.5)."""
_COMMAND: Final = 0x01
_LAST_FRAGMENT: Final = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """The data set of a query. Identifies a patient: not for a log."""

    data: bytes = field(repr=False)
    """As it came, in the transfer syntax of its context."""
    length: int
    """Bytes of all of it; `data` is the beginning where it was longer than `IDENTIFIER_LIMIT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """The head of a data set that could not be read."""


Content: TypeAlias = StudyHead | Identifier | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentSeen:
    """A request, and what its data set says."""

    from_requestor: bool
    """Sent by the association's requestor, not by its acceptor."""
    command: CommandSet
    """A C-STORE-RQ with a `StudyHead` or `Unread`, a C-FIND-RQ, C-MOVE-RQ or C-GET-RQ with an `Identifier`."""
    transfer_syntax: str
    """UID, of the presentation context."""
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetBegins:
    """A command whose data set is wanted has passed, within the chunk that is looked at next."""

    context_id: int
    command: CommandSet
    place: Place


def is_wanted(command: CommandSet) -> bool:
    """Whether the data set of a command says something that is wanted."""
    return command.has_data_set and command.command_field in STORES | QUERIES


class ContentReader:
    """Both directions of one association."""

    def __init__(self, transfer_syntaxes: Mapping[int, str]) -> None:
        """Begin with nothing wanted.

        Args:
            transfer_syntaxes: UID of each accepted presentation context's.
        """
        self._transfer_syntaxes: Final = transfer_syntaxes
        self._open: Final[dict[bool, list[_Reading]]] = {True: [], False: []}

    def feed(
        self, data: bytes | memoryview, begins: Sequence[DataSetBegins], *, from_requestor: bool
    ) -> Sequence[ContentSeen]:
        """Look at a chunk of P-DATA; return what it completed.

        Args:
            data: of a `PDataReceived`.
            begins: the commands in it whose data sets are wanted, in order.
            from_requestor: sent by the association's requestor.
        """
        readings = self._open[from_requestor]
        if not begins and not readings:
            return ()
        for reading in readings:
            reading.feed(data, 0)
        for begin in begins:
            # Only one data set at a time is under way on a context: if there was one, it has broken off.
            for reading in readings:
                reading.break_off(begin.context_id)
            reading = _Reading(begin, self._transfer_syntaxes.get(begin.context_id, ""), from_requestor)
            reading.feed(data, begin.place.end)
            readings.append(reading)
        for reading in readings[:-OPEN_LIMIT]:
            reading.break_off(reading.context_id)
        seen = [reading.seen for reading in readings if reading.seen is not None]
        readings[:] = [reading for reading in readings if reading.seen is None]
        return seen


class _Reading:
    """One data set that is looked at."""

    __slots__ = ("_begin", "_fragments", "_from_requestor", "_target", "_transfer_syntax", "context_id", "seen")

    def __init__(self, begin: DataSetBegins, transfer_syntax: str, from_requestor: bool) -> None:
        self._begin: Final = begin
        self._transfer_syntax: Final = transfer_syntax
        self._from_requestor: Final = from_requestor
        self._fragments: Final = FragmentWalk(begin.context_id, begin.place.pdu_left)
        self._target: Final[HeadReader | _Collected] = (
            HeadReader(transfer_syntax) if begin.command.command_field in STORES else _Collected()
        )
        self.context_id: Final = begin.context_id
        self.seen: ContentSeen | None = None

    def feed(self, data: bytes | memoryview, position: int) -> None:
        """Take a chunk from `position` on, until there is enough."""
        for fragment in self._fragments.walk(data, position):
            self._target.feed(fragment)
            if self._target.is_done:
                break
        if self._fragments.is_over or self._target.is_done:
            self._finish()

    def break_off(self, context_id: int) -> None:
        """Nothing more comes on a context."""
        if self.seen is None and context_id == self.context_id:
            self._finish()

    def _finish(self) -> None:
        self._target.finish()
        content: Content
        match self._target:
            case HeadReader(head=head):
                content = Unread() if head is None else head
            case _Collected(data=data, length=length):
                content = Identifier(data=bytes(data), length=length)
            case unreachable:
                assert_never(unreachable)
        self.seen = ContentSeen(
            from_requestor=self._from_requestor,
            command=self._begin.command,
            transfer_syntax=self._transfer_syntax,
            content=content,
        )


class _Collected:
    """The beginning of a data set, as it is."""

    __slots__ = ("data", "is_done", "length")

    def __init__(self) -> None:
        self.data: Final = bytearray()
        self.length = 0
        self.is_done = False

    def feed(self, fragment: bytes | memoryview) -> None:
        self.length += len(fragment)
        self.data.extend(fragment[: IDENTIFIER_LIMIT - len(self.data)])

    def finish(self) -> None:
        self.is_done = True


class FragmentWalk:
    """Takes the fragments of one data set out of chunks of P-DATA-TF PDUs, from the end of its command on."""

    __slots__ = ("_context_id", "_header", "_is_last", "_is_ours", "_pdu_left", "_pdv_left", "is_over")

    def __init__(self, context_id: int, pdu_left: int) -> None:
        """Begin behind the last PDV of a command.

        Args:
            context_id: of the data set.
            pdu_left: bytes that are left of the command's PDU.
        """
        self._context_id: Final = context_id
        self._pdu_left = pdu_left
        self._pdv_left = 0
        self._header: Final = bytearray()
        self._is_ours = self._is_last = False
        self.is_over = False
        """The last fragment was seen, or the stream is not what it should be."""

    def walk(self, data: bytes | memoryview, position: int) -> Iterator[memoryview]:
        """Yield what `data`, from `position` on, holds of the data set; nothing once that is over."""
        view = memoryview(data)
        while position < len(view) and not self.is_over:
            if self._pdv_left:
                piece = view[position : position + self._pdv_left]
                position += len(piece)
                self._pdv_left -= len(piece)
                self._pdu_left -= len(piece)
                if self._is_ours:
                    if not self._pdv_left:
                        self.is_over = self._is_last
                    yield piece
                continue
            piece = view[position : position + _HEADER_LENGTH - len(self._header)]
            position += len(piece)
            self._header.extend(piece)
            if len(self._header) == _HEADER_LENGTH:
                self._take_header()
                self._header.clear()

    def _take_header(self) -> None:
        if not self._pdu_left:
            pdu_type, self._pdu_left = _PDU_HEADER.unpack(self._header)
            self.is_over = pdu_type != PduType.P_DATA_TF
            return
        length, context_id, control = _PDV_HEADER.unpack(self._header)
        self._pdu_left -= _HEADER_LENGTH
        self._pdv_left = length - 2
        self._is_ours = context_id == self._context_id
        self._is_last = bool(control & _LAST_FRAGMENT)
        is_command = self._is_ours and bool(control & _COMMAND)
        if is_command or length < 2 or self._pdv_left > self._pdu_left:
            self.is_over = True
        elif self._is_ours and not self._pdv_left:
            self.is_over = self._is_last

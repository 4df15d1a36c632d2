"""A stage in one direction of an association that changes some commands on the way, and lets others not pass.

It is fed bytes of P-DATA-TF PDUs, cut anywhere, that the upper layer has validated, and hands out a valid stream of
such PDUs. Every byte that no verdict touches leaves as it came, in the PDU it came in. It must not look at data sets.

A message that is *swallowed* vanishes, data set included, which is dropped as it comes. What this process has to say
in this direction by itself is *inserted* between two whole messages.

A command has to be complete before it can be decided on, and the length at the head of a PDU cannot be changed once it
was sent. So a PDU is *held* from its header until the header of its last PDV was seen and its commands are decided on.
For the PDUs of a data set, of one PDV each, that means: until the first twelve bytes have come. The data set of a
message is never held, unless it shares a PDU with another PDV that follows it.

A command that cannot be read passes as it came, unless the stage is *strict*: where passing is a matter of permission,
what cannot be judged must not reach an end point that may read it more leniently.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Literal, TypeAlias

from dimse_proxy.dimse.command_set import CommandSet, Tag, encode_ae
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.codec import encode_p_data_tf
from dimse_proxy.upper_layer.items import AbortReason
from dimse_proxy.upper_layer.pdu import PduType


class Verdict(Enum):
    """What may become of a command besides passing and being replaced."""

    SWALLOW = auto()
    """Neither the command nor its data set goes out."""


SWALLOW: Final = Verdict.SWALLOW

Rewrite: TypeAlias = Callable[[int, CommandSet], CommandSet | Literal[Verdict.SWALLOW] | None]
"""Takes a presentation context ID and a command; returns the command to send instead, None for the same one, or
`SWALLOW`."""

HELD_LIMIT: Final = 1 << 20
"""Bytes. The commands of PS3.7 take some hundred: what needs more is not one, and is passed on as it came."""

_HEADER_LENGTH: Final = 6  # of a PDU (PS3.8 9.3.5) and of a PDV with its message control header (9.3.5.1, E.2)
_PDU_HEADER: Final = struct.Struct(">BxI")
_PDV_HEADER: Final = struct.Struct(">IBB")
_BOTH_HEADERS: Final = struct.Struct(">BxIIxB")
_IS_COMMAND: Final = 0x01
_IS_LAST: Final = 0x02
_OBJECT_COST: Final = 256  # bytes of memory that holding a PDU or a PDV takes besides its own, roughly


def move_destination(command: CommandSet, to: str) -> CommandSet:
    """Return a C-MOVE-RQ with another Move Destination (PS3.7 9.3.4.1).

    Raises:
        ValueError: `to` is not a valid AE title.
    """
    return command.replace({Tag.MOVE_DESTINATION: encode_ae(to)})


def move_originator(command: CommandSet, to: str) -> CommandSet:
    """Return a C-STORE-RQ with another Move Originator Application Entity Title (PS3.7 9.3.1.1).

    Raises:
        ValueError: `to` is not a valid AE title.
    """
    return command.replace({Tag.MOVE_ORIGINATOR_AE_TITLE: encode_ae(to)})


@dataclass(slots=True, kw_only=True, eq=False)
class _HeldPdv:
    """A PDV that waits, and what becomes of it."""

    header: bytes
    length: int
    """Bytes of the fragment, received or not."""
    is_last: bool
    missing: int
    """Bytes of the fragment that have not come yet."""
    fragment: bytearray = field(default_factory=bytearray)
    """What came, unless it goes nowhere."""
    replacement: list[bytes] | None = None
    """The PDUs that go out instead of it, possibly none at all; None if it goes out as it came."""
    is_swallowed: bool = False
    """Part of a data set that goes nowhere."""


@dataclass(slots=True, kw_only=True, eq=False)
class _HeldPdu:
    """A PDU that waits."""

    header: bytes
    unseen: int
    """Bytes behind the PDVs whose headers were seen."""
    pdvs: list[_HeldPdv] = field(default_factory=list)
    size: int = _HEADER_LENGTH + _OBJECT_COST
    """Bytes of memory."""


class CommandRewriter:
    """Holds back commands until they are complete, asks `rewrite`, and sends what it says."""

    def __init__(
        self, rewrite: Rewrite, maximum_length: int, *, strict: bool = False, held_limit: int = HELD_LIMIT
    ) -> None:
        """Begin at a PDU boundary.

        Args:
            rewrite: asked once for each command that can be decoded, in order.
            maximum_length: of a P-DATA-TF, in bytes, that the receiver announced; 0 for no limit.
            strict: what cannot be read is an error rather than passed on.
            held_limit: bytes of memory that what is held may take.
        """
        self._rewrite: Final = rewrite
        self._maximum_length: Final = maximum_length
        self._is_strict: Final = strict
        self._held_limit: Final = held_limit
        self._passing = 0  # bytes of the current PDU that go out as they come, before anything that is held
        self._dropping = 0  # bytes of the current PDU that go nowhere, before anything that is held
        self._header = bytearray()  # the part that came of the next header
        self._held: deque[_HeldPdu] = deque()
        self._held_size = 0
        self._command: list[_HeldPdv] = []  # the fragments of a command that cannot be decided on yet
        self._command_begins_in: _HeldPdu | None = None
        self._unfinished: int | None = None  # context of a command whose last fragment did not begin yet
        self._skipping = False  # that command was too long, and goes out as it comes
        self._transparent = False  # what came is not what this class is for
        self._swallowed: set[int] = set()  # contexts with a data set on the way that goes nowhere
        self._data_set_awaited = False  # that of the last command that passed, or the rest of it
        self._inserted: list[bytes] = []  # waits for the end of the message that is on its way out

    def feed(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """Take bytes in and return what can go out, in order.

        Parts of `data` are returned as views of it, not copied. What is held is a copy.

        Raises:
            RemoteProtocolError: of a strict stage: a command that cannot be read. Nothing more may be fed then.
        """
        view = memoryview(data)
        out: list[bytes | memoryview] = []
        position = 0
        while position < len(view):
            if self._inserted:
                self._place(out)
            if self._dropping:
                step = min(self._dropping, len(view) - position)
                self._dropping -= step
                position += step
                continue
            stop = self._walk(view, position)
            if stop > position:
                out.append(view[position:stop])
                position = stop
            else:
                position = self._hold(view, position)
                self._release(out)
        if self._inserted:
            self._place(out)
        return out

    def insert(self, pdus: list[bytes]) -> None:
        """Send a message of our own in this direction, as soon as no other is on its way; `feed` hands it out.

        Args:
            pdus: whole P-DATA-TF PDUs that make up one whole message.
        """
        self._inserted += pdus

    @property
    def is_waiting(self) -> bool:
        """Something that was inserted has not gone out yet."""
        return bool(self._inserted)

    def flush(self) -> list[bytes | memoryview]:
        """Return what is held, as it came, before something that is no P-DATA-TF or at the end of the stream.

        Something is held there only of a command that was never completed, or of a PDU that was cut off. After that,
        whatever still follows is passed on as it comes. What was inserted goes out too, if the end of a message that
        it waits for has not come: there will be none.

        Raises:
            RemoteProtocolError: of a strict stage: something is held.
        """
        if self._held or self._header:
            self._become_transparent(bytes(self._header), "was cut off")
            self._header.clear()
        out: list[bytes | memoryview] = []
        self._release(out)
        self._data_set_awaited = False
        self._place(out)
        return out

    def _place(self, out: list[bytes | memoryview]) -> None:
        """Put what was inserted here, if this is between two whole messages of what goes out."""
        is_within_message = self._data_set_awaited or self._unfinished is not None
        if not (self._passing or self._held or is_within_message):
            out += self._inserted
            self._inserted.clear()

    def _walk(self, view: memoryview, position: int) -> int:
        """Return where the bytes end that can go out at once: whole PDUs of one data set PDV, and parts of such."""
        end = len(view)
        if self._transparent:
            return end
        while True:
            step = min(self._passing, end - position)
            position += step
            self._passing -= step
            if self._held or self._header or end - position < _BOTH_HEADERS.size:
                return position
            if self._swallowed or self._inserted:
                return position
            pdu_type, pdu_length, pdv_length, control = _BOTH_HEADERS.unpack_from(view, position)
            if pdu_type != PduType.P_DATA_TF or pdu_length != pdv_length + 4 or control & _IS_COMMAND:
                return position
            if self._unfinished is not None:
                return position
            self._data_set_awaited = not control & _IS_LAST
            self._passing = _HEADER_LENGTH + pdu_length

    def _hold(self, view: memoryview, position: int) -> int:
        """Hold the next header or fragment, or as much of it as is there; return where it ends."""
        pdu = self._held[-1] if self._held else None
        if pdu is not None and pdu.pdvs and (missing := pdu.pdvs[-1].missing):
            piece = view[position : position + missing]
            pdv = pdu.pdvs[-1]
            pdv.missing -= len(piece)
            if not pdv.is_swallowed:
                pdv.fragment += piece
                self._grow(pdu, len(piece))
                self._fragment_received(pdv)
            return position + len(piece)
        piece = view[position : position + _HEADER_LENGTH - len(self._header)]
        self._header += piece
        if len(self._header) == _HEADER_LENGTH:
            header = bytes(self._header)
            self._header.clear()
            if pdu is not None and pdu.unseen:
                self._begin_pdv(pdu, header)
            else:
                self._begin_pdu(header)
        return position + len(piece)

    def _begin_pdu(self, header: bytes) -> None:
        pdu_type, length = _PDU_HEADER.unpack(header)
        if pdu_type != PduType.P_DATA_TF:
            self._become_transparent(header, "is no P-DATA-TF PDU")
            return
        self._append(header, length)

    def _append(self, header: bytes, unseen: int) -> None:
        pdu = _HeldPdu(header=header, unseen=unseen)
        self._held.append(pdu)
        self._held_size += pdu.size

    def _begin_pdv(self, pdu: _HeldPdu, header: bytes) -> None:
        length, context_id, control = _PDV_HEADER.unpack(header)
        if not 2 <= length <= pdu.unseen - 4:
            self._become_transparent(header, "has a wrong length")
            return
        pdu.unseen -= 4 + length
        is_last = bool(control & _IS_LAST)
        pdv = _HeldPdv(header=header, length=length - 2, is_last=is_last, missing=length - 2)
        pdu.pdvs.append(pdv)
        is_command = bool(control & _IS_COMMAND)
        if not is_command or context_id != self._unfinished:
            if self._unfinished is not None:
                self._unreadable("is interrupted by another message")
            # Fragments that do not follow each other (PS3.7 6.3.1) are not put together: they leave as they came.
            self._command.clear()
            self._skipping = False
        self._unfinished = context_id if is_command and not is_last else None
        if not is_command:
            self._begin_data_set_pdv(pdv, context_id)
        elif not self._skipping:
            if not self._command:
                self._command_begins_in = pdu
            self._command.append(pdv)
        self._grow(pdu, _HEADER_LENGTH + _OBJECT_COST)
        self._fragment_received(pdv)

    def _begin_data_set_pdv(self, pdv: _HeldPdv, context_id: int) -> None:
        if context_id not in self._swallowed:
            self._data_set_awaited = not pdv.is_last
            return
        pdv.is_swallowed = True
        pdv.replacement = []
        if pdv.is_last:
            self._swallowed.discard(context_id)

    def _fragment_received(self, pdv: _HeldPdv) -> None:
        """If this makes the command complete, decide on it."""
        if pdv.missing or not pdv.is_last or not self._command or self._command[-1] is not pdv:
            return
        fragments = list(self._command)
        self._command.clear()
        context_id = pdv.header[4]
        self._swallowed.discard(context_id)  # The data set that it stands for did not come.
        try:
            command = CommandSet.decode(b"".join(part.fragment for part in fragments))
        except RemoteProtocolError:
            if self._is_strict:
                raise
            return  # The end point that it is for may judge it.
        verdict = self._rewrite(context_id, command)
        if verdict is SWALLOW and command.has_data_set:
            self._swallowed.add(context_id)
        self._data_set_awaited = command.has_data_set and verdict is not SWALLOW
        if verdict is None:
            return
        for part in fragments:
            part.replacement = []
        if isinstance(verdict, CommandSet):
            pdv.replacement = encode_p_data_tf(
                context_id=context_id, data=verdict.encode(), is_command=True, maximum_length=self._maximum_length
            )

    def _grow(self, pdu: _HeldPdu, size: int) -> None:
        """Count what is held; beyond the limit let it all go, at the price of one PDU becoming two."""
        pdu.size += size
        self._held_size += size
        if self._held_size <= self._held_limit:
            return
        if self._command:
            self._unreadable(f"takes more than {self._held_limit} bytes")
        self._skipping = bool(self._command)
        self._command.clear()
        if pdu.unseen:
            self._append(_PDU_HEADER.pack(PduType.P_DATA_TF, pdu.unseen), pdu.unseen)
            pdu.header = _PDU_HEADER.pack(PduType.P_DATA_TF, sum(_HEADER_LENGTH + pdv.length for pdv in pdu.pdvs))
            pdu.unseen = 0

    def _become_transparent(self, header: bytes, what: str) -> None:
        """Let all go that is held, then `header`, then whatever follows."""
        self._unreadable(what)
        self._transparent = True
        self._command.clear()
        for pdu in self._held:
            pdu.unseen = 0
        if header:
            self._append(header, 0)

    def _unreadable(self, what: str) -> None:
        """What a strict stage does with what cannot be judged."""
        if self._is_strict:
            raise RemoteProtocolError(f"a command {what}", reason=AbortReason.INVALID_PARAMETER_VALUE)

    def _release(self, out: list[bytes | memoryview]) -> None:
        """Move to `out` what need not be held any longer."""
        while self._held:
            pdu = self._held[0]
            if pdu.unseen or (self._command and pdu is self._command_begins_in):
                return
            self._held.popleft()
            self._held_size -= pdu.size
            if all(pdv.replacement is None for pdv in pdu.pdvs):
                out.append(_join(pdu.header, pdu.pdvs))
            else:
                out.extend(_reframed(pdu))
            if not pdu.pdvs:
                continue
            if pdu.pdvs[-1].is_swallowed:
                self._dropping = pdu.pdvs[-1].missing
            else:
                self._passing = pdu.pdvs[-1].missing


def _reframed(pdu: _HeldPdu) -> list[bytes]:
    """Return the PDUs that go out instead of one that holds (part of) a command that was rewritten."""
    pdus = []
    run: list[_HeldPdv] = []

    def end_of_run() -> None:
        if run:
            length = sum(_HEADER_LENGTH + pdv.length for pdv in run)
            pdus.append(_join(_PDU_HEADER.pack(PduType.P_DATA_TF, length), run))
            run.clear()

    for pdv in pdu.pdvs:
        if pdv.replacement is None:
            run.append(pdv)
        else:
            end_of_run()
            pdus.extend(pdv.replacement)
    end_of_run()
    return pdus


def _join(header: bytes, pdvs: list[_HeldPdv]) -> bytes:
    return header + b"".join(part for pdv in pdvs for part in (pdv.header, pdv.fragment))

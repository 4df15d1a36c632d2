"""A stage in one direction of an association that changes some commands on the way.

It is fed bytes of P-DATA-TF PDUs, cut anywhere, that the upper layer has validated, and hands out a valid stream of
such PDUs. Every byte that no rewriting touches leaves as it came, in the PDU it came in. It must not look at data sets.

A command has to be complete before it can be decided on, and the length at the head of a PDU cannot be changed once it
was sent. So a PDU is *held* from its header until the header of its last PDV was seen and its commands are decided on.
For the PDUs of a data set, of one PDV each, that means: until the first twelve bytes have come. The data set of a
message is never held, unless it shares a PDU with another PDV that follows it.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dimse_proxy.dimse.command_set import CommandSet, Tag, encode_ae
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.codec import encode_p_data_tf
from dimse_proxy.upper_layer.pdu import PduType

Rewrite: TypeAlias = Callable[[int, CommandSet], CommandSet | None]
"""Takes a presentation context ID and a command, returns the command to send instead, None for the same one."""

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
    fragment: bytearray = field(default_factory=bytearray)
    replacement: list[bytes] | None = None
    """The PDUs that go out instead of it, possibly none at all; None if it goes out as it came."""

    @property
    def missing(self) -> int:
        return self.length - len(self.fragment)


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

    def __init__(self, rewrite: Rewrite, maximum_length: int, *, held_limit: int = HELD_LIMIT) -> None:
        """Begin at a PDU boundary.

        Args:
            rewrite: asked once for each command that can be decoded, in order.
            maximum_length: of a P-DATA-TF, in bytes, that the receiver announced; 0 for no limit.
            held_limit: bytes of memory that what is held may take.
        """
        self._rewrite: Final = rewrite
        self._maximum_length: Final = maximum_length
        self._held_limit: Final = held_limit
        self._passing = 0  # bytes of the current PDU that go out as they come, before anything that is held
        self._header = bytearray()  # the part that came of the next header
        self._held: deque[_HeldPdu] = deque()
        self._held_size = 0
        self._command: list[_HeldPdv] = []  # the fragments of a command that cannot be decided on yet
        self._command_begins_in: _HeldPdu | None = None
        self._unfinished: int | None = None  # context of a command whose last fragment did not begin yet
        self._skipping = False  # that command was too long, and goes out as it comes
        self._transparent = False  # what came is not what this class is for

    def feed(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """Take bytes in and return what can go out, in order.

        Parts of `data` are returned as views of it, not copied. What is held is a copy.
        """
        view = memoryview(data)
        out: list[bytes | memoryview] = []
        position = 0
        while position < len(view):
            stop = self._walk(view, position)
            if stop > position:
                out.append(view[position:stop])
                position = stop
            else:
                position = self._hold(view, position)
                self._release(out)
        return out

    def flush(self) -> list[bytes | memoryview]:
        """Return what is held, as it came, before something that is no P-DATA-TF or at the end of the stream.

        Something is held there only of a command that was never completed, or of a PDU that was cut off. After that,
        whatever still follows is passed on as it comes.
        """
        if self._held or self._header:
            self._become_transparent(bytes(self._header))
            self._header.clear()
        out: list[bytes | memoryview] = []
        self._release(out)
        return out

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
            pdu_type, pdu_length, pdv_length, control = _BOTH_HEADERS.unpack_from(view, position)
            if pdu_type != PduType.P_DATA_TF or pdu_length != pdv_length + 4 or control & _IS_COMMAND:
                return position
            self._passing = _HEADER_LENGTH + pdu_length

    def _hold(self, view: memoryview, position: int) -> int:
        """Hold the next header or fragment, or as much of it as is there; return where it ends."""
        pdu = self._held[-1] if self._held else None
        if pdu is not None and pdu.pdvs and (missing := pdu.pdvs[-1].missing):
            piece = view[position : position + missing]
            pdu.pdvs[-1].fragment += piece
            self._grow(pdu, len(piece))
            self._fragment_received(pdu.pdvs[-1])
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
            self._become_transparent(header)
            return
        self._append(header, length)

    def _append(self, header: bytes, unseen: int) -> None:
        pdu = _HeldPdu(header=header, unseen=unseen)
        self._held.append(pdu)
        self._held_size += pdu.size

    def _begin_pdv(self, pdu: _HeldPdu, header: bytes) -> None:
        length, context_id, control = _PDV_HEADER.unpack(header)
        if not 2 <= length <= pdu.unseen - 4:
            self._become_transparent(header)
            return
        pdu.unseen -= 4 + length
        is_last = bool(control & _IS_LAST)
        pdv = _HeldPdv(header=header, length=length - 2, is_last=is_last)
        pdu.pdvs.append(pdv)
        is_command = bool(control & _IS_COMMAND)
        if not is_command or context_id != self._unfinished:
            # Fragments that do not follow each other (PS3.7 6.3.1) are not put together: they leave as they came.
            self._command.clear()
            self._skipping = False
        self._unfinished = context_id if is_command and not is_last else None
        if is_command and not self._skipping:
            if not self._command:
                self._command_begins_in = pdu
            self._command.append(pdv)
        self._grow(pdu, _HEADER_LENGTH + _OBJECT_COST)
        self._fragment_received(pdv)

    def _fragment_received(self, pdv: _HeldPdv) -> None:
        """If this makes the command complete, decide on it."""
        if pdv.missing or not pdv.is_last or not self._command or self._command[-1] is not pdv:
            return
        fragments = list(self._command)
        self._command.clear()
        context_id = pdv.header[4]
        try:
            command = CommandSet.decode(b"".join(part.fragment for part in fragments))
        except RemoteProtocolError:
            return  # The end point that it is for may judge it.
        rewritten = self._rewrite(context_id, command)
        if rewritten is None:
            return
        for part in fragments:
            part.replacement = []
        pdv.replacement = encode_p_data_tf(
            context_id=context_id, data=rewritten.encode(), is_command=True, maximum_length=self._maximum_length
        )

    def _grow(self, pdu: _HeldPdu, size: int) -> None:
        """Count what is held; beyond the limit let it all go, at the price of one PDU becoming two."""
        pdu.size += size
        self._held_size += size
        if self._held_size <= self._held_limit:
            return
        self._skipping = bool(self._command)
        self._command.clear()
        if pdu.unseen:
            self._append(_PDU_HEADER.pack(PduType.P_DATA_TF, pdu.unseen), pdu.unseen)
            pdu.header = _PDU_HEADER.pack(PduType.P_DATA_TF, sum(_HEADER_LENGTH + pdv.length for pdv in pdu.pdvs))
            pdu.unseen = 0

    def _become_transparent(self, header: bytes) -> None:
        """Let all go that is held, then `header`, then whatever follows."""
        self._transparent = True
        self._command.clear()
        for pdu in self._held:
            pdu.unseen = 0
        if header:
            self._append(header, 0)

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
            if pdu.pdvs:
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

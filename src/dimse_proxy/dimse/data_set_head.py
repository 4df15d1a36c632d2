"""Whose data set it is: patient and study, read from its head as its bytes come (PS3.5 7).

Nothing is kept but the few values that are wanted, nothing is decoded behind (0020,000D), and nothing raises: a head
that cannot be read is None. For who writes down whose data passed; nothing here decides about it.
"""

import zlib
from dataclasses import dataclass
from struct import Struct
from typing import Final

from dimse_proxy.dimse.character_sets import decode_text
from dimse_proxy.upper_layer.items import decode_uid

HEAD_LIMIT: Final = 1 << 20
"""Bytes of a data set within which (0020,000D) must stand. Referenced images before it take some 100 KiB at most."""
VALUE_LIMIT: Final = 4096
"""Bytes of a value that is wanted; the standard allows a name 3 x 64 characters."""
DEPTH_LIMIT: Final = 64
"""Sequences within sequences."""

_PIECE: Final = 4096
"""Bytes that are looked at in one go: most heads are over within the first."""

_IMPLICIT: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
"""Implicit VR little endian, and a private one of GE that only differs in its pixels."""
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Explicit VR little endian, the whole data set deflated (PS3.5 A.5, A.6 and A.7)."""

_CHARACTER_SET: Final = 0x0008_0005
_PATIENT_NAME: Final = 0x0010_0010
_PATIENT_ID: Final = 0x0010_0020
_STUDY: Final = 0x0020_000D
_LAST_GROUP: Final = _STUDY >> 16
_WANTED: Final = frozenset({_CHARACTER_SET, _PATIENT_NAME, _PATIENT_ID, _STUDY})

_ITEM: Final = 0xFFFE_E000
_ITEM_END: Final = 0xFFFE_E00D
_SEQUENCE_END: Final = 0xFFFE_E0DD
_UNDEFINED: Final = 0xFFFF_FFFF
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""Value representations with a length of four bytes behind two reserved ones (PS3.5 7.1.2)."""
_SHORT_VRS: Final = frozenset(
    {
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT"),
        *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    }
)
_SHORT_HEADER: Final = 8
_LONG_HEADER: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHead:
    """Whose data set it is. Identifies a patient: not for a log."""

    patient_id: str
    """Empty where the data set has none."""
    patient_name: str
    study_instance_uid: str

    def __repr__(self) -> str:
        return "StudyHead(...)"


class HeadReader:
    """Reads the head of one data set."""

    def __init__(self, transfer_syntax: str) -> None:
        """Begin before its first byte.

        Args:
            transfer_syntax: UID of the data set's; one that is unknown is read as explicit VR little endian, which all
                with compressed pixels are.
        """
        self.is_done = False
        """No more bytes are wanted."""
        self.head: StudyHead | None = None
        """What was read, once that is so; None if it could not be."""
        self._inflate: Final = zlib.decompressobj(-zlib.MAX_WBITS) if transfer_syntax in _DEFLATED else None
        self._is_explicit: Final = transfer_syntax not in _IMPLICIT
        order = ">" if transfer_syntax == _BIG_ENDIAN else "<"
        self._implicit_header: Final = Struct(f"{order}HHI").unpack_from
        self._explicit_header: Final = Struct(f"{order}HH2sH").unpack_from
        self._long: Final = Struct(f"{order}I").unpack_from
        self._data = bytearray()
        self._left = HEAD_LIMIT
        self._skip = 0
        self._open: Final[list[bool]] = []
        """Of each sequence and item of undefined length that is open: whether elements in it have explicit VRs."""
        self._found: Final[dict[int, bytes]] = {}

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes; those behind what is wanted do nothing."""
        view = memoryview(data)
        position = 0
        while position < len(view) and not self.is_done:
            piece = view[position : position + _PIECE]
            position += len(piece)
            if self._inflate is None:
                self._take(piece)
            else:
                self._take_deflated(piece)

    def finish(self) -> None:
        """The data set is over."""
        if not self.is_done:
            self._end()

    def _take_deflated(self, piece: bytes | memoryview) -> None:
        inflate = self._inflate
        assert inflate is not None, "asked for a deflated data set only"
        try:
            while not self.is_done:
                inflated = inflate.decompress(piece, _PIECE)
                piece = inflate.unconsumed_tail
                self._take(inflated)
                if len(inflated) < _PIECE:
                    break
        except zlib.error:
            self._end()

    def _take(self, data: bytes | memoryview) -> None:
        self._left -= len(data)
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._data += memoryview(data)[skipped:]
        self._parse()
        if self._left <= 0 and not self.is_done:
            self._end()

    def _parse(self) -> None:
        """Go through the elements that are whole; what is left of the last one stays in `_data`."""
        data, position = self._data, 0
        while not self.is_done and not self._skip:
            if not self._open:
                position = self._pass_plain(data, position)
            after = self._element(data, position)
            if after is None:
                break
            position = after
            if position > len(data):
                self._skip = position - len(data)
                position = len(data)
        del data[:position]

    def _pass_plain(self, data: bytearray, position: int) -> int:
        """Go past outer elements that are whole, not wanted and nothing special; return where the next other one is.

        It does nothing that `_element` would not do, at a third of the cost.
        """
        last, wanted = len(data) - _SHORT_HEADER, _WANTED
        unpack_explicit, unpack_implicit, plain = self._explicit_header, self._implicit_header, _SHORT_VRS
        is_explicit = self._is_explicit
        while position <= last:
            if is_explicit:
                group, number, vr, length = unpack_explicit(data, position)
                if vr not in plain:
                    break
            else:
                group, number, length = unpack_implicit(data, position)
            if group >= _LAST_GROUP or group << 16 | number in wanted:
                break
            after: int = position + _SHORT_HEADER + length
            if after > last:
                break
            position = after
        return position

    def _element(self, data: bytearray, position: int) -> int | None:
        """Take the element at `position`; return where the next one is, or None if more bytes are needed."""
        if len(data) - position < _SHORT_HEADER:
            return None
        group, number, length = self._implicit_header(data, position)
        tag = group << 16 | number
        if group == 0xFFFE:
            return self._delimiter(tag, length, position + _SHORT_HEADER)
        begin = position + _SHORT_HEADER
        vr = b""
        if self._open[-1] if self._open else self._is_explicit:
            _, _, vr, length = self._explicit_header(data, position)
            if vr in _LONG_VRS:
                if len(data) - position < _LONG_HEADER:
                    return None
                (length,) = self._long(data, begin)
                begin = position + _LONG_HEADER
            elif vr not in _SHORT_VRS:
                self._end()
                return None
        if length == _UNDEFINED:
            # The elements of an unknown one are implicit (PS3.5 6.2.2).
            return self._enter(begin, is_explicit=bool(vr) and vr != b"UN")
        return begin + length if self._open else self._outer_element(tag, data, begin, length)

    def _outer_element(self, tag: int, data: bytearray, begin: int, length: int) -> int | None:
        if tag in _WANTED:
            if length > VALUE_LIMIT:
                self._end()
                return None
            if len(data) - begin < length:
                return None
            self._found[tag] = bytes(data[begin : begin + length])
        if tag >= _STUDY:
            self._end()
        return begin + length

    def _enter(self, begin: int, *, is_explicit: bool) -> int | None:
        if len(self._open) >= DEPTH_LIMIT:
            self._end()
            return None
        self._open.append(is_explicit)
        return begin

    def _delimiter(self, tag: int, length: int, behind: int) -> int | None:
        """Begin or end an item, or end a sequence."""
        if not self._open:
            self._end()
            return None
        if tag in (_ITEM_END, _SEQUENCE_END):
            self._open.pop()
            return behind
        if tag != _ITEM:
            self._end()
            return None
        if length == _UNDEFINED:
            return self._enter(behind, is_explicit=self._open[-1])
        return behind + length

    def _end(self) -> None:
        self.is_done = True
        self._data.clear()
        found = self._found
        study = decode_uid(found.get(_STUDY, b""))
        if study:
            names = [name.strip() for name in decode_text(found.get(_CHARACTER_SET, b"")).split("\\")]
            self.head = StudyHead(
                patient_id=decode_text(found.get(_PATIENT_ID, b""), names).strip(),
                patient_name=decode_text(found.get(_PATIENT_NAME, b""), names).strip(),
                study_instance_uid=study,
            )

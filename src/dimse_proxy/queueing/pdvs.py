"""Cuts validated P-DATA into the fragments of its PDVs (PS3.8 9.3.5), without their headers; and makes PDVs again.

It is fed what `upper_layer.reader` has let through, so the lengths are right. What a fragment means is for the cores.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from dimse_proxy.upper_layer.pdu import PduType

_HEADERS: Final = Struct(">BxIIBB")
"""Of a P-DATA-TF, and of the PDV behind it."""
_PDV_HEADER: Final = Struct(">IBB")
_PDU_HEADER: Final = Struct(">BxI")
_HEADER_LENGTH: Final = 6
_COMMAND: Final = 0x01
_LAST: Final = 0x02

LONGEST: Final = 131072
"""Bytes of a P-DATA-TF that is sent at most, whatever the receiver takes: what DCMTK announces at most."""


class Fragment(NamedTuple):
    """A piece of a PDV's fragment, as much of it as one read brought; there are 32 in a CT image."""

    context_id: int
    is_command: bool
    is_last: bool
    """Of the message's command, or of its data set."""
    data: memoryview
    begins: bool
    """The first piece of the PDV."""
    ends: bool
    """The last piece of the PDV."""
    head: bytes
    """The headers of PDU and PDV, if this is the first piece of the first PDV in its PDU, and of a command."""
    end: int
    """Where the piece ends in what was fed."""


class PdvReader:
    """Finds the fragments in one direction of an association."""

    def __init__(self) -> None:
        self._header: Final = bytearray()
        self._pdu_length = 0
        self._pdu_left = 0
        self._pdv_left = 0
        self._context_id = 0
        self._control = 0

    def feed(self, data: bytes | memoryview) -> Iterator[Fragment]:
        """Yield what `data`, the next bytes of P-DATA-TF PDUs, holds of fragments; views of it."""
        view = memoryview(data)
        position, size = 0, len(view)
        while position < size:
            if self._pdv_left:
                stop = min(position + self._pdv_left, size)
                self._pdv_left -= stop - position
                yield self._fragment(view[position:stop], stop, begins=False)
                position = stop
                continue
            begins_pdu = not self._pdu_left
            wanted = _HEADERS.size if begins_pdu else _HEADER_LENGTH
            if not self._header and position + wanted <= size:
                header, at = view, position
                position += wanted
            else:
                stop = min(position + wanted - len(self._header), size)
                self._header.extend(view[position:stop])
                position = stop
                if len(self._header) < wanted:
                    break
                header, at = memoryview(bytes(self._header)), 0
                self._header.clear()
            self._begin(header, at, begins_pdu)
            head = bytes(header[at : at + wanted]) if begins_pdu and self._control & _COMMAND else b""
            stop = min(position + self._pdv_left, size)
            self._pdv_left -= stop - position
            yield self._fragment(view[position:stop], stop, begins=True, head=head)
            position = stop

    def _begin(self, header: memoryview, at: int, begins_pdu: bool) -> None:
        if begins_pdu:
            _, pdu_length, pdv_length, self._context_id, self._control = _HEADERS.unpack_from(header, at)
            self._pdu_left = pdu_length
        else:
            pdv_length, self._context_id, self._control = _PDV_HEADER.unpack_from(header, at)
        self._pdu_left -= 4 + pdv_length
        self._pdv_left = pdv_length - 2

    def _fragment(self, data: memoryview, end: int, *, begins: bool, head: bytes = b"") -> Fragment:
        return Fragment(
            self._context_id,
            bool(self._control & _COMMAND),
            bool(self._control & _LAST),
            data,
            begins,
            not self._pdv_left,
            head,
            end,
        )


def data_set_pdus(context_id: int, data: bytes | memoryview, maximum_length: int, *, is_last: bool) -> bytes:
    """Return a piece of a data set as P-DATA-TF PDUs of one PDV each.

    Args:
        context_id: of the presentation context.
        data: the piece; if empty, one empty fragment is made of it.
        maximum_length: that the receiver announced, bytes of a PDU without its header (PS3.8 D.1); 0 for no limit.
        is_last: the data set ends with it.
    """
    longest = min(maximum_length or LONGEST, LONGEST)
    # Fragments have an even length, as data sets have: some receivers take no other.
    step = max(2, (longest - _HEADER_LENGTH) & ~1)
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(view) or 1, step):
        fragment = view[start : start + step]
        control = _LAST if is_last and start + step >= len(view) else 0
        length = len(fragment)
        parts.append(_HEADERS.pack(PduType.P_DATA_TF, length + 6, length + 2, context_id, control))
        parts.append(fragment)
    return b"".join(parts)

"""Cuts a stream into P-DATA and other PDUs without touching the P-DATA (PS3.8 9.3.1 and 9.3.5).

This is the hot path. P-DATA passes as the chunk that was read, cut through: no byte of it waits for the rest of its
PDU. Only headers are looked at, in place; command PDVs and the ends of data sets are noted beside the chunk, and every
other PDU comes out whole. What does not belong here: decoding those (`codec`), and whether a PDU may come in the
present state (`state_machine`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd, PDataReceived, PdvMark, Place
from dimse_proxy.upper_layer.items import AbortReason
from dimse_proxy.upper_layer.pdu import PduType

MAX_ASSOCIATE_LENGTH: Final = 1 << 20
"""Bytes of an A-ASSOCIATE PDU without its header; 128 contexts with 60 transfer syntaxes each take about 200 KiB."""
MAX_COMMAND_FRAGMENT_LENGTH: Final = 1 << 20
"""Bytes of one PDV of a command set. A whole command set is rarely longer than 1 KiB; one with thousands of attribute
tags in it (N-GET) still fits."""

_PDU_HEADER: Final = Struct(">BxI")
"""Type, reserved byte, length of what follows."""
_PDV_HEADER: Final = Struct(">IBB")
"""Length of what follows, presentation context id, message control header (PS3.8 9.3.5.1 and E.2)."""
_BOTH_HEADERS: Final = Struct(">BxIIBB")
_HEADER_LENGTH: Final = 6
"""Of a PDU and of a PDV as well."""
_FIXED_LENGTH: Final = 4
"""PDU length of the PDUs that always have the same (PS3.8 9.3.4, 9.3.6 to 9.3.8)."""

_P_DATA_TF: Final = int(PduType.P_DATA_TF)
_VARIABLE_LENGTH_TYPES: Final = (PduType.A_ASSOCIATE_RQ, PduType.A_ASSOCIATE_AC)
_PDU_TYPES: Final = frozenset(int(pdu_type) for pdu_type in PduType)
_COMMAND: Final = 0x01
_LAST_FRAGMENT: Final = 0x02
_NO_CONTEXT: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlBytes:
    """A PDU that is not a P-DATA-TF."""

    raw: bytes
    """The whole PDU, header included; of a known type, and not longer than such a PDU may be. Not yet decoded."""


class PduReader:
    """Finds the PDUs in one direction of an association.

    Attributes:
        inside_pdu: some, but not all bytes of a P-DATA-TF PDU have been handed out. True already when that is a part
            of its header.
    """

    def __init__(
        self, *, accepted_contexts: Collection[int] | None, max_associate_length: int = MAX_ASSOCIATE_LENGTH
    ) -> None:
        """Make a reader that stands before the first PDU.

        Args:
            accepted_contexts: ids of the presentation contexts that P-DATA may come on; None to take any.
            max_associate_length: the longest A-ASSOCIATE-RQ or -AC taken, bytes without its header.
        """
        self.inside_pdu = False
        self._max_associate_length: Final = max_associate_length
        self._error: RemoteProtocolError | None = None
        self._control: Final = bytearray()
        self._header: Final = bytearray()
        self._pdu_left = 0
        self._pdv_left = 0
        self._context_id = _NO_CONTEXT
        self._message_control = 0
        self._fragment: Final = bytearray()
        self._data_set_lengths: Final[dict[int, int]] = {}
        self._marks: list[PdvMark] = []
        self._start = 0
        self.accepted_contexts = accepted_contexts

    @property
    def accepted_contexts(self) -> Collection[int] | None:
        """Ids of the presentation contexts that P-DATA may come on, None for any; holds from the next PDV on."""
        return self._accepted_contexts

    @accepted_contexts.setter
    def accepted_contexts(self, context_ids: Collection[int] | None) -> None:
        self._accepted_contexts = None if context_ids is None else frozenset(context_ids)
        # That of the last PDV, as long as it is known to be accepted.
        self._accepted_context_id = _NO_CONTEXT

    def feed(self, data: bytes | memoryview) -> Iterator[PDataReceived | ControlBytes]:
        """Find what `data`, the next bytes of the stream, completes.

        The iterator must be run to its end before `feed` is called again. `accepted_contexts` may be set while it
        runs, and holds for what follows the piece just taken: an A-ASSOCIATE-AC and P-DATA may share a chunk.

        Args:
            data: bytes of any number of PDUs, beginning and ending anywhere. Kept by reference while the caller keeps
                the pieces.

        Yields:
            The pieces, in the order of the stream. If `data` is P-DATA from its first to its last byte, there is one
            piece, whose `data` is that very object; else P-DATA is a view of it.

        Raises:
            RemoteProtocolError: the stream cannot be cut any further, or a PDV is on a context that was not accepted.
                Pieces before the faulty PDU have come out; of that PDU, only what earlier chunks held. Each later call
                raises it again.
        """
        if self._error is not None:
            raise self._error
        position = 0
        size = len(data)
        try:
            while position < size:
                if self._control or not (self._pdu_left or self._header or data[position] == _P_DATA_TF):
                    position, raw = self._take_control(data, position)
                    if raw is not None:
                        yield ControlBytes(raw=raw)
                    continue
                start = position
                position, error = self._walk(data, start)
                marks, self._marks = self._marks, []
                if position > start:
                    whole = start == 0 and position == size
                    yield PDataReceived(data=data if whole else memoryview(data)[start:position], marks=tuple(marks))
                if error is not None:
                    raise error
        except RemoteProtocolError as error:
            self._error = error
            raise

    def _walk(self, data: bytes | memoryview, start: int) -> tuple[int, RemoteProtocolError | None]:
        """Go through P-DATA from `start` to the end of it, or of `data`.

        Returns:
            The offset behind what can be handed out, and what is wrong with what stands there, if anything is.
        """
        position = good = self._start = start
        good_marks = 0
        size = len(data)
        try:
            while position < size:
                if not (self._pdu_left or self._header):
                    position = self._skip_plain_pdus(data, position)
                    good, good_marks = position, len(self._marks)
                    if position == size or data[position] != _P_DATA_TF:
                        break
                    if position + _BOTH_HEADERS.size <= size:
                        _, pdu_length, length, context_id, control = _BOTH_HEADERS.unpack_from(data, position)
                        position += _BOTH_HEADERS.size
                        self._begin_p_data(pdu_length)
                        self._begin_pdv(length, context_id, control, position)
                        continue
                position = self._step(data, position)
        except RemoteProtocolError as error:
            del self._marks[good_marks:]
            # Of a PDU that began in an earlier chunk, some bytes are gone already.
            self.inside_pdu = self.inside_pdu and good == start
            return good, error
        self.inside_pdu = bool(self._pdu_left or self._header)
        return position, None

    def _skip_plain_pdus(self, data: bytes | memoryview, position: int) -> int:
        """Skip PDUs that are in `data` as a whole and hold just one PDV: more of the data set already under way."""
        size = len(data)
        last = size - _BOTH_HEADERS.size
        context_id = self._accepted_context_id
        unpack = _BOTH_HEADERS.unpack_from
        skipped = 0
        while position <= last:
            header = unpack(data, position)
            pdu_type, pdu_length, pdv_length, pdv_context_id, message_control = header
            if (
                pdu_type != _P_DATA_TF
                or message_control
                or pdv_context_id != context_id
                or pdu_length != pdv_length + 4
                or pdv_length < 2
            ):
                break
            length = _HEADER_LENGTH + pdu_length
            start, last_such = position, size - length
            # Nearly all are as long as the receiver allows: what has the same header needs no other look.
            while position <= last_such and unpack(data, position) == header:
                position += length
            if position == start:
                break
            skipped += (position - start) // length * (pdv_length - 2)
        if skipped:
            self._data_set_lengths[context_id] = self._data_set_lengths.get(context_id, 0) + skipped
        return position

    def _step(self, data: bytes | memoryview, position: int) -> int:
        """Take the rest of a header or of a PDV, as far as it is in `data`; return the offset behind it."""
        if self._pdv_left:
            end = min(position + self._pdv_left, len(data))
            if self._message_control & _COMMAND:
                self._fragment.extend(data[position:end])
            self._pdv_left -= end - position
            self._pdu_left -= end - position
            if not self._pdv_left:
                self._end_pdv(end)
            return end
        end = min(position + _HEADER_LENGTH - len(self._header), len(data))
        self._header.extend(data[position:end])
        if len(self._header) == _HEADER_LENGTH:
            if self._pdu_left:
                length, context_id, message_control = _PDV_HEADER.unpack(self._header)
                self._begin_pdv(length, context_id, message_control, end)
            else:
                self._begin_p_data(_PDU_HEADER.unpack(self._header)[1])
            self._header.clear()
        return end

    def _begin_p_data(self, length: int) -> None:
        if length < _HEADER_LENGTH:
            # An empty one too: PS3.8 9.3.5 wants one or more PDVs.
            raise _invalid(f"P-DATA-TF with a length of {length} has no PDV")
        self._pdu_left = length

    def _begin_pdv(self, length: int, context_id: int, message_control: int, position: int) -> None:
        if length < 2:
            raise _invalid(f"PDV with a length of {length} has no header")
        if length + 4 > self._pdu_left:
            raise _invalid(f"PDV with a length of {length} in the last {self._pdu_left} bytes of its P-DATA-TF")
        if self._accepted_contexts is not None and context_id not in self._accepted_contexts:
            raise _invalid(f"PDV on presentation context {context_id}, which was not accepted")
        if message_control & _COMMAND and length - 2 > MAX_COMMAND_FRAGMENT_LENGTH:
            raise _invalid(f"PDV with {length - 2} bytes of a command set")
        self._context_id = self._accepted_context_id = context_id
        self._message_control = message_control
        self._pdu_left -= _HEADER_LENGTH
        self._pdv_left = length - 2
        if not message_control & _COMMAND:
            self._data_set_lengths[context_id] = self._data_set_lengths.get(context_id, 0) + length - 2
        if not self._pdv_left:
            self._end_pdv(position)

    def _end_pdv(self, position: int) -> None:
        is_last = bool(self._message_control & _LAST_FRAGMENT)
        if self._message_control & _COMMAND:
            self._marks.append(
                CommandFragment(
                    context_id=self._context_id,
                    data=bytes(self._fragment),
                    is_last=is_last,
                    place=Place(end=position - self._start, pdu_left=self._pdu_left),
                )
            )
            self._fragment.clear()
        elif is_last:
            length = self._data_set_lengths.pop(self._context_id)
            self._marks.append(DataSetEnd(context_id=self._context_id, length=length))
        if 0 < self._pdu_left < _HEADER_LENGTH:
            raise _invalid(f"P-DATA-TF with {self._pdu_left} bytes behind its last PDV")

    def _take_control(self, data: bytes | memoryview, position: int) -> tuple[int, bytes | None]:
        """Take the rest of a PDU that is not a P-DATA-TF, as far as it is in `data`.

        Returns:
            The offset behind it, and the PDU if it is whole.
        """
        control = self._control
        if len(control) < _HEADER_LENGTH:
            end = min(position + _HEADER_LENGTH - len(control), len(data))
            control.extend(data[position:end])
            if control[0] not in _PDU_TYPES:
                raise RemoteProtocolError(
                    f"{control[0]:02X}H is not a type of PDU", reason=AbortReason.UNRECOGNIZED_PDU
                )
            if len(control) < _HEADER_LENGTH:
                return end, None
            self._check_control_length()
            position = end
        _, length = _PDU_HEADER.unpack_from(control)
        end = min(position + _HEADER_LENGTH + length - len(control), len(data))
        control.extend(data[position:end])
        if len(control) < _HEADER_LENGTH + length:
            return end, None
        raw = bytes(control)
        control.clear()
        return end, raw

    def _check_control_length(self) -> None:
        """Judge the length as soon as it is there: nobody waits for 4 GiB."""
        pdu_type, length = _PDU_HEADER.unpack_from(self._control)
        name = PduType(pdu_type).name.replace("_", "-")
        if pdu_type in _VARIABLE_LENGTH_TYPES:
            if length > self._max_associate_length:
                raise _invalid(f"{name} with a length of {length}, over the limit of {self._max_associate_length}")
        elif length != _FIXED_LENGTH:
            raise _invalid(f"{name} with a length of {length} instead of {_FIXED_LENGTH}")


def _invalid(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=AbortReason.INVALID_PARAMETER_VALUE)


_LOOKS: Final = (
    (b"\r\n\r\n\x00\r\nQUIT\n", "PROXY protocol, version 2"),
    (b"PROXY ", "PROXY protocol, version 1"),
    (b"PRI * HTTP/2", "an HTTP/2 connection"),
    (b"HTTP/", "an HTTP response"),
    *((method + b" ", "an HTTP request") for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS")),
    *((method + b" ", "an HTTP request") for method in (b"CONNECT", b"TRACE", b"PATCH")),
    (b"SSH-", "an SSH banner"),
    (b"\x16\x03", "a TLS handshake"),
    (b"\x15\x03", "a TLS alert"),
    (b"\x0bMSH", "an HL7 message (MLLP)"),
    (b"INFO {", "a NATS server"),
    (b"220", "an FTP or SMTP banner"),
    (b"\xff\xfb", "a Telnet negotiation"),
    (b"\xff\xfd", "a Telnet negotiation"),
)


def looks_like(first_bytes: bytes | memoryview) -> str | None:
    """Say what the first bytes of a stream are if they are not DICOM, for a log.

    Args:
        first_bytes: the beginning of the stream, as far as it is there.

    Returns:
        A few words with their article, or None if it is nothing known, or DICOM.
    """
    beginning = bytes(first_bytes[:16])
    return next((look for prefix, look in _LOOKS if beginning.startswith(prefix)), None)

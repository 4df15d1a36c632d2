"""The command set of a DIMSE message (PS3.7 6.3.1, Annex E): bytes to values and back.

A command set is kept as it came, element by element, so that what this package does not understand survives a
rewriting. Nothing here may show a SOP instance UID or an error comment: both can identify a patient.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, NoReturn

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.ae_title import validate_ae_title
from dimse_proxy.upper_layer.items import AbortReason, decode_uid, encode_uid

_ELEMENT_HEADER: Final = struct.Struct("<HHI")
"""Group, element, length of the value."""
_ELEMENT_HEADER_LENGTH: Final = _ELEMENT_HEADER.size
_US: Final = struct.Struct("<H")
_RESPONSE_BIT: Final = 0x8000

NO_DATA_SET: Final = 0x0101
"""Command Data Set Type of a message without a data set; any other value means that one follows (PS3.7 E.1)."""


@unique
class Tag(IntEnum):
    """The elements of group 0000 that this package reads or writes (PS3.7 E.1); the group is 0000 in all of them."""

    COMMAND_GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ACTION_TYPE_ID = 0x1008
    REMAINING_SUB_OPERATIONS = 0x1020
    COMPLETED_SUB_OPERATIONS = 0x1021
    FAILED_SUB_OPERATIONS = 0x1022
    WARNING_SUB_OPERATIONS = 0x1023
    MOVE_ORIGINATOR_AE_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


@unique
class CommandField(IntEnum):
    """Command Field (0000,0100), PS3.7 E.1."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF
    C_STORE_RSP = 0x8001
    C_GET_RSP = 0x8010
    C_FIND_RSP = 0x8020
    C_MOVE_RSP = 0x8021
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RSP = 0x8110
    N_SET_RSP = 0x8120
    N_ACTION_RSP = 0x8130
    N_CREATE_RSP = 0x8140
    N_DELETE_RSP = 0x8150

    @property
    def message_name(self) -> str:
        """As PS3.7 writes it: `C-STORE-RQ`."""
        return self.name.replace("_", "-")

    @property
    def service(self) -> str:
        """The DIMSE service that the message belongs to: `C-STORE` of both C-STORE-RQ and C-STORE-RSP."""
        return _SERVICES[self]


_COMMAND_FIELDS: Final = {int(field): field for field in CommandField}
_SERVICES: Final = {field: field.message_name.rpartition("-")[0] for field in CommandField}
# Looked up, not made: every message that passes asks for both.


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOperations:
    """Numbers of sub-operations in a C-GET-RSP or C-MOVE-RSP (PS3.7 9.1.3, 9.1.4); None where one is not given."""

    remaining: int | None
    completed: int | None
    failed: int | None
    warning: int | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CommandSet:
    """A command set: element by element, implicit VR little endian, group 0000.

    The typed properties are None where the element is missing or is not what its VR allows.
    """

    elements: Mapping[int, bytes]
    """Value of each element, padding included, by tag (the element number: the group is 0000). Without the group
    length, which `encode` makes."""

    @classmethod
    def decode(cls, data: bytes) -> "CommandSet":
        """Return the command set whose bytes are `data`.

        Elements in the wrong order and a wrong or missing group length are taken: `encode` puts them right.

        Raises:
            RemoteProtocolError: an element of another group, one that occurs twice, or one that is cut off.
        """
        elements: dict[int, bytes] = {}
        position, size = 0, len(data)
        unpack = _ELEMENT_HEADER.unpack_from
        while position < size:
            start = position + _ELEMENT_HEADER_LENGTH
            if start > size:
                _malformed("ends within the header of an element")
            group, tag, length = unpack(data, position)
            position = start + length
            if group or position > size or tag in elements:
                _malformed_element(group, tag, is_cut_off=position > size)
            elements[tag] = data[start:position]
        elements.pop(Tag.COMMAND_GROUP_LENGTH, None)
        return cls(elements=elements)

    def encode(self) -> bytes:
        """Return the bytes of the command set: the group length, then all other elements in ascending order."""
        encoded = b"".join(
            _ELEMENT_HEADER.pack(0, tag, len(value)) + value
            for tag, value in sorted(self.elements.items())
            if tag != Tag.COMMAND_GROUP_LENGTH
        )
        group_length = _ELEMENT_HEADER.pack(0, Tag.COMMAND_GROUP_LENGTH, 4) + len(encoded).to_bytes(4, "little")
        return group_length + encoded

    def replace(self, values: Mapping[int, bytes]) -> "CommandSet":
        """Return a copy with other values for some tags, adding those elements that were not there."""
        return CommandSet(elements={**self.elements, **values})

    @property
    def command_field(self) -> CommandField | None:
        """Command Field; None also for a value that PS3.7 does not know."""
        return _COMMAND_FIELDS.get(self._us(Tag.COMMAND_FIELD) or 0)

    @property
    def is_response(self) -> bool:
        """Whether the message answers another one: bit 15 of the Command Field, known or not."""
        return bool((self._us(Tag.COMMAND_FIELD) or 0) & _RESPONSE_BIT)

    @property
    def is_request(self) -> bool:
        """Whether the message has a Command Field and is no response; true of a C-CANCEL-RQ, which is not answered."""
        return self._us(Tag.COMMAND_FIELD) is not None and not self.is_response

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows: a Command Data Set Type other than 0101H. Missing, it is taken to be 0101H."""
        return self._us(Tag.COMMAND_DATA_SET_TYPE) not in (None, NO_DATA_SET)

    @property
    def message_id(self) -> int | None:
        """Message ID, of requests other than a C-CANCEL-RQ."""
        return self._us(Tag.MESSAGE_ID)

    @property
    def message_id_being_responded_to(self) -> int | None:
        """Message ID Being Responded To, of responses and of a C-CANCEL-RQ."""
        return self._us(Tag.MESSAGE_ID_BEING_RESPONDED_TO)

    @property
    def affected_sop_class_uid(self) -> str | None:
        """Affected SOP Class UID, without padding."""
        return self._text(Tag.AFFECTED_SOP_CLASS_UID)

    @property
    def requested_sop_class_uid(self) -> str | None:
        """Requested SOP Class UID, without padding: of N-GET, N-SET, N-ACTION and N-DELETE requests."""
        return self._text(Tag.REQUESTED_SOP_CLASS_UID)

    @property
    def sop_class_uid(self) -> str | None:
        """The affected SOP class, or else the requested one."""
        return self.affected_sop_class_uid or self.requested_sop_class_uid

    @property
    def status(self) -> int | None:
        """Status, of responses (PS3.7 Annex C)."""
        return self._us(Tag.STATUS)

    @property
    def move_destination(self) -> str | None:
        """Move Destination of a C-MOVE-RQ, without the outer spaces, which do not count."""
        return self._text(Tag.MOVE_DESTINATION)

    @property
    def move_originator_ae_title(self) -> str | None:
        """Move Originator Application Entity Title of a C-STORE-RQ, without the outer spaces, which do not count."""
        return self._text(Tag.MOVE_ORIGINATOR_AE_TITLE)

    @property
    def move_originator_message_id(self) -> int | None:
        """Move Originator Message ID of a C-STORE-RQ: the message ID of the C-MOVE-RQ."""
        return self._us(Tag.MOVE_ORIGINATOR_MESSAGE_ID)

    @property
    def sub_operations(self) -> SubOperations:
        """The numbers of sub-operations of a C-GET-RSP or C-MOVE-RSP."""
        return SubOperations(
            remaining=self._us(Tag.REMAINING_SUB_OPERATIONS),
            completed=self._us(Tag.COMPLETED_SUB_OPERATIONS),
            failed=self._us(Tag.FAILED_SUB_OPERATIONS),
            warning=self._us(Tag.WARNING_SUB_OPERATIONS),
        )

    def __repr__(self) -> str:
        field = self.command_field
        shown = [field.message_name if field is not None else "unknown message"]
        for name, number in (
            ("message_id", self.message_id),
            ("message_id_being_responded_to", self.message_id_being_responded_to),
        ):
            if number is not None:
                shown.append(f"{name}={number}")
        if self.sop_class_uid is not None:
            shown.append(f"sop_class_uid={self.sop_class_uid}")
        if self.status is not None:
            shown.append(f"status={self.status:04X}H")
        return f"CommandSet({', '.join(shown)})"

    def _us(self, tag: Tag) -> int | None:
        value = self.elements.get(tag)
        if value is None or len(value) != 2:
            return None
        return value[0] | value[1] << 8

    def _text(self, tag: Tag) -> str | None:
        value = self.elements.get(tag)
        return None if value is None else decode_uid(value)


def encode_us(value: int) -> bytes:
    """Return the value of an element of VR US (PS3.5 6.2): two bytes, little endian."""
    return _US.pack(value)


def encode_ui(uid: str) -> bytes:
    """Return the value of an element of VR UI (PS3.5 6.2): padded with NUL to an even length."""
    value = encode_uid(uid)
    return value + b"\0" * (len(value) % 2)


def encode_ae(title: str) -> bytes:
    """Return the value of an element of VR AE (PS3.5 6.2): padded with a space to an even length.

    Raises:
        ValueError: it is not a valid AE title.
    """
    value = validate_ae_title(title).encode("ascii")
    return value + b" " * (len(value) % 2)


def _malformed_element(group: int, tag: int, *, is_cut_off: bool) -> NoReturn:
    if group:
        _malformed(f"holds an element of group {group:04X}")
    if is_cut_off:
        _malformed(f"ends within element (0000,{tag:04X})")
    _malformed(f"holds element (0000,{tag:04X}) twice")


def _malformed(what: str) -> NoReturn:
    raise RemoteProtocolError(f"a command set {what}", reason=AbortReason.INVALID_PARAMETER_VALUE)

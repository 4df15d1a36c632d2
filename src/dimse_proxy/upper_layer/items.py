"""The items inside A-ASSOCIATE PDUs: finding them, and the user information sub-items of PS3.7 Annex D.

An item is a type byte, a reserved byte, two bytes of length (big endian) and the value (PS3.8 9.3.1). What does not
belong here: the PDUs around the items (`codec`) and what to do with them (`negotiation`).
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, assert_never

from dimse_proxy.errors import LocalProtocolError, RemoteProtocolError
from dimse_proxy.upper_layer.pdu import (
    AsynchronousOperationsWindow,
    ImplementationClassUid,
    ImplementationVersionName,
    MaximumLength,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UnknownUserItem,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)

ITEM_HEADER_LENGTH: Final = 4
"""Bytes of an item before its value (PS3.8 9.3.1)."""

_MAX_ITEM_VALUE: Final = 0xFFFF
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class ItemType(IntEnum):
    """First byte of an item or sub-item (PS3.8 9.3.2 and 9.3.3, PS3.8 D.1, PS3.7 D.3.3)."""

    APPLICATION_CONTEXT = 0x10
    PROPOSED_CONTEXT = 0x20
    CONTEXT_RESULT = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    SOP_CLASS_EXTENDED_NEGOTIATION = 0x56
    SOP_CLASS_COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_REQUEST = 0x58
    USER_IDENTITY_RESPONSE = 0x59


class AbortReason(IntEnum):
    """Reason of an A-ABORT by the service provider (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


MAX_ITEMS: Final = 1024
"""Items next to each other that are read. A request of real life has at most 128 presentation contexts, a few dozen
transfer syntaxes in one and a few hundred sub-items of user information; without a limit, 64 KiB of empty sub-items
cost 0.3 s of everybody's time."""


def walk_items(raw: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Find the items that fill `raw[start:end]`.

    Args:
        raw: a whole PDU, or any part of one.
        start: offset of the first item's type byte.
        end: offset behind the last item.

    Yields:
        Type, offset of the type byte and offset behind the value, for each item in order. The value begins
        `ITEM_HEADER_LENGTH` behind the type byte.

    Raises:
        RemoteProtocolError: an item is cut off or longer than what holds it, or there are too many (reason 6).
    """
    left = MAX_ITEMS
    while start < end:
        if not left:
            raise RemoteProtocolError(
                f"more than {MAX_ITEMS} items next to each other", reason=AbortReason.INVALID_PARAMETER_VALUE
            )
        left -= 1
        value = start + ITEM_HEADER_LENGTH
        if value > end:
            raise RemoteProtocolError(
                f"{end - start} bytes are left at offset {start}, too few for an item's header",
                reason=AbortReason.INVALID_PARAMETER_VALUE,
            )
        item_end = value + (raw[start + 2] << 8 | raw[start + 3])
        if item_end > end:
            raise RemoteProtocolError(
                f"item {raw[start]:02X}H at offset {start} is {item_end - end} bytes longer than what holds it",
                reason=AbortReason.INVALID_PARAMETER_VALUE,
            )
        yield raw[start], start, item_end
        start = item_end


def encode_item(item_type: int, value: bytes) -> bytes:
    """Return an item: type, reserved byte, length of two bytes and value (PS3.8 9.3.1).

    Raises:
        LocalProtocolError: the value does not fit an item.
    """
    if len(value) > _MAX_ITEM_VALUE:
        raise LocalProtocolError(f"item {item_type:02X}H of {len(value)} bytes is longer than {_MAX_ITEM_VALUE}")
    return bytes((item_type, 0)) + len(value).to_bytes(2, "big") + value


def decode_uid(raw: bytes) -> str:
    r"""Return a UID or another short name as text.

    PS3.8 Annex F pads no UID in a PDU; padding with NUL or space, at either end, is seen in the field and taken off.
    What is not printable ASCII becomes `\xNN`, so that the text is fit for a log.
    """
    text = raw.strip(b" \0").decode("latin-1")
    if text.isascii() and text.isprintable():
        return text  # as nearly all are
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def encode_uid(uid: str) -> bytes:
    """Return the bytes of a UID or another short name, without padding (PS3.8 Annex F).

    Raises:
        LocalProtocolError: it is not ASCII.
    """
    try:
        return uid.encode("ascii")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"{uid!r} is not ASCII") from error


def decode_user_item(item_type: int, value: bytes) -> UserItem:
    """Return the user information sub-item with this value.

    A sub-item that is not known, or is known but cannot be read, becomes an `UnknownUserItem`: it is for the end
    point to judge.
    """
    fields = _Fields(value)
    try:
        item = _decode_known_user_item(item_type, fields)
    except _UnreadableError:
        item = None
    return UnknownUserItem(item_type=item_type, value=value) if item is None else item


def _decode_known_user_item(item_type: int, fields: "_Fields") -> UserItem | None:
    item: UserItem
    match item_type:
        case ItemType.MAXIMUM_LENGTH:  # PS3.8 D.1
            item = MaximumLength(length=fields.integer(4))
        case ItemType.IMPLEMENTATION_CLASS_UID:  # PS3.7 D.3.3.2.1
            item = ImplementationClassUid(uid=decode_uid(fields.rest()))
        case ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW:  # PS3.7 D.3.3.3
            item = AsynchronousOperationsWindow(invoked=fields.integer(2), performed=fields.integer(2))
        case ItemType.ROLE_SELECTION:  # PS3.7 D.3.3.4
            item = RoleSelection(
                sop_class_uid=decode_uid(fields.counted()), scu_role=fields.integer(1), scp_role=fields.integer(1)
            )
        case ItemType.IMPLEMENTATION_VERSION_NAME:  # PS3.7 D.3.3.2.3
            item = ImplementationVersionName(name=decode_uid(fields.rest()))
        case ItemType.SOP_CLASS_EXTENDED_NEGOTIATION:  # PS3.7 D.3.3.5
            item = SopClassExtendedNegotiation(
                sop_class_uid=decode_uid(fields.counted()), application_information=fields.rest()
            )
        case ItemType.SOP_CLASS_COMMON_EXTENDED_NEGOTIATION:  # PS3.7 D.3.3.6
            item = _decode_common_extended_negotiation(fields)
        case ItemType.USER_IDENTITY_REQUEST:  # PS3.7 D.3.3.7.1
            item = UserIdentityRequest(
                identity_type=fields.integer(1),
                positive_response_requested=fields.integer(1),
                primary_field=fields.counted(),
                secondary_field=fields.counted(),
            )
        case ItemType.USER_IDENTITY_RESPONSE:  # PS3.7 D.3.3.7.2
            item = UserIdentityResponse(server_response=fields.counted())
        case _:
            return None
    fields.expect_end()
    return item


def _decode_common_extended_negotiation(fields: "_Fields") -> SopClassCommonExtendedNegotiation:
    sop_class_uid = decode_uid(fields.counted())
    service_class_uid = decode_uid(fields.counted())
    related = _Fields(fields.counted())
    uids = []
    while not related.at_end:
        uids.append(decode_uid(related.counted()))
    fields.rest()  # reserved for later versions of the sub-item
    return SopClassCommonExtendedNegotiation(
        sop_class_uid=sop_class_uid, service_class_uid=service_class_uid, related_general_sop_class_uids=tuple(uids)
    )


def encode_user_item(item: UserItem) -> bytes:
    """Return a user information sub-item, header included.

    Raises:
        LocalProtocolError: a value does not fit its field.
    """
    try:
        return _encode_user_item(item)
    except OverflowError as error:
        raise LocalProtocolError(f"a value of {item!r} does not fit its field") from error


def _encode_user_item(item: UserItem) -> bytes:
    match item:
        case MaximumLength():
            return encode_item(ItemType.MAXIMUM_LENGTH, item.length.to_bytes(4, "big"))
        case ImplementationClassUid():
            return encode_item(ItemType.IMPLEMENTATION_CLASS_UID, encode_uid(item.uid))
        case AsynchronousOperationsWindow():
            window = item.invoked.to_bytes(2, "big") + item.performed.to_bytes(2, "big")
            return encode_item(ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, window)
        case RoleSelection():
            roles = item.scu_role.to_bytes(1, "big") + item.scp_role.to_bytes(1, "big")
            return encode_item(ItemType.ROLE_SELECTION, _counted(encode_uid(item.sop_class_uid)) + roles)
        case ImplementationVersionName():
            return encode_item(ItemType.IMPLEMENTATION_VERSION_NAME, encode_uid(item.name))
        case SopClassExtendedNegotiation():
            uid = _counted(encode_uid(item.sop_class_uid))
            return encode_item(ItemType.SOP_CLASS_EXTENDED_NEGOTIATION, uid + item.application_information)
        case SopClassCommonExtendedNegotiation():
            related = b"".join(_counted(encode_uid(uid)) for uid in item.related_general_sop_class_uids)
            uids = _counted(encode_uid(item.sop_class_uid)) + _counted(encode_uid(item.service_class_uid))
            return encode_item(ItemType.SOP_CLASS_COMMON_EXTENDED_NEGOTIATION, uids + _counted(related))
        case UserIdentityRequest():
            kind = item.identity_type.to_bytes(1, "big") + item.positive_response_requested.to_bytes(1, "big")
            fields = _counted(item.primary_field) + _counted(item.secondary_field)
            return encode_item(ItemType.USER_IDENTITY_REQUEST, kind + fields)
        case UserIdentityResponse():
            return encode_item(ItemType.USER_IDENTITY_RESPONSE, _counted(item.server_response))
        case UnknownUserItem():
            return encode_item(item.item_type, item.value)
        case _:
            assert_never(item)


def _counted(value: bytes) -> bytes:
    """Return the value behind its length of two bytes, as the sub-items of PS3.7 Annex D have it."""
    return len(value).to_bytes(2, "big") + value


class _UnreadableError(Exception):
    """A sub-item's value is shorter or longer than its fields."""


class _Fields:
    """Takes the fields of a sub-item's value one after the other."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._offset = 0

    @property
    def at_end(self) -> bool:
        return self._offset == len(self._value)

    def _take(self, length: int) -> bytes:
        end = self._offset + length
        if end > len(self._value):
            raise _UnreadableError
        field = self._value[self._offset : end]
        self._offset = end
        return field

    def integer(self, length: int) -> int:
        """Return an unsigned integer of `length` bytes, big endian (PS3.8 9.3.1)."""
        return int.from_bytes(self._take(length), "big")

    def counted(self) -> bytes:
        """Return a field that follows its own length of two bytes."""
        return self._take(self.integer(2))

    def rest(self) -> bytes:
        return self._take(len(self._value) - self._offset)

    def expect_end(self) -> None:
        if not self.at_end:
            raise _UnreadableError

"""PDUs from bytes and bytes from PDUs (PS3.8 9.3), and P-DATA-TF for what the proxy says itself.

`decode_pdu` reads what a peer sent as far as the proxy must understand it, and is lenient where the end points are:
reserved bytes, unknown items, absent items and presentation context ids are not judged, since the PDU is relayed as
it came and the end point that gets it has the last word. What does not belong here: cutting a stream into PDUs
(`reader`), editing a peer's PDU (`negotiation`), and when a PDU may be sent (`state_machine`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from dimse_proxy.errors import LocalProtocolError, RemoteProtocolError
from dimse_proxy.upper_layer.items import (
    ITEM_HEADER_LENGTH,
    AbortReason,
    ItemType,
    decode_uid,
    decode_user_item,
    encode_item,
    encode_uid,
    encode_user_item,
    walk_items,
)
from dimse_proxy.upper_layer.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ControlPdu,
    PduType,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
    UserItem,
)

ContextT = TypeVar("ContextT", ProposedContext, ContextResult)

PDU_HEADER_LENGTH: Final = 6
"""Type, reserved byte and length of four bytes, big endian (PS3.8 9.3.1)."""

CALLED_AE_TITLE: Final = slice(10, 26)
"""Where an A-ASSOCIATE-RQ or -AC has the called AE title (PS3.8 Tables 9-11 and 9-17)."""
CALLING_AE_TITLE: Final = slice(26, 42)
"""Where an A-ASSOCIATE-RQ or -AC has the calling AE title."""
ASSOCIATE_RESERVED: Final = slice(42, 74)
"""The 32 reserved bytes behind the titles, which the AC returns as they came in the RQ."""
ITEMS_OFFSET: Final = 74
"""Where the items of an A-ASSOCIATE-RQ or -AC begin."""

APPLICATION_CONTEXT_NAME: Final = "1.2.840.10008.3.1.1.1"
"""The DICOM application context (PS3.7 A.2.1)."""

CONTEXT_FIELDS_LENGTH: Final = 4
"""Bytes of a presentation context item's value before its sub-items (PS3.8 9.3.2.2 and 9.3.3.2)."""

_PDU_TYPES: Final = frozenset(PduType)
_SHORT_PDU_LENGTH: Final = 4
"""PDU length of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT (PS3.8 9.3.4, 9.3.6 to 9.3.8)."""
_PDV_HEADER_LENGTH: Final = 6
"""PDV length (4), presentation context id and message control header (PS3.8 9.3.5.1 and E.2)."""
_OWN_P_DATA_LENGTH: Final = 16384
"""PDU length the proxy does not go beyond, whatever the receiver takes: the usual default of DICOM toolkits."""


def decode_pdu(raw: bytes) -> ControlPdu:
    """Return the PDU in `raw`, which keeps a reference to it.

    Presentation context ids are taken as they come. PS3.8 9.3.2.2 wants odd ones from 1 to 255, each once; given an
    even one, DCMTK's acceptor accepts the context and pynetdicom's does not answer. It does not make the PDU
    unreadable, so the real acceptor is asked.

    An item of a type that is not known is skipped (PS3.8 9.3.1), so reason 4, unrecognized PDU parameter, is never
    given.

    Args:
        raw: one whole PDU, header included, of any type but P-DATA-TF.

    Raises:
        RemoteProtocolError: it cannot be read (PS3.8 Table 9-26). Reason 1 for a type that does not exist, 2 for a
            P-DATA-TF, 5 for an item that does not belong where it is or is there twice, 6 for lengths that do not fit.
            Nothing else is ever raised.
    """
    if not raw:
        raise _invalid("the PDU is empty")
    pdu_type = raw[0]
    if pdu_type not in _PDU_TYPES:
        raise RemoteProtocolError(f"{pdu_type:02X}H is not a type of PDU", reason=AbortReason.UNRECOGNIZED_PDU)
    if len(raw) < PDU_HEADER_LENGTH:
        raise _invalid(f"the PDU's header has {len(raw)} bytes of {PDU_HEADER_LENGTH}")
    length = int.from_bytes(raw[2:PDU_HEADER_LENGTH], "big")
    if length != len(raw) - PDU_HEADER_LENGTH:
        raise _invalid(f"the PDU's length is {length}, but {len(raw) - PDU_HEADER_LENGTH} bytes follow its header")
    match pdu_type:
        case PduType.A_ASSOCIATE_RQ:
            return decode_associate_request(raw)
        case PduType.A_ASSOCIATE_AC:
            return _decode_associate_accept(raw)
        case PduType.P_DATA_TF:
            raise RemoteProtocolError("P-DATA-TF where another PDU is due", reason=AbortReason.UNEXPECTED_PDU)
        case _:
            return _decode_short_pdu(pdu_type, raw)


def _invalid(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=AbortReason.INVALID_PARAMETER_VALUE)


def _unexpected(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=AbortReason.UNEXPECTED_PARAMETER)


def _decode_short_pdu(pdu_type: int, raw: bytes) -> ControlPdu:
    length = len(raw) - PDU_HEADER_LENGTH
    if length != _SHORT_PDU_LENGTH:
        raise _invalid(f"{PduType(pdu_type).name} has a length of {length} instead of {_SHORT_PDU_LENGTH}")
    match pdu_type:
        case PduType.A_ASSOCIATE_RJ:
            return AssociateReject(result=raw[7], source=raw[8], reason=raw[9], raw=raw)
        case PduType.A_RELEASE_RQ:
            return ReleaseRequest(raw=raw)
        case PduType.A_RELEASE_RP:
            return ReleaseResponse(raw=raw)
        case _:
            return Abort(source=raw[8], reason=raw[9], raw=raw)


def decode_associate_request(raw: bytes) -> AssociateRequest:
    """Return the A-ASSOCIATE-RQ in `raw`, whose type and PDU length are known to be right (PS3.8 9.3.2).

    Raises:
        RemoteProtocolError: it cannot be read; see `decode_pdu`.
    """
    application_context_name, contexts, user_information = _associate_items(
        raw, ItemType.PROPOSED_CONTEXT, ItemType.CONTEXT_RESULT, _decode_proposed_context
    )
    return AssociateRequest(
        protocol_version=int.from_bytes(raw[6:8], "big"),
        called_ae_title=raw[CALLED_AE_TITLE],
        calling_ae_title=raw[CALLING_AE_TITLE],
        application_context_name=application_context_name,
        presentation_contexts=contexts,
        user_information=user_information,
        raw=raw,
    )


def _decode_associate_accept(raw: bytes) -> AssociateAccept:
    application_context_name, contexts, user_information = _associate_items(
        raw, ItemType.CONTEXT_RESULT, ItemType.PROPOSED_CONTEXT, _decode_context_result
    )
    return AssociateAccept(
        protocol_version=int.from_bytes(raw[6:8], "big"),
        called_ae_title=raw[CALLED_AE_TITLE],
        calling_ae_title=raw[CALLING_AE_TITLE],
        application_context_name=application_context_name,
        presentation_contexts=contexts,
        user_information=user_information,
        raw=raw,
    )


def _associate_items(
    raw: bytes, own: ItemType, others: ItemType, decode_context: Callable[[bytes, int, int], ContextT]
) -> tuple[str, tuple[ContextT, ...], tuple[UserItem, ...]]:
    """Return application context name, presentation contexts and user information of an A-ASSOCIATE-RQ or -AC.

    Args:
        raw: the whole PDU.
        own: the type of this PDU's presentation context items.
        others: that of the other PDU's, which must not stand here.
        decode_context: reads an item of type `own`, given `raw` and the offsets of its value and behind it.
    """
    _check_associate_length(raw)
    name = PduType(raw[0]).name.replace("_", "-")
    application_context_name = ""
    contexts: list[ContextT] = []
    user_items: tuple[UserItem, ...] | None = None
    for item_type, start, end in walk_items(raw, ITEMS_OFFSET, len(raw)):
        value = start + ITEM_HEADER_LENGTH
        if item_type == ItemType.APPLICATION_CONTEXT:
            application_context_name = decode_uid(raw[value:end])
        elif item_type == own:
            contexts.append(decode_context(raw, value, end))
        elif item_type == ItemType.USER_INFORMATION:
            if user_items is not None:
                raise _unexpected(f"{name} with a second user information item")
            user_items = _decode_user_information(raw, value, end)
        elif item_type == others:
            raise _unexpected(f"{name} with a presentation context item of the other A-ASSOCIATE PDU")
    return application_context_name, tuple(contexts), user_items or ()


def _check_associate_length(raw: bytes) -> None:
    if len(raw) < ITEMS_OFFSET:
        raise _invalid(f"{PduType(raw[0]).name} has {len(raw)} bytes, fewer than the {ITEMS_OFFSET} before its items")


def _context_sub_items(raw: bytes, value: int, end: int) -> Iterable[tuple[int, int, int]]:
    if value + CONTEXT_FIELDS_LENGTH > end:
        raise _invalid(f"presentation context item with a length of {end - value}")
    return walk_items(raw, value + CONTEXT_FIELDS_LENGTH, end)


def _decode_proposed_context(raw: bytes, value: int, end: int) -> ProposedContext:
    abstract_syntax: str | None = None
    transfer_syntaxes: list[str] = []
    for item_type, start, sub_end in _context_sub_items(raw, value, end):
        uid = raw[start + ITEM_HEADER_LENGTH : sub_end]
        if item_type == ItemType.TRANSFER_SYNTAX:
            transfer_syntaxes.append(decode_uid(uid))
        elif item_type == ItemType.ABSTRACT_SYNTAX:
            # With two of them, the filter could judge one and the acceptor take the other.
            if abstract_syntax is not None:
                raise _unexpected(f"presentation context {raw[value]} has a second abstract syntax")
            abstract_syntax = decode_uid(uid)
    return ProposedContext(
        context_id=raw[value], abstract_syntax=abstract_syntax or "", transfer_syntaxes=tuple(transfer_syntaxes)
    )


def _decode_context_result(raw: bytes, value: int, end: int) -> ContextResult:
    transfer_syntaxes = [
        decode_uid(raw[start + ITEM_HEADER_LENGTH : sub_end])
        for item_type, start, sub_end in _context_sub_items(raw, value, end)
        if item_type == ItemType.TRANSFER_SYNTAX
    ]
    return ContextResult(
        context_id=raw[value],
        result=raw[value + 2],
        transfer_syntax=transfer_syntaxes[0] if transfer_syntaxes else "",
    )


def _decode_user_information(raw: bytes, value: int, end: int) -> tuple[UserItem, ...]:
    return tuple(
        decode_user_item(item_type, raw[start + ITEM_HEADER_LENGTH : sub_end])
        for item_type, start, sub_end in walk_items(raw, value, end)
    )


def encode_associate_request(
    *,
    called_ae_title: bytes,
    calling_ae_title: bytes,
    presentation_contexts: Iterable[ProposedContext],
    user_information: Iterable[UserItem],
    application_context_name: str = APPLICATION_CONTEXT_NAME,
) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8 9.3.2), protocol version 1, reserved bytes 0.

    Args:
        called_ae_title: 16 bytes.
        calling_ae_title: 16 bytes.
        presentation_contexts: in the order of their items.
        user_information: in the order of the sub-items.
        application_context_name: a UID.

    Raises:
        LocalProtocolError: a value does not fit its field.
    """
    contexts = [encode_proposed_context(context) for context in presentation_contexts]
    return _encode_associate(
        PduType.A_ASSOCIATE_RQ,
        called_ae_title + calling_ae_title + bytes(32),
        application_context_name,
        contexts,
        user_information,
    )


def encode_associate_accept(
    *,
    called_ae_title: bytes,
    calling_ae_title: bytes,
    presentation_contexts: Iterable[ContextResult],
    user_information: Iterable[UserItem],
    application_context_name: str = APPLICATION_CONTEXT_NAME,
    reserved: bytes = bytes(32),
) -> bytes:
    """Return an A-ASSOCIATE-AC (PS3.8 9.3.3), protocol version 1.

    Args:
        called_ae_title: 16 bytes, those of the RQ.
        calling_ae_title: 16 bytes, those of the RQ.
        presentation_contexts: in the order of their items.
        user_information: in the order of the sub-items.
        application_context_name: a UID.
        reserved: 32 bytes, those of the RQ.

    Raises:
        LocalProtocolError: a value does not fit its field.
    """
    contexts = [encode_context_result(context) for context in presentation_contexts]
    return _encode_associate(
        PduType.A_ASSOCIATE_AC,
        called_ae_title + calling_ae_title + reserved,
        application_context_name,
        contexts,
        user_information,
    )


def _encode_associate(
    pdu_type: PduType,
    titles_and_reserved: bytes,
    application_context_name: str,
    context_items: Sequence[bytes],
    user_information: Iterable[UserItem],
) -> bytes:
    if len(titles_and_reserved) != ASSOCIATE_RESERVED.stop - CALLED_AE_TITLE.start:
        raise LocalProtocolError("the AE titles of an A-ASSOCIATE PDU have 16 bytes, its reserved field has 32")
    body = b"".join(
        (
            b"\x00\x01\x00\x00",  # protocol version, whose bit 0 stands for version 1; reserved
            titles_and_reserved,
            encode_item(ItemType.APPLICATION_CONTEXT, encode_uid(application_context_name)),
            *context_items,
            encode_item(ItemType.USER_INFORMATION, b"".join(map(encode_user_item, user_information))),
        )
    )
    return _encode_pdu(pdu_type, body)


def encode_proposed_context(context: ProposedContext) -> bytes:
    """Return a presentation context item of an A-ASSOCIATE-RQ (PS3.8 9.3.2.2), header included.

    Raises:
        LocalProtocolError: a value does not fit its field.
    """
    sub_items = [encode_item(ItemType.ABSTRACT_SYNTAX, encode_uid(context.abstract_syntax))]
    sub_items += [encode_item(ItemType.TRANSFER_SYNTAX, encode_uid(uid)) for uid in context.transfer_syntaxes]
    return encode_item(ItemType.PROPOSED_CONTEXT, _octets(context.context_id, 0, 0, 0) + b"".join(sub_items))


def encode_context_result(context: ContextResult) -> bytes:
    """Return a presentation context item of an A-ASSOCIATE-AC (PS3.8 9.3.3.2), header included.

    It has no transfer syntax sub-item if the result has no transfer syntax.

    Raises:
        LocalProtocolError: a value does not fit its field.
    """
    value = _octets(context.context_id, 0, context.result, 0)
    if context.transfer_syntax:
        value += encode_item(ItemType.TRANSFER_SYNTAX, encode_uid(context.transfer_syntax))
    return encode_item(ItemType.CONTEXT_RESULT, value)


def encode_associate_reject(*, result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 9.3.4, values in Table 9-21)."""
    return _encode_pdu(PduType.A_ASSOCIATE_RJ, _octets(0, result, source, reason))


def encode_release_request() -> bytes:
    """Return an A-RELEASE-RQ (PS3.8 9.3.6)."""
    return _encode_pdu(PduType.A_RELEASE_RQ, bytes(4))


def encode_release_response() -> bytes:
    """Return an A-RELEASE-RP (PS3.8 9.3.7)."""
    return _encode_pdu(PduType.A_RELEASE_RP, bytes(4))


def encode_abort(*, source: int, reason: int) -> bytes:
    """Return an A-ABORT (PS3.8 9.3.8, values in Table 9-26)."""
    return _encode_pdu(PduType.A_ABORT, _octets(0, 0, source, reason))


def encode_p_data_tf(*, context_id: int, data: bytes, is_command: bool, maximum_length: int) -> list[bytes]:
    """Return a command set or a data set as P-DATA-TF PDUs of one PDV each (PS3.8 9.3.5, message control in E.2).

    Args:
        context_id: of the presentation context.
        data: the whole command set or data set; if empty, one empty fragment is made of it.
        is_command: a command set, not a data set.
        maximum_length: that the receiver announced, in bytes of a PDU without its header (PS3.8 D.1); 0 for no
            limit. Below 8 not even a fragment of two bytes fits, the shortest of even length, and that is what is
            sent.
    """
    longest = min(maximum_length or _OWN_P_DATA_LENGTH, _OWN_P_DATA_LENGTH)
    # Fragments have an even length, as data sets and command sets do: some receivers take no other.
    step = max(2, (longest - _PDV_HEADER_LENGTH) & ~1)
    pdus = []
    for start in range(0, len(data) or 1, step):
        fragment = data[start : start + step]
        control = (0x01 if is_command else 0) | (0x02 if start + step >= len(data) else 0)
        pdv_length = len(fragment) + 2
        pdv = pdv_length.to_bytes(4, "big") + _octets(context_id, control) + fragment
        pdus.append(_encode_pdu(PduType.P_DATA_TF, pdv))
    return pdus


def _octets(*values: int) -> bytes:
    try:
        return bytes(values)
    except ValueError as error:
        raise LocalProtocolError(f"one of {values} does not fit a byte") from error


def _encode_pdu(pdu_type: PduType, body: bytes) -> bytes:
    return bytes((pdu_type, 0)) + len(body).to_bytes(4, "big") + body

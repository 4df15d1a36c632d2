"""PDUs, items, PDVs and commands made by hand from PS3.7 and PS3.8: an encoder of the tests' own.

It must not import dimse_proxy: what these tests show would otherwise be shown with the codec that they test. It is as
willing to build a wrong PDU as a right one.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

RQ: Final = 0x01
AC: Final = 0x02
RJ: Final = 0x03
P_DATA: Final = 0x04
RELEASE_RQ: Final = 0x05
RELEASE_RP: Final = 0x06
ABORT: Final = 0x07

NAMES: Final = {
    RQ: "RQ",
    AC: "AC",
    RJ: "RJ",
    P_DATA: "P-DATA",
    RELEASE_RQ: "REL-RQ",
    RELEASE_RP: "REL-RP",
    ABORT: "ABORT",
}

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
VERIFICATION: Final = "1.2.840.10008.1.1"
CT_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MR_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
STUDY_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"

CALLED: Final = b"RAWSCP".ljust(16)
CALLING: Final = b"RAWSCU".ljust(16)


def pdu(kind: int, body: bytes, *, reserved: int = 0, length: int | None = None) -> bytes:
    """A PDU: type, reserved byte, length (PS3.8 9.3.1); `length` only to lie about it."""
    return struct.pack(">BBL", kind, reserved, len(body) if length is None else length) + body


def item(kind: int, value: bytes, *, reserved: int = 0) -> bytes:
    """An item or sub-item: type, reserved byte, length of two bytes."""
    return struct.pack(">BBH", kind, reserved, len(value)) + value


# --- A-ASSOCIATE -----------------------------------------------------------------------------------------------------


def proposed(context_id: int, abstract: str, *transfers: str, reserved: bytes = b"\0\0\0") -> bytes:
    """A presentation context item of an A-ASSOCIATE-RQ (PS3.8 9.3.2.2)."""
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in transfers)
    return item(0x20, bytes([context_id]) + reserved + item(0x30, abstract.encode()) + syntaxes)


def answered(context_id: int, result: int, transfer: str | None = IMPLICIT, *, reserved: bytes = b"\0\0") -> bytes:
    """A presentation context item of an A-ASSOCIATE-AC (PS3.8 9.3.3.2)."""
    syntax = b"" if transfer is None else item(0x40, transfer.encode())
    return item(0x21, bytes([context_id, reserved[0], result, reserved[1]]) + syntax)


def maximum_length(length: int) -> bytes:
    """Sub-item 51H."""
    return item(0x51, struct.pack(">L", length))


def implementation(uid: str = "1.2.3.4.5", name: str | None = "RAW_PEER_1") -> bytes:
    """Sub-items 52H and 55H."""
    return item(0x52, uid.encode()) + (b"" if name is None else item(0x55, name.encode()))


def asynchronous_window(invoked: int, performed: int) -> bytes:
    """Sub-item 53H."""
    return item(0x53, struct.pack(">HH", invoked, performed))


def _uid(uid: str) -> bytes:
    return struct.pack(">H", len(uid)) + uid.encode()


def role(uid: str, scu: int, scp: int) -> bytes:
    """Sub-item 54H."""
    return item(0x54, _uid(uid) + bytes([scu, scp]))


def extended(uid: str, information: bytes) -> bytes:
    """Sub-item 56H."""
    return item(0x56, _uid(uid) + information)


def common_extended(uid: str, service: str, *related: str) -> bytes:
    """Sub-item 57H."""
    general = b"".join(_uid(each) for each in related)
    return item(0x57, _uid(uid) + _uid(service) + struct.pack(">H", len(general)) + general)


def identity(kind: int, primary: bytes, secondary: bytes = b"", *, positive: int = 1) -> bytes:
    """Sub-item 58H."""
    fields = b"".join(struct.pack(">H", len(each)) + each for each in (primary, secondary))
    return item(0x58, bytes([kind, positive]) + fields)


def identity_response(answer: bytes) -> bytes:
    """Sub-item 59H."""
    return item(0x59, struct.pack(">H", len(answer)) + answer)


USER: Final = maximum_length(16384) + implementation()
ECHO_CONTEXT: Final = proposed(1, VERIFICATION, IMPLICIT)
APPLICATION: Final = item(0x10, APPLICATION_CONTEXT.encode())


def rq(
    contexts: bytes = ECHO_CONTEXT,
    user: bytes = USER,
    *,
    called: bytes = CALLED,
    calling: bytes = CALLING,
    version: int = 1,
    reserved: bytes = b"\0" * 35,
    application: bytes = APPLICATION,
    more: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2).

    Args:
        contexts: the presentation context items.
        user: the sub-items of the user information item.
        called: 16 bytes.
        calling: 16 bytes.
        version: the bit field.
        reserved: bytes 2, 9, 10 and 43 to 74 of the PDU, 35 in all.
        application: the application context item.
        more: items after the user information.
    """
    body = struct.pack(">H", version) + reserved[1:3] + called + calling + reserved[3:]
    return pdu(RQ, body + application + contexts + item(0x50, user) + more, reserved=reserved[0])


def ac(request: bytes, items: bytes, *, titles: bytes | None = None, reserved: bytes = b"\0" * 35) -> bytes:
    """An A-ASSOCIATE-AC (PS3.8 9.3.3) that echoes the titles of `request`, unless `titles` (32 bytes) are given."""
    body = b"\0\1" + reserved[1:3] + (request[10:42] if titles is None else titles) + reserved[3:]
    return pdu(AC, body + items, reserved=reserved[0])


def simple_ac(request: bytes, user: bytes = USER) -> bytes:
    """An AC that accepts each context of `request` with its first transfer syntax."""
    return ac(request, APPLICATION + accept_all(request) + item(0x50, user))


def accept_all(request: bytes) -> bytes:
    """The presentation context items that accept each one of `request` with its first transfer syntax."""
    accepted = []
    for kind, value in items(request):
        if kind == 0x20:
            syntax = next(inner for sub, inner in split_items(value[4:]) if sub == 0x40)
            accepted.append(answered(value[0], 0, syntax.decode()))
    return b"".join(accepted)


def rj(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return pdu(RJ, bytes([0, result, source, reason]))


def release_rq() -> bytes:
    """An A-RELEASE-RQ (PS3.8 9.3.6)."""
    return pdu(RELEASE_RQ, bytes(4))


def release_rp() -> bytes:
    """An A-RELEASE-RP (PS3.8 9.3.7)."""
    return pdu(RELEASE_RP, bytes(4))


def abort(source: int, reason: int) -> bytes:
    """An A-ABORT (PS3.8 9.3.8)."""
    return pdu(ABORT, bytes([0, 0, source, reason]))


# --- looking at what came --------------------------------------------------------------------------------------------


def split_items(data: bytes) -> list[tuple[int, bytes]]:
    """The items in `data`: type and value of each."""
    found = []
    at = 0
    while at < len(data):
        kind, _, length = struct.unpack_from(">BBH", data, at)
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def items(associate: bytes) -> list[tuple[int, bytes]]:
    """The items of an A-ASSOCIATE-RQ or -AC."""
    return split_items(associate[74:])


def titles(associate: bytes) -> bytes:
    """The two title fields of an A-ASSOCIATE-RQ or -AC, 32 bytes."""
    return associate[10:42]


def without_titles(associate: bytes) -> bytes:
    """An A-ASSOCIATE-RQ or -AC but for its two title fields."""
    return associate[:10] + associate[42:]


def results(accept: bytes) -> list[tuple[int, int]]:
    """Context ID and result of each presentation context item of an A-ASSOCIATE-AC, in order."""
    return [(value[0], value[2]) for kind, value in items(accept) if kind == 0x21]


# --- P-DATA ----------------------------------------------------------------------------------------------------------


def pdv(context_id: int, data: bytes, *, command: bool, last: bool) -> bytes:
    """A presentation data value item: length, context, message control header, fragment (PS3.8 9.3.5.1 and E.2)."""
    return struct.pack(">LBB", len(data) + 2, context_id, command | last << 1) + data


def p_data(*pdvs: bytes) -> bytes:
    """A P-DATA-TF of these presentation data value items."""
    return pdu(P_DATA, b"".join(pdvs))


def command_pdu(command: bytes, context_id: int = 1) -> bytes:
    """A P-DATA-TF that holds one command, whole."""
    return p_data(pdv(context_id, command, command=True, last=True))


def data_pdus(data: bytes, context_id: int = 1, *, size: int = 16384) -> bytes:
    """P-DATA-TFs that hold one data set, cut to PDUs of `size` bytes after the header."""
    room = size - 6
    pieces = [data[at : at + room] for at in range(0, len(data), room)] or [b""]
    return b"".join(
        p_data(pdv(context_id, piece, command=False, last=number == len(pieces)))
        for number, piece in enumerate(pieces, start=1)
    )


def pdvs(data: bytes) -> list[tuple[int, int, bytes]]:
    """The PDVs of P-DATA-TFs: context, message control header, fragment."""
    found = []
    at = 0
    while at < len(data):
        kind, _, length = struct.unpack_from(">BBL", data, at)
        assert kind == P_DATA, f"not a P-DATA-TF at {at}: {data[at : at + 10].hex()}"
        inner, end = at + 6, at + 6 + length
        while inner < end:
            size, context_id, header = struct.unpack_from(">LBB", data, inner)
            found.append((context_id, header, data[inner + 6 : inner + 4 + size]))
            inner += 4 + size
        at = end
    return found


# --- commands (implicit VR little endian, PS3.7 6.3) -----------------------------------------------------------------

Element = tuple[int, bytes]


def element(tag: int, value: bytes) -> bytes:
    """An element, implicit VR little endian; a tag of the group 0000 may be given by its element number."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def command_set(elements: Iterable[Element]) -> bytes:
    """A command set: the elements and, before them, the group length."""
    body = b"".join(element(tag, value) for tag, value in elements)
    return element(0x0000, struct.pack("<L", len(body))) + body


def us(number: int) -> bytes:
    """An unsigned short, little endian."""
    return struct.pack("<H", number)


def ui(uid: str) -> bytes:
    """A UID, padded to even length with NUL."""
    return (uid + "\0" * (len(uid) % 2)).encode()


def ae(title: bytes) -> bytes:
    """An AE title, padded to even length with a space."""
    return title + b" " * (len(title) % 2)


NO_DATA: Final = 0x0101
DATA: Final = 0x0001


def request(field: int, sop_class: str, message_id: int, *more: Element, data: bool = False) -> bytes:
    """A DIMSE-C request; `more` elements are sorted into their places by tag."""
    fixed: Sequence[Element] = (
        (0x0002, ui(sop_class)),
        (0x0100, us(field)),
        (0x0110, us(message_id)),
        (0x0800, us(DATA if data else NO_DATA)),
    )
    return command_set(sorted([*fixed, *more]))


def response(field: int, sop_class: str, message_id: int, status: int, *more: Element, data: bool = False) -> bytes:
    """A DIMSE-C response."""
    fixed: Sequence[Element] = (
        (0x0002, ui(sop_class)),
        (0x0100, us(field)),
        (0x0120, us(message_id)),
        (0x0800, us(DATA if data else NO_DATA)),
        (0x0900, us(status)),
    )
    return command_set(sorted([*fixed, *more]))


def echo_rq(message_id: int = 1) -> bytes:
    """A C-ECHO-RQ."""
    return request(0x0030, VERIFICATION, message_id)


def echo_rsp(message_id: int = 1, status: int = 0) -> bytes:
    """A C-ECHO-RSP."""
    return response(0x8030, VERIFICATION, message_id, status)


def store_rq(message_id: int = 1, instance: str = "1.2.3.4", sop_class: str = CT_STORAGE, *more: Element) -> bytes:
    """A C-STORE-RQ."""
    return request(0x0001, sop_class, message_id, (0x0700, us(0)), (0x1000, ui(instance)), *more, data=True)


def store_rsp(message_id: int = 1, status: int = 0, instance: str = "1.2.3.4", sop_class: str = CT_STORAGE) -> bytes:
    """A C-STORE-RSP."""
    return response(0x8001, sop_class, message_id, status, (0x1000, ui(instance)))


def find_rq(message_id: int = 1) -> bytes:
    """A C-FIND-RQ of the Study Root model."""
    return request(0x0020, STUDY_FIND, message_id, (0x0700, us(0)), data=True)


def find_rsp(message_id: int = 1, status: int = 0, *, data: bool = False) -> bytes:
    """A C-FIND-RSP."""
    return response(0x8020, STUDY_FIND, message_id, status, data=data)


def get_rq(message_id: int = 1) -> bytes:
    """A C-GET-RQ of the Study Root model."""
    return request(0x0010, STUDY_GET, message_id, (0x0700, us(0)), data=True)


def get_rsp(message_id: int = 1, status: int = 0) -> bytes:
    """A C-GET-RSP."""
    return response(0x8010, STUDY_GET, message_id, status)


def move_rq(destination: bytes, message_id: int = 1) -> bytes:
    """A C-MOVE-RQ of the Study Root model."""
    return request(0x0021, STUDY_MOVE, message_id, (0x0600, ae(destination)), (0x0700, us(0)), data=True)


def cancel_rq(message_id: int) -> bytes:
    """A C-CANCEL-RQ."""
    return command_set(((0x0100, us(0x0FFF)), (0x0120, us(message_id)), (0x0800, us(NO_DATA))))

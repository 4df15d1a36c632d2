import pytest

from dimse_proxy import __version__
from dimse_proxy.errors import LocalProtocolError, RemoteProtocolError
from dimse_proxy.upper_layer.codec import (
    decode_pdu,
    encode_abort,
    encode_associate_accept,
    encode_associate_reject,
    encode_associate_request,
    encode_p_data_tf,
    encode_proposed_context,
    encode_release_request,
)
from dimse_proxy.upper_layer.implementation import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    own_user_information,
)
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ImplementationClassUid,
    ImplementationVersionName,
    MaximumLength,
    ProposedContext,
    UnknownUserItem,
)

TITLE = b"TITLE           "
FIXED = b"\0\1\0\0" + TITLE + TITLE + bytes(32)
CONTEXT = bytes.fromhex("20 00 0012 03 000000 30 00 0003 312e32 40 00 0003 312e33")


def pdu(pdu_type: int, body: bytes) -> bytes:
    return bytes((pdu_type, 0)) + len(body).to_bytes(4, "big") + body


def request(items: bytes) -> AssociateRequest:
    decoded = decode_pdu(pdu(1, FIXED + items))
    assert isinstance(decoded, AssociateRequest)
    return decoded


def accept(items: bytes) -> AssociateAccept:
    decoded = decode_pdu(pdu(2, FIXED + items))
    assert isinstance(decoded, AssociateAccept)
    return decoded


def reason_for(raw: bytes) -> int:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_pdu(raw)
    assert caught.value.source == 2
    return caught.value.reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", 6),
        (b"\0", 1),
        (b"\x08\0\0\0\0\4\0\0\0\0", 1),
        (b"GET / HTTP/1.1\r\n", 1),
        (b"\x16\x03\x01\x02\x00\x01", 1),
        (b"\5\0\0\0\0", 6),
        (b"\5\0\0\0\0\4\0\0\0", 6),
        (b"\5\0\0\0\0\4\0\0\0\0\0", 6),
        (b"\5\0\0\0\0\0", 6),
        (b"\3\0\0\0\0\5\0\0\0\0\0", 6),
        (b"\6\0\0\0\0\2\0\0", 6),
        (b"\7\0\xff\xff\xff\xff\0\0\0\0", 6),
        (b"\4\0\0\0\0\0", 2),
        (pdu(1, b""), 6),
        (pdu(1, FIXED[:-1]), 6),
        (pdu(2, FIXED[:-1]), 6),
        (pdu(1, FIXED + b"\x10\0\0"), 6),
        (pdu(1, FIXED + b"\x10\0\0\1"), 6),
        (pdu(2, FIXED + b"\x10\0\0\1"), 6),
        (pdu(1, FIXED + bytes.fromhex("20 00 0003 010000")), 6),
        (pdu(1, FIXED + bytes.fromhex("20 00 0006 01000000 3000")), 6),
        (pdu(1, FIXED + bytes.fromhex("20 00 000a 01000000 30 00 0003 312e")), 6),
        (pdu(2, FIXED + bytes.fromhex("21 00 0003 010000")), 6),
        (pdu(2, FIXED + bytes.fromhex("21 00 0008 01000000 40 00 0001")), 6),
        (pdu(1, FIXED + bytes.fromhex("50 00 0006 51 00 0004 0000")), 6),
        (pdu(1, FIXED + bytes.fromhex("50 00 0003 51 00 00")), 6),
        (pdu(1, FIXED + bytes.fromhex("21 00 0004 01000000")), 5),
        (pdu(2, FIXED + CONTEXT), 5),
        (pdu(1, FIXED + bytes.fromhex("50 00 0000 50 00 0000")), 5),
        (pdu(2, FIXED + bytes.fromhex("50 00 0004 5f 00 0000 50 00 0000")), 5),
        (pdu(1, FIXED + bytes.fromhex("20 00 0012 01000000 30 00 0003 312e32 30 00 0003 312e33")), 5),
        (pdu(1, FIXED + bytes.fromhex("20 00 000f 01000000 30 00 0000 30 00 0003 312e33")), 5),
    ],
)
def test_what_cannot_be_read(raw: bytes, reason: int) -> None:
    assert reason_for(raw) == reason


def test_a_request_without_items_can_be_read() -> None:
    decoded = request(b"")
    assert decoded.application_context_name == ""
    assert decoded.presentation_contexts == ()
    assert decoded.user_information == ()


def test_reserved_bytes_and_protocol_version_are_not_judged() -> None:
    body = b"\xff\xfe\xff\xff" + TITLE + TITLE + b"\xff" * 32 + CONTEXT.replace(b"\3\0\0\0", b"\3\xff\xff\xff")
    decoded = decode_pdu(b"\1\xff" + len(body).to_bytes(4, "big") + body)
    assert isinstance(decoded, AssociateRequest)
    assert decoded.protocol_version == 0xFFFE
    assert decoded.presentation_contexts[0].context_id == 3


def test_unknown_items_are_skipped() -> None:
    decoded = request(bytes.fromhex("7f 00 0003 aabbcc") + CONTEXT + bytes.fromhex("22 00 0000"))
    assert decoded.presentation_contexts == (
        ProposedContext(context_id=3, abstract_syntax="1.2", transfer_syntaxes=("1.3",)),
    )
    assert accept(bytes.fromhex("7f 00 0001 aa")).presentation_contexts == ()


def test_unknown_sub_items_of_a_context_are_skipped() -> None:
    item = bytes.fromhex("20 00 0012 01000000 41 00 0003 aabbcc 30 00 0003 312e32")
    assert request(item).presentation_contexts == (
        ProposedContext(context_id=1, abstract_syntax="1.2", transfer_syntaxes=()),
    )


@pytest.mark.parametrize("context_id", [0, 2, 255])
def test_context_ids_are_not_judged(context_id: int) -> None:
    item = CONTEXT.replace(b"\3\0\0\0", bytes((context_id, 0, 0, 0)))
    assert [context.context_id for context in request(item + item).presentation_contexts] == [context_id] * 2


def test_a_context_without_abstract_syntax_can_be_read() -> None:
    item = bytes.fromhex("20 00 000b 01000000 40 00 0003 312e33")
    assert request(item).presentation_contexts == (
        ProposedContext(context_id=1, abstract_syntax="", transfer_syntaxes=("1.3",)),
    )


def test_uids_padded_with_nul_or_space() -> None:
    item = bytes.fromhex("20 00 0014 01000000 30 00 0004 312e3200 40 00 0004 312e3320")
    decoded = request(bytes.fromhex("10 00 0004 312e3900") + item)
    assert decoded.application_context_name == "1.9"
    assert decoded.presentation_contexts == (
        ProposedContext(context_id=1, abstract_syntax="1.2", transfer_syntaxes=("1.3",)),
    )


def test_contexts_of_an_accept_in_any_order_with_or_without_transfer_syntax() -> None:
    decoded = accept(
        bytes.fromhex(
            "21 00 0004 05000300"  # no sub-item
            "21 00 0008 03000400 40 00 0000"  # an empty one
            "50 00 0008 51 00 0004 00000000"
            "21 00 0012 01000000 40 00 0003 312e33 40 00 0003 312e34"  # two
        )
    )
    assert decoded.presentation_contexts == (
        ContextResult(context_id=5, result=3, transfer_syntax=""),
        ContextResult(context_id=3, result=4, transfer_syntax=""),
        ContextResult(context_id=1, result=0, transfer_syntax="1.3"),
    )
    assert decoded.application_context_name == ""


def test_user_information_without_maximum_length_and_with_an_unreadable_one() -> None:
    assert request(bytes.fromhex("50 00 0000")).user_information == ()
    assert request(bytes.fromhex("50 00 0006 51 00 0002 4000")).user_information == (
        UnknownUserItem(item_type=0x51, value=b"\x40\0"),
    )


def test_raw_is_the_object_that_came() -> None:
    raw = encode_release_request()
    assert decode_pdu(raw).raw is raw


@pytest.mark.parametrize(("called", "calling"), [(b"A", TITLE), (TITLE, TITLE + b" ")])
def test_titles_of_a_wrong_length_are_our_mistake(called: bytes, calling: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        encode_associate_request(
            called_ae_title=called, calling_ae_title=calling, presentation_contexts=(), user_information=()
        )


def test_reserved_field_of_a_wrong_length_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="32"):
        encode_associate_accept(
            called_ae_title=TITLE,
            calling_ae_title=TITLE,
            presentation_contexts=(),
            user_information=(),
            reserved=b"",
        )


def test_numbers_that_fit_no_byte_are_our_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="does not fit a byte"):
        encode_abort(source=0, reason=256)
    with pytest.raises(LocalProtocolError, match="does not fit a byte"):
        encode_associate_reject(result=-1, source=0, reason=0)
    with pytest.raises(LocalProtocolError, match="does not fit a byte"):
        encode_proposed_context(ProposedContext(context_id=257, abstract_syntax="1.2", transfer_syntaxes=()))


def fragments(pdus: list[bytes]) -> list[tuple[int, int, bytes]]:
    """Context id, message control header and fragment of PDUs that hold one PDV each."""
    out = []
    for raw in pdus:
        assert raw[:2] == b"\4\0"
        assert int.from_bytes(raw[2:6], "big") == len(raw) - 6
        assert int.from_bytes(raw[6:10], "big") == len(raw) - 10
        out.append((raw[10], raw[11], raw[12:]))
    return out


@pytest.mark.parametrize(
    ("length", "maximum_length", "sizes"),
    [
        (0, 0, [0]),
        (10, 0, [10]),
        (10, 16, [10]),
        (11, 16, [10, 1]),
        (20, 16, [10, 10]),
        (20, 17, [10, 10]),
        (6, 8, [2, 2, 2]),
        (5, 1, [2, 2, 1]),
        (16378, 0, [16378]),
        (16379, 0, [16378, 1]),
        (16379, 0xFFFFFFFF, [16378, 1]),
        (300, 128, [122, 122, 56]),
    ],
)
def test_fragments_keep_to_the_maximum_length(length: int, maximum_length: int, sizes: list[int]) -> None:
    data = bytes(index % 251 for index in range(length))
    pdus = encode_p_data_tf(context_id=7, data=data, is_command=False, maximum_length=maximum_length)
    found = fragments(pdus)
    assert [len(fragment) for _, _, fragment in found] == sizes
    assert b"".join(fragment for _, _, fragment in found) == data
    assert [context_id for context_id, _, _ in found] == [7] * len(sizes)
    assert [control for _, control, _ in found] == [0] * (len(sizes) - 1) + [2]
    if maximum_length >= 8:
        assert max(len(raw) - 6 for raw in pdus) <= maximum_length


def test_fragments_of_a_command() -> None:
    pdus = encode_p_data_tf(context_id=1, data=bytes(6), is_command=True, maximum_length=10)
    assert [control for _, control, _ in fragments(pdus)] == [1, 3]


def test_own_user_information() -> None:
    assert len(IMPLEMENTATION_CLASS_UID) <= 64
    assert 0 < len(IMPLEMENTATION_VERSION_NAME) <= 16
    assert own_user_information(0) == (
        MaximumLength(length=0),
        ImplementationClassUid(uid=IMPLEMENTATION_CLASS_UID),
        ImplementationVersionName(name=IMPLEMENTATION_VERSION_NAME),
    )
    assert own_user_information()[0] == MaximumLength(length=16384)


def test_own_version_name_follows_the_package() -> None:
    major, minor, *_ = __version__.split(".")
    assert f"DIMSEPROXY_{major}_{minor}" == IMPLEMENTATION_VERSION_NAME

import pytest

from dimse_proxy.errors import LocalProtocolError, RemoteProtocolError
from dimse_proxy.upper_layer.items import (
    MAX_ITEMS,
    decode_uid,
    decode_user_item,
    encode_item,
    encode_uid,
    encode_user_item,
    walk_items,
)
from dimse_proxy.upper_layer.pdu import (
    AsynchronousOperationsWindow,
    ImplementationClassUid,
    MaximumLength,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UnknownUserItem,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)


def test_walk_items_gives_offsets() -> None:
    raw = b"xx" + bytes.fromhex("30 ff 0002 aabb 40 00 0000 51 00 0001 cc") + b"yy"
    assert list(walk_items(raw, 2, len(raw) - 2)) == [(0x30, 2, 8), (0x40, 8, 12), (0x51, 12, 17)]


def test_walk_items_of_nothing() -> None:
    assert list(walk_items(b"abc", 2, 2)) == []


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("30", "1 bytes are left at offset 0"),
        ("30 00 00", "3 bytes are left"),
        ("30 00 0001", "1 bytes longer"),
        ("30 00 0000 40 00 ffff aa", "item 40H at offset 4 is 65534 bytes longer"),
    ],
)
def test_walk_items_stops_at_a_wrong_length(raw: str, problem: str) -> None:
    data = bytes.fromhex(raw)
    with pytest.raises(RemoteProtocolError, match=problem) as caught:
        list(walk_items(data, 0, len(data)))
    assert (caught.value.source, caught.value.reason) == (2, 6)


def test_an_item_may_not_reach_beyond_what_holds_it() -> None:
    data = bytes.fromhex("30 00 0002 aabb")
    with pytest.raises(RemoteProtocolError, match="1 bytes longer"):
        list(walk_items(data, 0, 5))


def test_encode_item() -> None:
    assert encode_item(0x51, b"\0\0\x40\0") == bytes.fromhex("51 00 0004 00004000")
    assert len(encode_item(0x56, bytes(0xFFFF))) == 4 + 0xFFFF
    with pytest.raises(LocalProtocolError, match="item 56H of 65536 bytes is longer than 65535"):
        encode_item(0x56, bytes(0x10000))


@pytest.mark.parametrize(
    ("raw", "uid"),
    [
        (b"1.2.840", "1.2.840"),
        (b"1.2.840\0", "1.2.840"),
        (b"1.2.840 \0 ", "1.2.840"),
        (b" 1.2.840", "1.2.840"),
        (b"", ""),
        (b"\0", ""),
        (b"1.2\0.3", "1.2\\x00.3"),
        (b"1.2\n\xe4\x7f", "1.2\\x0a\\xe4\\x7f"),
    ],
)
def test_decode_uid(raw: bytes, uid: str) -> None:
    assert decode_uid(raw) == uid


def test_encode_uid_takes_ascii_only() -> None:
    assert encode_uid("1.2") == b"1.2"
    with pytest.raises(LocalProtocolError, match="is not ASCII"):
        encode_uid("1.2ä")


@pytest.mark.parametrize(
    ("item_type", "value", "item"),
    [
        (0x51, "00000000", MaximumLength(length=0)),
        (0x51, "ffffffff", MaximumLength(length=0xFFFFFFFF)),
        (0x52, "312e3200", ImplementationClassUid(uid="1.2")),
        (0x53, "0000 ffff", AsynchronousOperationsWindow(invoked=0, performed=65535)),
        (0x54, "0004 312e3200 01 00", RoleSelection(sop_class_uid="1.2", scu_role=1, scp_role=0)),
        (0x54, "0000 02 ff", RoleSelection(sop_class_uid="", scu_role=2, scp_role=255)),
        (0x56, "0003 312e32", SopClassExtendedNegotiation(sop_class_uid="1.2", application_information=b"")),
        (
            0x57,
            "0003 312e32 0003 312e33 0000",
            SopClassCommonExtendedNegotiation(
                sop_class_uid="1.2", service_class_uid="1.3", related_general_sop_class_uids=()
            ),
        ),
        (
            0x58,
            "03 00 0001 aa 0000",
            UserIdentityRequest(
                identity_type=3, positive_response_requested=0, primary_field=b"\xaa", secondary_field=b""
            ),
        ),
        (
            0x58,
            "01 01 0000 0001 bb",
            UserIdentityRequest(
                identity_type=1, positive_response_requested=1, primary_field=b"", secondary_field=b"\xbb"
            ),
        ),
        (0x59, "0000", UserIdentityResponse(server_response=b"")),
    ],
)
def test_decode_user_item(item_type: int, value: str, item: UserItem) -> None:
    assert decode_user_item(item_type, bytes.fromhex(value)) == item


def test_common_extended_negotiation_ignores_fields_of_later_versions() -> None:
    value = bytes.fromhex("0003 312e32 0003 312e33 0005 0003 312e34") + b"later"
    assert decode_user_item(0x57, value) == SopClassCommonExtendedNegotiation(
        sop_class_uid="1.2", service_class_uid="1.3", related_general_sop_class_uids=("1.4",)
    )


@pytest.mark.parametrize(
    ("item_type", "value"),
    [
        (0x50, ""),
        (0x5A, "00"),
        (0xFF, "00ff"),
        (0x51, "000040"),
        (0x51, "0000004000"),
        (0x51, ""),
        (0x53, "0001"),
        (0x53, "0001000100"),
        (0x54, "0009 312e32 01 00"),
        (0x54, "0003 312e32 01"),
        (0x54, "0003 312e32 01 00 00"),
        (0x56, "00"),
        (0x56, "0004 312e32"),
        (0x57, "0003 312e32 0003 312e33"),
        (0x57, "0003 312e32 0003 312e33 0004 0003 312e"),
        (0x58, "01 00 0005 aa"),
        (0x58, "01 00 0001 aa"),
        (0x58, "01 00 0001 aa 0000 00"),
        (0x59, "0002 aa"),
        (0x59, "0001 aa bb"),
    ],
)
def test_what_cannot_be_read_is_kept(item_type: int, value: str) -> None:
    item = decode_user_item(item_type, bytes.fromhex(value))
    assert item == UnknownUserItem(item_type=item_type, value=bytes.fromhex(value))
    assert encode_user_item(item) == bytes((item_type, 0, 0, len(bytes.fromhex(value)))) + bytes.fromhex(value)


@pytest.mark.parametrize(
    "item",
    [
        MaximumLength(length=1 << 32),
        MaximumLength(length=-1),
        AsynchronousOperationsWindow(invoked=1 << 16, performed=0),
        RoleSelection(sop_class_uid="1.2", scu_role=256, scp_role=0),
        SopClassExtendedNegotiation(sop_class_uid="1" * 0x10000, application_information=b""),
        SopClassExtendedNegotiation(sop_class_uid="1", application_information=bytes(0x10000)),
    ],
)
def test_values_that_do_not_fit_are_our_mistake(item: UserItem) -> None:
    with pytest.raises(LocalProtocolError):
        encode_user_item(item)


def test_an_identity_that_does_not_fit_is_not_told() -> None:
    item = UserIdentityRequest(
        identity_type=1, positive_response_requested=0, primary_field=b"SECRET" * 20000, secondary_field=b""
    )
    with pytest.raises(LocalProtocolError) as caught:
        encode_user_item(item)
    assert "SECRET" not in str(caught.value)


def test_more_items_than_any_real_request_has_are_refused() -> None:
    raw = encode_item(0x54, b"") * MAX_ITEMS
    assert len(list(walk_items(raw, 0, len(raw)))) == MAX_ITEMS
    with pytest.raises(RemoteProtocolError, match="more than"):
        list(walk_items(raw + encode_item(0x54, b""), 0, len(raw) + 4))

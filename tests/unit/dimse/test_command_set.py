import pytest

from dimse_proxy.dimse.command_set import (
    CommandField,
    CommandSet,
    SubOperations,
    Tag,
    encode_ae,
    encode_ui,
    encode_us,
)
from dimse_proxy.errors import RemoteProtocolError
from tests.unit.dimse.messages import command_bytes, echo_request, element, move_request, store_request, us


def test_properties_of_a_move_request() -> None:
    command = CommandSet.decode(move_request(b" SCU1 "))
    assert command.command_field is CommandField.C_MOVE_RQ
    assert command.is_request
    assert not command.is_response
    assert command.has_data_set
    assert command.message_id == 7
    assert command.message_id_being_responded_to is None
    assert command.affected_sop_class_uid == "1.2.840.10008.5.1.4.1.2.2.2"
    assert command.requested_sop_class_uid is None
    assert command.sop_class_uid == "1.2.840.10008.5.1.4.1.2.2.2"
    assert command.move_destination == "SCU1"
    assert command.status is None


def test_properties_of_a_sub_operation() -> None:
    command = CommandSet.decode(store_request(originator=b"SCU1"))
    assert command.move_originator_ae_title == "SCU1"
    assert command.move_originator_message_id == 7


def test_properties_of_a_move_response() -> None:
    command = CommandSet.decode(
        command_bytes(
            (0x0100, us(0x8021)), (0x0120, us(7)), (0x0800, us(0x0101)), (0x0900, us(0xFF00)),
            (0x1020, us(3)), (0x1021, us(2)), (0x1022, us(1)),
        )
    )  # fmt: skip
    assert command.command_field is CommandField.C_MOVE_RSP
    assert command.is_response
    assert not command.is_request
    assert not command.has_data_set
    assert command.message_id_being_responded_to == 7
    assert command.status == 0xFF00
    assert command.sub_operations == SubOperations(remaining=3, completed=2, failed=1, warning=None)


def test_requested_sop_class_counts_where_there_is_no_affected_one() -> None:
    command = CommandSet(elements={Tag.REQUESTED_SOP_CLASS_UID: b"1.2.3\0"})
    assert command.requested_sop_class_uid == "1.2.3"
    assert command.sop_class_uid == "1.2.3"


@pytest.mark.parametrize("value", [b"", b"\x30", b"\x30\x00\x00\x00"])
def test_value_of_the_wrong_length_is_no_value(value: bytes) -> None:
    command = CommandSet(elements={Tag.COMMAND_FIELD: value, Tag.COMMAND_DATA_SET_TYPE: value})
    assert command.command_field is None
    assert not command.is_request
    assert not command.is_response
    assert not command.has_data_set


def test_command_field_that_the_standard_does_not_know() -> None:
    request = CommandSet(elements={Tag.COMMAND_FIELD: us(0x0777)})
    response = CommandSet(elements={Tag.COMMAND_FIELD: us(0x8777)})
    assert request.command_field is None
    assert request.is_request
    assert response.is_response


def test_cancel_is_a_request() -> None:
    command = CommandSet.decode(command_bytes((0x0100, us(0x0FFF)), (0x0120, us(4)), (0x0800, us(0x0101))))
    assert command.command_field is CommandField.C_CANCEL_RQ
    assert command.is_request
    assert command.message_id_being_responded_to == 4


@pytest.mark.parametrize(
    ("field", "message_name", "service"),
    [
        (CommandField.C_STORE_RQ, "C-STORE-RQ", "C-STORE"),
        (CommandField.C_STORE_RSP, "C-STORE-RSP", "C-STORE"),
        (CommandField.N_EVENT_REPORT_RSP, "N-EVENT-REPORT-RSP", "N-EVENT-REPORT"),
        (CommandField.C_CANCEL_RQ, "C-CANCEL-RQ", "C-CANCEL"),
    ],
)
def test_names(field: CommandField, message_name: str, service: str) -> None:
    assert field.message_name == message_name
    assert field.service == service


def test_encode_puts_order_and_group_length_right() -> None:
    disordered = element(0x0110, us(1)) + element(0x0000, b"\xff\xff\xff\xff") + element(0x0002, b"1.2\0")
    assert CommandSet.decode(disordered).encode() == command_bytes((0x0002, b"1.2\0"), (0x0110, us(1)))


def test_group_length_given_as_an_element_does_not_count() -> None:
    command = CommandSet(elements={Tag.COMMAND_GROUP_LENGTH: b"\x01\0\0\0", Tag.MESSAGE_ID: us(1)})
    assert command.encode() == command_bytes((0x0110, us(1)))


def test_replace_keeps_all_else() -> None:
    before = CommandSet.decode(move_request(b"SCU1"))
    after = before.replace({Tag.MOVE_DESTINATION: b"ALIAS-OF-SCU1 "})
    assert before.encode() == move_request(b"SCU1")
    assert after.encode() == move_request(b"ALIAS-OF-SCU1 ")


def test_unknown_elements_survive() -> None:
    data = command_bytes((0x0100, us(0x0030)), (0x4000, b"RETIRED "), (0xFFFE, b""))
    assert CommandSet.decode(data).encode() == data


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0\0\0", "ends within the header"),
        (element(0x0100, us(1)) + b"\0\0", "ends within the header"),
        (element(0x0100, us(1))[:-1], r"ends within element \(0000,0100\)"),
        (b"\0\0\0\x01\xff\xff\xff\xff", r"ends within element \(0000,0100\)"),
        (b"\x08\0\x18\0\0\0\0\0", "group 0008"),
        (element(0x0100, us(1)) * 2, r"\(0000,0100\) twice"),
    ],
)
def test_malformed(data: bytes, what: str) -> None:
    with pytest.raises(RemoteProtocolError, match=what) as caught:
        CommandSet.decode(data)
    assert (caught.value.source, caught.value.reason) == (2, 6)


def test_empty_command_set_says_nothing() -> None:
    command = CommandSet.decode(b"")
    assert command.command_field is None
    assert command.move_destination is None
    assert repr(command) == "CommandSet(unknown message)"


def test_repr_shows_no_instance_and_no_comment() -> None:
    request = CommandSet.decode(store_request())
    assert repr(request) == "CommandSet(C-STORE-RQ, message_id=1, sop_class_uid=1.2.840.10008.5.1.4.1.1.2)"
    response = CommandSet(
        elements={
            Tag.COMMAND_FIELD: us(0x8001),
            Tag.MESSAGE_ID_BEING_RESPONDED_TO: us(1),
            Tag.STATUS: us(0xA700),
            Tag.ERROR_COMMENT: b"NAME OF SOMEBODY",
            Tag.AFFECTED_SOP_INSTANCE_UID: b"1.2.3.4.5.6\0",
        }
    )
    assert repr(response) == "CommandSet(C-STORE-RSP, message_id_being_responded_to=1, status=A700H)"


def test_text_of_a_peer_is_fit_for_a_log() -> None:
    command = CommandSet(elements={Tag.AFFECTED_SOP_CLASS_UID: b"1.2\n\x1b[2J\xff\0"})
    assert command.affected_sop_class_uid == "1.2\\x0a\\x1b[2J\\xff"


def test_padding_of_values() -> None:
    assert encode_us(0x0102) == b"\x02\x01"
    assert encode_ui("1.2") == b"1.2\0"
    assert encode_ui("1.23") == b"1.23"
    assert encode_ae("SCU") == b"SCU "
    assert encode_ae(" SCU1 ") == b"SCU1"
    assert encode_ae("SIXTEEN-LETTERS-") == b"SIXTEEN-LETTERS-"


@pytest.mark.parametrize("title", ["", "  ", "SEVENTEEN-LETTERS", "BACK\\SLASH", "LINE\nFEED", "ÄE"])
def test_ae_titles_that_are_none(title: str) -> None:
    with pytest.raises(ValueError, match="AE title"):
        encode_ae(title)


def test_decode_of_an_echo_request() -> None:
    command = CommandSet.decode(echo_request())
    assert command.encode() == echo_request()
    assert not command.has_data_set

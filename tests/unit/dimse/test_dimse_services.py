import pytest

from dimse_proxy.dimse import services
from dimse_proxy.dimse.command_set import CommandField, CommandSet, Tag
from dimse_proxy.errors import LocalProtocolError
from tests.unit.dimse.messages import (
    command_bytes,
    echo_request,
    move_request,
    pdu,
    pdv,
    split_messages,
    split_pdus,
    store_request,
    us,
)


def test_echo_request() -> None:
    assert services.echo_request(5, 9, 16384) == pdu(pdv(5, 3, echo_request(message_id=9)))


def test_echo_request_to_a_receiver_of_short_pdus() -> None:
    stream = services.echo_request(5, 9, 32)
    assert all(len(one) - 6 <= 32 for one in split_pdus(stream))
    assert split_messages(stream) == [(5, 1, echo_request(message_id=9))]


def test_response_to_a_store_request() -> None:
    response = services.response_without_data_set(CommandSet.decode(store_request(message_id=3)), 0xA700)
    assert response.encode() == command_bytes(
        (0x0002, b"1.2.840.10008.5.1.4.1.1.2\0"),
        (0x0100, us(0x8001)),
        (0x0120, us(3)),
        (0x0800, us(0x0101)),
        (0x0900, us(0xA700)),
        (0x1000, b"1.2.826.0.1.3680043.8.498.1\0"),
    )


def test_response_to_a_move_request_names_no_instance() -> None:
    response = services.response_without_data_set(CommandSet.decode(move_request()), 0xA801)
    assert response.command_field is CommandField.C_MOVE_RSP
    assert response.status == 0xA801
    assert not response.has_data_set
    assert Tag.AFFECTED_SOP_INSTANCE_UID not in response.elements
    assert Tag.MOVE_DESTINATION not in response.elements


@pytest.mark.parametrize(
    ("field", "type_tag"),
    [(0x0130, Tag.ACTION_TYPE_ID), (0x0100, Tag.EVENT_TYPE_ID)],
    ids=["N-ACTION", "N-EVENT-REPORT"],
)
def test_requested_class_and_instance_are_the_affected_ones_of_the_response(field: int, type_tag: Tag) -> None:
    request = CommandSet(
        elements={
            Tag.REQUESTED_SOP_CLASS_UID: b"1.2.840.10008.1.20.1",
            Tag.COMMAND_FIELD: us(field),
            Tag.MESSAGE_ID: us(2),
            Tag.COMMAND_DATA_SET_TYPE: us(1),
            Tag.REQUESTED_SOP_INSTANCE_UID: b"1.2.840.10008.1.20.1.1",
            type_tag: us(1),
        }
    )
    response = services.response_without_data_set(request, 0x0124)
    assert response.elements == {
        Tag.AFFECTED_SOP_CLASS_UID: b"1.2.840.10008.1.20.1",
        Tag.COMMAND_FIELD: us(field | 0x8000),
        Tag.MESSAGE_ID_BEING_RESPONDED_TO: us(2),
        Tag.COMMAND_DATA_SET_TYPE: us(0x0101),
        Tag.STATUS: us(0x0124),
        Tag.AFFECTED_SOP_INSTANCE_UID: b"1.2.840.10008.1.20.1.1",
        type_tag: us(1),
    }


@pytest.mark.parametrize(
    "elements",
    [
        {Tag.MESSAGE_ID: us(1)},
        {Tag.COMMAND_FIELD: us(0x0030)},
        {Tag.COMMAND_FIELD: us(0x8030), Tag.MESSAGE_ID: us(1)},
        {Tag.COMMAND_FIELD: us(0x0FFF), Tag.MESSAGE_ID: us(1)},
    ],
    ids=["no command field", "no message id", "a response", "a cancel"],
)
def test_messages_that_nobody_answers(elements: dict[int, bytes]) -> None:
    with pytest.raises(LocalProtocolError, match="no response"):
        services.response_without_data_set(CommandSet(elements=elements), 0)

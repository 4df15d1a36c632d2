"""Every DIMSE message that pynetdicom can make, read here and written again."""

from io import BytesIO
from typing import Any

import pytest
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dsutils import encode

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.services import response_without_data_set

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.2"
SOP_INSTANCE = "1.2.826.0.1.3680043.8.498.1"


def _primitive(service: str, *, is_response: bool) -> dimse_primitives.DimsePrimitiveType:
    primitive: Any = getattr(dimse_primitives, service.replace("-", "_"))()
    if is_response:
        primitive.MessageIDBeingRespondedTo = 513
        primitive.Status = 0xA700 if service.startswith("C-") else 0x0110
    else:
        primitive.MessageID = 513
    prefix = "Requested" if not is_response and service in ("N-GET", "N-SET", "N-ACTION", "N-DELETE") else "Affected"
    setattr(primitive, f"{prefix}SOPClassUID", SOP_CLASS)
    if service == "C-STORE" or service.startswith("N-"):
        setattr(primitive, f"{prefix}SOPInstanceUID", SOP_INSTANCE)
    if service == "C-STORE" and not is_response:
        primitive.MoveOriginatorApplicationEntityTitle = "ASKER"
        primitive.MoveOriginatorMessageID = 7
    if service == "C-MOVE" and not is_response:
        primitive.MoveDestination = "STORE_SCP"
    if service == "N-EVENT-REPORT":
        primitive.EventTypeID = 2
    if service == "N-ACTION":
        primitive.ActionTypeID = 3
    made: dimse_primitives.DimsePrimitiveType = primitive
    return made


def _message(field: CommandField) -> dimse_messages.DIMSEMessage:
    message: dimse_messages.DIMSEMessage = getattr(dimse_messages, field.name)()
    if field is CommandField.C_CANCEL_RQ:
        cancel = dimse_primitives.C_CANCEL()
        cancel.MessageIDBeingRespondedTo = 513
        message.primitive_to_message(cancel)
    else:
        message.primitive_to_message(_primitive(field.service, is_response=bool(field & 0x8000)))
    return message


def _encoded(message: dimse_messages.DIMSEMessage) -> bytes:
    encoded = encode(message.command_set, True, True)
    assert encoded is not None
    return bytes(encoded)


@pytest.mark.parametrize("field", CommandField, ids=lambda field: field.message_name)
def test_message_of_pynetdicom(field: CommandField) -> None:
    theirs = _message(field)
    data = _encoded(theirs)
    ours = CommandSet.decode(data)
    expected = theirs.command_set
    assert ours.command_field is field
    assert ours.command_field == expected.CommandField
    assert ours.is_response == bool(field & 0x8000)
    assert ours.is_request == (not field & 0x8000)
    assert ours.message_id == expected.get("MessageID")
    assert ours.message_id_being_responded_to == expected.get("MessageIDBeingRespondedTo")
    assert ours.affected_sop_class_uid == expected.get("AffectedSOPClassUID")
    assert ours.requested_sop_class_uid == expected.get("RequestedSOPClassUID")
    assert ours.status == expected.get("Status")
    assert ours.move_destination == expected.get("MoveDestination")
    assert ours.move_originator_ae_title == expected.get("MoveOriginatorApplicationEntityTitle")
    assert ours.move_originator_message_id == expected.get("MoveOriginatorMessageID")
    assert ours.has_data_set == (expected.CommandDataSetType != 0x0101)
    assert ours.encode() == data


@pytest.mark.parametrize(
    "field", [field for field in CommandField if not field & 0x8000 and field is not CommandField.C_CANCEL_RQ]
)
def test_response_without_data_set_is_that_of_pynetdicom(field: CommandField) -> None:
    request = CommandSet.decode(_encoded(_message(field)))
    status = 0xA700 if field.service.startswith("C-") else 0x0110
    theirs = _message(CommandField(field | 0x8000))
    assert response_without_data_set(request, status).encode() == _encoded(theirs)


def test_data_set_is_announced() -> None:
    primitive = _primitive("C-STORE", is_response=False)
    assert isinstance(primitive, dimse_primitives.C_STORE)
    primitive.DataSet = BytesIO(b"\x08\0\x18\0\0\0\0\0")
    message = dimse_messages.C_STORE_RQ()
    message.primitive_to_message(primitive)
    assert CommandSet.decode(_encoded(message)).has_data_set

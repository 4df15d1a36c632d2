"""The few DIMSE messages that the proxy makes itself (PS3.7 9.3, 10.3).

None of them carries a data set, and none claims that anything was done.
"""

from typing import Final

from dimse_proxy.dimse.command_set import NO_DATA_SET, CommandField, CommandSet, Tag, encode_ui, encode_us
from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.upper_layer.codec import encode_p_data_tf

VERIFICATION_SOP_CLASS: Final = "1.2.840.10008.1.1"

_NO_DATA_SET: Final = encode_us(NO_DATA_SET)
_RESPONSE_BIT: Final = 0x8000


def echo_request(context_id: int, message_id: int, maximum_length: int) -> bytes:
    """Return a C-ECHO-RQ (PS3.7 9.3.5.1) as the bytes of P-DATA-TF PDUs.

    Args:
        context_id: of an accepted presentation context of the Verification SOP Class.
        message_id: of the new message.
        maximum_length: that the receiver announced, in bytes; 0 for no limit.
    """
    command = CommandSet(
        elements={
            Tag.AFFECTED_SOP_CLASS_UID: encode_ui(VERIFICATION_SOP_CLASS),
            Tag.COMMAND_FIELD: encode_us(CommandField.C_ECHO_RQ),
            Tag.MESSAGE_ID: encode_us(message_id),
            Tag.COMMAND_DATA_SET_TYPE: _NO_DATA_SET,
        }
    )
    pdus = encode_p_data_tf(
        context_id=context_id, data=command.encode(), is_command=True, maximum_length=maximum_length
    )
    return b"".join(pdus)


def response_without_data_set(command: CommandSet, status: int) -> CommandSet:
    """Return the response to a request: its SOP class, instance and event or action type, `status`, and no data set.

    Args:
        command: a request other than a C-CANCEL-RQ.
        status: of the response (PS3.7 Annex C).

    Raises:
        LocalProtocolError: `command` is no message that is answered.
    """
    field = command.command_field
    message_id = command.message_id
    if field is None or message_id is None or command.is_response or field is CommandField.C_CANCEL_RQ:
        raise LocalProtocolError(f"there is no response to {command!r}")
    elements: dict[int, bytes] = {
        Tag.COMMAND_FIELD: encode_us(field | _RESPONSE_BIT),
        Tag.MESSAGE_ID_BEING_RESPONDED_TO: encode_us(message_id),
        Tag.COMMAND_DATA_SET_TYPE: _NO_DATA_SET,
        Tag.STATUS: encode_us(status),
    }
    # Requests of some N-services name the requested class and instance; in every response both are the affected ones.
    for answered, asked in (
        (Tag.AFFECTED_SOP_CLASS_UID, (Tag.AFFECTED_SOP_CLASS_UID, Tag.REQUESTED_SOP_CLASS_UID)),
        (Tag.AFFECTED_SOP_INSTANCE_UID, (Tag.AFFECTED_SOP_INSTANCE_UID, Tag.REQUESTED_SOP_INSTANCE_UID)),
        (Tag.EVENT_TYPE_ID, (Tag.EVENT_TYPE_ID,)),
        (Tag.ACTION_TYPE_ID, (Tag.ACTION_TYPE_ID,)),
    ):
        value = next((command.elements[tag] for tag in asked if tag in command.elements), None)
        if value is not None:
            elements[answered] = value
    return CommandSet(elements=elements)

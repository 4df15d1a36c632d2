"""Command sets as DCMTK 3.6.7 sent them (echoscu, storescu, findscu, movescu, getscu and dcmqrscp, recorded between the
two), element by element; the elements are those of PS3.7 9.3 and their encoding that of PS3.7 6.3.1.

The objects are a sample file of pydicom's; its SOP instance UID is replaced by one of the same length.
"""

from typing import NamedTuple

import pytest

from dimse_proxy.dimse.command_set import CommandField, CommandSet, Tag
from dimse_proxy.dimse.rewrite import CommandRewriter, move_destination, move_originator
from dimse_proxy.dimse.services import echo_request, response_without_data_set
from tests.unit.dimse.messages import pdu, pdv


class Vector(NamedTuple):
    """A recorded command set and what is in it."""

    data: bytes
    field: CommandField
    message_id: int | None
    responded_to: int | None
    sop_class_uid: str
    has_data_set: bool
    status: int | None


def _hex(text: str) -> bytes:
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


ECHO_RQ = _hex("""
    0000 0000 04000000 38000000                                         # group length 56
    0000 0200 12000000 312e322e3834302e31303030382e312e3100             # affected SOP class: Verification, NUL padded
    0000 0001 02000000 3000                                             # command field: C-ECHO-RQ
    0000 1001 02000000 0100                                             # message ID 1
    0000 0008 02000000 0101                                             # command data set type: none
""")
ECHO_RSP = _hex("""
    0000 0000 04000000 42000000                                         # group length 66
    0000 0200 12000000 312e322e3834302e31303030382e312e3100             # affected SOP class: Verification
    0000 0001 02000000 3080                                             # command field: C-ECHO-RSP
    0000 2001 02000000 0100                                             # message ID being responded to 1
    0000 0008 02000000 0101                                             # command data set type: none
    0000 0009 02000000 0000                                             # status: success
""")
STORE_RQ = _hex("""
    0000 0000 04000000 98000000                                         # group length 152
    0000 0200 1a000000 312e322e3834302e31303030382e352e312e342e312e312e3200  # affected SOP class: CT Image Storage
    0000 0001 02000000 0100                                             # command field: C-STORE-RQ
    0000 1001 02000000 0100                                             # message ID 1
    0000 0007 02000000 0000                                             # priority: medium
    0000 0008 02000000 0100                                             # command data set type: there is one
    0000 0010 30000000 312e322e3832362e302e312e333638303034332e382e3439
        382e31323334353637383930313233343536373839303100                # affected SOP instance, NUL padded
    0000 3010 04000000 53435520                                         # move originator AE title: "SCU "
    0000 3110 02000000 0100                                             # move originator message ID 1
""")
STORE_RSP = _hex("""
    0000 0000 04000000 82000000                                         # group length 130
    0000 0200 1a000000 312e322e3834302e31303030382e352e312e342e312e312e3200  # affected SOP class: CT Image Storage
    0000 0001 02000000 0180                                             # command field: C-STORE-RSP
    0000 2001 02000000 0100                                             # message ID being responded to 1
    0000 0008 02000000 0101                                             # command data set type: none
    0000 0009 02000000 0000                                             # status: success
    0000 0010 30000000 312e322e3832362e302e312e333638303034332e382e3439
        382e31323334353637383930313233343536373839303100                # affected SOP instance, NUL padded
""")
FIND_RQ = _hex("""
    0000 0000 04000000 4c000000                                         # group length 76
    0000 0200 1c000000 312e322e3834302e31303030382e352e312e342e312e322e322e3100  # Study Root FIND
    0000 0001 02000000 2000                                             # command field: C-FIND-RQ
    0000 1001 02000000 0100                                             # message ID 1
    0000 0007 02000000 0000                                             # priority: medium
    0000 0008 02000000 0100                                             # command data set type: there is one
""")
FIND_RSP = _hex("""
    0000 0000 04000000 4c000000                                         # group length 76
    0000 0200 1c000000 312e322e3834302e31303030382e352e312e342e312e322e322e3100  # Study Root FIND
    0000 0001 02000000 2080                                             # command field: C-FIND-RSP
    0000 2001 02000000 0100                                             # message ID being responded to 1
    0000 0008 02000000 0100                                             # command data set type: there is one
    0000 0009 02000000 00ff                                             # status: pending
""")
MOVE_RQ = _hex("""
    0000 0000 04000000 5c000000                                         # group length 92
    0000 0200 1c000000 312e322e3834302e31303030382e352e312e342e312e322e322e3200  # Study Root MOVE
    0000 0001 02000000 2100                                             # command field: C-MOVE-RQ
    0000 1001 02000000 0100                                             # message ID 1
    0000 0006 08000000 4d4f564544455354                                 # move destination: "MOVEDEST"
    0000 0007 02000000 0000                                             # priority: medium
    0000 0008 02000000 0100                                             # command data set type: there is one
""")
MOVE_RSP = _hex("""
    0000 0000 04000000 74000000                                         # group length 116
    0000 0200 1c000000 312e322e3834302e31303030382e352e312e342e312e322e322e3200  # Study Root MOVE
    0000 0001 02000000 2180                                             # command field: C-MOVE-RSP
    0000 2001 02000000 0100                                             # message ID being responded to 1
    0000 0008 02000000 0101                                             # command data set type: none
    0000 0009 02000000 00ff                                             # status: pending
    0000 2010 02000000 0000                                             # remaining sub-operations 0
    0000 2110 02000000 0100                                             # completed sub-operations 1
    0000 2210 02000000 0000                                             # failed sub-operations 0
    0000 2310 02000000 0000                                             # warning sub-operations 0
""")
GET_RQ = _hex("""
    0000 0000 04000000 4c000000                                         # group length 76
    0000 0200 1c000000 312e322e3834302e31303030382e352e312e342e312e322e322e3300  # Study Root GET
    0000 0001 02000000 1000                                             # command field: C-GET-RQ
    0000 1001 02000000 0100                                             # message ID 1
    0000 0007 02000000 0000                                             # priority: medium
    0000 0008 02000000 0100                                             # command data set type: there is one
""")
GET_RSP = _hex("""
    0000 0000 04000000 6a000000                                         # group length 106
    0000 0200 1c000000 312e322e3834302e31303030382e352e312e342e312e322e322e3300  # Study Root GET
    0000 0001 02000000 1080                                             # command field: C-GET-RSP
    0000 2001 02000000 0100                                             # message ID being responded to 1
    0000 0008 02000000 0101                                             # command data set type: none
    0000 0009 02000000 0000                                             # status: success
    0000 2110 02000000 0100                                             # completed sub-operations 1
    0000 2210 02000000 0000                                             # failed sub-operations 0
    0000 2310 02000000 0000                                             # warning sub-operations 0
""")

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2"

VECTORS = [
    Vector(ECHO_RQ, CommandField.C_ECHO_RQ, 1, None, "1.2.840.10008.1.1", False, None),
    Vector(ECHO_RSP, CommandField.C_ECHO_RSP, None, 1, "1.2.840.10008.1.1", False, 0x0000),
    Vector(STORE_RQ, CommandField.C_STORE_RQ, 1, None, CT, True, None),
    Vector(STORE_RSP, CommandField.C_STORE_RSP, None, 1, CT, False, 0x0000),
    Vector(FIND_RQ, CommandField.C_FIND_RQ, 1, None, f"{STUDY_ROOT}.1", True, None),
    Vector(FIND_RSP, CommandField.C_FIND_RSP, None, 1, f"{STUDY_ROOT}.1", True, 0xFF00),
    Vector(MOVE_RQ, CommandField.C_MOVE_RQ, 1, None, f"{STUDY_ROOT}.2", True, None),
    Vector(MOVE_RSP, CommandField.C_MOVE_RSP, None, 1, f"{STUDY_ROOT}.2", False, 0xFF00),
    Vector(GET_RQ, CommandField.C_GET_RQ, 1, None, f"{STUDY_ROOT}.3", True, None),
    Vector(GET_RSP, CommandField.C_GET_RSP, None, 1, f"{STUDY_ROOT}.3", False, 0x0000),
]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.field.message_name)
def test_recorded_command(vector: Vector) -> None:
    command = CommandSet.decode(vector.data)
    assert command.command_field is vector.field
    assert command.message_id == vector.message_id
    assert command.message_id_being_responded_to == vector.responded_to
    assert command.affected_sop_class_uid == vector.sop_class_uid
    assert command.has_data_set is vector.has_data_set
    assert command.status == vector.status
    assert command.encode() == vector.data


def test_details_of_the_recorded_commands() -> None:
    assert CommandSet.decode(MOVE_RQ).move_destination == "MOVEDEST"
    sub_operation = CommandSet.decode(STORE_RQ)
    assert sub_operation.move_originator_ae_title == "SCU"
    assert sub_operation.move_originator_message_id == 1
    assert CommandSet.decode(MOVE_RSP).sub_operations.completed == 1
    assert CommandSet.decode(GET_RSP).sub_operations.remaining is None


def test_own_echo_request_is_that_of_dcmtk() -> None:
    assert echo_request(1, 1, 16384) == pdu(pdv(1, 3, ECHO_RQ))


@pytest.mark.parametrize(("request_data", "response_data"), [(ECHO_RQ, ECHO_RSP), (STORE_RQ, STORE_RSP)])
def test_own_response_is_that_of_dcmtk(request_data: bytes, response_data: bytes) -> None:
    assert response_without_data_set(CommandSet.decode(request_data), 0x0000).encode() == response_data


def test_move_destination_rewritten() -> None:
    expected = _hex("""
        0000 0000 04000000 5a000000                                         # group length 90
        0000 0200 1c000000 312e322e3834302e31303030382e352e312e342e312e322e322e3200
        0000 0001 02000000 2100
        0000 1001 02000000 0100
        0000 0006 06000000 414c494153 20                                    # move destination: "ALIAS "
        0000 0007 02000000 0000
        0000 0008 02000000 0100
    """)
    rewriter = CommandRewriter(lambda _, command: move_destination(command, "ALIAS"), 16384)
    assert b"".join(rewriter.feed(pdu(pdv(3, 3, MOVE_RQ)))) == pdu(pdv(3, 3, expected))


def test_move_originator_rewritten() -> None:
    command = move_originator(CommandSet.decode(STORE_RQ), "WORKSTATION")
    assert command.elements[Tag.MOVE_ORIGINATOR_AE_TITLE] == b"WORKSTATION "
    assert len(command.encode()) == len(STORE_RQ) + 8

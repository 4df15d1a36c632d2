"""For the tests of associations: a PDU of each kind, and an association in each state of each role."""

import struct
from collections.abc import Callable
from typing import Final

from dimse_proxy.upper_layer.association import Association, Role, State
from dimse_proxy.upper_layer.codec import (
    encode_abort,
    encode_associate_accept,
    encode_associate_reject,
    encode_associate_request,
    encode_release_request,
    encode_release_response,
)
from dimse_proxy.upper_layer.pdu import ContextResult, MaximumLength, ProposedContext

IMPLICIT_VR: Final = "1.2.840.10008.1.2"
EXPLICIT_VR: Final = "1.2.840.10008.1.2.1"
VERIFICATION: Final = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
ARTIM: Final = 30.0
NOW: Final = 1000.0

_CALLED: Final = b"ARCHIVE".ljust(16)
_CALLING: Final = b"MODALITY".ljust(16)

REQUEST: Final = encode_associate_request(
    called_ae_title=_CALLED,
    calling_ae_title=_CALLING,
    presentation_contexts=[
        ProposedContext(context_id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT_VR,)),
        ProposedContext(context_id=3, abstract_syntax=CT_IMAGE_STORAGE, transfer_syntaxes=(IMPLICIT_VR, EXPLICIT_VR)),
        ProposedContext(context_id=5, abstract_syntax=CT_IMAGE_STORAGE, transfer_syntaxes=(IMPLICIT_VR,)),
    ],
    user_information=[MaximumLength(length=16384)],
)
ACCEPT: Final = encode_associate_accept(
    called_ae_title=_CALLED,
    calling_ae_title=_CALLING,
    presentation_contexts=[
        ContextResult(context_id=1, result=0, transfer_syntax=IMPLICIT_VR),
        ContextResult(context_id=3, result=0, transfer_syntax=EXPLICIT_VR),
        ContextResult(context_id=5, result=3, transfer_syntax=IMPLICIT_VR),
        ContextResult(context_id=7, result=0, transfer_syntax=IMPLICIT_VR),
    ],
    user_information=[MaximumLength(length=16384)],
)
"""Accepts 1 and 3 of the request, refuses 5, and says something of 7, which was not proposed."""
REJECT: Final = encode_associate_reject(result=1, source=1, reason=7)
RELEASE_RQ: Final = encode_release_request()
RELEASE_RP: Final = encode_release_response()
ABORT: Final = encode_abort(source=0, reason=0)


def p_data(context_id: int = 1, message_control: int = 0x00, fragment: bytes = b"fragment") -> bytes:
    """Return a P-DATA-TF of one PDV."""
    pdv = struct.pack(">IBB", len(fragment) + 2, context_id, message_control) + fragment
    return struct.pack(">BxI", 4, len(pdv)) + pdv


P_DATA: Final = p_data()

Step = Callable[[Association], None]


def _connected(association: Association) -> None:
    association.transport_connected(NOW)


def _sent(pdu: bytes) -> Step:
    return lambda association: association.send(pdu, NOW)


def _received(pdu: bytes) -> Step:
    return lambda association: association.receive_data(pdu, NOW)


_ACCEPTOR_STA3: Final = (_connected, _received(REQUEST))
_REQUESTOR_STA5: Final = (_sent(REQUEST), _connected)
_ACCEPTOR_STA6: Final = (*_ACCEPTOR_STA3, _sent(ACCEPT))
_REQUESTOR_STA6: Final = (*_REQUESTOR_STA5, _received(ACCEPT))
_COLLISION: Final = (_sent(RELEASE_RQ), _received(RELEASE_RQ))

WAYS: Final[dict[tuple[Role, State], tuple[Step, ...]]] = {
    (Role.ACCEPTOR, State.STA1): (),
    (Role.ACCEPTOR, State.STA2): (_connected,),
    (Role.ACCEPTOR, State.STA3): _ACCEPTOR_STA3,
    (Role.ACCEPTOR, State.STA6): _ACCEPTOR_STA6,
    (Role.ACCEPTOR, State.STA7): (*_ACCEPTOR_STA6, _sent(RELEASE_RQ)),
    (Role.ACCEPTOR, State.STA8): (*_ACCEPTOR_STA6, _received(RELEASE_RQ)),
    (Role.ACCEPTOR, State.STA10): (*_ACCEPTOR_STA6, *_COLLISION),
    (Role.ACCEPTOR, State.STA12): (*_ACCEPTOR_STA6, *_COLLISION, _received(RELEASE_RP)),
    (Role.ACCEPTOR, State.STA13): (*_ACCEPTOR_STA3, _sent(REJECT)),
    (Role.REQUESTOR, State.STA1): (),
    (Role.REQUESTOR, State.STA4): (_sent(REQUEST),),
    (Role.REQUESTOR, State.STA5): _REQUESTOR_STA5,
    (Role.REQUESTOR, State.STA6): _REQUESTOR_STA6,
    (Role.REQUESTOR, State.STA7): (*_REQUESTOR_STA6, _sent(RELEASE_RQ)),
    (Role.REQUESTOR, State.STA8): (*_REQUESTOR_STA6, _received(RELEASE_RQ)),
    (Role.REQUESTOR, State.STA9): (*_REQUESTOR_STA6, *_COLLISION),
    (Role.REQUESTOR, State.STA11): (*_REQUESTOR_STA6, *_COLLISION, _sent(RELEASE_RP)),
    (Role.REQUESTOR, State.STA13): (*_REQUESTOR_STA6, _sent(ABORT)),
}
"""Each state that each role can be in, and how it comes there."""


def reach(role: Role, state: State) -> Association:
    """Return an association in `state`, with nothing left to hand out."""
    association = Association(role, artim=ARTIM)
    for step in WAYS[role, state]:
        step(association)
    assert association.state is state
    association.data_to_send()
    association.events_received()
    return association

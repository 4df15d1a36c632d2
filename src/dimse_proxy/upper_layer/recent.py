"""A-ASSOCIATE PDUs that were decoded lately: an end point says the same each time, with a hundred contexts in it.

What is remembered is what `codec` made of the same bytes, nothing else. Secrets are not: a PDU with a user identity, or
with a sub-item that might be one, is decoded each time.
"""

from collections import OrderedDict
from typing import Final

from dimse_proxy.upper_layer.codec import decode_pdu as decode_anew
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateRequest,
    ControlPdu,
    PduType,
    UnknownUserItem,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)

MOST: Final = 32
"""PDUs remembered: some kinds of end points, and both PDUs of each."""
LONGEST: Final = 16384
"""Bytes of one that is remembered; 128 contexts with three transfer syntaxes take 14 KiB. With as many items as fit
into it, it takes less than 1 MiB of memory."""

_remembered: Final[OrderedDict[bytes, AssociateRequest | AssociateAccept]] = OrderedDict()
_ASSOCIATE: Final = (int(PduType.A_ASSOCIATE_RQ), int(PduType.A_ASSOCIATE_AC))
_SECRET: Final[tuple[type[UserItem], ...]] = (UserIdentityRequest, UserIdentityResponse, UnknownUserItem)


def decode_pdu(raw: bytes) -> ControlPdu:
    """Return what `codec.decode_pdu` does, perhaps that of an equal PDU that came before.

    Raises:
        RemoteProtocolError: as of `codec.decode_pdu`.
    """
    if not raw or raw[0] not in _ASSOCIATE or len(raw) > LONGEST:
        return decode_anew(raw)
    known = _remembered.get(raw)
    if known is not None:
        _remembered.move_to_end(raw)
        return known
    decoded = decode_anew(raw)
    assert isinstance(decoded, AssociateRequest | AssociateAccept)
    if not any(isinstance(item, _SECRET) for item in decoded.user_information):
        _remembered[raw] = decoded
        if len(_remembered) > MOST:
            _remembered.popitem(last=False)
    return decoded


def decode_associate_request(raw: bytes) -> AssociateRequest:
    """Return the A-ASSOCIATE-RQ in `raw`, which is known to be one; see `decode_pdu`.

    Raises:
        RemoteProtocolError: as of `codec.decode_pdu`.
    """
    request = decode_pdu(raw)
    assert isinstance(request, AssociateRequest)
    return request

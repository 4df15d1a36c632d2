"""Who this implementation says it is in the association PDUs that it makes itself (PS3.7 D.3.3.2).

A relayed PDU keeps the identification of the end point that sent it; nothing here is put into those.
"""

from typing import Final

from dimse_proxy.upper_layer.pdu import ImplementationClassUid, ImplementationVersionName, MaximumLength, UserItem

IMPLEMENTATION_CLASS_UID: Final = "2.25.279337654399296808690732156425538806027"
"""Derived from a random UUID (PS3.5 B.2); never changes."""

IMPLEMENTATION_VERSION_NAME: Final = "DIMSEPROXY_0_1"
"""Follows the package's version; at most 16 characters."""

OWN_MAXIMUM_LENGTH: Final = 16384
"""Bytes of a P-DATA-TF that the proxy takes when it is itself an end point: what DCMTK announces by default."""


def own_user_information(maximum_length: int = OWN_MAXIMUM_LENGTH) -> tuple[UserItem, ...]:
    """Return the three sub-items that every A-ASSOCIATE PDU of the proxy's own making carries.

    Args:
        maximum_length: bytes of the longest P-DATA-TF that is taken; 0 for no limit (PS3.8 D.1).
    """
    return (
        MaximumLength(length=maximum_length),
        ImplementationClassUid(uid=IMPLEMENTATION_CLASS_UID),
        ImplementationVersionName(name=IMPLEMENTATION_VERSION_NAME),
    )

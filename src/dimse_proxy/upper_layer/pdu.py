"""The seven PDUs of PS3.8 9.3 and their items, decoded: frozen values that do nothing.

`codec` makes them from bytes and bytes from them. A PDU that came from a peer keeps its bytes in `raw`, because the
proxy relays what came rather than what it understood of it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias


class PduType(IntEnum):
    """First byte of a PDU (PS3.8 9.3.1)."""

    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07


@dataclass(frozen=True, slots=True, kw_only=True)
class MaximumLength:
    """Sub-item 51H (PS3.8 D.1): the longest P-DATA-TF its sender takes."""

    length: int
    """Bytes, not counting the PDU header; 0 for no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImplementationClassUid:
    """Sub-item 52H (PS3.7 D.3.3.2)."""

    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AsynchronousOperationsWindow:
    """Sub-item 53H (PS3.7 D.3.3.3)."""

    invoked: int
    """Operations outstanding at the requestor's side; 0 for no limit."""
    performed: int
    """Operations outstanding at the acceptor's side; 0 for no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSelection:
    """Sub-item 54H (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu_role: int
    scp_role: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImplementationVersionName:
    """Sub-item 55H (PS3.7 D.3.3.2)."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SopClassExtendedNegotiation:
    """Sub-item 56H (PS3.7 D.3.3.5)."""

    sop_class_uid: str
    application_information: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SopClassCommonExtendedNegotiation:
    """Sub-item 57H (PS3.7 D.3.3.6)."""

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentityRequest:
    """Sub-item 58H (PS3.7 D.3.3.7.1). Never logged."""

    identity_type: int
    positive_response_requested: int
    primary_field: bytes
    secondary_field: bytes

    def __repr__(self) -> str:
        return f"UserIdentityRequest(identity_type={self.identity_type}, ...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentityResponse:
    """Sub-item 59H (PS3.7 D.3.3.7.2). Never logged."""

    server_response: bytes

    def __repr__(self) -> str:
        return f"UserIdentityResponse({len(self.server_response)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownUserItem:
    """A user information sub-item that this package does not know, or knows but cannot read: kept as it came."""

    item_type: int
    value: bytes
    """All that follows the four bytes of the sub-item's header."""


UserItem: TypeAlias = (
    MaximumLength
    | ImplementationClassUid
    | AsynchronousOperationsWindow
    | RoleSelection
    | ImplementationVersionName
    | SopClassExtendedNegotiation
    | SopClassCommonExtendedNegotiation
    | UserIdentityRequest
    | UserIdentityResponse
    | UnknownUserItem
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedContext:
    """A presentation context item of an A-ASSOCIATE-RQ (PS3.8 9.3.2.2)."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextResult:
    """A presentation context item of an A-ASSOCIATE-AC (PS3.8 9.3.3.2)."""

    context_id: int
    result: int
    """0 acceptance, 1 user-rejection, 2 no-reason (provider), 3 abstract syntax, 4 transfer syntaxes not supported."""
    transfer_syntax: str
    """Not significant unless `result` is 0; empty when the item came without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    protocol_version: int
    called_ae_title: bytes
    """16 bytes, as on the wire."""
    calling_ae_title: bytes
    """16 bytes, as on the wire."""
    application_context_name: str
    presentation_contexts: tuple[ProposedContext, ...]
    user_information: tuple[UserItem, ...]
    raw: bytes
    """The whole PDU, header included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 9.3.3)."""

    protocol_version: int
    called_ae_title: bytes
    """16 bytes, as on the wire: reserved, should echo the RQ's and is not to be tested."""
    calling_ae_title: bytes
    """16 bytes, as on the wire: reserved, should echo the RQ's and is not to be tested."""
    application_context_name: str
    presentation_contexts: tuple[ContextResult, ...]
    user_information: tuple[UserItem, ...]
    raw: bytes
    """The whole PDU, header included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int
    source: int
    reason: int
    raw: bytes
    """The whole PDU, header included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """A-RELEASE-RQ (PS3.8 9.3.6)."""

    raw: bytes
    """The whole PDU, header included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseResponse:
    """A-RELEASE-RP (PS3.8 9.3.7)."""

    raw: bytes
    """The whole PDU, header included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """A-ABORT (PS3.8 9.3.8)."""

    source: int
    reason: int
    raw: bytes
    """The whole PDU, header included."""


ControlPdu: TypeAlias = AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseResponse | Abort
"""Every PDU but P-DATA-TF, which never becomes an object: see `events.PDataReceived`."""

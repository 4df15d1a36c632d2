"""A-ASSOCIATE PDUs as lines for a debug log, in the layout that DCMTK's tools made known with `-d`.

What an end point may want to keep to itself is not shown: of the user identity its type and lengths only, of
application information its length.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes
from dimse_proxy.upper_layer.negotiation import maximum_length
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateRequest,
    AsynchronousOperationsWindow,
    ContextResult,
    ImplementationClassUid,
    ImplementationVersionName,
    ProposedContext,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UnknownUserItem,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)

_RESULTS: Final = {
    0: "Accepted",
    1: "User Rejection",
    2: "No Reason",
    3: "Abstract Syntax Not Supported",
    4: "Transfer Syntaxes Not Supported",
}
"""PS3.8 Table 9-18."""

_IDENTITY_TYPES: Final = {1: "Username", 2: "Username/Password", 3: "Kerberos", 4: "SAML", 5: "JWT"}
"""PS3.7 Table D.3-14."""

_ROLES: Final = {(0, 0): "None", (0, 1): "SCP", (1, 0): "SCU", (1, 1): "SCP/SCU"}
"""SCU role and SCP role (PS3.7 D.3.3.4)."""

_DEFAULT_ROLE: Final = "Default"


def describe_request(request: AssociateRequest, *, name: Callable[[str], str]) -> list[str]:
    """Return an A-ASSOCIATE-RQ as lines without ends of line.

    Args:
        request: any.
        name: the name of a UID, or the UID itself when it has none.
    """
    roles = _roles(request.user_information)
    lines = ["====================== BEGIN A-ASSOCIATE-RQ ====================="]
    lines += _common_fields(request)
    lines.append("Presentation Contexts:" if request.presentation_contexts else "Presentation Contexts: none")
    for context in request.presentation_contexts:
        lines.append(f"  Context ID:        {context.context_id} (Proposed)")
        lines.append(f"    Abstract Syntax: {_named(context.abstract_syntax, name)}")
        lines.append(f"    Proposed SCP/SCU Role: {roles.get(context.abstract_syntax, _DEFAULT_ROLE)}")
        lines.append("    Proposed Transfer Syntax(es):")
        lines += (f"      {_named(uid, name)}" for uid in context.transfer_syntaxes)
    lines += _negotiation("Requested", request.user_information, name)
    lines.append("======================= END A-ASSOCIATE-RQ ======================")
    return lines


def describe_accept(accept: AssociateAccept, request: AssociateRequest, *, name: Callable[[str], str]) -> list[str]:
    """Return an A-ASSOCIATE-AC as lines without ends of line.

    Args:
        accept: any.
        request: what it answers, for the abstract syntaxes and the proposed roles.
        name: the name of a UID, or the UID itself when it has none.
    """
    proposed = {context.context_id: context for context in request.presentation_contexts}
    proposed_roles = _roles(request.user_information)
    accepted_roles = _roles(accept.user_information)
    lines = ["====================== BEGIN A-ASSOCIATE-AC ====================="]
    lines += _common_fields(accept)
    lines.append("Presentation Contexts:" if accept.presentation_contexts else "Presentation Contexts: none")
    for context in accept.presentation_contexts:
        result = _RESULTS.get(context.result, f"Result {context.result}")
        lines.append(f"  Context ID:        {context.context_id} ({result})")
        lines += _answered_context(context, proposed.get(context.context_id), proposed_roles, accepted_roles, name)
    lines += _negotiation("Accepted", accept.user_information, name)
    lines.append("======================= END A-ASSOCIATE-AC ======================")
    return lines


def _answered_context(
    context: ContextResult,
    proposed: ProposedContext | None,
    proposed_roles: dict[str, str],
    accepted_roles: dict[str, str],
    name: Callable[[str], str],
) -> Iterator[str]:
    if proposed is None:
        yield "    Abstract Syntax: (not proposed)"
    else:
        yield f"    Abstract Syntax: {_named(proposed.abstract_syntax, name)}"
        yield f"    Proposed SCP/SCU Role: {proposed_roles.get(proposed.abstract_syntax, _DEFAULT_ROLE)}"
        yield f"    Accepted SCP/SCU Role: {accepted_roles.get(proposed.abstract_syntax, _DEFAULT_ROLE)}"
    if context.result == 0:
        yield f"    Accepted Transfer Syntax: {_named(context.transfer_syntax, name)}"


def _common_fields(pdu: AssociateRequest | AssociateAccept) -> Iterator[str]:
    class_uid = next((item.uid for item in pdu.user_information if isinstance(item, ImplementationClassUid)), "")
    version = next((item.name for item in pdu.user_information if isinstance(item, ImplementationVersionName)), "")
    yield f"Implementation Class UID:    {class_uid}".rstrip()
    yield f"Implementation Version Name: {version}".rstrip()
    yield f"Application Context Name:    {pdu.application_context_name}".rstrip()
    yield f"Calling Application Name:    {ae_title_from_bytes(pdu.calling_ae_title)}".rstrip()
    yield f"Called Application Name:     {ae_title_from_bytes(pdu.called_ae_title)}".rstrip()
    yield f"Max PDU Receive Size:        {maximum_length(pdu.user_information) or 'unlimited'}"


def _negotiation(who: str, items: Iterable[UserItem], name: Callable[[str], str]) -> Iterator[str]:
    """Yield the optional sub-items; `who` is Requested or Accepted."""
    for item in items:
        match item:
            case AsynchronousOperationsWindow():
                yield f"{who} Asynchronous Operations Window: invoked {item.invoked}, performed {item.performed}"
            case SopClassExtendedNegotiation():
                length = len(item.application_information)
                yield f"{who} Extended Negotiation: {_named(item.sop_class_uid, name)} ({length} bytes)"
            case SopClassCommonExtendedNegotiation():
                yield f"{who} Common Extended Negotiation: {_named(item.sop_class_uid, name)}"
                yield f"  Service Class: {_named(item.service_class_uid, name)}"
                for uid in item.related_general_sop_class_uids:
                    yield f"  Related General SOP Class: {_named(uid, name)}"
            case UserIdentityRequest():
                identity_type = _IDENTITY_TYPES.get(item.identity_type, "unknown")
                lengths = f"{len(item.primary_field)} and {len(item.secondary_field)} bytes"
                yield f"{who} User Identity Negotiation: mode {item.identity_type} ({identity_type}), {lengths}"
                yield f"  Positive Response requested: {'Yes' if item.positive_response_requested else 'No'}"
            case UserIdentityResponse():
                yield f"User Identity Negotiation Response: {len(item.server_response)} bytes"
            case UnknownUserItem():
                yield f"Unknown User Information: type {item.item_type:02X}H, {len(item.value)} bytes"
            case _:
                pass  # shown above the presentation contexts, or with them


def _roles(items: Iterable[UserItem]) -> dict[str, str]:
    return {
        item.sop_class_uid: _ROLES.get((item.scu_role, item.scp_role), f"{item.scu_role}/{item.scp_role}")
        for item in items
        if isinstance(item, RoleSelection)
    }


def _named(uid: str, name: Callable[[str], str]) -> str:
    """Return `=Name`, as DCMTK marks names, or the UID."""
    text = name(uid)
    return uid if text == uid else f"={text}"

from dimse_proxy.upper_layer.codec import decode_pdu, encode_associate_accept, encode_associate_request
from dimse_proxy.upper_layer.dump import describe_accept, describe_request
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    MaximumLength,
    ProposedContext,
    RoleSelection,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)
from tests.vectors.upper_layer.associate_vectors import ACCEPT, REQUEST

NAMES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image Storage",
    "1.2.840.10008.1.2": "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
}


def name(uid: str) -> str:
    return NAMES.get(uid, uid)


def the_request(raw: bytes) -> AssociateRequest:
    request = decode_pdu(raw)
    assert isinstance(request, AssociateRequest)
    return request


def the_accept(raw: bytes) -> AssociateAccept:
    accept = decode_pdu(raw)
    assert isinstance(accept, AssociateAccept)
    return accept


def make_request(contexts: list[ProposedContext], items: list[UserItem]) -> AssociateRequest:
    return the_request(
        encode_associate_request(
            called_ae_title=bytes(16),
            calling_ae_title=b"\n" * 16,
            presentation_contexts=contexts,
            user_information=items,
        )
    )


def make_accept(contexts: list[ContextResult]) -> AssociateAccept:
    return the_accept(
        encode_associate_accept(
            called_ae_title=bytes(16), calling_ae_title=bytes(16), presentation_contexts=contexts, user_information=()
        )
    )


def test_request() -> None:
    assert describe_request(the_request(REQUEST), name=name) == [
        "====================== BEGIN A-ASSOCIATE-RQ =====================",
        "Implementation Class UID:    1.2.3.4",
        "Implementation Version Name: MOD_10",
        "Application Context Name:    1.2.840.10008.3.1.1.1",
        "Calling Application Name:    MODALITY",
        "Called Application Name:     STORE",
        "Max PDU Receive Size:        16384",
        "Presentation Contexts:",
        "  Context ID:        1 (Proposed)",
        "    Abstract Syntax: =CT Image Storage",
        "    Proposed SCP/SCU Role: SCP",
        "    Proposed Transfer Syntax(es):",
        "      =Implicit VR Little Endian",
        "      =Explicit VR Little Endian",
        "  Context ID:        3 (Proposed)",
        "    Abstract Syntax: 1.2.840.10008.1.1",
        "    Proposed SCP/SCU Role: Default",
        "    Proposed Transfer Syntax(es):",
        "      =Implicit VR Little Endian",
        "Requested Asynchronous Operations Window: invoked 5, performed 0",
        "Requested Extended Negotiation: =CT Image Storage (3 bytes)",
        "Requested Common Extended Negotiation: =CT Image Storage",
        "  Service Class: 1.2.840.10008.4.2",
        "  Related General SOP Class: 1.2.3",
        "  Related General SOP Class: 1.2.33",
        "Requested User Identity Negotiation: mode 2 (Username/Password), 5 and 4 bytes",
        "  Positive Response requested: Yes",
        "Unknown User Information: type 5FH, 2 bytes",
        "======================= END A-ASSOCIATE-RQ ======================",
    ]


def test_accept() -> None:
    assert describe_accept(the_accept(ACCEPT), the_request(REQUEST), name=name) == [
        "====================== BEGIN A-ASSOCIATE-AC =====================",
        "Implementation Class UID:    1.2.3.5",
        "Implementation Version Name:",
        "Application Context Name:    1.2.840.10008.3.1.1.1",
        "Calling Application Name:    MODALITY",
        "Called Application Name:     STORE",
        "Max PDU Receive Size:        unlimited",
        "Presentation Contexts:",
        "  Context ID:        1 (Accepted)",
        "    Abstract Syntax: =CT Image Storage",
        "    Proposed SCP/SCU Role: SCP",
        "    Accepted SCP/SCU Role: SCP",
        "    Accepted Transfer Syntax: =Explicit VR Little Endian",
        "  Context ID:        3 (Abstract Syntax Not Supported)",
        "    Abstract Syntax: 1.2.840.10008.1.1",
        "    Proposed SCP/SCU Role: Default",
        "    Accepted SCP/SCU Role: Default",
        "  Context ID:        5 (Transfer Syntaxes Not Supported)",
        "    Abstract Syntax: (not proposed)",
        "User Identity Negotiation Response: 1 bytes",
        "======================= END A-ASSOCIATE-AC ======================",
    ]


def test_values_that_no_table_has() -> None:
    context = ProposedContext(context_id=1, abstract_syntax="1.2", transfer_syntaxes=())
    items: list[UserItem] = [
        RoleSelection(sop_class_uid="1.2", scu_role=7, scp_role=0),
        UserIdentityRequest(identity_type=9, positive_response_requested=0, primary_field=b"", secondary_field=b""),
    ]
    request = make_request([context], items)
    lines = describe_request(request, name=name)
    assert "    Proposed SCP/SCU Role: 7/0" in lines
    assert "Requested User Identity Negotiation: mode 9 (unknown), 0 and 0 bytes" in lines
    assert "  Positive Response requested: No" in lines
    accept = make_accept([ContextResult(context_id=1, result=9, transfer_syntax="")])
    assert "  Context ID:        1 (Result 9)" in describe_accept(accept, request, name=name)


def test_pdus_without_contexts() -> None:
    request = make_request([], [MaximumLength(length=0)])
    assert "Presentation Contexts: none" in describe_request(request, name=name)
    assert "Presentation Contexts: none" in describe_accept(make_accept([]), request, name=name)


def test_what_a_peer_sent_cannot_break_a_line() -> None:
    lines = describe_request(make_request([], []), name=name)
    assert "Called Application Name:" in lines
    assert "Calling Application Name:    " + "\\x0a" * 16 in lines
    assert not any("\n" in line for line in lines)


def test_identities_are_not_told() -> None:
    text = "\n".join(describe_request(the_request(REQUEST), name=name))
    assert "USER1" not in text
    assert "PASS" not in text
    assert "USER1" not in repr(the_request(REQUEST).user_information)
    assert repr(UserIdentityResponse(server_response=b"TICKET")) == "UserIdentityResponse(6 bytes)"

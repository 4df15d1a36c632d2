from dimse_proxy.upper_layer.codec import (
    decode_pdu,
    encode_abort,
    encode_associate_accept,
    encode_associate_reject,
    encode_associate_request,
    encode_p_data_tf,
    encode_release_request,
    encode_release_response,
)
from dimse_proxy.upper_layer.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsynchronousOperationsWindow,
    ContextResult,
    ImplementationClassUid,
    ImplementationVersionName,
    MaximumLength,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UnknownUserItem,
    UserIdentityRequest,
    UserIdentityResponse,
)
from tests.vectors.hex_text import from_hex
from tests.vectors.upper_layer.associate_vectors import ACCEPT, REQUEST

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

REQUEST_CONTEXTS = (
    ProposedContext(context_id=1, abstract_syntax=CT, transfer_syntaxes=(IMPLICIT, EXPLICIT)),
    ProposedContext(context_id=3, abstract_syntax="1.2.840.10008.1.1", transfer_syntaxes=(IMPLICIT,)),
)
REQUEST_ITEMS = (
    MaximumLength(length=16384),
    ImplementationClassUid(uid="1.2.3.4"),
    AsynchronousOperationsWindow(invoked=5, performed=0),
    RoleSelection(sop_class_uid=CT, scu_role=0, scp_role=1),
    ImplementationVersionName(name="MOD_10"),
    SopClassExtendedNegotiation(sop_class_uid=CT, application_information=b"\x02\x01\x00"),
    SopClassCommonExtendedNegotiation(
        sop_class_uid=CT, service_class_uid="1.2.840.10008.4.2", related_general_sop_class_uids=("1.2.3", "1.2.33")
    ),
    UserIdentityRequest(
        identity_type=2, positive_response_requested=1, primary_field=b"USER1", secondary_field=b"PASS"
    ),
    UnknownUserItem(item_type=0x5F, value=b"\xab\xcd"),
)
ACCEPT_CONTEXTS = (
    ContextResult(context_id=1, result=0, transfer_syntax=EXPLICIT),
    ContextResult(context_id=3, result=3, transfer_syntax=IMPLICIT),
    ContextResult(context_id=5, result=4, transfer_syntax=""),
)
ACCEPT_ITEMS = (
    MaximumLength(length=0),
    ImplementationClassUid(uid="1.2.3.5"),
    RoleSelection(sop_class_uid=CT, scu_role=0, scp_role=1),
    UserIdentityResponse(server_response=b"T"),
)


def test_associate_request_is_decoded() -> None:
    assert decode_pdu(REQUEST) == AssociateRequest(
        protocol_version=1,
        called_ae_title=b"STORE           ",
        calling_ae_title=b"MODALITY        ",
        application_context_name="1.2.840.10008.3.1.1.1",
        presentation_contexts=REQUEST_CONTEXTS,
        user_information=REQUEST_ITEMS,
        raw=REQUEST,
    )


def test_associate_request_is_encoded() -> None:
    assert (
        encode_associate_request(
            called_ae_title=b"STORE           ",
            calling_ae_title=b"MODALITY        ",
            presentation_contexts=REQUEST_CONTEXTS,
            user_information=REQUEST_ITEMS,
        )
        == REQUEST
    )


def test_associate_accept_is_decoded() -> None:
    assert decode_pdu(ACCEPT) == AssociateAccept(
        protocol_version=1,
        called_ae_title=b"STORE           ",
        calling_ae_title=b"MODALITY        ",
        application_context_name="1.2.840.10008.3.1.1.1",
        presentation_contexts=ACCEPT_CONTEXTS,
        user_information=ACCEPT_ITEMS,
        raw=ACCEPT,
    )


def test_associate_accept_is_encoded() -> None:
    assert (
        encode_associate_accept(
            called_ae_title=b"STORE           ",
            calling_ae_title=b"MODALITY        ",
            presentation_contexts=ACCEPT_CONTEXTS,
            user_information=ACCEPT_ITEMS,
        )
        == ACCEPT
    )


def test_associate_reject() -> None:
    raw = from_hex(
        """
        03              # PDU type: A-ASSOCIATE-RJ (PS3.8 Table 9-21)
        00              # reserved
        00 00 00 04     # PDU length
        00              # reserved
        02              # result: rejected-transient
        03              # source: service provider, presentation related function
        01              # reason: temporary congestion
        """
    )
    assert decode_pdu(raw) == AssociateReject(result=2, source=3, reason=1, raw=raw)
    assert encode_associate_reject(result=2, source=3, reason=1) == raw


def test_release_request() -> None:
    raw = from_hex(
        """
        05              # PDU type: A-RELEASE-RQ (PS3.8 Table 9-24)
        00              # reserved
        00 00 00 04     # PDU length
        00 00 00 00     # reserved
        """
    )
    assert decode_pdu(raw) == ReleaseRequest(raw=raw)
    assert encode_release_request() == raw


def test_release_response() -> None:
    raw = from_hex(
        """
        06              # PDU type: A-RELEASE-RP (PS3.8 Table 9-25)
        00              # reserved
        00 00 00 04     # PDU length
        00 00 00 00     # reserved
        """
    )
    assert decode_pdu(raw) == ReleaseResponse(raw=raw)
    assert encode_release_response() == raw


def test_abort() -> None:
    raw = from_hex(
        """
        07              # PDU type: A-ABORT (PS3.8 Table 9-26)
        00              # reserved
        00 00 00 04     # PDU length
        00              # reserved
        00              # reserved
        02              # source: service provider
        06              # reason: invalid PDU parameter value
        """
    )
    assert decode_pdu(raw) == Abort(source=2, reason=6, raw=raw)
    assert encode_abort(source=2, reason=6) == raw


def test_short_pdus_with_nonzero_reserved_bytes() -> None:
    raw = from_hex(
        """
        07              # PDU type: A-ABORT (PS3.8 Table 9-26)
        FF              # reserved
        00 00 00 04     # PDU length
        FF              # reserved
        FF              # reserved
        00              # source: service user
        FF              # reason: not significant with this source
        """
    )
    assert decode_pdu(raw) == Abort(source=0, reason=255, raw=raw)


def test_p_data_tf() -> None:
    first = from_hex(
        """
        04              # PDU type: P-DATA-TF (PS3.8 Table 9-22)
        00              # reserved
        00 00 00 0A     # PDU length
        00 00 00 06     # PDV length (PS3.8 Table 9-23)
        03              # presentation context id
        01              # message control header (PS3.8 E.2): command, not the last fragment
        01 02 03 04
        """
    )
    second = from_hex(
        """
        04              # PDU type: P-DATA-TF
        00              # reserved
        00 00 00 07     # PDU length
        00 00 00 03     # PDV length
        03              # presentation context id
        03              # message control header: command, last fragment
        05
        """
    )
    pdus = encode_p_data_tf(context_id=3, data=b"\1\2\3\4\5", is_command=True, maximum_length=11)
    assert pdus == [first, second]

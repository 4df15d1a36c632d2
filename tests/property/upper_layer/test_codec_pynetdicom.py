"""Ours against pynetdicom's: each decodes what the other encodes, and both mean the same."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import (
    A_ABORT_RQ,
    A_ASSOCIATE_AC,
    A_ASSOCIATE_RJ,
    A_ASSOCIATE_RQ,
    A_RELEASE_RP,
    A_RELEASE_RQ,
    P_DATA_TF,
)
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation as PeerExtendedNegotiation
from pynetdicom.presentation import PresentationContext

from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes
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
    AssociateAccept,
    AssociateRequest,
    AsynchronousOperationsWindow,
    ContextResult,
    ImplementationClassUid,
    ImplementationVersionName,
    MaximumLength,
    ProposedContext,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)
from tests.property.upper_layer.pdu_strategies import (
    any_uids,
    context_ids,
    context_results,
    known_accept_items,
    known_request_items,
    proposed_contexts,
    titles,
)


def to_peer(item: UserItem) -> Any:
    """The item as a primitive of pynetdicom."""
    peer: Any
    match item:
        case MaximumLength():
            peer = MaximumLengthNotification()
            peer.maximum_length_received = item.length
        case ImplementationClassUid():
            peer = ImplementationClassUIDNotification()
            peer.implementation_class_uid = item.uid
        case ImplementationVersionName():
            peer = ImplementationVersionNameNotification()
            peer.implementation_version_name = item.name
        case AsynchronousOperationsWindow():
            peer = AsynchronousOperationsWindowNegotiation()
            peer.maximum_number_operations_invoked = item.invoked
            peer.maximum_number_operations_performed = item.performed
        case RoleSelection():
            peer = SCP_SCU_RoleSelectionNegotiation()
            peer.sop_class_uid = item.sop_class_uid
            peer.scu_role, peer.scp_role = bool(item.scu_role), bool(item.scp_role)
        case SopClassExtendedNegotiation():
            peer = PeerExtendedNegotiation()
            peer.sop_class_uid = item.sop_class_uid
            peer.service_class_application_information = item.application_information
        case SopClassCommonExtendedNegotiation():
            peer = SOPClassCommonExtendedNegotiation()
            peer.sop_class_uid, peer.service_class_uid = item.sop_class_uid, item.service_class_uid
            peer.related_general_sop_class_identification = list(item.related_general_sop_class_uids)
        case UserIdentityRequest():
            peer = UserIdentityNegotiation()
            peer.user_identity_type = item.identity_type
            peer.positive_response_requested = bool(item.positive_response_requested)
            peer.primary_field, peer.secondary_field = item.primary_field, item.secondary_field
        case UserIdentityResponse():
            peer = UserIdentityNegotiation()
            peer.server_response = item.server_response
        case _:
            raise AssertionError(item)
    return peer


def from_peer(peer: Any) -> UserItem:
    """A decoded sub-item of pynetdicom as ours."""
    match type(peer).__name__:
        case "MaximumLengthSubItem":
            return MaximumLength(length=peer.maximum_length_received)
        case "ImplementationClassUIDSubItem":
            return ImplementationClassUid(uid=peer.implementation_class_uid)
        case "ImplementationVersionNameSubItem":
            return ImplementationVersionName(name=peer.implementation_version_name)
        case "AsynchronousOperationsWindowSubItem":
            return AsynchronousOperationsWindow(
                invoked=peer.max_operations_invoked, performed=peer.max_operations_performed
            )
        case "SCP_SCU_RoleSelectionSubItem":
            return RoleSelection(sop_class_uid=peer.uid, scu_role=peer.scu_role, scp_role=peer.scp_role)
        case "SOPClassExtendedNegotiationSubItem":
            return SopClassExtendedNegotiation(sop_class_uid=peer.uid, application_information=peer.app_info)
        case "SOPClassCommonExtendedNegotiationSubItem":
            return SopClassCommonExtendedNegotiation(
                sop_class_uid=peer.sop_class_uid,
                service_class_uid=peer.service_class_uid,
                related_general_sop_class_uids=tuple(peer.related_general_sop_class_identification),
            )
        case "UserIdentitySubItemRQ":
            return UserIdentityRequest(
                identity_type=peer.id_type,
                positive_response_requested=int(peer.response_requested),
                primary_field=peer.primary,
                secondary_field=peer.secondary or b"",
            )
        case "UserIdentitySubItemAC":
            return UserIdentityResponse(server_response=peer.response)
        case other:
            raise AssertionError(other)


def fits_a_primitive(item: UserItem) -> bool:
    """Whether pynetdicom lets its user ask for this: no SOP class without any role, no username without passcode."""
    match item:
        case RoleSelection(scu_role=0, scp_role=0) | UserIdentityRequest(identity_type=2, secondary_field=b""):
            return False
        case _:
            return True


def to_primitive(called: bytes, calling: bytes, items: list[UserItem]) -> A_ASSOCIATE:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.called_ae_title = ae_title_from_bytes(called)
    primitive.calling_ae_title = ae_title_from_bytes(calling)
    primitive.user_information = [to_peer(item) for item in items]
    return primitive


@settings(deadline=None, max_examples=40)
@given(titles, titles, any_uids, proposed_contexts(), st.lists(known_request_items, max_size=8))
def test_pynetdicom_reads_our_requests(
    called: bytes, calling: bytes, name: str, contexts: list[ProposedContext], items: list[UserItem]
) -> None:
    raw = encode_associate_request(
        called_ae_title=called,
        calling_ae_title=calling,
        presentation_contexts=contexts,
        user_information=items,
        application_context_name=name,
    )
    peer: Any = A_ASSOCIATE_RQ()
    peer.decode(raw)
    assert peer.protocol_version == 1
    assert (peer.called_ae_title, peer.calling_ae_title) == (called.decode().strip(), calling.decode().strip())
    assert peer.application_context_name == name
    assert [
        ProposedContext(
            context_id=context.context_id,
            abstract_syntax=context.abstract_syntax,
            transfer_syntaxes=tuple(context.transfer_syntax),
        )
        for context in peer.presentation_context
    ] == contexts
    assert [from_peer(item) for item in peer.user_information.user_data] == items


@settings(deadline=None, max_examples=40)
@given(titles, titles, proposed_contexts(), st.lists(known_request_items.filter(fits_a_primitive), max_size=8))
def test_we_read_requests_of_pynetdicom(
    called: bytes, calling: bytes, contexts: list[ProposedContext], items: list[UserItem]
) -> None:
    primitive = to_primitive(called, calling, items)
    peers = []
    for context in contexts:
        peer = PresentationContext()
        peer.context_id = context.context_id
        peer.abstract_syntax = context.abstract_syntax
        peer.transfer_syntax = list(dict.fromkeys(context.transfer_syntaxes))
        peers.append(peer)
    primitive.presentation_context_definition_list = peers
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    decoded = decode_pdu(pdu.encode())
    assert isinstance(decoded, AssociateRequest)
    assert (decoded.called_ae_title, decoded.calling_ae_title) == (called, calling)
    assert decoded.application_context_name == "1.2.840.10008.3.1.1.1"
    assert [
        (context.context_id, context.abstract_syntax, context.transfer_syntaxes)
        for context in decoded.presentation_contexts
    ] == [(peer.context_id, peer.abstract_syntax, tuple(peer.transfer_syntax)) for peer in peers]
    assert list(decoded.user_information) == items


@settings(deadline=None, max_examples=40)
@given(titles, titles, any_uids, context_results(), st.lists(known_accept_items, max_size=8))
def test_pynetdicom_reads_our_accepts(
    called: bytes, calling: bytes, name: str, contexts: list[ContextResult], items: list[UserItem]
) -> None:
    contexts = [context for context in contexts if context.transfer_syntax]  # pynetdicom cannot read those without
    raw = encode_associate_accept(
        called_ae_title=called,
        calling_ae_title=calling,
        presentation_contexts=contexts,
        user_information=items,
        application_context_name=name,
    )
    peer: Any = A_ASSOCIATE_AC()
    peer.decode(raw)
    assert peer.protocol_version == 1
    assert (peer.reserved_aet, peer.reserved_aec) == (called.decode().strip(), calling.decode().strip())
    assert peer.application_context_name == name
    assert [
        ContextResult(context_id=context.context_id, result=context.result, transfer_syntax=context.transfer_syntax)
        for context in peer.presentation_context
    ] == contexts
    assert [from_peer(item) for item in peer.user_information.user_data] == items


@settings(deadline=None, max_examples=40)
@given(titles, titles, context_results(), st.lists(known_accept_items.filter(fits_a_primitive), max_size=8))
def test_we_read_accepts_of_pynetdicom(
    called: bytes, calling: bytes, contexts: list[ContextResult], items: list[UserItem]
) -> None:
    primitive = to_primitive(called, calling, items)
    primitive.result = 0
    contexts = [context for context in contexts if context.transfer_syntax]
    peers = []
    for context in contexts:
        peer = PresentationContext()
        peer.context_id = context.context_id
        peer.abstract_syntax = "1.2.840.10008.1.1"
        peer.transfer_syntax = [context.transfer_syntax]
        peer.result = context.result
        peers.append(peer)
    primitive.presentation_context_definition_results_list = peers
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    decoded = decode_pdu(pdu.encode())
    assert isinstance(decoded, AssociateAccept)
    assert (decoded.called_ae_title, decoded.calling_ae_title) == (called, calling)
    assert list(decoded.presentation_contexts) == contexts
    assert list(decoded.user_information) == items


@settings(deadline=None)
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 10))
def test_rejects_and_aborts(result: int, source: int, reason: int) -> None:
    reject = A_ASSOCIATE_RJ()
    reject.decode(encode_associate_reject(result=result, source=source, reason=reason))
    assert (reject.result, reject.source, reject.reason_diagnostic) == (result, source, reason)
    assert reject.encode() == encode_associate_reject(result=result, source=source, reason=reason)
    abort = A_ABORT_RQ()
    abort.decode(encode_abort(source=source, reason=reason))
    assert (abort.source, abort.reason_diagnostic) == (source, reason)
    assert abort.encode() == encode_abort(source=source, reason=reason)


def test_releases() -> None:
    assert A_RELEASE_RQ().encode() == encode_release_request()
    assert A_RELEASE_RP().encode() == encode_release_response()


@settings(deadline=None)
@given(context_ids, st.binary(max_size=300), st.booleans(), st.integers(8, 128) | st.just(0))
def test_pynetdicom_reads_our_p_data(context_id: int, data: bytes, is_command: bool, maximum_length: int) -> None:
    message = b""
    controls = []
    for raw in encode_p_data_tf(context_id=context_id, data=data, is_command=is_command, maximum_length=maximum_length):
        peer: Any = P_DATA_TF()
        peer.decode(raw)
        [pdv] = peer.presentation_data_value_items
        assert pdv.context_id == context_id
        controls.append(pdv.data[0])
        message += pdv.data[1:]
    assert message == data
    assert controls == [int(is_command)] * (len(controls) - 1) + [int(is_command) | 2]

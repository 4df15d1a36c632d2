"""Strategies for A-ASSOCIATE PDUs whose contents are valid; what is wrong with a PDU is the tests' own matter."""

from dataclasses import replace
from typing import TypeVar

from hypothesis import strategies as st

from dimse_proxy.upper_layer.codec import encode_associate_accept, encode_associate_request
from dimse_proxy.upper_layer.pdu import (
    AsynchronousOperationsWindow,
    ContextResult,
    ImplementationClassUid,
    ImplementationVersionName,
    MaximumLength,
    ProposedContext,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UnknownUserItem,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)

components = st.integers(0, 10**9).map(str)
uids = st.lists(components, min_size=1, max_size=5).map(lambda parts: ".".join(["1", "2", *parts]))
few_uids = st.sampled_from(
    [f"1.2.840.10008.{suffix}" for suffix in ("1.1", "1.2", "1.2.1", "5.1.4.1.1.2", "5.1.4.1.1.4")]
)
any_uids = uids | few_uids
names = st.text("ABCXYZ019_- .", min_size=1, max_size=16).map(str.strip).filter(bool)
titles = names.map(lambda name: name.encode().ljust(16))
context_ids = st.integers(0, 127).map(lambda number: 2 * number + 1)
u16 = st.integers(0, 0xFFFF)
small_bytes = st.binary(max_size=40)

maximum_lengths = st.builds(MaximumLength, length=st.integers(0, 0xFFFFFFFF))
class_uids = st.builds(ImplementationClassUid, uid=any_uids)
version_names = st.builds(ImplementationVersionName, name=names)
windows = st.builds(AsynchronousOperationsWindow, invoked=u16, performed=u16)
roles = st.builds(RoleSelection, sop_class_uid=any_uids, scu_role=st.integers(0, 1), scp_role=st.integers(0, 1))
extended = st.builds(SopClassExtendedNegotiation, sop_class_uid=any_uids, application_information=small_bytes)
common_extended = st.builds(
    SopClassCommonExtendedNegotiation,
    sop_class_uid=any_uids,
    service_class_uid=any_uids,
    related_general_sop_class_uids=st.lists(any_uids, max_size=3).map(tuple),
)
identities = st.builds(
    UserIdentityRequest,
    identity_type=st.integers(1, 5),
    positive_response_requested=st.integers(0, 1),
    primary_field=st.binary(min_size=1, max_size=40),  # pynetdicom misreads what follows an empty one
    secondary_field=small_bytes,
)
identity_responses = st.builds(UserIdentityResponse, server_response=small_bytes)
unknown_items = st.builds(UnknownUserItem, item_type=st.integers(0, 0x4F) | st.integers(0x5A, 0xFF), value=small_bytes)

known_request_items: st.SearchStrategy[UserItem] = (
    maximum_lengths | class_uids | version_names | windows | roles | extended | common_extended | identities
)
known_accept_items: st.SearchStrategy[UserItem] = (
    maximum_lengths | class_uids | version_names | windows | roles | extended | identity_responses
)
user_items = known_request_items | known_accept_items | unknown_items


Context = TypeVar("Context", ProposedContext, ContextResult)


def _with_unique_ids(context: st.SearchStrategy[Context], max_size: int) -> st.SearchStrategy[list[Context]]:
    """Lists that are short as a rule, and sometimes as long as they may be (128 is all that the odd ids allow)."""
    short = st.lists(context, min_size=1, max_size=min(max_size, 10), unique_by=lambda item: item.context_id)
    full = st.lists(context, min_size=1, max_size=4).map(
        lambda few: [replace(few[index % len(few)], context_id=2 * index + 1) for index in range(max_size)]
    )
    return short | full


def proposed_contexts(max_size: int = 128) -> st.SearchStrategy[list[ProposedContext]]:
    context = st.builds(
        ProposedContext,
        context_id=context_ids,
        abstract_syntax=any_uids,
        transfer_syntaxes=st.lists(any_uids, min_size=1, max_size=4).map(tuple),
    )
    return _with_unique_ids(context, max_size)


def context_results(max_size: int = 128) -> st.SearchStrategy[list[ContextResult]]:
    context = st.builds(
        ContextResult, context_id=context_ids, result=st.integers(0, 4), transfer_syntax=any_uids | st.just("")
    )
    return _with_unique_ids(context, max_size)


def request_bytes(max_contexts: int = 6) -> st.SearchStrategy[bytes]:
    return st.builds(
        encode_associate_request,
        called_ae_title=titles,
        calling_ae_title=titles,
        presentation_contexts=proposed_contexts(max_contexts),
        user_information=st.lists(user_items, max_size=5),
        application_context_name=any_uids,
    )


def accept_bytes(max_contexts: int = 6) -> st.SearchStrategy[bytes]:
    return st.builds(
        encode_associate_accept,
        called_ae_title=titles,
        calling_ae_title=titles,
        presentation_contexts=context_results(max_contexts),
        user_information=st.lists(user_items, max_size=5),
        application_context_name=any_uids,
        reserved=st.binary(min_size=32, max_size=32),
    )

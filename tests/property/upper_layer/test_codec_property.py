import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.codec import (
    decode_pdu,
    encode_abort,
    encode_associate_accept,
    encode_associate_reject,
    encode_associate_request,
    encode_p_data_tf,
    encode_release_request,
)
from dimse_proxy.upper_layer.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ControlPdu,
    ProposedContext,
    UserItem,
)
from tests.property.upper_layer.pdu_strategies import (
    accept_bytes,
    any_uids,
    context_results,
    proposed_contexts,
    request_bytes,
    titles,
    user_items,
)
from tests.vectors.upper_layer.associate_vectors import ACCEPT, REQUEST

REASONS = {1, 2, 5, 6}


def decode_or_none(raw: bytes) -> ControlPdu | None:
    """What `decode_pdu` gives; a PDU that cannot be read is the only error it may know."""
    refusal: RemoteProtocolError | None = None
    try:
        decoded = decode_pdu(raw)
    except RemoteProtocolError as error:
        refusal = error
    if refusal is None:
        assert decoded.raw is raw
        return decoded
    assert refusal.source == 2
    assert refusal.reason in REASONS
    return None


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(raw: bytes) -> None:
    decode_or_none(raw)


@settings(deadline=None)
@given(st.sampled_from([1, 2]), st.binary(min_size=68, max_size=68), st.binary(max_size=200))
def test_random_items(pdu_type: int, fixed: bytes, items: bytes) -> None:
    body = fixed + items
    decode_or_none(bytes((pdu_type, 0)) + len(body).to_bytes(4, "big") + body)


@settings(deadline=None)
@given(
    request_bytes() | accept_bytes(),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes(raw: bytes, changes: list[tuple[int, int]]) -> None:
    edited = bytearray(raw)
    for place, value in changes:
        edited[place % len(raw)] = value
    decode_or_none(bytes(edited))


@pytest.mark.parametrize(
    "raw",
    [
        REQUEST,
        ACCEPT,
        encode_associate_reject(result=1, source=1, reason=1),
        encode_release_request(),
        encode_abort(source=0, reason=0),
    ],
)
def test_every_truncation(raw: bytes) -> None:
    for length in range(len(raw)):
        with pytest.raises(RemoteProtocolError) as caught:
            decode_pdu(raw[:length])
        assert caught.value.reason == 6


@pytest.mark.parametrize("raw", [REQUEST, ACCEPT])
def test_every_truncation_with_a_fitting_pdu_length(raw: bytes) -> None:
    whole_items = 0
    for length in range(6, len(raw)):
        whole_items += decode_or_none(raw[:2] + (length - 6).to_bytes(4, "big") + raw[6:length]) is not None
    # Cut between two items, the PDU can be read: behind the titles, the application context and each context.
    assert whole_items == {REQUEST: 4, ACCEPT: 5}[raw]


@settings(deadline=None, max_examples=60)
@given(titles, titles, any_uids, proposed_contexts(), st.lists(user_items, max_size=10))
def test_request_round_trip(
    called: bytes, calling: bytes, name: str, contexts: list[ProposedContext], items: list[UserItem]
) -> None:
    raw = encode_associate_request(
        called_ae_title=called,
        calling_ae_title=calling,
        presentation_contexts=contexts,
        user_information=items,
        application_context_name=name,
    )
    assert decode_pdu(raw) == AssociateRequest(
        protocol_version=1,
        called_ae_title=called,
        calling_ae_title=calling,
        application_context_name=name,
        presentation_contexts=tuple(contexts),
        user_information=tuple(items),
        raw=raw,
    )


@settings(deadline=None, max_examples=60)
@given(titles, titles, any_uids, context_results(), st.lists(user_items, max_size=10))
def test_accept_round_trip(
    called: bytes, calling: bytes, name: str, contexts: list[ContextResult], items: list[UserItem]
) -> None:
    raw = encode_associate_accept(
        called_ae_title=called,
        calling_ae_title=calling,
        presentation_contexts=contexts,
        user_information=items,
        application_context_name=name,
        reserved=b"\xff" * 32,
    )
    assert decode_pdu(raw) == AssociateAccept(
        protocol_version=1,
        called_ae_title=called,
        calling_ae_title=calling,
        application_context_name=name,
        presentation_contexts=tuple(contexts),
        user_information=tuple(items),
        raw=raw,
    )


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_short_pdus_round_trip(result: int, source: int, reason: int) -> None:
    raw = encode_associate_reject(result=result, source=source, reason=reason)
    assert decode_pdu(raw) == AssociateReject(result=result, source=source, reason=reason, raw=raw)
    raw = encode_abort(source=source, reason=reason)
    assert decode_pdu(raw) == Abort(source=source, reason=reason, raw=raw)


@settings(deadline=None)
@given(st.binary(max_size=2000), st.booleans(), st.integers(0, 2100))
@example(b"", True, 0)
def test_fragments_join_to_the_whole(data: bytes, is_command: bool, maximum_length: int) -> None:
    pdus = encode_p_data_tf(context_id=9, data=data, is_command=is_command, maximum_length=maximum_length)
    assert b"".join(raw[12:] for raw in pdus) == data
    for raw in pdus:
        assert raw[:2] == b"\4\0"
        assert int.from_bytes(raw[2:6], "big") == len(raw) - 6 == int.from_bytes(raw[6:10], "big") + 4
        assert raw[10] == 9
        assert raw[11] == (1 if is_command else 0) | (2 if raw is pdus[-1] else 0)
        assert not maximum_length or len(raw) - 6 <= max(maximum_length, 8)
        assert len(raw) > 12 or not data

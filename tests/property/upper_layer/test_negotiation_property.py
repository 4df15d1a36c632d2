from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.codec import decode_pdu, encode_associate_accept
from dimse_proxy.upper_layer.dump import describe_accept, describe_request
from dimse_proxy.upper_layer.negotiation import (
    accepted,
    filter_request,
    local_accept,
    maximum_length,
    replace_titles,
    restore_accept,
)
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult, ProposedContext
from tests.property.upper_layer.pdu_strategies import accept_bytes, request_bytes, titles


def the_request(raw: bytes) -> AssociateRequest:
    decoded = decode_pdu(raw)
    assert isinstance(decoded, AssociateRequest)
    return decoded


def the_accept(raw: bytes) -> AssociateAccept:
    decoded = decode_pdu(raw)
    assert isinstance(decoded, AssociateAccept)
    return decoded


class Filter:
    """Decides by drawing: nothing, some or all of the transfer syntaxes."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.decisions: list[tuple[ProposedContext, list[str] | None]] = []

    def __call__(self, context: ProposedContext) -> list[str] | None:
        some = (
            st.lists(st.sampled_from(context.transfer_syntaxes), unique=True)
            if context.transfer_syntaxes
            else st.just([])
        )
        decision = self._data.draw(st.none() | some | st.just(list(context.transfer_syntaxes)))
        self.decisions.append((context, decision))
        return decision


@settings(deadline=None)
@given(request_bytes(), titles, titles)
def test_titles(raw: bytes, called: bytes, calling: bytes) -> None:
    edited = replace_titles(raw, called=called, calling=calling)
    assert edited[:10] + edited[42:] == raw[:10] + raw[42:]
    assert (the_request(edited).called_ae_title, the_request(edited).calling_ae_title) == (called, calling)
    before = the_request(raw)
    assert replace_titles(edited, called=before.called_ae_title, calling=before.calling_ae_title) == raw


@settings(deadline=None)
@given(request_bytes(), st.data())
def test_a_filtered_request_has_what_was_kept(raw: bytes, data: st.DataObject) -> None:
    request = the_request(raw)
    decide = Filter(data)
    filtered = filter_request(request, decide)
    assert the_request(filtered.raw) == filtered.request
    kept = [
        (
            context.context_id,
            context.abstract_syntax,
            tuple(uid for uid in context.transfer_syntaxes if uid in decision),
        )
        for context, decision in decide.decisions
        if decision
    ]
    assert [
        (context.context_id, context.abstract_syntax, context.transfer_syntaxes)
        for context in filtered.request.presentation_contexts
    ] == kept
    assert [(item.context_id, item.result) for item in filtered.refused] == [
        (context.context_id, 3 if decision is None else 4) for context, decision in decide.decisions if not decision
    ]
    remaining = set(filtered.request.user_information)
    left = {context.abstract_syntax for context in filtered.request.presentation_contexts}
    refused = {context.abstract_syntax for context, decision in decide.decisions if not decision}
    for item in request.user_information:
        sop_class = getattr(item, "sop_class_uid", None)
        assert (item in remaining) == (sop_class not in refused - left)


@settings(deadline=None)
@given(request_bytes(12), st.data())
def test_a_restored_accept_answers_every_context_once(raw: bytes, data: st.DataObject) -> None:
    request = the_request(raw)
    filtered = filter_request(request, Filter(data))
    results = [
        ContextResult(context_id=context.context_id, result=0, transfer_syntax=context.transfer_syntaxes[0])
        for context in filtered.request.presentation_contexts
    ]
    answered = data.draw(st.permutations(results)) if data.draw(st.booleans()) else results
    accept = the_accept(
        encode_associate_accept(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            presentation_contexts=answered,
            user_information=request.user_information,
        )
    )
    restored = the_accept(restore_accept(accept, request, filtered.refused))
    order = [item.context_id for item in restored.presentation_contexts]
    assert sorted(order) == sorted(context.context_id for context in request.presentation_contexts)
    assert set(restored.presentation_contexts) == set(answered) | set(filtered.refused)
    refused_ids = {item.context_id for item in filtered.refused}
    assert [item for item in restored.presentation_contexts if item.context_id not in refused_ids] == answered
    if answered == results:
        assert order == [context.context_id for context in request.presentation_contexts]
    assert restored.user_information == accept.user_information
    assert set(accepted(request, restored)) == {item.context_id for item in answered}


@settings(deadline=None)
@given(
    request_bytes(4),
    accept_bytes(4),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    st.data(),
)
def test_whatever_can_be_read_can_be_negotiated(
    request_raw: bytes, accept_raw: bytes, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    edited = [bytearray(request_raw), bytearray(accept_raw)]
    for index, (place, value) in enumerate(changes):
        raw = edited[index % 2]
        raw[74 + place % (len(raw) - 74)] = value
    try:
        request, accept = the_request(bytes(edited[0])), the_accept(bytes(edited[1]))
    except RemoteProtocolError:
        return
    filtered = filter_request(request, Filter(data))
    restored = the_accept(restore_accept(accept, request, filtered.refused))
    the_accept(local_accept(request, filtered.refused))
    accepted(request, restored)
    maximum_length(accept.user_information)
    lines = describe_request(request, name=str) + describe_accept(restored, request, name=str)
    assert all(line.isprintable() for line in lines)

from collections.abc import Callable, Collection, Sequence

import pytest

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.upper_layer.codec import (
    decode_pdu,
    encode_abort,
    encode_associate_accept,
    encode_associate_request,
    encode_context_result,
    encode_proposed_context,
)
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.items import encode_item, encode_user_item
from dimse_proxy.upper_layer.negotiation import (
    AcceptedContext,
    abstract_syntaxes,
    accepted,
    filter_request,
    local_accept,
    maximum_length,
    replace_titles,
    restore_accept,
)
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ImplementationClassUid,
    MaximumLength,
    ProposedContext,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UserItem,
)

CALLED = b"ARCHIVE         "
CALLING = b"SCU" + bytes(13)
LE = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"

Decide = Callable[[ProposedContext], Collection[str] | None]


def context(context_id: int, abstract_syntax: str, *transfer_syntaxes: str) -> ProposedContext:
    return ProposedContext(
        context_id=context_id, abstract_syntax=abstract_syntax, transfer_syntaxes=transfer_syntaxes or (LE,)
    )


def make_request(contexts: Sequence[ProposedContext], items: Sequence[UserItem] = ()) -> AssociateRequest:
    raw = encode_associate_request(
        called_ae_title=CALLED, calling_ae_title=CALLING, presentation_contexts=contexts, user_information=items
    )
    return read_request(raw)


def read_request(raw: bytes) -> AssociateRequest:
    decoded = decode_pdu(raw)
    assert isinstance(decoded, AssociateRequest)
    return decoded


def result(context_id: int, code: int = 0, transfer_syntax: str = LE) -> ContextResult:
    return ContextResult(context_id=context_id, result=code, transfer_syntax=transfer_syntax)


def make_accept(contexts: Sequence[ContextResult]) -> AssociateAccept:
    raw = encode_associate_accept(
        called_ae_title=CALLED,
        calling_ae_title=CALLING,
        presentation_contexts=contexts,
        user_information=(MaximumLength(length=0),),
    )
    return read_accept(raw)


def read_accept(raw: bytes) -> AssociateAccept:
    decoded = decode_pdu(raw)
    assert isinstance(decoded, AssociateAccept)
    return decoded


def with_items(raw: bytes, items: bytes) -> bytes:
    """The PDU with these items in place of its own."""
    return raw[:2] + (68 + len(items)).to_bytes(4, "big") + raw[6:74] + items


def allow_all(context: ProposedContext) -> Collection[str]:
    return context.transfer_syntaxes


def refuse(*abstract_syntaxes: str) -> Decide:
    return lambda context: None if context.abstract_syntax in abstract_syntaxes else context.transfer_syntaxes


def keep(*transfer_syntaxes: str) -> Decide:
    return lambda context: transfer_syntaxes


class TestReplaceTitles:
    def test_both(self) -> None:
        raw = make_request([context(1, "1.1")]).raw
        edited = replace_titles(raw, called=b"B" * 16, calling=b"C" * 16)
        assert edited == raw[:10] + b"B" * 16 + b"C" * 16 + raw[42:]

    def test_one_in_an_accept(self) -> None:
        raw = make_accept([result(1)]).raw
        assert replace_titles(raw, calling=b"C" * 16) == raw[:26] + b"C" * 16 + raw[42:]
        assert replace_titles(raw, called=b"C" * 16) == raw[:10] + b"C" * 16 + raw[26:]

    def test_nothing_to_change_returns_the_same_object(self) -> None:
        raw = make_request([context(1, "1.1")]).raw
        assert replace_titles(raw) is raw
        assert replace_titles(raw, called=CALLED, calling=CALLING) is raw

    @pytest.mark.parametrize("raw", [b"", encode_abort(source=0, reason=0), b"\3" + bytes(80), b"\1" + bytes(72)])
    def test_other_pdus_have_no_titles(self, raw: bytes) -> None:
        with pytest.raises(LocalProtocolError, match="A-ASSOCIATE-RQ or -AC only"):
            replace_titles(raw, called=CALLED)

    @pytest.mark.parametrize("title", [b"", b"C" * 15, b"C" * 17])
    def test_a_title_has_16_bytes(self, title: bytes) -> None:
        with pytest.raises(LocalProtocolError, match="instead of 16"):
            replace_titles(make_request([]).raw, called=title)


class TestFilterRequest:
    def test_nothing_refused_returns_the_same_objects(self) -> None:
        request = make_request([context(1, "1.1"), context(3, "1.2", LE, JPEG)])
        filtered = filter_request(request, allow_all)
        assert filtered.raw is request.raw
        assert filtered.request is request
        assert filtered.refused == ()
        assert filtered.contexts_left == 2

    def test_more_transfer_syntaxes_allowed_than_proposed(self) -> None:
        request = make_request([context(1, "1.1", JPEG, LE)])
        assert filter_request(request, keep(LE, JPEG, EXPLICIT)).raw is request.raw

    def test_a_refused_abstract_syntax(self) -> None:
        contexts = [context(1, "1.1"), context(3, "1.2", JPEG, LE), context(5, "1.3")]
        filtered = filter_request(make_request(contexts, own_user_information()), refuse("1.2"))
        assert filtered.raw == make_request([contexts[0], contexts[2]], own_user_information()).raw
        assert filtered.request == read_request(filtered.raw)
        assert filtered.refused == (result(3, 3, JPEG),)
        assert filtered.contexts_left == 2

    def test_a_narrowed_context_keeps_its_place(self) -> None:
        request = make_request([context(1, "1.1", JPEG, LE, EXPLICIT), context(3, "1.2")])
        filtered = filter_request(request, keep(EXPLICIT, LE))
        assert filtered.raw == make_request([context(1, "1.1", LE, EXPLICIT), context(3, "1.2")]).raw
        assert filtered.refused == ()

    def test_no_transfer_syntax_left(self) -> None:
        request = make_request([context(1, "1.1", JPEG, LE), context(3, "1.2", EXPLICIT)])
        filtered = filter_request(request, keep(EXPLICIT))
        assert filtered.raw == make_request([context(3, "1.2", EXPLICIT)]).raw
        assert filtered.refused == (result(1, 4, JPEG),)

    def test_no_context_left(self) -> None:
        filtered = filter_request(make_request([context(1, "1.1"), context(3, "1.2")]), refuse("1.1", "1.2"))
        assert filtered.raw == make_request([]).raw
        assert filtered.contexts_left == 0
        assert filtered.refused == (result(1, 3), result(3, 3))

    def test_a_request_without_contexts(self) -> None:
        request = make_request([])
        filtered = filter_request(request, refuse())
        assert filtered.raw is request.raw
        assert (filtered.contexts_left, filtered.refused) == (0, ())

    def test_a_context_without_transfer_syntaxes_is_left_to_the_acceptor(self) -> None:
        empty = ProposedContext(context_id=1, abstract_syntax="1.1", transfer_syntaxes=())
        request = make_request([empty])
        assert filter_request(request, keep(LE)).raw is request.raw
        assert filter_request(request, refuse("1.1")).refused == (result(1, 3, LE),)

    @pytest.mark.parametrize("first", ["", "1" * 65, "\x7f"])
    def test_a_transfer_syntax_that_is_no_uid_is_not_echoed(self, first: str) -> None:
        filtered = filter_request(make_request([context(1, "1.1", first * 60, JPEG)]), refuse("1.1"))
        assert filtered.refused == (result(1, 3, LE),)
        assert encode_context_result(filtered.refused[0])

    def test_negotiation_items_of_a_refused_class_go_with_it(self) -> None:
        kept: list[UserItem] = [
            MaximumLength(length=5),
            RoleSelection(sop_class_uid="1.1", scu_role=1, scp_role=1),
            SopClassExtendedNegotiation(sop_class_uid="1.1", application_information=b"\1"),
            SopClassExtendedNegotiation(sop_class_uid="1.9", application_information=b"\1"),
            RoleSelection(sop_class_uid="1.9", scu_role=1, scp_role=1),
            SopClassCommonExtendedNegotiation(
                sop_class_uid="1.1", service_class_uid="1.4", related_general_sop_class_uids=("1.2",)
            ),
            ImplementationClassUid(uid="1.2"),
        ]
        dropped: list[UserItem] = [
            RoleSelection(sop_class_uid="1.2", scu_role=1, scp_role=1),
            SopClassExtendedNegotiation(sop_class_uid="1.2", application_information=b"\1"),
            SopClassCommonExtendedNegotiation(
                sop_class_uid="1.2", service_class_uid="1.4", related_general_sop_class_uids=()
            ),
        ]
        mixed = [item for pair in zip(kept, [*dropped, *dropped, *dropped], strict=False) for item in pair]
        filtered = filter_request(make_request([context(1, "1.1"), context(3, "1.2")], mixed), refuse("1.2"))
        assert filtered.raw == make_request([context(1, "1.1")], kept).raw

    def test_negotiation_items_stay_while_another_context_has_the_class(self) -> None:
        items = [RoleSelection(sop_class_uid="1.1", scu_role=1, scp_role=1)]
        request = make_request([context(1, "1.1", JPEG), context(3, "1.1", LE)], items)
        filtered = filter_request(request, keep(LE))
        assert filtered.refused == (result(1, 4, JPEG),)
        assert filtered.raw == make_request([context(3, "1.1", LE)], items).raw

    def test_all_else_stays_as_it_came(self) -> None:
        unknown = bytes.fromhex("7f ee 0003 aabbcc")
        application_context = bytes.fromhex("10 dd 0004 312e3900")
        first = bytes.fromhex("20 11 0018 02 334455 30 99 0004 312e3100 40 88 0004 312e3520 41 77 0000")
        second = bytes.fromhex("20 22 0012 02 000000 30 00 0003 312e32 40 00 0003 312e36")
        user = bytes.fromhex("50 66 000a 51 55 0002 4000 5f 44 0000")
        body = b"\xff\xff\xee\xee" + CALLED + CALLING + b"\xdd" * 32
        raw = b"\1\xcc" + (68 + 7 + 8 + 28 + 22 + 14).to_bytes(4, "big") + body
        raw += user + unknown + second + application_context + first
        filtered = filter_request(read_request(raw), refuse("1.2"))
        assert filtered.raw == with_items(raw, user + unknown + application_context + first)
        assert filtered.refused == (result(2, 3, "1.6"),)

    def test_a_narrowed_context_keeps_reserved_bytes_padding_and_unknown_sub_items(self) -> None:
        item = bytes.fromhex(
            "20 11 0020 02 334455 41 77 0000 40 88 0004 312e3520 40 00 0004 312e3600 30 99 0004 312e3100"
        )
        wanted = bytes.fromhex("20 11 0018 02 334455 41 77 0000 40 88 0004 312e3520 30 99 0004 312e3100")
        raw = with_items(make_request([]).raw, item)
        assert filter_request(read_request(raw), keep("1.5")).raw == with_items(raw, wanted)

    def test_decide_is_asked_once_for_each_context_in_order(self) -> None:
        contexts = [context(1, "1.1"), context(3, "1.1"), context(1, "1.2")]
        asked = []

        def decide(proposed: ProposedContext) -> Collection[str] | None:
            asked.append(proposed)
            return None if len(asked) == 2 else proposed.transfer_syntaxes

        filtered = filter_request(make_request(contexts), decide)
        assert asked == contexts
        assert filtered.raw == make_request([contexts[0], contexts[2]]).raw


class TestRestoreAccept:
    def restored(self, answered: Sequence[int], proposed: Sequence[int], refused: Sequence[int]) -> list[int]:
        accept = make_accept([result(context_id) for context_id in answered])
        request = make_request([context(context_id, f"1.{context_id}") for context_id in proposed])
        raw = restore_accept(accept, request, tuple(result(context_id, 3) for context_id in refused))
        restored = read_accept(raw)
        for item in restored.presentation_contexts:
            assert item.result == (0 if item.context_id in answered else 3)
        order = [item.context_id for item in restored.presentation_contexts]
        assert raw == make_accept(restored.presentation_contexts).raw
        return order

    def test_nothing_refused_returns_the_same_object(self) -> None:
        accept = make_accept([result(1)])
        assert restore_accept(accept, make_request([context(1, "1.1")]), ()) is accept.raw

    @pytest.mark.parametrize(
        ("answered", "proposed", "refused", "order"),
        [
            ([1, 5], [1, 3, 5], [3], [1, 3, 5]),
            ([3, 5], [1, 3, 5], [1], [1, 3, 5]),
            ([1, 3], [1, 3, 5], [5], [1, 3, 5]),
            ([5], [1, 3, 5, 7], [1, 3, 7], [1, 3, 5, 7]),
            ([5, 1], [1, 3, 5], [3], [5, 1, 3]),  # reordered by the target
            ([7, 1], [1, 3, 5, 7, 9], [3, 5, 9], [7, 9, 1, 3, 5]),
            ([1], [1, 3, 5, 7], [5], [1, 5]),  # the target left 3 and 7 out
            ([7], [1, 3, 5, 7], [5], [5, 7]),
            ([], [1, 3], [1, 3], [1, 3]),
            ([9, 7, 5], [5, 3, 7, 1, 9], [3, 1], [9, 7, 1, 5, 3]),  # ids not in rising order
            ([1, 3], [1, 3], [3], [1, 3]),  # answered although it never was asked
            ([1, 3], [1, 3, 1, 5], [1, 5], [1, 5, 3]),  # one id proposed twice
        ],
    )
    def test_order(self, answered: list[int], proposed: list[int], refused: list[int], order: list[int]) -> None:
        assert self.restored(answered, proposed, refused) == order

    def test_all_else_stays_as_it_came(self) -> None:
        unknown = bytes.fromhex("7f ee 0003 aabbcc")
        application_context = bytes.fromhex("10 dd 0004 312e3900")
        first = bytes.fromhex("21 11 0004 03 22 03 33")
        second = bytes.fromhex("21 44 000c 01 55 00 66 40 77 0004 312e3600")
        user = bytes.fromhex("50 66 0006 5f 44 0002 aabb")
        raw = b"\2\xcc" + with_items(make_accept([]).raw, user + unknown + first + application_context + second)[2:]
        request = make_request([context(1, "1.1"), context(3, "1.3"), context(5, "1.5"), context(7, "1.7")])
        restored = restore_accept(read_accept(raw), request, (result(5, 4, JPEG), result(7, 3)))
        put_back = encode_context_result(result(5, 4, JPEG)) + encode_context_result(result(7, 3))
        assert restored == with_items(raw, user + unknown + first + put_back + application_context + second)

    @pytest.mark.parametrize("application_context", [b"", encode_item(0x10, b"1.9")])
    def test_into_an_accept_without_contexts(self, application_context: bytes) -> None:
        user = encode_item(0x50, encode_user_item(MaximumLength(length=9)))
        raw = with_items(make_accept([]).raw, application_context + user)
        restored = restore_accept(read_accept(raw), make_request([context(1, "1.1")]), (result(1, 3),))
        put_back = encode_context_result(result(1, 3))
        assert restored == with_items(raw, application_context + put_back + user)

    def test_into_an_accept_without_items(self) -> None:
        raw = with_items(make_accept([]).raw, b"")
        restored = restore_accept(read_accept(raw), make_request([context(1, "1.1")]), (result(1, 3),))
        assert restored == with_items(raw, encode_context_result(result(1, 3)))

    def test_filter_and_restore_give_the_accept_of_an_unfiltered_request(self) -> None:
        request = make_request([context(1, "1.1", JPEG), context(3, "1.2"), context(5, "1.3", JPEG, LE)])
        filtered = filter_request(request, lambda proposed: None if proposed.context_id == 1 else (LE,))
        answer = make_accept([result(item.context_id) for item in filtered.request.presentation_contexts])
        raw = restore_accept(answer, request, filtered.refused)
        assert raw == make_accept([result(1, 3, JPEG), result(3), result(5)]).raw


class TestLocalAccept:
    def test_echoes_the_request(self) -> None:
        raw = make_request([context(1, "1.1"), context(3, "1.2", JPEG)]).raw
        request = read_request(raw[:42] + bytes(range(32)) + raw[74:])
        results = filter_request(request, refuse("1.1", "1.2")).refused
        accept = read_accept(local_accept(request, results))
        assert accept.protocol_version == 1
        assert (accept.called_ae_title, accept.calling_ae_title) == (CALLED, CALLING)
        assert accept.raw[42:74] == bytes(range(32))
        assert accept.application_context_name == "1.2.840.10008.3.1.1.1"
        assert accept.presentation_contexts == (result(1, 3), result(3, 3, JPEG))
        assert accept.user_information == own_user_information(16384)

    @pytest.mark.parametrize(
        ("item", "name"),
        [
            (b"", "1.2.840.10008.3.1.1.1"),
            (encode_item(0x10, b"1.2.3\0"), "1.2.3"),
            (encode_item(0x10, b"\xff" * 60000), "1.2.840.10008.3.1.1.1"),
        ],
    )
    def test_application_context_name(self, item: bytes, name: str) -> None:
        request = read_request(with_items(make_request([]).raw, item + encode_proposed_context(context(1, "1.1"))))
        assert read_accept(local_accept(request, ())).application_context_name == name


@pytest.mark.parametrize(
    ("items", "length"),
    [
        ([], 0),
        ([ImplementationClassUid(uid="1.2")], 0),
        ([MaximumLength(length=0)], 0),
        ([ImplementationClassUid(uid="1.2"), MaximumLength(length=4096)], 4096),
        ([MaximumLength(length=8192), MaximumLength(length=0), MaximumLength(length=4096)], 4096),
    ],
)
def test_maximum_length(items: list[UserItem], length: int) -> None:
    assert maximum_length(items) == length


def test_abstract_syntaxes() -> None:
    request = make_request([context(1, "1.2"), context(3, "1.1"), context(5, "1.2")])
    assert abstract_syntaxes(request) == ("1.2", "1.1")


def test_accepted() -> None:
    request = make_request([context(1, "1.1", JPEG, LE), context(3, "1.2"), context(5, "1.1")])
    accept = make_accept([result(5), result(3, 3), result(1, 0, JPEG), result(7)])
    assert accepted(request, accept) == {
        1: AcceptedContext(abstract_syntax="1.1", transfer_syntax=JPEG),
        5: AcceptedContext(abstract_syntax="1.1", transfer_syntax=LE),
    }

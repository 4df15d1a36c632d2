from collections.abc import Iterator

import pytest

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer import codec, recent
from dimse_proxy.upper_layer.codec import (
    encode_associate_accept,
    encode_associate_request,
    encode_release_request,
)
from dimse_proxy.upper_layer.pdu import (
    ContextResult,
    MaximumLength,
    ProposedContext,
    UnknownUserItem,
    UserIdentityRequest,
    UserIdentityResponse,
    UserItem,
)

TITLE = b"TITLE".ljust(16)
IDENTITY = UserIdentityRequest(
    identity_type=2, positive_response_requested=0, primary_field=b"somebody", secondary_field=b"a password"
)


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    recent._remembered.clear()
    yield
    recent._remembered.clear()


def request(number: int = 0, *items: UserItem, syntaxes: int = 1) -> bytes:
    context = ProposedContext(
        context_id=1, abstract_syntax=f"1.2.{number}", transfer_syntaxes=("1.2.840.10008.1.2",) * syntaxes
    )
    return encode_associate_request(
        called_ae_title=TITLE, calling_ae_title=TITLE, presentation_contexts=[context], user_information=items
    )


def accept(*items: UserItem) -> bytes:
    return encode_associate_accept(
        called_ae_title=TITLE,
        calling_ae_title=TITLE,
        presentation_contexts=[ContextResult(context_id=1, result=0, transfer_syntax="1.2")],
        user_information=items,
    )


def is_remembered(raw: bytes) -> bool:
    return recent.decode_pdu(raw) is recent.decode_pdu(bytes(bytearray(raw)))


@pytest.mark.parametrize("raw", [request(1, MaximumLength(length=16384)), accept(MaximumLength(length=16384))])
def test_the_same_bytes_again_are_not_decoded_again(raw: bytes) -> None:
    assert recent.decode_pdu(raw) == codec.decode_pdu(raw)
    assert is_remembered(raw)


def test_other_bytes_are() -> None:
    assert recent.decode_pdu(request(1)) != recent.decode_pdu(request(2))


@pytest.mark.parametrize(
    "raw",
    [
        request(1, IDENTITY),
        request(1, UnknownUserItem(item_type=0x58, value=b"an identity that cannot be read")),
        accept(UserIdentityResponse(server_response=b"a ticket")),
    ],
)
def test_nothing_secret_is_remembered(raw: bytes) -> None:
    assert recent.decode_pdu(raw) == codec.decode_pdu(raw)
    assert not is_remembered(raw)
    assert not recent._remembered


def test_no_long_one_is_remembered() -> None:
    raw = request(1, syntaxes=recent.LONGEST // 20)
    assert len(raw) > recent.LONGEST
    assert not is_remembered(raw)


def test_short_pdus_are_just_decoded() -> None:
    raw = encode_release_request()
    assert recent.decode_pdu(raw) == codec.decode_pdu(raw)
    assert not recent._remembered


@pytest.mark.parametrize("raw", [b"", request(1)[:-1]])
def test_what_cannot_be_read_cannot_be_read_the_second_time_either(raw: bytes) -> None:
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            recent.decode_pdu(raw)


def test_the_one_not_seen_for_longest_is_forgotten() -> None:
    numbers = range(recent.MOST)
    for number in numbers:
        recent.decode_pdu(request(number))
    first = recent.decode_pdu(request(0))
    recent.decode_pdu(request(recent.MOST))
    assert len(recent._remembered) == recent.MOST
    assert request(1) not in recent._remembered
    assert recent.decode_pdu(request(0)) is first


def test_a_request_by_its_type() -> None:
    assert recent.decode_associate_request(request(1)) is recent.decode_pdu(request(1))

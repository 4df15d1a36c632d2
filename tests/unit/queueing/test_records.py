"""What is written beside the chunks: read again as it was, sealed or not, and never taken for something else."""

import base64
import json

import pytest

from dimse_proxy.queueing.records import (
    SALT_SIZE,
    Again,
    Attempt,
    Codec,
    DeadLetter,
    Lease,
    Parties,
    QueuedAssociation,
    QueuedObject,
    RecordError,
    SealError,
    chunk_lengths,
    decode_asked,
    decode_attempt,
    decode_dead_letter,
    decode_lease,
    decode_work,
    decode_work_again,
    encode_asked,
    encode_attempt,
    encode_dead_letter,
    encode_end,
    encode_lease,
    encode_work,
    length_of,
)
from dimse_proxy.queueing.sealing import QueueKeys
from dimse_proxy.queueing.subjects import AssociationKey, Flow

FLOW = Flow(root="DIMSE", sender="A", receiver="B")
KEY = AssociationKey("CT1", "0" * 32)
PARTIES = Parties(calling="CT1", called="ARCHIVE", peer="10.0.0.1:4242")
OLD, NEW = bytes(32), bytes(range(32))
SALT = b"s" * SALT_SIZE


def an_object(codec: Codec, **changes: object) -> QueuedObject:
    values: dict[str, object] = {
        "number": 5,
        "parties": PARTIES,
        "sop_class": "1.2.3",
        "sop_instance": "1.2.3.4",
        "transfer_syntax": "1.2.840.10008.1.2",
        "priority": 0,
        "length": 1500,
        "chunks": 2,
        "chunk_size": 1000,
        "accepted": 1700.5,
        "study": "1.2.9",
        "seal": codec.new_seal(SALT),
        **changes,
    }
    return QueuedObject(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("keys", [None, QueueKeys([NEW])], ids=["plain", "sealed"])
def test_an_object_and_its_association_are_read_again(keys: QueueKeys | None) -> None:
    codec = Codec(FLOW, keys)
    record = an_object(codec)
    text = codec.encode_object(KEY, record)
    found = codec.decode_object(KEY, 5, text)
    assert (found.parties, found.sop_instance, found.study) == (PARTIES, "1.2.3.4", "1.2.9")
    assert (found.seal is None) is (keys is None)
    readable = json.loads(text)
    assert (readable["length"], readable["chunks"], readable["accepted"]) == (1500, 2, 1700.5)
    assert ("1.2.3.4" in text.decode()) is (keys is None)
    assert ("CT1" in text.decode()) is (keys is None)
    entry = QueuedAssociation(parties=PARTIES, contexts=(("1.2.3", "1.2"),), started=1.0)
    assert codec.decode_association(KEY, codec.encode_association(KEY, entry, codec.new_seal(SALT))) == entry


def test_a_sealed_record_belongs_to_its_place() -> None:
    codec = Codec(FLOW, QueueKeys([NEW]))
    text = codec.encode_object(KEY, an_object(codec))
    with pytest.raises(RecordError):
        codec.decode_object(KEY, 6, text)
    with pytest.raises(SealError):
        codec.decode_object(AssociationKey("CT1", "1" * 32), 5, text)
    with pytest.raises(SealError):
        Codec(Flow(root="DIMSE", sender="B", receiver="A"), QueueKeys([NEW])).decode_object(KEY, 5, text)
    fields = json.loads(text)
    fields["sealed"] = base64.b64encode(b"x" * 40).decode()
    with pytest.raises(SealError):
        codec.decode_object(KEY, 5, json.dumps(fields).encode())


def test_chunks_are_sealed_each_at_its_place() -> None:
    codec = Codec(FLOW, QueueKeys([NEW]))
    seal = codec.new_seal(SALT)
    assert seal is not None
    place = codec.place(KEY, 5)
    sealed = seal.seal_chunk(3, b"pixels", place)
    found = codec.decode_object(KEY, 5, codec.encode_object(KEY, an_object(codec, seal=seal))).seal
    assert found is not None
    assert found.open_chunk(3, sealed, place) == b"pixels"
    for index, where in ((2, place), (3, codec.place(KEY, 6))):
        with pytest.raises(SealError):
            found.open_chunk(index, sealed, where)
    with pytest.raises(SealError):
        found.open_chunk(3, b"short", place)


def test_an_old_key_opens_what_it_has_sealed_and_the_first_one_seals() -> None:
    before, while_exchanged, after = QueueKeys([OLD]), QueueKeys([NEW, OLD]), QueueKeys([NEW])
    stored = Codec(FLOW, before)
    text = stored.encode_object(KEY, an_object(stored))
    assert Codec(FLOW, while_exchanged).decode_object(KEY, 5, text).sop_instance == "1.2.3.4"
    with pytest.raises(SealError, match="does not have"):
        Codec(FLOW, after).decode_object(KEY, 5, text)
    newer = Codec(FLOW, while_exchanged)
    assert Codec(FLOW, after).decode_object(KEY, 5, newer.encode_object(KEY, an_object(newer))).number == 5


def test_sealed_and_plain_are_never_mixed() -> None:
    plain, sealed = Codec(FLOW, None), Codec(FLOW, QueueKeys([NEW]))
    with pytest.raises(SealError, match="without the tunnel key"):
        sealed.decode_object(KEY, 5, plain.encode_object(KEY, an_object(plain)))
    with pytest.raises(SealError, match="DIMSE_TUNNEL_KEY"):
        plain.decode_object(KEY, 5, sealed.encode_object(KEY, an_object(sealed)))


def test_titles_stand_as_they_are_or_tell_nothing_without_the_key() -> None:
    assert Codec(FLOW, None).token("A B") == "A=20B"
    assert Codec(FLOW, QueueKeys([NEW])).token("CT1") == QueueKeys([NEW]).token("CT1")
    keys = QueueKeys([NEW])
    assert keys.token("CT1") == QueueKeys([NEW, OLD]).token("CT1")
    assert keys.token("CT1") != QueueKeys([OLD]).token("CT1")
    assert len(keys.token("CT1")) == 16


def test_the_small_ones_are_read_again() -> None:
    attempt = Attempt(tries=2, last="A700H", status=0xA700, at=1.0, not_before=2.5)
    dead = DeadLetter(reason="status", text="C000H", status=None, tries=1, at=3.0)
    lease = Lease(instance="b1", epoch=7)
    assert decode_attempt(encode_attempt(attempt)) == attempt
    assert decode_dead_letter(encode_dead_letter(dead)) == dead
    assert decode_lease(encode_lease(lease)) == lease
    assert json.loads(encode_end(4.0)) == {"version": 1, "what": "end", "at": 4.0}
    assert decode_work(encode_work(4.0, "ARCHIVE")) == "ARCHIVE"
    for text in (b'{"version":1,"what":"work","at":4.0}', b"", encode_end(4.0)):
        with pytest.raises(RecordError):
            decode_work(text)


def test_where_an_object_was_moved_to_stands_as_it_is_or_sealed() -> None:
    assert Codec(FLOW, None).hide_title(KEY, 5, "OTHER", SALT) == "OTHER"
    assert Codec(FLOW, None).read_title(KEY, 5, "OTHER") == "OTHER"
    sealed = Codec(FLOW, QueueKeys([NEW]))
    hidden = sealed.hide_title(KEY, 5, "OTHER", SALT)
    assert "OTHER" not in hidden
    assert Codec(FLOW, QueueKeys([OLD, NEW])).read_title(KEY, 5, hidden) == "OTHER"
    for codec, number, text in (
        (sealed, 6, hidden),
        (sealed, 5, "OTHER"),
        (sealed, 5, hidden[:-4]),
        (Codec(FLOW, QueueKeys([OLD])), 5, hidden),
    ):
        with pytest.raises(RecordError):
            codec.read_title(KEY, number, text)


def test_what_is_asked_for_by_hand() -> None:
    assert decode_work_again(encode_work(4.0, "ARCHIVE")) is None
    asked = encode_work(4.0, "", {7, 3})
    assert decode_work(asked) == ""
    assert decode_work_again(asked) == Again(at=4.0, numbers=(3, 7))
    for changes in ({"again": 5}, {"again": ["3"]}, {"at": "now"}):
        with pytest.raises(RecordError):
            decode_work_again(json.dumps({**json.loads(asked), **changes}).encode())
    assert decode_asked(encode_asked(4.0, [KEY])) == [KEY]
    for text in (b"", b'{"version":1,"what":"again"}', asked):
        with pytest.raises(RecordError):
            decode_asked(text)


def test_the_length_needs_no_key() -> None:
    codec = Codec(FLOW, QueueKeys([NEW]))
    record = codec.encode_object(KEY, an_object(codec))
    assert length_of(record) == 1500
    assert length_of(b"") == 0
    assert length_of(json.dumps({**json.loads(record), "length": -1}).encode()) == 0
    assert length_of(json.dumps({**json.loads(record), "length": "long"}).encode()) == 0


@pytest.mark.parametrize(
    "text",
    [
        b"no json",
        b"[]",
        b'{"version":2,"what":"lease","instance":"b","epoch":1}',
        b'{"version":1,"what":"attempt","instance":"b","epoch":1}',
        b'{"version":1,"what":"lease","instance":"b"}',
        b'{"version":1,"what":"lease","instance":5,"epoch":1}',
        b'{"version":1,"what":"lease","instance":"b","epoch":true}',
        b'{"version":1,"what":"lease","instance":"b","epoch":-1}',
    ],
)
def test_what_cannot_be_read(text: bytes) -> None:
    with pytest.raises(RecordError):
        decode_lease(text)


def test_statuses_and_times_of_the_wrong_kind() -> None:
    good = json.loads(encode_attempt(Attempt(tries=1, last="", status=1, at=1.0, not_before=2.0)))
    for name, value in (("status", "1"), ("at", "now"), ("at", True), ("tries", 1.5)):
        with pytest.raises(RecordError):
            decode_attempt(json.dumps({**good, name: value}).encode())


def test_records_of_the_wrong_shape() -> None:
    codec, sealed = Codec(FLOW, None), Codec(FLOW, QueueKeys([NEW]))
    good = json.loads(codec.encode_object(KEY, an_object(codec)))
    for changes in ({"parties": "CT1"}, {"parties": {"calling": "CT1"}}, {"number": 6}, {"length": "long"}):
        with pytest.raises(RecordError):
            codec.decode_object(KEY, 5, json.dumps({**good, **changes}).encode())
    entry = codec.encode_association(KEY, QueuedAssociation(parties=PARTIES, contexts=(), started=1.0), None)
    with pytest.raises(RecordError, match="contexts"):
        codec.decode_association(KEY, json.dumps({**json.loads(entry), "contexts": [["1.2"]]}).encode())
    assert codec.decode_association(KEY, json.dumps({**json.loads(entry), "contexts": 5}).encode()).contexts == ()
    closed = json.loads(sealed.encode_object(KEY, an_object(sealed)))
    with pytest.raises(RecordError, match="base64"):
        sealed.decode_object(KEY, 5, json.dumps({**closed, "salt": "?"}).encode())


def test_the_lengths_of_chunks() -> None:
    codec = Codec(FLOW, None)
    assert chunk_lengths(an_object(codec)) == [1000, 500]
    assert chunk_lengths(an_object(codec, length=0, chunks=1)) == [0]
    assert chunk_lengths(an_object(codec, length=2000)) == [1000, 1000]
    for changes in ({"chunks": 3}, {"chunk_size": 0}, {"length": 2001}):
        with pytest.raises(RecordError):
            chunk_lengths(an_object(codec, **changes))

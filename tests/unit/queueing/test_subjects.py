"""Names of subjects and streams: below the two lines of permission that a site has, and readable again."""

from dimse_proxy.queueing.subjects import (
    AssociationKey,
    Flow,
    Kind,
    Place,
    new_association,
    title_of_token,
    title_token,
)

FLOW = Flow(root="hospital.dimse", sender="A", receiver="B")
KEY = AssociationKey("CT1", new_association(1_700_000_000_123, bytes(range(10))))


def test_everything_is_below_what_a_site_may_publish() -> None:
    of_sender = (Kind.CHUNK, Kind.RECORD, Kind.ASSOCIATION, Kind.WORK, Kind.END)
    for kind in Kind:
        wanted = "hospital.dimse.B.A.queue." if kind in of_sender else "hospital.dimse.A.B.queue."
        assert FLOW.every(kind) == f"{wanted}{kind}.>"
        assert FLOW.of_asker(kind, KEY.asker) == f"{wanted}{kind}.{KEY.asker}.>"
        assert FLOW.every(kind, KEY) == f"{wanted}{kind}.{KEY}.>"


def test_the_streams_take_every_kind_and_nothing_of_the_other_direction() -> None:
    back = Flow(root="hospital.dimse", sender="B", receiver="A")
    assert FLOW.chunk_stream == "hospital_dimse_B_A_CHUNKS"
    assert FLOW.record_stream == "hospital_dimse_B_A_RECORDS"
    stored = {*FLOW.chunk_subjects, *FLOW.record_subjects}
    assert stored == {FLOW.every(kind) for kind in Kind}
    assert not stored & {*back.chunk_subjects, *back.record_subjects}


def test_subjects_are_read_again() -> None:
    for subject, place in (
        (FLOW.chunk(KEY, 3, 7), Place(kind=Kind.CHUNK, key=KEY, number=3, index=7)),
        (FLOW.of_object(Kind.RECORD, KEY, 3), Place(kind=Kind.RECORD, key=KEY, number=3)),
        (FLOW.of_object(Kind.DEAD, KEY, 3), Place(kind=Kind.DEAD, key=KEY, number=3)),
        (FLOW.of_association(Kind.LEASE, KEY), Place(kind=Kind.LEASE, key=KEY)),
        (FLOW.of_association(Kind.WORK, KEY), Place(kind=Kind.WORK, key=KEY)),
    ):
        assert FLOW.parse(subject) == place
    assert FLOW.chunks_of(KEY, 3) == FLOW.chunk(KEY, 3, 0).removesuffix("0") + "*"


def test_what_is_no_subject_of_the_flow() -> None:
    record = FLOW.of_object(Kind.RECORD, KEY, 3)
    for subject in (
        "other.B.A.queue.record",
        record + ".4",
        record.replace(KEY.association, "0" * 31),
        record.replace("CT1.", "."),
        record.removesuffix("3") + "03",
        record.removesuffix(".3"),
        FLOW.prefix(Kind.WORK) + ".one",
    ):
        assert FLOW.parse(subject) is None, subject


def test_an_association_tells_when_it_began() -> None:
    assert KEY.began == 1_700_000_000.123
    assert KEY.association.endswith(bytes(range(10)).hex())
    assert len(KEY.association) == 32


def test_titles_as_tokens() -> None:
    for title in ("CT1", "A B", "x.y*>", "AE=1", "-_"):
        token = title_token(title)
        assert not set(token) & set(" .*>")
        assert title_of_token(token) == title
    assert title_token("") == "="
    assert title_of_token("=") == ""


def test_where_something_is_asked_for_by_hand_is_stored_and_is_no_association() -> None:
    flow = Flow(root="DIMSE", sender="A", receiver="B")
    assert flow.asked_again == "DIMSE.A.B.queue.lease.again"
    assert any(flow.asked_again.startswith(subject.removesuffix(">")) for subject in flow.record_subjects)
    assert flow.parse(flow.asked_again) is None

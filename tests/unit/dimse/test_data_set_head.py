"""Patient and study out of the head of a data set, in every encoding; sequences, private groups and broken ones."""

import pytest

from dimse_proxy.dimse import data_set_head
from dimse_proxy.dimse.data_set_head import HeadReader, StudyHead
from tests.unit.dimse.data_sets import BIG_ENDIAN, DEFLATED, EXPLICIT, FORMS, IMPLICIT, Form, encoded

SYNTAXES = sorted(FORMS)
DOE = StudyHead(patient_id="4711", patient_name="Doe^Jane", study_instance_uid="1.2.3.4")
PIXELS = bytes(range(256)) * 64


def read(transfer_syntax: str, data: bytes, step: int = 1 << 30) -> HeadReader:
    reader = HeadReader(transfer_syntax)
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    reader.finish()
    return reader


def usual(form: Form) -> bytes:
    """What an image has before its study: sequences of both kinds, private elements, an icon."""
    deep = form.item(form.sequence(0x00081199, form.item(form.text(0x00081155, "UI", "9.9"), defined=False)))
    return b"".join(
        [
            form.text(0x00080005, "CS", "ISO_IR 100"),
            form.text(0x00080008, "CS", "ORIGINAL\\PRIMARY"),
            form.sequence(0x00081110, form.item(form.study("7.7")), deep, defined=False),
            form.sequence(0x00081140, form.item(form.patient("Wrong^One", "0"), defined=False)),
            form.element(0x00090010, "LO", b"ACME"),
            form.element(0x00091001, "UN", b"x" * 5000),
            form.sequence(0x00091002, defined=False),
            form.patient(),
            form.text(0x00104000, "LT", "note"),
            form.element(0x00191001, "OB", PIXELS),
            form.study(),
            form.text(0x00200010, "SH", "late"),
            form.element(0x7FE00010, "OW", PIXELS),
        ]
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 30])
def test_an_image_in_any_pieces(syntax: str, step: int) -> None:
    assert read(syntax, encoded(syntax, usual(FORMS[syntax])), step).head == DOE


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_nothing_behind_the_study_is_wanted(syntax: str) -> None:
    form = FORMS[syntax]
    reader = HeadReader(syntax)
    reader.feed(form.patient() + form.study())
    assert reader.is_done
    assert reader.head == DOE
    reader.feed(b"\xff" * 100)
    reader.finish()
    assert reader.head == DOE


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_missing(syntax: str) -> None:
    form = FORMS[syntax]
    assert read(syntax, encoded(syntax, form.study())).head == StudyHead(
        patient_id="", patient_name="", study_instance_uid="1.2.3.4"
    )
    assert read(syntax, encoded(syntax, form.patient() + form.text(0x00200010, "SH", "x"))).head is None
    assert read(syntax, encoded(syntax, form.patient())).head is None
    assert read(syntax, b"").head is None


def test_names_in_their_character_set() -> None:
    form = FORMS[IMPLICIT]
    data = form.text(0x00080005, "CS", "\\ISO 2022 IR 87") + form.patient(b"Yamada=\x1b$B;3ED\x1b(B", "7 ")
    head = read(IMPLICIT, data + form.study()).head
    assert head is not None
    assert (head.patient_name, head.patient_id) == ("Yamada=山田", "7")


def test_the_elements_of_an_unknown_sequence_are_implicit() -> None:
    outer, inner = Form(), Form(explicit=False)
    unknown = outer.sequence(0x00091001, inner.item(inner.study("6.6"), defined=False), defined=False, vr="UN")
    assert read(EXPLICIT, unknown + outer.patient() + outer.study()).head == DOE


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\x00\x05\x00zz\x02\x00ab",
        Form().item(b"x"),
        Form().tag(0xFFFEE00D) + bytes(4),
        Form().sequence(0x00081110, Form().tag(0xFFFEE001) + bytes(4), defined=False),
        Form().text(0x00100020, "LO", "x" * 5000),
        Form().element(0x00081110, "SQ", (Form().tag(0xFFFEE000) + b"\xff" * 4) * 200, 0xFFFFFFFF),
    ],
    ids=["no VR", "stray item", "stray end", "unknown delimiter", "long value", "too deep"],
)
@pytest.mark.parametrize("step", [1, 1 << 30])
def test_what_cannot_be_read_ends_it(data: bytes, step: int) -> None:
    reader = HeadReader(EXPLICIT)
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    assert reader.is_done
    assert reader.head is None
    reader.feed(Form().patient() + Form().study())
    assert reader.head is None


def test_there_is_an_end_to_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_set_head, "HEAD_LIMIT", 10_000)
    form = FORMS[EXPLICIT]
    late = form.element(0x00091001, "OB", bytes(9_000))
    assert read(EXPLICIT, late + form.patient() + form.study()).head == DOE
    assert read(EXPLICIT, late * 2 + form.patient() + form.study()).head is None
    # A bomb: a kilobyte that inflates to a megabyte.
    bomb = encoded(DEFLATED, form.element(0x00091001, "OB", bytes(1 << 20)) + form.patient() + form.study())
    reader = HeadReader(DEFLATED)
    reader.feed(bomb)
    assert (reader.is_done, reader.head) == (True, None)


def test_what_does_not_inflate() -> None:
    reader = HeadReader(DEFLATED)
    reader.feed(b"\xff\xff\xff\xff")
    assert (reader.is_done, reader.head) == (True, None)


def test_a_head_does_not_show_whose_it_is() -> None:
    assert "Doe" not in repr(DOE)
    assert "4711" not in repr(DOE)

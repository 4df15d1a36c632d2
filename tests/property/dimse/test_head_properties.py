"""Heads of data sets that pydicom wrote, in any encoding and any pieces."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from dimse_proxy.dimse.data_set_head import HeadReader, StudyHead
from tests.unit.dimse.data_sets import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG, encoded

LETTERS = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=16)
UIDS = st.lists(st.integers(1, 999999), min_size=3, max_size=8).map(lambda parts: ".".join(map(str, parts)))
SYNTAXES = st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, JPEG])


@st.composite
def items(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """An item with elements that must not be taken for those of the patient."""
    item = Dataset()
    item.PatientID = draw(LETTERS)
    item.StudyInstanceUID = draw(UIDS)
    if depth < 2 and draw(st.booleans()):
        item.ReferencedImageSequence = Sequence(draw(st.lists(items(depth + 1), max_size=2)))
        item["ReferencedImageSequence"].is_undefined_length = draw(st.booleans())
    item.is_undefined_length_sequence_item = draw(st.booleans())
    return item


@st.composite
def images(draw: st.DrawFn) -> Dataset:
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName = f"{draw(LETTERS)}^{draw(LETTERS)}"
    image.PatientID = draw(LETTERS)
    image.StudyInstanceUID = draw(UIDS)
    if draw(st.booleans()):
        image.RequestAttributesSequence = Sequence(draw(st.lists(items(), max_size=2)))
    if draw(st.booleans()):
        image.ReferencedStudySequence = Sequence(draw(st.lists(items(), max_size=3)))
        image["ReferencedStudySequence"].is_undefined_length = draw(st.booleans())
    if draw(st.booleans()):
        block = image.private_block(0x0009, "ACME", create=True)
        block.add_new(0x01, "OB", draw(st.binary(max_size=300)) + b"\0\0")
        block.add_new(0x02, "UN", draw(st.binary(max_size=30)))
    if draw(st.booleans()):
        image.ImageComments = draw(LETTERS) * 20
    image.PixelData = bytes(40)
    image["PixelData"].VR = "OB"
    return image


def written(image: Dataset, transfer_syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = UID(transfer_syntax).is_implicit_VR
    buffer.is_little_endian = UID(transfer_syntax).is_little_endian
    write_dataset(buffer, image)
    return encoded(transfer_syntax, buffer.getvalue())


@settings(deadline=None, max_examples=100)
@given(image=images(), transfer_syntax=SYNTAXES, cuts=st.lists(st.integers(0, 600), max_size=8))
def test_the_head_of_any_image_in_any_pieces(image: Dataset, transfer_syntax: str, cuts: list[int]) -> None:
    data = written(image, transfer_syntax)
    reader = HeadReader(transfer_syntax)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        reader.feed(data[start:end])
    reader.finish()
    assert reader.head == StudyHead(
        patient_id=image.PatientID,
        patient_name=str(image.PatientName),
        study_instance_uid=image.StudyInstanceUID,
    )


@settings(deadline=None, max_examples=100)
@given(image=images(), transfer_syntax=SYNTAXES, end=st.integers(0, 600))
def test_half_a_head_is_none_or_the_same(image: Dataset, transfer_syntax: str, end: int) -> None:
    reader = HeadReader(transfer_syntax)
    reader.feed(written(image, transfer_syntax)[:end])
    reader.finish()
    assert reader.head is None or reader.head.study_instance_uid == image.StudyInstanceUID

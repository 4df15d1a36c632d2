"""The reader over any stream in any split: the same pieces, and never a surprise."""

import struct
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd, PDataReceived, PdvMark
from dimse_proxy.upper_layer.reader import ControlBytes, PduReader

CONTEXTS = (1, 3, 255)


@dataclass(kw_only=True)
class Cut:
    """What came out of a reader, put together."""

    p_data: bytes = b""
    marks: list[PdvMark] = field(default_factory=list)
    controls: list[tuple[int, bytes]] = field(default_factory=list)
    """Each with the number of P-DATA bytes before it."""
    ends: list[tuple[int, int]] = field(default_factory=list)
    """Of each fragment of a command: number of P-DATA bytes up to its end, and bytes left of its PDU."""
    error: str = ""


Pdv = tuple[int, int, bytes]
PDVS = st.tuples(st.sampled_from(CONTEXTS), st.integers(0, 255), st.binary(max_size=40))
PLAIN_PDVS = st.tuples(st.just(1), st.just(0), st.binary(max_size=40))
P_DATA_PDUS = st.lists(PLAIN_PDVS, min_size=1, max_size=1) | st.lists(PDVS, min_size=1, max_size=3)
CONTROL_PDUS = st.one_of(
    st.tuples(st.sampled_from([1, 2]), st.binary(max_size=60)),
    st.tuples(st.sampled_from([3, 5, 6, 7]), st.binary(min_size=4, max_size=4)),
)
PDUS = st.lists(P_DATA_PDUS | CONTROL_PDUS, max_size=12)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def encode(pdu: list[Pdv] | tuple[int, bytes]) -> bytes:
    if isinstance(pdu, tuple):
        return struct.pack(">BxI", pdu[0], len(pdu[1])) + pdu[1]
    body = b"".join(struct.pack(">IBB", len(data) + 2, context_id, control) + data for context_id, control, data in pdu)
    return struct.pack(">BxI", 4, len(body)) + body


def expected(pdus: list[list[Pdv] | tuple[int, bytes]]) -> Cut:
    cut = Cut()
    lengths = dict.fromkeys(CONTEXTS, 0)
    for pdu in pdus:
        if isinstance(pdu, tuple):
            cut.controls.append((len(cut.p_data), encode(pdu)))
            continue
        end = len(cut.p_data) + 6
        cut.p_data += encode(pdu)
        for context_id, control, data in pdu:
            end += 6 + len(data)
            if control & 1:
                cut.ends.append((end, len(cut.p_data) - end))
                cut.marks.append(CommandFragment(context_id=context_id, data=data, is_last=bool(control & 2)))
                continue
            lengths[context_id] += len(data)
            if control & 2:
                cut.marks.append(DataSetEnd(context_id=context_id, length=lengths[context_id]))
                lengths[context_id] = 0
    return cut


def chunks(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def read(parts: list[bytes], *, validating: bool = True) -> Cut:
    reader = PduReader(accepted_contexts=CONTEXTS if validating else None)
    cut = Cut()
    try:
        for part in parts:
            for piece in reader.feed(part):
                if isinstance(piece, ControlBytes):
                    cut.controls.append((len(cut.p_data), piece.raw))
                    assert not reader.inside_pdu
                    continue
                assert isinstance(piece, PDataReceived)
                assert len(piece.data) > 0
                cut.ends += [
                    (len(cut.p_data) + mark.place.end, mark.place.pdu_left)
                    for mark in piece.marks
                    if isinstance(mark, CommandFragment) and mark.place is not None
                ]
                if len(piece.data) == len(part):
                    assert piece.data is part
                cut.p_data += piece.data
                cut.marks += piece.marks
    except RemoteProtocolError as error:
        cut.error = f"{error.source} {error.reason} {error}"
    return cut


@settings(deadline=None, max_examples=150)
@given(pdus=PDUS, cuts=CUTS)
def test_any_split_gives_what_was_put_in(pdus: list[list[Pdv] | tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(map(encode, pdus))
    whole = read([stream])
    assert whole == expected(pdus)
    assert read(chunks(stream, cuts)) == whole
    assert read(chunks(stream, list(range(len(stream))))) == whole
    assert read([stream], validating=False) == whole


@settings(deadline=None, max_examples=150)
@given(pdus=PDUS, garbage=st.binary(max_size=40), cuts=CUTS, validating=st.booleans())
def test_whatever_follows_is_refused_the_same_way_in_any_split(
    pdus: list[list[Pdv] | tuple[int, bytes]], garbage: bytes, cuts: list[int], validating: bool
) -> None:
    stream = b"".join(map(encode, pdus)) + garbage
    whole = read([stream], validating=validating)
    for parts in (chunks(stream, cuts), chunks(stream, list(range(len(stream))))):
        split = read(parts, validating=validating)
        assert split.error == whole.error
        assert split.controls == whole.controls
        if whole.error:
            # Cut through, a part of the faulty PDU is gone before the fault is seen; in one piece, none of it is.
            assert split.p_data.startswith(whole.p_data)
            assert split.marks[: len(whole.marks)] == whole.marks
        else:
            assert split == whole
    good = expected(pdus)
    assert whole.p_data.startswith(good.p_data)
    assert whole.controls[: len(good.controls)] == good.controls
    assert whole.marks[: len(good.marks)] == good.marks


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_random_bytes_are_cut_or_refused(parts: list[bytes], validating: bool) -> None:
    stream = b"".join(parts)
    cut = read(parts, validating=validating)
    passed = len(cut.p_data) + sum(len(raw) for _, raw in cut.controls)
    assert passed <= len(stream)
    assert cut.error == read([stream], validating=validating).error


@settings(deadline=None, max_examples=100)
@given(pdus=st.lists(P_DATA_PDUS, max_size=6), cuts=CUTS)
def test_inside_pdu_tells_whether_a_pdu_is_unfinished(pdus: list[list[Pdv]], cuts: list[int]) -> None:
    edges = {0}
    for pdu in pdus:
        edges.add(max(edges) + len(encode(pdu)))
    reader = PduReader(accepted_contexts=CONTEXTS)
    position = 0
    for part in chunks(b"".join(map(encode, pdus)), cuts):
        list(reader.feed(part))
        position += len(part)
        assert reader.inside_pdu == (position not in edges)

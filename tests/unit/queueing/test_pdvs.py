"""Fragments out of P-DATA, cut anywhere, and P-DATA out of pieces of data sets."""

from dimse_proxy.queueing.pdvs import LONGEST, PdvReader, data_set_pdus
from tests.unit.dimse.messages import pdu, pdv

STREAM = pdu(pdv(1, 0x03, b"command")) + pdu(pdv(3, 0x00, b"first"), pdv(3, 0x02, b"")) + pdu(pdv(3, 0x02, b"x"))
PDVS = [(1, True, True, b"command"), (3, False, False, b"first"), (3, False, True, b""), (3, False, True, b"x")]


def pdvs_of(pieces: list[bytes]) -> list[tuple[int, bool, bool, bytes]]:
    reader = PdvReader()
    found: list[tuple[int, bool, bool, bytes]] = []
    held = b""
    for piece in pieces:
        for fragment in reader.feed(piece):
            held = bytes(fragment.data) if fragment.begins else held + bytes(fragment.data)
            assert bytes(fragment.data) == piece[fragment.end - len(fragment.data) : fragment.end]
            if fragment.ends:
                found.append((fragment.context_id, fragment.is_command, fragment.is_last, held))
    return found


def test_cut_anywhere_the_fragments_are_the_same() -> None:
    assert pdvs_of([STREAM]) == PDVS
    for cut in range(1, len(STREAM)):
        assert pdvs_of([STREAM[:cut], STREAM[cut:]]) == PDVS
    assert pdvs_of([STREAM[place : place + 1] for place in range(len(STREAM))]) == PDVS


def test_the_head_of_the_first_pdv_in_a_pdu() -> None:
    heads = [fragment.head for fragment in PdvReader().feed(STREAM)]
    assert heads[0] == STREAM[:12]
    assert heads[2] == b"", "the second PDV of its PDU"


def test_pieces_of_a_data_set_become_pdus_that_fit() -> None:
    pieces = data_set_pdus(5, b"x" * 100, 48, is_last=False) + data_set_pdus(5, b"y" * 10, 48, is_last=True)
    assert pdvs_of([pieces]) == [
        (5, False, False, b"x" * 42),
        (5, False, False, b"x" * 42),
        (5, False, False, b"x" * 16),
        (5, False, True, b"y" * 10),
    ]
    assert pdvs_of([data_set_pdus(5, b"", 0, is_last=True)]) == [(5, False, True, b"")]
    assert len(pdvs_of([data_set_pdus(5, bytes(LONGEST), 0, is_last=True)])) == 2
    assert len(pdvs_of([data_set_pdus(5, b"abcd", 1, is_last=True)])) == 2, "nothing shorter than two bytes"

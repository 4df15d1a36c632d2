"""Whatever the objects, chunks, PDUs and reads are: what comes out at the target is what the SCU sent."""

from hypothesis import given
from hypothesis import strategies as st

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.queueing.accepting import ObjectBegun, ObjectEnded
from dimse_proxy.queueing.delivering import StorageRequestor
from dimse_proxy.queueing.pdvs import PdvReader
from dimse_proxy.queueing.records import Parties, QueuedObject
from tests.unit.dimse.messages import pdu, pdv
from tests.unit.queueing.dialogue import CT, IMPLICIT, Talk, accept, command_pdu, result, store_rq

DATA_SETS = st.lists(st.binary(max_size=600), min_size=1, max_size=4)


def pdus_of(data_set: bytes, sizes: list[int], message_id: int) -> bytes:
    """A C-STORE whose data set is cut into fragments of these sizes, several of them in a PDU at times."""
    parts = [command_pdu(3, store_rq(message_id=message_id))]
    place, number, pdvs = 0, 0, []
    while True:
        size = sizes[number % len(sizes)]
        number += 1
        fragment = data_set[place : place + size]
        place += size
        is_last = place >= len(data_set)
        pdvs.append(pdv(3, 0x02 if is_last else 0x00, fragment))
        if is_last or size % 2:
            parts.append(pdu(*pdvs))
            pdvs = []
        if is_last:
            return b"".join(parts)


@given(
    data_sets=DATA_SETS,
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=5),
    chunk_size=st.integers(1, 300),
    reads=st.lists(st.integers(1, 97), min_size=1, max_size=7),
    longest=st.integers(0, 300),
)
def test_objects_survive_chunks_and_pdus(
    data_sets: list[bytes], sizes: list[int], chunk_size: int, reads: list[int], longest: int
) -> None:
    talk = Talk.begin(chunk_size=chunk_size)
    stream = b"".join(pdus_of(data_set, sizes, number + 1) for number, data_set in enumerate(data_sets))
    place = turn = 0
    while place < len(stream):
        talk.hear(stream[place : place + reads[turn % len(reads)]])
        place += reads[turn % len(reads)]
        turn += 1
    numbers = [event.number for event in talk.events if isinstance(event, ObjectBegun)]
    assert numbers == [event.number for event in talk.events if isinstance(event, ObjectEnded)]
    for number, data_set in zip(numbers, data_sets, strict=True):
        assert talk.data_set(number) == data_set
        assert delivered(data_set, chunk_size, longest) == data_set


def delivered(data_set: bytes, chunk_size: int, longest: int) -> bytes:
    """What a target gets of an object that is kept in chunks."""
    parties = Parties(calling="CT1", called="ARCHIVE", peer="")
    core = StorageRequestor(parties, [(CT, IMPLICIT)], 0.0)
    core.receive_data(accept(result(1, 0)), 0.0)
    core._maximum_length = longest
    core.data_to_send()
    chunks = [data_set[start : start + chunk_size] for start in range(0, len(data_set) or 1, chunk_size)]
    core.begin(
        QueuedObject(
            number=1,
            parties=parties,
            sop_class=CT,
            sop_instance="1.2",
            transfer_syntax=IMPLICIT,
            priority=0,
            length=len(data_set),
            chunks=len(chunks),
            chunk_size=chunk_size,
            accepted=0.0,
        ),
        0.0,
    )
    for number, chunk in enumerate(chunks):
        core.add(chunk, 0.0, is_last=number == len(chunks) - 1)
    command, data, ends = b"", b"", 0
    for fragment in PdvReader().feed(b"".join(core.data_to_send())):
        if fragment.is_command:
            command += fragment.data
        else:
            data += fragment.data
            ends += fragment.is_last and fragment.ends
    assert CommandSet.decode(command).has_data_set
    assert ends == 1
    return data

"""What is wanted of data sets, out of P-DATA chunks that begin and end anywhere."""

import pytest

from dimse_proxy.dimse import contents
from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.contents import (
    Content,
    ContentReader,
    ContentSeen,
    DataSetBegins,
    Identifier,
    Unread,
    is_wanted,
)
from dimse_proxy.dimse.data_set_head import StudyHead
from dimse_proxy.dimse.tracking import MessageTracker
from dimse_proxy.upper_layer.events import CommandFragment, PDataReceived, Place
from dimse_proxy.upper_layer.reader import PduReader
from tests.unit.dimse import messages
from tests.unit.dimse.data_sets import EXPLICIT, FORMS, IMPLICIT

COMMAND, DATA, LAST = 1, 0, 2
FORM = FORMS[EXPLICIT]
IMAGE = FORM.patient() + FORM.study() + FORM.element(0x7FE00010, "OW", bytes(3000))
HEAD = StudyHead(patient_id="4711", patient_name="Doe^Jane", study_instance_uid="1.2.3.4")
STORE, MOVE, ECHO = messages.store_request(), messages.move_request(), messages.echo_request()


class Watcher:
    """Reader, tracker and contents in a row, as a relay has them."""

    def __init__(self) -> None:
        self.reader = PduReader(accepted_contexts={1, 3, 5, 7, 9, 11})
        self.tracker = MessageTracker({})
        self.contents = ContentReader({1: EXPLICIT, 3: IMPLICIT})
        self.seen: list[ContentSeen] = []

    def feed(self, *chunks: bytes) -> "Watcher":
        for chunk in chunks:
            for piece in self.reader.feed(chunk):
                if isinstance(piece, PDataReceived):
                    self._piece(piece)
        return self

    def _piece(self, piece: PDataReceived) -> None:
        begins = []
        for mark in piece.marks:
            self.tracker.observe(mark, from_requestor=True, now=0.0)
            if isinstance(mark, CommandFragment) and mark.is_last:
                command = self.tracker.data_set_awaited(mark.context_id, from_requestor=True)
                if command is not None and is_wanted(command):
                    assert mark.place is not None
                    begins.append(DataSetBegins(context_id=mark.context_id, command=command, place=mark.place))
        self.seen += self.contents.feed(piece.data, begins, from_requestor=True)

    @property
    def found(self) -> list[Content]:
        return [seen.content for seen in self.seen]


def pdu(*pdvs: tuple[int, int, bytes]) -> bytes:
    return messages.pdu(*(messages.pdv(*each) for each in pdvs))


def data_pdus(context_id: int, data: bytes, size: int = 500) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(
        pdu((context_id, LAST if place == len(pieces) - 1 else DATA, piece)) for place, piece in enumerate(pieces)
    )


def one_byte_each(stream: bytes) -> list[bytes]:
    return [stream[place : place + 1] for place in range(len(stream))]


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_a_store_in_any_pieces(size: int) -> None:
    stream = pdu((1, COMMAND | LAST, STORE)) + data_pdus(1, IMAGE, size)
    assert Watcher().feed(stream).found == [HEAD]
    assert Watcher().feed(*one_byte_each(stream)).found == [HEAD]


def test_it_is_told_with_its_command() -> None:
    [seen] = Watcher().feed(pdu((1, COMMAND | LAST, STORE)) + data_pdus(1, IMAGE)).seen
    assert (seen.from_requestor, seen.transfer_syntax) == (True, EXPLICIT)
    assert seen.command.message_id == 1
    assert "4711" not in repr(seen)


def test_it_is_told_before_the_data_set_is_over() -> None:
    watcher = Watcher().feed(pdu((1, COMMAND | LAST, STORE)), pdu((1, DATA, IMAGE[:100])))
    assert watcher.found == [HEAD]
    assert watcher.feed(data_pdus(1, IMAGE[100:])).found == [HEAD]


def test_command_and_data_in_one_pdu_and_many_messages_in_one_chunk() -> None:
    stream = b"".join(
        pdu((1, COMMAND, STORE[:20]), (1, COMMAND | LAST, STORE[20:]), (1, DATA, IMAGE[:10]), (1, LAST, IMAGE[10:]))
        for _ in range(3)
    )
    assert Watcher().feed(stream).found == [HEAD] * 3
    assert Watcher().feed(*one_byte_each(stream)).found == [HEAD] * 3


def test_other_messages_between_leave_no_trace() -> None:
    echo = pdu((5, COMMAND | LAST, ECHO))
    stream = echo + pdu((1, COMMAND | LAST, STORE)) + data_pdus(1, IMAGE) + echo
    assert Watcher().feed(stream, stream).found == [HEAD] * 2


def test_fragments_of_other_contexts_stand_between() -> None:
    stream = pdu((1, COMMAND | LAST, STORE), (3, COMMAND | LAST, STORE))
    stream += pdu((1, DATA, IMAGE[:9]), (3, DATA, b"\x09"), (5, COMMAND | LAST, ECHO), (1, LAST, IMAGE[9:]))
    assert Watcher().feed(*one_byte_each(stream)).found == [HEAD]


@pytest.mark.parametrize("length", [30, contents.IDENTIFIER_LIMIT, contents.IDENTIFIER_LIMIT + 1000])
def test_an_identifier(length: int) -> None:
    identifier = bytes(place % 251 for place in range(length))
    stream = pdu((3, COMMAND | LAST, MOVE)) + data_pdus(3, identifier)
    [content] = Watcher().feed(stream).found
    assert content == Identifier(data=identifier[: contents.IDENTIFIER_LIMIT], length=length)
    assert [content] == Watcher().feed(*one_byte_each(stream)).found


def test_an_empty_last_fragment_ends_it() -> None:
    stream = pdu((3, COMMAND | LAST, MOVE)) + pdu((3, DATA, b"ab"), (3, LAST, b""))
    assert Watcher().feed(stream).found == [Identifier(data=b"ab", length=2)]


def test_what_is_not_read_is_told_too() -> None:
    stream = pdu((1, COMMAND | LAST, STORE)) + data_pdus(1, b"garbage!" * 10)
    assert Watcher().feed(stream).found == [Unread()]
    assert Watcher().feed(pdu((1, COMMAND | LAST, STORE)) + data_pdus(1, IMAGE[:20])).found == [Unread()]


def test_a_data_set_that_breaks_off() -> None:
    broken = pdu((1, COMMAND | LAST, STORE)) + pdu((1, DATA, IMAGE[:20]))
    assert Watcher().feed(broken, broken, data_pdus(1, IMAGE[20:])).found == [Unread(), HEAD]
    assert Watcher().feed(broken, pdu((1, COMMAND | LAST, ECHO))).found == [Unread()]


def test_there_is_an_end_to_how_many_are_looked_at() -> None:
    watcher = Watcher()
    for context_id in (1, 3, 5, 7, 9, 11):
        watcher.feed(pdu((context_id, COMMAND | LAST, STORE)))
    assert watcher.found == [Unread()] * 2


def test_a_stream_that_is_none_ends_the_looking() -> None:
    request = pdu((1, COMMAND | LAST, STORE))
    begin = DataSetBegins(context_id=1, command=CommandSet.decode(STORE), place=Place(end=len(request), pdu_left=0))
    for rest in (
        b"\x05\0\0\0\0\4" + bytes(4),
        b"\x04\0\0\0\0\x10" + b"\0\0\0\x01\1\0" + bytes(10),
        b"\x04\0\0\0\0\x07" + b"\0\0\0\x20\1\0" + bytes(30),
    ):
        reader = ContentReader({1: EXPLICIT})
        [seen] = reader.feed(request + rest, [begin], from_requestor=False)
        assert (seen.content, seen.from_requestor) == (Unread(), False)

"""The cutting of a NATS server's bytes into our messages and the rest."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.nats_protocol import MessageReader

OURS = 1
FOREIGN = 7


class Recorder:
    def __init__(self, capacity: int = 4096) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.other = bytearray()
        self.errors: list[bytes] = []
        self.reader = MessageReader(
            on_message=lambda subject, payload: self.messages.append((subject, payload)),
            on_other=self.other.extend,
            on_error=self.errors.append,
            capacity=capacity,
        )
        self.reader.add_subscription(OURS)

    def feed(self, data: bytes, largest_read: int = 1 << 30) -> None:
        position = 0
        while position < len(data):
            buffer = self.reader.get_buffer()
            count = min(len(buffer), len(data) - position, largest_read)
            assert count > 0
            buffer[:count] = data[position : position + count]
            self.reader.buffer_updated(count)
            position += count


def msg(payload: bytes, subject: str = "D.A.B.hello", sid: int = OURS, reply: str = "") -> bytes:
    return f"MSG {subject} {sid} {reply + ' ' if reply else ''}{len(payload)}\r\n".encode() + payload + b"\r\n"


def test_our_message_is_handed_out_and_nothing_passed_on() -> None:
    recorder = Recorder()
    recorder.feed(msg(b"payload"))
    assert recorder.messages == [("D.A.B.hello", b"payload")]
    assert recorder.other == b""


def test_payload_is_bytes_of_its_own() -> None:
    recorder = Recorder()
    recorder.feed(msg(b"first"))
    recorder.feed(msg(b"other"))
    assert [payload for _, payload in recorder.messages] == [b"first", b"other"]
    assert all(type(payload) is bytes for _, payload in recorder.messages)


def test_reply_subject_and_empty_payload() -> None:
    recorder = Recorder()
    recorder.feed(msg(b"", reply="_INBOX.x") + msg(b"\r\n"))
    assert [payload for _, payload in recorder.messages] == [b"", b"\r\n"]


def test_control_lines_are_passed_on_verbatim_and_in_order() -> None:
    recorder = Recorder()
    recorder.feed(b'INFO {"max_payload":1}\r\nPING\r\n' + msg(b"x") + b"PONG\r\n+OK\r\n")
    assert recorder.other == b'INFO {"max_payload":1}\r\nPING\r\nPONG\r\n+OK\r\n'
    assert recorder.messages == [("D.A.B.hello", b"x")]


def test_foreign_message_is_passed_on_with_whatever_its_payload_looks_like() -> None:
    recorder = Recorder()
    trap = msg(b"trap") + b"-ERR 'Authorization Violation'\r\n"
    foreign = msg(trap, sid=FOREIGN)
    headers = b"NATS/1.0\r\na: b\r\n\r\n"
    with_headers = b"HMSG D.x 1 %d %d\r\n" % (len(headers), len(headers) + len(trap)) + headers + trap + b"\r\n"
    recorder.feed(foreign + with_headers + msg(b"ours"))
    assert recorder.other == foreign + with_headers
    assert recorder.messages == [("D.A.B.hello", b"ours")]
    assert recorder.errors == []


def test_error_line_is_shown_and_passed_on() -> None:
    recorder = Recorder()
    recorder.feed(b"-ERR 'Stale Connection'\r\n")
    assert recorder.errors == [b"-ERR 'Stale Connection'\r\n"]
    assert recorder.other == b"-ERR 'Stale Connection'\r\n"


@pytest.mark.parametrize("largest_read", [1, 1000, 1 << 30])
def test_message_larger_than_the_buffer(largest_read: int) -> None:
    recorder = Recorder(capacity=256)
    large = bytes(range(256)) * 20
    recorder.feed(b"PING\r\n" + msg(b"before") + msg(large) + msg(b"after") + b"PONG\r\n", largest_read)
    assert [payload for _, payload in recorder.messages] == [b"before", large, b"after"]
    assert recorder.other == b"PING\r\nPONG\r\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"MSG a 1 x\r\n",
        b"MSG a 1 -1\r\n",
        b"MSG a 1 99999999999999999999\r\n",
        b"MSG a 1 67108865\r\n",
        b"MSG a 1 3\r\nabcXY",
        b"x" * 5000,
    ],
    ids=["no number", "negative", "huge", "above the server's maximum", "no end", "endless line"],
)
def test_what_is_not_the_protocol_raises(bad: bytes) -> None:
    with pytest.raises(TransportError):
        Recorder().feed(bad)


def test_large_message_without_its_end_raises() -> None:
    with pytest.raises(TransportError):
        Recorder(capacity=64).feed(b"MSG a 1 500\r\n" + bytes(502))


def test_stopped_in_the_middle_of_a_batch_hands_out_no_more() -> None:
    taken: list[bytes] = []

    def take(subject: str, payload: bytes) -> None:
        taken.append(payload)
        reader.stop()

    reader = MessageReader(on_message=take, on_other=lambda data: None, on_error=lambda line: None, capacity=1024)
    reader.add_subscription(OURS)
    data = msg(b"1") + msg(b"2")
    for _ in range(100):  # Bytes still come, and room is found for them.
        buffer = reader.get_buffer()
        buffer[: len(data)] = data
        reader.buffer_updated(len(data))
    assert taken == [b"1"]


def test_subscription_number_is_compared_whole() -> None:
    recorder = Recorder()
    recorder.feed(msg(b"x", sid=11))
    assert recorder.messages == []


def test_more_subjects_than_are_remembered() -> None:
    recorder = Recorder()
    for number in range(5000):
        recorder.feed(msg(b"x", subject=f"D.{number}"))
    assert [subject for subject, _ in recorder.messages] == [f"D.{number}" for number in range(5000)]


PIECES = st.one_of(
    st.tuples(st.just("ours"), st.binary(max_size=600)),
    st.tuples(st.just("foreign"), st.binary(max_size=600)),
    st.tuples(
        st.just("line"), st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'x'\r\n", b'INFO {"a":1}\r\n'])
    ),
)


@settings(deadline=None, max_examples=150)
@given(
    pieces=st.lists(PIECES, max_size=12),
    reads=st.lists(st.integers(1, 700), min_size=1, max_size=20),
    capacity=st.sampled_from([64, 100, 512, 4096]),
)
def test_any_stream_in_any_reads(pieces: Sequence[tuple[str, bytes]], reads: Sequence[int], capacity: int) -> None:
    stream, ours, other = bytearray(), [], bytearray()
    for kind, data in pieces:
        match kind:
            case "ours":
                stream += msg(data)
                ours.append(("D.A.B.hello", data))
            case "foreign":
                stream += msg(data, sid=FOREIGN)
                other += msg(data, sid=FOREIGN)
            case _:
                stream += data
                other += data
    recorder = Recorder(capacity)
    position = turn = 0
    while position < len(stream):
        piece = bytes(stream[position : position + reads[turn % len(reads)]])
        recorder.feed(piece)
        position, turn = position + len(piece), turn + 1
    assert recorder.messages == ours
    assert recorder.other == other

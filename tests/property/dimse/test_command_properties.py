"""Command sets and the tracker against anything that a peer can send."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.tracking import MessageSeen, MessageTracker
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd, PdvMark
from tests.unit.dimse.messages import command_bytes, us

_FIELDS = st.sampled_from([0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF, 0x0777, 0x8001, 0x8010, 0x8020, 0x8777])
_ELEMENTS = st.dictionaries(
    st.one_of(st.sampled_from([0x0002, 0x0100, 0x0110, 0x0120, 0x0600, 0x0800, 0x0900]), st.integers(1, 0xFFFF)),
    st.binary(max_size=40),
    max_size=12,
)


@st.composite
def _plausible_commands(draw: st.DrawFn) -> bytes:
    message_id = us(draw(st.integers(0, 3)))
    field = draw(_FIELDS)
    return command_bytes(
        (0x0100, us(field)),
        (0x0120 if field & 0x8000 else 0x0110, message_id),
        (0x0800, us(draw(st.sampled_from([0x0101, 0x0001])))),
        (0x0900, us(draw(st.sampled_from([0, 0xFF00, 0xFE00, 0xA700, 0xB000])))),
    )


_COMMANDS = st.one_of(_plausible_commands(), st.binary(max_size=60))


@st.composite
def _marks(draw: st.DrawFn) -> list[tuple[PdvMark, bool]]:
    marks: list[tuple[PdvMark, bool]] = []
    for _ in range(draw(st.integers(0, 12))):
        context_id = draw(st.sampled_from([1, 3]))
        way = draw(st.booleans())
        if draw(st.booleans()):
            data = draw(_COMMANDS)
            cut = draw(st.integers(0, len(data)))
            if draw(st.booleans()):
                marks.append((CommandFragment(context_id=context_id, data=data[:cut], is_last=False), way))
                data = data[cut:]
            marks.append((CommandFragment(context_id=context_id, data=data, is_last=draw(st.booleans())), way))
        else:
            marks.append((DataSetEnd(context_id=context_id, length=draw(st.integers(0, 1 << 33))), way))
    return marks


@given(elements=_ELEMENTS)
@settings(deadline=None, max_examples=100)
def test_decode_undoes_encode(elements: dict[int, bytes]) -> None:
    command = CommandSet(elements=elements)
    again = CommandSet.decode(command.encode())
    assert again == command
    assert list(again.elements) == sorted(elements)


@given(data=st.one_of(st.binary(max_size=100), _plausible_commands()), cut=st.integers(0, 100))
@example(data=b"\0\0\0\0\xff\xff\xff\xff", cut=100)
@settings(deadline=None, max_examples=200)
def test_decode_raises_nothing_but_a_protocol_error(data: bytes, cut: int) -> None:
    try:
        command = CommandSet.decode(data[:cut])
    except RemoteProtocolError:
        return
    assert command.is_request + command.is_response <= 1
    assert repr(command).isprintable()
    assert CommandSet.decode(command.encode()) == command


@given(marks=_marks())
@settings(deadline=None, max_examples=200)
def test_tracker_raises_nothing_and_counts_every_byte(marks: list[tuple[PdvMark, bool]]) -> None:
    tracker = MessageTracker({1: "1.2"})
    seen: list[MessageSeen] = []
    for now, (mark, way) in enumerate(marks):
        seen.extend(tracker.observe(mark, from_requestor=way, now=float(now)))
    counts = tracker.summary()
    ends = [(mark.length, way) for mark, way in marks if isinstance(mark, DataSetEnd)]
    assert sum(count.data_set_bytes_from_requestor for count in counts) == sum(length for length, way in ends if way)
    assert sum(count.data_set_bytes_from_acceptor for count in counts) == sum(length for length, way in ends if not way)
    commands = sum(isinstance(mark, CommandFragment) and mark.is_last for mark, _ in marks)
    requests = sum(count.requests_from_requestor + count.requests_from_acceptor for count in counts)
    assert requests + sum(sum(count.responses.values()) for count in counts) == commands
    assert len(seen) <= commands
    assert all(message.duration is None or message.duration >= 0 for message in seen)
    assert len(tracker.in_progress()) <= requests

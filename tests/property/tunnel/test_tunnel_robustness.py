"""Whatever arrives, on whatever subject: nothing raises, memory stays bounded, and the sessions go on."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.tunnel import TunnelSettings
from dimse_proxy.tunnel.frames import FrameType
from dimse_proxy.tunnel.send_queue import SendQueue
from tests.unit.tunnel.network import Node, frame, open_session, pair

SMALL = TunnelSettings(window=65536, chunk_size=8192)
SUBJECTS = st.one_of(
    st.sampled_from(["DIMSE.A.B.hello", "DIMSE.A.B.i.a1", "DIMSE.A.C.hello", "DIMSE.A.B.i.a2"]), st.text(max_size=20)
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 1 << 70), st.floats(), st.text(max_size=5), st.sampled_from(["end", "b1"])
)
LISTS = st.lists(SCALARS, max_size=5)
VALUES = st.one_of(
    SCALARS, LISTS, st.lists(LISTS, max_size=2), st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
)
NAMES = st.sampled_from(
    ["instance", "epoch", "version", "protocols", "load", "limit", "accepts", "going_away", "start", "window", "share"]
    + ["info", "seen", "sent", "detail", "of", "code", "sessions", "answer"]
)
BODIES = st.one_of(
    st.binary(max_size=100), st.dictionaries(NAMES, VALUES, max_size=6).map(lambda body: json.dumps(body).encode())
)
OFFSETS = st.one_of(st.integers(0, 20), st.sampled_from([65535, 65536, 65537, (1 << 63) - 1, (1 << 64) - 1]))


@settings(deadline=None, max_examples=40)
@given(messages=st.lists(st.tuples(SUBJECTS, BODIES), max_size=20))
def test_any_payload_on_any_subject(messages: list[tuple[str, bytes]]) -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    for subject, payload in messages:
        a.tunnel.receive_message(subject, payload, network.now)
        network.settle()
    ours.send_data(b"still works", network.now)
    network.run(1)
    assert b.sides[theirs.id].received == b"still works"


@settings(deadline=None, max_examples=60)
@given(
    frames=st.lists(
        st.tuples(
            st.one_of(st.sampled_from(list(FrameType)).map(int), st.integers(0, 255)),
            st.sampled_from(["ours", "unknown", "none"]),
            OFFSETS,
            BODIES,
            st.integers(0, 100),
        ),
        max_size=10,
    ),
    is_to_opener=st.booleans(),
)
def test_any_frame_of_the_right_peer(frames: list[tuple[int, str, int, bytes, int]], is_to_opener: bool) -> None:
    network, a, b = pair(SMALL)
    ours, _ = open_session(network, a, b)
    sender, receiver = (b, a) if is_to_opener else (a, b)
    ids = {"ours": ours.id, "unknown": bytes(range(16)), "none": bytes(16)}
    for kind, which, offset, body, counter in frames:
        message = frame(sender, receiver, kind, ids[which], offset, body, counter)
        receiver.tunnel.receive_message(message.subject, b"".join(message.parts), network.now)
        network.settle()
    network.run(80)  # no timer raises either
    check_bounded(a)
    check_bounded(b)
    again, theirs = open_session(network, a, b)
    again.send_data(b"still works", network.now)
    network.settle()
    assert b.sides[theirs.id].received == b"still works"


def check_bounded(node: Node) -> None:
    context = node.tunnel._context
    assert len(context.sessions) <= 3
    assert len(context.graveyard) <= 5
    assert len(context.timers._heap) < 50
    assert len(context.control) == 0
    for peer in node.tunnel._presence.peers():
        assert 0 <= peer.in_flight <= 65536


@settings(deadline=None, max_examples=60)
@given(data=st.data(), chunks=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=20))
def test_the_send_queue_never_mixes_up_its_bytes(data: st.DataObject, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    queue = SendQueue(len(whole))
    for chunk in chunks:
        queue.append(chunk)
    for _ in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(["take", "acknowledge", "rewind"])):
            case "take":
                if queue.sent < queue.queued:
                    start = queue.sent
                    taken = b"".join(queue.take(data.draw(st.integers(1, 80))))
                    assert taken == whole[start : start + len(taken)]
                    assert queue.sent == start + len(taken)
            case "acknowledge":
                queue.acknowledge(data.draw(st.integers(queue.acked, queue.highest)))
            case _:
                queue.rewind(data.draw(st.integers(queue.acked, queue.sent)))
        assert queue.acked <= queue.sent <= queue.highest <= queue.queued
        assert sum(map(len, queue._waiting)) == queue.queued - queue.sent

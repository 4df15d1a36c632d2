from dimse_proxy.tunnel.send_queue import MOST_PARTS, SendQueue


def filled(*chunks: bytes, limit: int = 1 << 20) -> SendQueue:
    queue = SendQueue(limit)
    for chunk in chunks:
        queue.append(chunk)
    return queue


def joined(parts: list[bytes | memoryview]) -> bytes:
    return b"".join(parts)


def test_chunks_are_joined_and_cut_without_copies() -> None:
    queue = filled(b"abc", b"defgh")
    parts = queue.take(5)
    assert joined(parts) == b"abcde"
    assert parts[0] == b"abc"
    assert isinstance(parts[1], memoryview)
    assert (queue.acked, queue.sent, queue.queued) == (0, 5, 8)
    assert joined(queue.take(100)) == b"fgh"


def test_limit_cuts() -> None:
    queue = filled(b"abcdef", limit=4)
    assert joined(queue.take(100)) == b"abcd"
    assert queue.sent == queue.limit


def test_one_frame_has_few_parts() -> None:
    queue = filled(*[b"x"] * (MOST_PARTS + 3))
    assert len(queue.take(1000)) == MOST_PARTS
    assert len(queue.take(1000)) == 3


def test_acknowledged_bytes_are_let_go() -> None:
    queue = filled(b"abc", b"def", b"ghi")
    queue.take(9)
    assert queue.acknowledge(4) == 4
    assert queue.rewind(4) == 5
    assert joined(queue.take(9)) == b"efghi"
    assert queue.acknowledge(9) == 5
    assert not queue._retained


def test_rewind_may_cut_elsewhere() -> None:
    queue = filled(b"abcdefghij")
    queue.take(4)
    queue.take(4)
    assert queue.rewind(2) == 6
    assert (queue.sent, queue.highest) == (2, 8)
    assert [joined(queue.take(3)) for _ in range(3)] == [b"cde", b"fgh", b"ij"]


def test_acknowledgement_beyond_a_rewind_skips() -> None:
    queue = filled(*[b"x"] * 200, b"end")
    for _ in range(4):
        queue.take(100)
    queue.rewind(0)
    assert queue.acknowledge(200) == 200
    assert (queue.acked, queue.sent) == (200, 200)
    assert joined(queue.take(10)) == b"end"


def test_clear_lets_go_of_everything() -> None:
    queue = filled(b"abc", b"def")
    queue.take(3)
    queue.clear()
    assert not queue._waiting
    assert not queue._retained

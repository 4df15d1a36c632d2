"""The in-memory pair behaves as TCP does towards its users."""

import asyncio

from dimse_proxy.transports.memory import WRITE_HIGH, memory_pair
from dimse_proxy.transports.streams import StreamConnection, StreamHandler


class Recorder:
    def __init__(self) -> None:
        self.calls: list[str | bytes] = []

    def data_received(self, data: bytes) -> None:
        self.calls.append(data)

    def eof_received(self) -> None:
        self.calls.append("eof")

    def connection_lost(self, error_text: str) -> None:
        self.calls.append(error_text)

    def write_drained(self) -> None:
        self.calls.append("drained")


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_is_what_streams_describe() -> None:
    left, _ = memory_pair()
    connection: StreamConnection = left
    handler: StreamHandler = Recorder()
    assert connection.unsent == 0
    assert handler is not None


async def test_bytes_both_ways_held_until_started() -> None:
    (left, right), one, other = memory_pair(), Recorder(), Recorder()
    left.start(one)
    left.write(b"early")
    left.writelines([b"a", memoryview(b"b")])
    await turns()
    assert left.unsent == 7
    right.start(other)
    right.write(b"back")
    await turns()
    assert other.calls == [b"early", b"a", b"b"]
    assert one.calls == [b"back"]
    assert left.unsent == 0


async def test_paused_reading_and_drained() -> None:
    (left, right), one, other = memory_pair(), Recorder(), Recorder()
    left.start(one)
    right.start(other)
    right.pause_reading()
    half = bytes(WRITE_HIGH // 2)
    left.writelines([half, half, b"more"])
    await turns()
    assert (left.unsent, other.calls) == (WRITE_HIGH + 4, [])
    right.resume_reading()
    await turns()
    assert one.calls == ["drained"]
    assert len(other.calls) == 3


async def test_half_close_then_close() -> None:
    (left, right), one, other = memory_pair(), Recorder(), Recorder()
    left.start(one)
    right.start(other)
    left.write(b"last")
    left.write_eof()
    await turns()
    right.write(b"answer")
    right.close()
    await turns()
    assert other.calls == [b"last", "eof", "closed by this side"]
    assert one.calls == [b"answer", "eof"]
    left.close()
    await turns()
    assert one.calls[-1] == "closed by this side"


async def test_close_waits_for_a_paused_peer() -> None:
    (left, right), one, other = memory_pair(), Recorder(), Recorder()
    left.start(one)
    right.start(other)
    right.pause_reading()
    left.write(b"last")
    left.close()
    await turns()
    assert one.calls == []
    right.resume_reading()
    await turns()
    assert other.calls == [b"last", "eof"]
    assert one.calls == ["closed by this side"]


async def test_writing_to_a_closed_peer_is_a_reset() -> None:
    (left, right), one, other = memory_pair(), Recorder(), Recorder()
    left.start(one)
    right.start(other)
    right.close()
    await turns()
    left.write(b"too late")
    await turns()
    assert one.calls == ["eof", "reset by peer"]


async def test_reset_reaches_a_paused_peer_and_drops_bytes() -> None:
    (left, right), one, other = memory_pair(), Recorder(), Recorder()
    left.start(one)
    right.start(other)
    right.pause_reading()
    left.write(b"dropped")
    left.reset()
    await turns()
    assert other.calls == ["reset by peer"]
    assert one.calls == ["reset by this side"]
    left.close()
    right.reset()
    await turns()
    assert len(one.calls) == len(other.calls) == 1

"""What JetStream's answers mean, without a server: a link that answers what a test lays out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from nats.aio.msg import Msg

from dimse_proxy.transports.jetstream import JetStream
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble


class Reply:
    """As much of nats-py's message as is looked at."""

    def __init__(
        self,
        data: object = None,
        headers: dict[str, str] | None = None,
        *,
        subject: str = "",
        reply: str = "",
        raw: bytes | None = None,
    ) -> None:
        self.data = raw if raw is not None else b"" if data is None else json.dumps(data).encode()
        self.headers = headers
        self.subject = subject
        self.reply = reply


@dataclass
class Link:
    """Answers each request with the next reply, or raises it."""

    replies: list[Any] = field(default_factory=list)
    asked: list[tuple[str, Any, Mapping[str, str]]] = field(default_factory=list)
    published: list[tuple[str, bytes, str]] = field(default_factory=list)
    takers: dict[str, Callable[[Msg], None]] = field(default_factory=dict)
    on_down: list[Callable[[JetStreamError], None]] = field(default_factory=list)
    pulled: Any = None
    inboxes: list[str] = field(default_factory=list)

    def new_inbox(self, name: str, below: str = "") -> str:
        return f"{below or 'INBOX'}.{name}"

    async def listen(self, inbox: str, take: Callable[[Msg], None]) -> None:
        self.takers[inbox] = take

    async def request(
        self,
        subject: str,
        data: bytes,
        _timeout: float,
        headers: Mapping[str, str] | None = None,
        *,
        inbox: str = "",
    ) -> Any:
        self.inboxes.append(inbox)
        self.asked.append((subject, json.loads(data) if data[:1] == b"{" else data, headers or {}))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def publish(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self.published.append((subject, data, reply))
        if isinstance(self.pulled, JetStreamError):
            self.on_down[0](self.pulled)
        elif self.pulled is not None:
            next(iter(self.takers.values()))(self.pulled)


def jetstream(*replies: Any, domain: str = "") -> tuple[JetStream, Link]:
    link = Link(list(replies))
    return JetStream(link, domain), link  # type: ignore[arg-type]


def error(code: int, text: str = "no") -> Reply:
    return Reply({"error": {"code": 400, "err_code": code, "description": text}})


async def test_a_message_is_stored_with_what_is_expected() -> None:
    stored, link = jetstream(Reply({"stream": "S", "seq": 7}), Reply({"stream": "S", "seq": 8}))
    assert await stored.publish("S", "a.b", b"data", expected=0) == 7
    assert await stored.publish("S", "a.b", b"data") == 8
    assert [headers for _, _, headers in link.asked] == [
        {"Nats-Expected-Stream": "S", "Nats-Expected-Last-Subject-Sequence": "0"},
        {"Nats-Expected-Stream": "S"},
    ]


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (10077, Trouble.FULL),
        (10047, Trouble.FULL),
        (10059, Trouble.NO_STREAM),
        (10039, Trouble.NOT_ENABLED),
        (10037, Trouble.NOT_FOUND),
        (10058, Trouble.OTHER),
    ],
)
async def test_errors_by_their_code(code: int, trouble: Trouble) -> None:
    stored, _ = jetstream(error(code))
    with pytest.raises(JetStreamError) as caught:
        await stored.publish("S", "a.b", b"data")
    assert caught.value.trouble is trouble


async def test_a_wrong_sequence_tells_the_right_one_if_the_server_knows_it() -> None:
    stored, _ = jetstream(error(10071, "wrong last sequence: 42"), error(10164, "wrong last sequence"))
    for sequence in (42, 0):
        with pytest.raises(JetStreamError) as caught:
            await stored.publish("S", "a.b", b"", expected=0)
        assert (caught.value.trouble, caught.value.sequence) == (Trouble.WRONG_SEQUENCE, sequence)


@pytest.mark.parametrize("reply", [Reply({"stream": "other", "seq": 1}), Reply(raw=b"+OK"), Reply({"stream": "S"})])
async def test_what_acknowledges_must_be_the_stream(reply: Reply) -> None:
    stored, _ = jetstream(reply)
    with pytest.raises(JetStreamError):
        await stored.publish("S", "a.b", b"")


async def test_a_message_is_read_with_its_sequence_and_time() -> None:
    headers = {
        "Nats-Subject": "a.b",
        "Nats-Sequence": "7",
        "Nats-Time-Stamp": "2026-01-02T03:04:05.123456789Z",
    }
    stored, link = jetstream(Reply(raw=b"data", headers=headers), Reply(headers={"Status": "404"}))
    found = await stored.get("S", "a.b")
    assert found is not None
    assert (found.subject, found.data, found.sequence, round(found.time, 3)) == ("a.b", b"data", 7, 1767323045.123)
    assert await stored.get("S", "a.b") is None
    assert link.asked[0][0] == "$JS.API.DIRECT.GET.S.a.b"
    stored, _ = jetstream(Reply(headers={"Status": "408", "Description": "bad"}))
    with pytest.raises(JetStreamError, match="408 bad"):
        await stored.get("S", "a.b")


async def test_deleting_and_purging() -> None:
    stored, link = jetstream(Reply({"success": True}), error(10043), error(10059), Reply({"purged": 3}), domain="leaf")
    assert await stored.delete("S", 7)
    assert not await stored.delete("S", 7)
    with pytest.raises(JetStreamError):
        await stored.delete("S", 7)
    assert await stored.purge("S", "a.>") == 3
    assert link.asked[0][:2] == ("$JS.leaf.API.STREAM.MSG.DELETE.S", {"seq": 7, "no_erase": True})
    assert link.asked[3][:2] == ("$JS.leaf.API.STREAM.PURGE.S", {"filter": "a.>"})


async def test_subjects_come_page_by_page() -> None:
    stored, link = jetstream(
        Reply({"total": 3, "state": {"subjects": {"a": 1, "b": 1}}}),
        Reply({"total": 3, "state": {"subjects": {"c": 1}}}),
    )
    assert [page async for page in stored.subjects("S", ">")] == [["a", "b"], ["c"]]
    assert [body["offset"] for _, body, _ in link.asked] == [0, 2]
    stored, _ = jetstream(Reply({"total": 3, "state": {"subjects": {"a": 1}}}), Reply({"total": 3, "state": {}}))
    assert [page async for page in stored.subjects("S", ">")] == [["a"]], "what was there may be gone"


async def test_a_stream_that_is_there_and_one_that_is_not() -> None:
    answer = {"config": {"name": "S"}, "state": {"messages": 5, "bytes": 50}, "ts": "2026-01-02T03:04:05Z"}
    stored, _ = jetstream(Reply(answer), error(10059), error(10039), Reply({"config": {}, "ts": "never"}))
    state = await stored.stream("S")
    assert state is not None
    assert (state.config, state.messages, state.bytes, state.now) == ({"name": "S"}, 5, 50, 1767323045.0)
    assert await stored.stream("S") is None
    with pytest.raises(JetStreamError):
        await stored.stream("S")
    state = await stored.stream("S")
    assert state is not None
    assert state.now is None


async def test_nobody_answers() -> None:
    nobody = JetStreamError("nobody answers", Trouble.NO_STREAM)
    stored, _ = jetstream(nobody)
    with pytest.raises(JetStreamError, match="JetStream is not enabled on the NATS server") as caught:
        await stored.stream("S")
    assert caught.value.trouble is Trouble.NOT_ENABLED
    stored, _ = jetstream(nobody, JetStreamError("late", Trouble.NO_ANSWER), domain="leaf")
    with pytest.raises(JetStreamError, match=r"nobody answers for JetStream in \$JS\.leaf"):
        await stored.create_stream({"name": "S"})
    with pytest.raises(JetStreamError, match="late"):
        await stored.create_consumer("S", {"name": "c", "filter_subject": "a.>"})


@pytest.mark.parametrize(
    ("reply", "deliveries"),
    [("$JS.ACK.S.deliver.3.108.4.1795510589443101529.0", 3), ("$JS.ACK.leaf.hash.S.deliver.5.1.2.3.0", 5), ("odd", 1)],
)
async def test_work_and_what_becomes_of_it(reply: str, deliveries: int) -> None:
    stored, link = jetstream(Reply())
    link.pulled = Reply({}, subject="a.b", reply=reply)
    work = await stored.next("S", "deliver", 1.0)
    assert work is not None
    assert (work.subject, work.deliveries) == ("a.b", deliveries)
    subject, body, inbox = link.published.pop()
    assert (subject, inbox) == ("$JS.API.CONSUMER.MSG.NEXT.S.deliver", "INBOX.jetstream")
    assert json.loads(body) == {"batch": 1, "expires": 10**9}
    link.pulled = None
    await stored.in_progress(work)
    await stored.nak(work, 1.5)
    assert link.published == [(reply, b"+WPI", ""), (reply, b'-NAK {"delay": 1500000000}', "")]
    await stored.ack(work)
    assert link.asked[-1][:2] == (reply, b"+ACK")


@pytest.mark.parametrize("status", ["404", "408"])
async def test_there_is_no_work(status: str) -> None:
    stored, link = jetstream()
    link.pulled = Reply(headers={"Status": status})
    assert await stored.next("S", "deliver", 1.0) is None
    next(iter(link.takers.values()))(link.pulled)  # What comes too late is nobody's.


@pytest.mark.parametrize("status", ["503", "409"])
async def test_there_is_no_consumer(status: str) -> None:
    stored, link = jetstream()
    link.pulled = Reply(headers={"Status": status, "Description": "Consumer Deleted"})
    with pytest.raises(JetStreamError) as caught:
        await stored.next("S", "deliver", 1.0)
    assert caught.value.trouble is Trouble.NO_STREAM


async def test_a_pull_ends_with_the_connection() -> None:
    stored, link = jetstream()
    link.pulled = JetStreamError("lost", Trouble.AWAY)
    with pytest.raises(JetStreamError, match="lost"):
        await stored.next("S", "deliver", 1.0)
    link.on_down[0](link.pulled)


async def test_the_answers_of_another_sides_domain_come_below_a_subject_of_that_side() -> None:
    link = Link([Reply({"success": True}), Reply({"stream": "S", "seq": 1}), Reply({"success": True})])
    stored = JetStream(link, "leaf", name="B.A", inbox="R.B.A.inbox")  # type: ignore[arg-type]
    await stored.purge("S", "a.>")
    await stored.publish("S", "a.b", b"")
    link.pulled = Reply(headers={"Status": "404"})
    await stored.next("S", "deliver", 1.0)
    assert link.inboxes == ["R.B.A.inbox.B.A.answers"] * 2
    assert list(link.takers) == ["R.B.A.inbox.B.A"] == [link.published[-1][2]]

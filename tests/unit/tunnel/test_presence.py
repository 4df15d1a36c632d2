"""Hellos, and who is taken to be there."""

import json

import pytest

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.tunnel import Message, PeerLost, TunnelCode, TunnelSettings
from dimse_proxy.tunnel.presence import MOST_PEERS
from tests.unit.tunnel.network import Network, Node, frame, open_session, pair

SETTINGS = TunnelSettings()


def hello(**changes: object) -> bytes:
    body = {
        "instance": "b9",
        "epoch": 5,
        "version": "2.0",
        "protocols": [1],
        "load": 0,
        "limit": None,
        "accepts": True,
        "going_away": False,
        "start": False,
        "window": 1000,
        "share": 100000,
    }
    return json.dumps({name: value for name, value in (body | changes).items() if value != "left out"}).encode()


def lost(node: Node) -> list[TunnelCode]:
    return [event.code for event in node.events if isinstance(event, PeerLost)]


def test_a_start_is_answered_at_once() -> None:
    a, b = Node("A", "a1", ("B",), SETTINGS), Node("B", "b1", ("A",), SETTINGS)
    network = Network(a, b)
    network.connect(a)
    assert a.tunnel.peers() == ()
    network.connect(b)
    assert a.names() == b.names() == ["PeerAppeared"]
    (peer,) = a.tunnel.peers()
    assert (peer.channel, peer.instance, peer.epoch, peer.version) == ("B", "b1", 1, "1.0")
    assert peer.present
    assert peer.accepts
    assert peer.compatible


def test_hellos_at_an_interval() -> None:
    network, _, _ = pair()
    network.run(0.7)
    network.log.clear()
    network.run(0.75)
    assert sorted(message.subject for message in network.log) == ["DIMSE.A.B.hello", "DIMSE.B.A.hello"]
    network.run(1.5)
    assert len(network.log) == 6


def test_a_change_of_load_is_told_soon_but_not_each_time() -> None:
    network, a, b = pair()
    network.run(4)
    network.log.clear()
    for load in range(1, 50):
        b.tunnel.set_load(load, None)
        network.run(0.01)
    network.run(0.8)
    assert a.tunnel.peers()[0].load > 0
    assert len([message for message in network.log if message.subject == "DIMSE.A.B.hello"]) <= 2
    network.run(1)
    assert a.tunnel.peers()[0].load == 49


def test_being_full_is_told_at_once() -> None:
    network, a, b = pair()
    b.tunnel.set_load(3, 3)
    network.settle()
    assert (a.tunnel.peers()[0].load, a.tunnel.peers()[0].limit) == (3, 3)


def test_silence() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    b.is_frozen = True
    network.run(9.9)
    assert lost(a) == []
    network.run(5.2)
    assert lost(a) == [TunnelCode.SILENT]
    assert not ours.is_over
    assert not a.tunnel.peers()[0].present
    b.is_frozen = False
    network.run(5)
    assert a.names()[-1] == "PeerAppeared"
    assert a.tunnel.peers()[0].present


def test_any_frame_ends_silence() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: message.subject.startswith("DIMSE.A.B.")
    network.run(14)
    assert lost(a) == [TunnelCode.SILENT]
    network.drop = lambda message: message.subject.endswith("hello")
    theirs.send_data(b"here", network.now)
    network.settle()
    assert a.names()[-2:] == ["PeerAppeared", "DataReceived"]
    assert a.sides[ours.id].received == b"here"


def test_loss() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    b.is_frozen = True
    network.run(64.5)
    assert not ours.is_over
    network.run(6)
    assert lost(a) == [TunnelCode.SILENT, TunnelCode.PEER_LOST]
    assert a.codes() == [TunnelCode.PEER_LOST]
    assert a.tunnel.peers() == ()


def test_who_went_away_without_sessions_is_forgotten_quietly() -> None:
    network, a, b = pair()
    b.tunnel.go_away(network.now)
    network.settle()
    b.is_frozen = True
    network.run(15.1)
    assert lost(a) == [TunnelCode.GOING_AWAY]
    assert a.tunnel.peers() == ()


def test_who_goes_away_with_sessions_is_waited_for() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    b.tunnel.go_away(network.now)
    network.settle()
    b.is_frozen = True
    network.run(15.1)
    assert lost(a) == [TunnelCode.SILENT]
    assert not ours.is_over


def test_a_new_epoch_ends_the_old_ones_sessions_at_once() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    network.run(1)
    a.forget()
    network.nodes.remove(b)
    again = Node("B", "b1", ("A",), SETTINGS, epoch=2)
    network.nodes.append(again)
    network.connect(again)
    assert a.names() == ["PeerLost", "SessionFailed", "PeerAppeared"]
    assert a.codes() == [TunnelCode.PEER_RESTARTED]
    assert lost(a) == [TunnelCode.PEER_RESTARTED]
    assert ours.is_over
    assert [peer.epoch for peer in a.tunnel.peers()] == [2]
    for message in list(network.log):  # the old one's frames and hellos, late
        a.tunnel.receive_message(message.subject, b"".join(message.parts), network.now)
    network.settle()
    assert [peer.epoch for peer in a.tunnel.peers()] == [2]
    assert a.tunnel.counters.stale_epochs >= 1  # the hello
    assert a.tunnel.counters.strangers >= 1  # the frames


def test_a_lower_epoch_is_believed_when_the_higher_one_is_silent() -> None:
    network, a, b = pair()
    subject = "DIMSE.A.B.hello"
    a.tunnel.receive_message(subject, hello(instance="b1", epoch=0), network.now)
    assert a.tunnel.peers()[0].epoch == 1
    b.is_frozen = True
    network.run(12)
    a.tunnel.receive_message(subject, hello(instance="b1", epoch=0), network.now)
    assert a.tunnel.peers()[0].epoch == 0


def test_frames_for_an_earlier_epoch_of_ours_are_stale() -> None:
    network, a, b = pair()
    old = Node("A", "a1", ("B",), SETTINGS, epoch=0)
    network.publish(frame(b, old, 5, bytes(16), body=b"data"))
    network.settle()
    assert a.tunnel.counters.stale_epochs == 1
    assert network.log[-1].subject == "DIMSE.A.B.i.a1"


def test_who_speaks_no_version_of_ours() -> None:
    network, a, _ = pair()
    network.nodes.pop()
    network.run(100)
    a.tunnel.receive_message("DIMSE.A.B.hello", hello(protocols=[2, 3]), network.now)
    a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert a.codes() == [TunnelCode.VERSION_MISMATCH]
    assert not a.tunnel.peers()[0].compatible


def test_the_window_and_share_of_a_hello_bound_what_is_sent() -> None:
    network, a, _ = pair()
    network.nodes.pop()
    network.run(100)
    a.tunnel.receive_message("DIMSE.A.B.hello", hello(future=[1], key="later"), network.now)
    session = a.tunnel.open_session("B", {}, network.now)
    session.send_data(bytes(5000), network.now)
    network.settle()
    assert session.sender.sent == 1000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        b"[" * 50_000,
        b'{"a":' + b"1" * 5000 + b"}",
        b" " * 70_000,
        hello(instance="b.9"),
        hello(instance=9),
        hello(epoch=-1),
        hello(epoch=1 << 64),
        hello(epoch=True),
        hello(epoch=1.0),
        hello(version=1),
        hello(version="\ud800"),
        hello(protocols=1),
        hello(protocols=["1"]),
        hello(protocols=[1] * 300),
        hello(load=-1),
        hello(limit="many"),
        hello(accepts=1),
        hello(going_away=None),
        hello(window=1 << 63),
        hello(share="left out"),
    ],
)
def test_what_is_no_hello_is_counted(payload: bytes) -> None:
    network, a, _ = pair()
    a.tunnel.receive_message("DIMSE.A.B.hello", payload, network.now)
    network.settle()
    assert a.tunnel.counters.bad_hellos == 1
    assert len(a.tunnel.peers()) == 1
    assert a.names() == []


@pytest.mark.parametrize("subject", ["DIMSE.A.C.hello", "DIMSE.A.A.hello", "DIMSE.B.A.hello", "x", "DIMSE.A.B.i.other"])
def test_what_comes_from_elsewhere_is_counted(subject: str) -> None:
    network, a, _ = pair()
    a.tunnel.receive_message(subject, hello(), network.now)
    assert a.tunnel.counters.bad_subjects == 1
    assert len(a.tunnel.peers()) == 1


def test_the_number_of_peers_is_bounded() -> None:
    network, a, _ = pair()
    for number in range(MOST_PEERS + 20):
        a.tunnel.receive_message("DIMSE.A.B.hello", hello(instance=f"x{number}"), network.now)
    assert len(a.tunnel.peers()) == MOST_PEERS
    assert a.tunnel.counters.strangers == 21


def test_an_open_from_somebody_unknown_is_taken() -> None:
    a, b = Node("A", "a1", ("B",), SETTINGS), Node("B", "b1", ("A",), SETTINGS)
    network = Network(a, b)
    network.drop = lambda message: message.subject == "DIMSE.B.A.hello"
    network.connect()
    network.drop = lambda message: False
    assert b.tunnel.peers() == ()
    session = a.tunnel.open_session("B", {}, network.now)
    session.send_data(b"request", network.now)
    b.tunnel.receive_message(*joined(network, a), network.now)
    (peer,) = b.tunnel.peers()
    assert peer.version == ""
    assert not peer.accepts
    network.settle()
    assert b.names() == ["SessionOpened", "PeerAppeared"]
    assert b.tunnel.peers()[0].version == "1.0"


def joined(network: Network, node: Node) -> tuple[str, bytes]:
    """Take the first message that `node` wants to send; what follows is lost."""
    message: Message = node.tunnel.messages_to_send(network.now)[0]
    return message.subject, b"".join(message.parts)


def test_an_open_with_another_name_than_its_header_is_not_taken() -> None:
    network, a, b = pair()
    stranger = Node("A", "a2", ("B",), SETTINGS)
    body = b'{"instance":"a3","limit":1,"info":{}}'
    network.publish(frame(stranger, b, 1, bytes(range(16)), body=body))
    network.publish(frame(stranger, b, 5, bytes(range(16)), body=b"data"))
    network.settle()
    assert b.tunnel.counters.bad_frames == 1
    assert b.tunnel.counters.strangers == 1
    assert b.opened() == []
    assert a.tunnel.is_connected


def test_an_open_with_an_old_epoch_is_not_taken() -> None:
    network, _, b = pair()
    old = Node("A", "a1", ("B",), SETTINGS, epoch=0)
    network.publish(frame(old, b, 1, bytes(range(16)), body=b'{"instance":"a1","limit":1,"info":{}}'))
    network.settle()
    assert b.tunnel.counters.stale_epochs == 1
    assert b.opened() == []


def test_a_channel_that_is_added_is_asked_who_is_there() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    c = Node("C", "c1", ("A",), SETTINGS)
    network.nodes.append(c)
    network.connect(c)
    assert [peer.channel for peer in a.tunnel.peers()] == ["B"], "what it says is not believed yet"
    assert a.tunnel.counters.bad_subjects > 0
    with pytest.raises(LocalProtocolError):
        a.tunnel.open_session("C", {}, network.now)
    network.log.clear()
    a.tunnel.talk_to(("B", "C", "C"))
    network.settle()
    assert {peer.channel for peer in a.tunnel.peers()} == {"B", "C"}
    assert [message.subject for message in network.log].count("DIMSE.C.A.hello") == 1
    theirs, _ = open_session(network, a, c)
    assert theirs.channel == "C"
    assert not ours.is_over
    network.run(20)
    assert lost(a) == []


def test_a_channel_added_before_the_connection_is_asked_with_all_others() -> None:
    a, b = Node("A", "a1", (), SETTINGS), Node("B", "b1", ("A",), SETTINGS)
    network = Network(a, b)
    a.tunnel.talk_to(["B"])
    network.connect()
    assert [peer.channel for peer in a.tunnel.peers()] == ["B"]


def test_a_hello_that_crosses_an_open_does_not_make_it_forgotten() -> None:
    """Who is asked for many at once says what it has to do before the last open has come."""
    a = Node("A", "a1", ("B",), TunnelSettings())
    network = Network(a, *(Node("B", name, ("A",), TunnelSettings()) for name in ("b1", "b2")))
    network.connect()
    network.run(1)
    hellos = [message for message in network.log if message.subject == "DIMSE.A.B.hello"][-2:]
    bound = []
    for _ in range(8):
        bound.append(a.tunnel.open_session("B", {}, network.now).peer)
        for hello in hellos:
            a.tunnel.receive_message(hello.subject, b"".join(hello.parts), network.now)
    assert sorted(name or "" for name in bound) == ["b1"] * 4 + ["b2"] * 4

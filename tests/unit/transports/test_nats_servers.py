"""Which NATS server is tried when."""

import pytest

from dimse_proxy.errors import ConfigError
from dimse_proxy.transports.nats_servers import (
    LONGEST_DELAY,
    LONGEST_REFUSAL_DELAY,
    Backoff,
    NatsServer,
    ServerPool,
    parse_server,
)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("nats.example.org", "nats://nats.example.org:4222"),
        ("nats.example.org:443", "nats://nats.example.org:443"),
        ("nats://10.0.0.1", "nats://10.0.0.1:4222"),
        ("tls://nats.example.org", "tls://nats.example.org:4222"),
        ("ws://nats.example.org/nats", "ws://nats.example.org:80/nats"),
        ("wss://nats.example.org", "wss://nats.example.org:443"),
        ("[::1]:4222", "nats://[::1]:4222"),
    ],
)
def test_forms_of_an_address(text: str, url: str) -> None:
    assert parse_server(text).url == url


def test_user_and_password_are_unquoted_and_not_shown() -> None:
    server = parse_server("nats://me:p%40ss@host:1")
    assert (server.user, server.password) == ("me", "p@ss")
    assert server.url == "nats://host:1"
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize("text", ["", "http://host", "nats://", "host:port", "host:70000", "nats://me:s3cret@:1"])
def test_what_is_no_address_is_named_without_secret(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_server(text)
    assert "s3cret" not in str(raised.value)
    assert "not the address of a NATS server" in raised.value.problems[0]


def pool(*urls: str) -> ServerPool:
    return ServerPool([parse_server(url) for url in urls])


def test_a_round_tries_every_server_once_and_the_last_tried_comes_last() -> None:
    servers = pool("a:1", "b:1", "c:1")
    for _ in range(20):
        hosts = [servers.next().host for _ in range(3)]
        assert sorted(hosts) == ["a", "b", "c"]
        assert servers.is_round_over
        last = hosts[-1]
        following = [servers.next().host for _ in range(3)]
        assert following[-1] == last


def test_new_round_leaves_the_current_server_for_another() -> None:
    servers = pool("a:1", "b:1")
    first = servers.next()
    servers.new_round()
    assert servers.next() != first


def test_discovered_servers_inherit_what_is_needed_to_connect() -> None:
    servers = pool("tls://me:secret@nats.example.org:4222")
    source = servers.next()
    new = servers.discovered(source, ["10.0.0.2:4222", "other.example.org:4222", "[fd00::2]:4222"], has_tls=True)
    assert [server.url for server in new] == [
        "tls://10.0.0.2:4222",
        "tls://other.example.org:4222",
        "tls://[fd00::2]:4222",
    ]
    assert [server.tls_name for server in new] == ["nats.example.org", None, "nats.example.org"]
    assert all((server.user, server.password) == ("me", "secret") for server in new)
    assert {servers.next().host for _ in range(4)} == {
        "nats.example.org",
        "10.0.0.2",
        "other.example.org",
        "fd00::2",
    }


def test_discovered_servers_are_replaced_configured_ones_stay() -> None:
    servers = pool("a:1")
    source = servers.next()
    assert [server.host for server in servers.discovered(source, ["a:1", "b:1"], has_tls=False)] == ["b"]
    assert servers.discovered(source, ["a:1", "b:1"], has_tls=False) == ()
    assert [server.host for server in servers.discovered(source, ["c:1", "not an address:x"], has_tls=False)] == ["c"]
    assert {servers.next().host for _ in range(2)} == {"a", "c"}


def test_websocket_servers_discover_nothing() -> None:
    servers = pool("ws://a")
    assert servers.discovered(servers.next(), ["b:4222"], has_tls=False) == ()


def test_delays_grow_to_their_bound_and_are_reset() -> None:
    backoff = Backoff()
    delays = [backoff.after_failure(is_round_over=True, is_refusal=False) for _ in range(12)]
    assert 0.05 <= delays[0] <= 0.1
    assert all(LONGEST_DELAY / 2 <= delay <= LONGEST_DELAY for delay in delays[6:])
    backoff.reset()
    assert backoff.after_failure(is_round_over=True, is_refusal=False) <= 0.1


def test_refusals_wait_longer_but_not_within_a_round() -> None:
    backoff = Backoff()
    assert backoff.after_failure(is_round_over=False, is_refusal=True) <= 0.1
    assert 0.5 <= backoff.after_failure(is_round_over=True, is_refusal=False) <= 1.0
    delays = [backoff.after_failure(is_round_over=True, is_refusal=True) for _ in range(10)]
    assert all(LONGEST_REFUSAL_DELAY / 2 <= delay <= LONGEST_REFUSAL_DELAY for delay in delays[5:])
    assert backoff.after_failure(is_round_over=True, is_refusal=False) <= 0.1


def test_server_is_a_value() -> None:
    assert parse_server("a:1") == NatsServer(scheme="nats", host="a", port=1)

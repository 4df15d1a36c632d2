"""What can be wrong with NATS: reachable, who we are, what we may, how long a message may be. By trying each."""

import asyncio
import socket
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from dimse_proxy.cli.diagnosis.findings import Report
from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import TransportError
from dimse_proxy.transports.nats_connection import NatsConnection, NatsOptions, NatsRefusedError
from dimse_proxy.transports.nats_servers import NatsServer, parse_server
from dimse_proxy.tunnel.tunnel import Tunnel

REACHABLE: Final = "NATS reachable"
SIGNED_IN: Final = "NATS sign-in"
PERMITTED: Final = "NATS permissions"
PAYLOAD: Final = "NATS max_payload"
ROUND_TRIP: Final = "NATS round trip"

SMALL_PAYLOAD: Final = 65536
"""Bytes of the longest message below which throughput suffers."""
SLOW: Final = 0.5
"""Seconds of a round trip to NATS that are worth a warning."""


class _Listener:
    """Remembers what the server does not let us publish."""

    def __init__(self) -> None:
        self.denied: list[str] = []

    def message_received(self, subject: str, payload: bytes) -> None:
        """Nothing is expected."""

    def read_done(self) -> None:
        """Nothing is expected."""

    def servers_discovered(self, source: NatsServer, addresses: Sequence[str], has_tls: bool) -> None:
        """The others of a cluster are not looked at."""

    def publish_denied(self, text: str) -> None:
        """The server did not take a message."""
        self.denied.append(text)


async def check_nats(
    report: Report, settings: Settings, options: NatsOptions, tunnel: Tunnel, channels: Sequence[str]
) -> bool:
    """Look at NATS; whether the rest of the way, to these channels, can be looked at."""
    servers = [parse_server(url) for url in settings.nats_servers]
    reached = [server for server in servers if await _reaches(report, server, len(servers) > 1)]
    if not reached:
        return False
    if not await _signs_in(report, reached[0], options, settings):
        return False
    return await _permitted(report, reached[0], options, tunnel, _Subjects(settings, channels))


async def _reaches(report: Report, server: NatsServer, has_others: bool) -> bool:
    complain = report.warning if has_others else report.error
    try:
        await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError as error:
        text = f"the host {server.host} is not known here: {error.strerror}"
        complain(REACHABLE, text, "Correct DIMSE_NATS_URL, or the name service of this machine.")
        return False
    started = perf_counter()
    try:
        async with asyncio.timeout(5.0):
            _, writer = await asyncio.open_connection(server.host, server.port)
    except (OSError, TimeoutError) as error:
        why = "no answer within 5 s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        complain(
            REACHABLE,
            f"{server.url} cannot be reached: {why}",
            "Start nats-server there, correct DIMSE_NATS_URL, or let a firewall pass connections going out to it.",
        )
        return False
    writer.close()
    report.good(REACHABLE, f"{server.url} takes connections", perf_counter() - started)
    return True


async def _signs_in(report: Report, server: NatsServer, options: NatsOptions, settings: Settings) -> bool:
    connection = NatsConnection(server, options, _Listener())
    try:
        started = perf_counter()
        await connection.open(())
        seconds = perf_counter() - started
        trip = await connection.answer()
    except NatsRefusedError as error:
        remedy = (
            "Put a credential there that this server knows: DIMSE_NATS_AUTH_TOKEN, _USER, _CREDS_FILE or _NKEY_FILE."
        )
        report.error(SIGNED_IN, str(error), remedy)
        return False
    except TransportError as error:
        report.error(SIGNED_IN, str(error), _sign_in_remedy(str(error)))
        return False
    finally:
        max_payload = connection.max_payload
        await connection.close()
    report.good(SIGNED_IN, f"{server.url} accepts who we are", seconds)
    if trip > SLOW:
        text = f"{trip * 1000:.0f} ms"
        report.warning(ROUND_TRIP, text, "Use a NATS server nearer to this machine.")
    else:
        report.good(ROUND_TRIP, "quick enough", trip)
    if max_payload < min(SMALL_PAYLOAD, settings.nats_chunk_size):
        report.warning(
            PAYLOAD,
            f"the server takes messages of {max_payload} bytes at most, so data goes in small pieces, slowly",
            "Raise max_payload in the server's configuration; its own default of 1048576 is right.",
        )
    else:
        report.good(PAYLOAD, f"{max_payload} bytes")
    return True


def _sign_in_remedy(text: str) -> str:
    lowered = text.lower()
    if "certificate" in lowered or "tls" in lowered or "ssl" in lowered:
        return "Make both sides speak TLS or neither (DIMSE_NATS_TLS_ENABLED), and trust its authority (_TLS_CA_FILE)."
    return "See whether a NATS server listens there: something took the connection and did not speak NATS."


class _Subjects:
    """What this side subscribes and publishes to."""

    def __init__(self, settings: Settings, channels: Sequence[str]) -> None:
        root, own = settings.nats_subject_root, settings.nats_subject_channel
        self.subscribed: Final = f"{root}.{own}.>"
        self.published: Final = " and ".join(f"{root}.{channel}.{own}.>" for channel in channels)
        self.nobodys: Final = [f"{root}.{channel}.{own}.i.nobody" for channel in channels]
        """Nobody is of that name, so nobody hears it."""


async def _permitted(
    report: Report, server: NatsServer, options: NatsOptions, tunnel: Tunnel, subjects: _Subjects
) -> bool:
    """Try each subject: subscribe to ours, publish to the other sides'."""
    remedy = f"Let this user subscribe to {subjects.subscribed} and publish to {subjects.published}: these, no more."
    for subject in tunnel.subscriptions():
        trial = NatsConnection(server, options, _Listener())
        try:
            await trial.open((subject,))
        except TransportError as error:
            report.error(PERMITTED, str(error), remedy)
            return False
        finally:
            await trial.close()
    listener = _Listener()
    connection = NatsConnection(server, options, listener)
    try:
        await connection.open(())
        tunnel.connected(connection.max_payload, 0.0)
        hellos = [(message.subject, message.parts) for message in tunnel.messages_to_send(0.0)]
        # A hello of ours is what everybody says.
        for subject, parts in (*hellos, *((subject, (b"",)) for subject in subjects.nobodys)):
            connection.publish([(subject, parts)], [sum(map(len, parts))])
            await connection.answer()
    except TransportError as error:
        report.error(PERMITTED, str(error), remedy)
        return False
    finally:
        await connection.close()
    for text in listener.denied:
        report.error(PERMITTED, text, remedy)
    if listener.denied:
        return False
    report.good(PERMITTED, f"may subscribe to {subjects.subscribed} and publish to {subjects.published}, as needed")
    return True

"""Two proxies whose way to NATS, or whose NATS itself, belongs to somebody else."""

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pytest

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.nats_in_the_middle import NatsInTheMiddle
from tests.integration.peers.pair import Proxy
from tests.integration.peers.waiting import LOOPBACK, free_port

TARGET_AE: Final = "SECRETSCP"
ASKER_AE: Final = "SECRETSCU"


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def two_proxies(
    folder: Path, url_a: str, url_b: str, scp_port: int, key_a: str, key_b: str, env: Mapping[str, str]
) -> tuple[Proxy, Proxy]:
    """Starts a proxy on each channel, B with the target; waits for readiness, not for each other."""
    proxies = []
    for channel, url, key in (("A", url_a, key_a), ("B", url_b, key_b)):
        settings = {
            "DIMSE_NATS_URL": url,
            "DIMSE_NATS_SUBJECT_CHANNEL": channel,
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_HTTP_PORT": "",
            "DIMSE_AE": "*",
            "DIMSE_CALLING_AE": "original",
            "DIMSE_CONFIG_PATH": str(folder / "no-dimse-config"),
            "DIMSE_LOG_FORMAT": "json",
            "DIMSE_GRACE_TIMEOUTSECONDS": "1",
            **env,
        }
        if key:
            settings["DIMSE_TUNNEL_KEY"] = key
        if channel == "B":
            settings |= {
                "DIMSE_TARGET_HOST": LOOPBACK,
                "DIMSE_TARGET_PORT": str(scp_port),
                "DIMSE_TARGET_AE": TARGET_AE,
            }
        proxies.append(Proxy(f"proxy-{channel.lower()}", folder, settings))
    for proxy in proxies:
        proxy.wait_for("ready: ")
    return proxies[0], proxies[1]


class ProxiesFactory(Protocol):
    """Makes two proxies that need not come together."""

    def __call__(self, key_a: str, key_b: str, scp_port: int, **env: str) -> tuple[Proxy, Proxy]: ...


@pytest.fixture
def make_proxies(tmp_path: Path) -> Iterator[ProxiesFactory]:
    """On a nats-server of their own; ended with SIGTERM, which must be enough."""
    with ExitStack() as stack:
        server = stack.enter_context(NatsServer(tmp_path / "nats"))

        def make(key_a: str, key_b: str, scp_port: int, **env: str) -> tuple[Proxy, Proxy]:
            proxies = two_proxies(tmp_path, server.url, server.url, scp_port, key_a, key_b, env)
            for proxy in proxies:
                stack.callback(proxy.process.stop)
            return proxies

        yield make


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A pair whose proxy A reaches NATS only through somebody in the middle."""

    middle: NatsInTheMiddle
    server: NatsServer
    a: Proxy
    b: Proxy
    scp_port: int


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Hostile]:
    """Both sides have the same tunnel key."""
    key = new_key()
    with NatsServer(tmp_path / "nats") as server, NatsInTheMiddle(server.port) as middle:
        scp_port = free_port()
        a, b = two_proxies(tmp_path, middle.url, server.url, scp_port, key, key, {"DIMSE_NATS_CHUNK_SIZE": "16384"})
        try:
            for proxy in (a, b):
                proxy.wait_for("peer appeared")
            yield Hostile(middle=middle, server=server, a=a, b=b, scp_port=scp_port)
        finally:
            for proxy in (a, b):
                proxy.process.stop()
        for proxy in (a, b):
            assert proxy.troubles() == []
            assert key not in proxy.process.output()

"""Two sites with two instances of the proxy each, behind HAProxy on either side, as docs/high-availability.md says."""

import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.integration.peers.haproxy import HaProxy
from tests.integration.peers.pair import START_SECONDS, Proxy
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

# Of both sites; the same for both instances of one.
COMMON: Final = {
    "DIMSE_HOST": LOOPBACK,
    "DIMSE_HTTP_HOST": LOOPBACK,
    "DIMSE_PROXY_PROTOCOL": "true",
    "DIMSE_CONFIG_PATH": "no-dimse-config",
    "DIMSE_LOG_FORMAT": "json",
    "DIMSE_GRACE_TIMEOUTSECONDS": "5",
}


class BalancedSite:
    """One side: its instances, and the address that all others know it by."""

    def __init__(self, channel: str, folder: Path, env: Mapping[str, str]) -> None:
        """Starts two proxies and their load balancer.

        Args:
            channel: of both instances.
            folder: for logs.
            env: of both instances, beside the ports.
        """
        self.port: Final = free_port()
        self.instances: Final[dict[str, Proxy]] = {}
        self._stack: Final = ExitStack()
        ports = []
        for number in (1, 2):
            name = f"{channel.lower()}{number}"
            own = {"DIMSE_PORT": str(free_port()), "DIMSE_HTTP_PORT": str(free_port()), "DIMSE_INSTANCE": name}
            proxy = Proxy(name, folder, {**COMMON, "DIMSE_NATS_SUBJECT_CHANNEL": channel, **env, **own})
            self._stack.callback(proxy.process.kill)
            self.instances[name] = proxy
            ports.append((proxy.port, int(own["DIMSE_HTTP_PORT"])))
        self.balancer: Final = HaProxy(f"haproxy-{channel.lower()}", folder, self.port, ports)
        self._stack.enter_context(self.balancer)

    def wait_until_whole(self) -> None:
        """Returns once both instances see both of the other side."""
        for proxy in self.instances.values():
            wait_until(
                lambda proxy=proxy: len(proxy.find('"event": "peer appeared"')) >= 2,  # type: ignore[misc]
                seconds=START_SECONDS,
                what=f"{proxy.name} to see both peers",
            )

    def associations(self, side: str) -> dict[str, int]:
        """How many associations of one side (`acceptor`, `requestor`) have ended at each instance."""
        pattern = f'"event": "association ended".*"side": "{side}"'
        return {name: len(proxy.find(pattern)) for name, proxy in self.instances.items()}

    def troubles(self) -> dict[str, object]:
        return {name: troubles for name, proxy in self.instances.items() if (troubles := proxy.troubles())}

    def close(self) -> None:
        self._stack.close()


class BalancedSites:
    """The hospital, with the PACS behind it, and the cloud."""

    def __init__(self, nats_url: str, folder: Path, hospital: Mapping[str, str], cloud: Mapping[str, str]) -> None:
        """Starts all and waits until everyone sees everyone."""
        nats = {"DIMSE_NATS_URL": nats_url, "DIMSE_NATS_SUBJECT_ROOT": f"S{uuid.uuid4().hex[:12]}"}
        self._stack: Final = ExitStack()
        try:
            self.hospital: Final = BalancedSite("A", folder, {**nats, **hospital})
            self._stack.callback(self.hospital.close)
            self.cloud: Final = BalancedSite("B", folder, {**nats, **cloud})
            self._stack.callback(self.cloud.close)
            for site in (self.hospital, self.cloud):
                site.wait_until_whole()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "BalancedSites":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._stack:
            if kind is None:
                assert not (found := self.hospital.troubles() | self.cloud.troubles()), found

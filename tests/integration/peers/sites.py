"""Several proxies on channels of their own, each with a routes file, joined by one nats-server.

`Pair` has two proxies and the single-target variables; here are the hub, the sites, and what their routes files say.
"""

import uuid
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.integration.peers.pair import GRACE_SECONDS, START_SECONDS, STOP_SECONDS, Proxy
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until


class Sites:
    """Proxies by the name of their channel; `stop()` ends all and checks how they ended."""

    def __init__(self, nats_url: str, folder: Path) -> None:
        self.folder: Final = folder
        self.root: Final = f"T{uuid.uuid4().hex[:12]}"
        self.allowed_troubles: str | None = None
        self._nats_url: Final = nats_url
        self._proxies: Final[dict[str, Proxy]] = {}

    def __getitem__(self, channel: str) -> Proxy:
        return self._proxies[channel]

    def routes_file(self, channel: str) -> Path:
        """Of the proxy on this channel."""
        return self.folder / channel / "routes.toml"

    def start(self, channel: str, routes: str, **variables: str) -> Proxy:
        """Starts a proxy with a routes file of this text and waits until it is ready.

        Args:
            channel: its own.
            routes: the text of its routes file.
            variables: additional or other DIMSE_ variables, without their prefix.
        """
        path = self.routes_file(channel)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(routes)
        env = {
            "DIMSE_NATS_URL": self._nats_url,
            "DIMSE_NATS_SUBJECT_ROOT": self.root,
            "DIMSE_NATS_SUBJECT_CHANNEL": channel,
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_CALLING_AE": "original",
            "DIMSE_ROUTES_FILE": str(path),
            "DIMSE_CONFIG_PATH": str(self.folder / "no-dimse-config"),
            "DIMSE_LOG_FORMAT": "json",
            "DIMSE_HTTP_PORT": "",
            "DIMSE_GRACE_TIMEOUTSECONDS": str(GRACE_SECONDS),
            **{f"DIMSE_{name}": text for name, text in variables.items()},
        }
        proxy = self._proxies[channel] = Proxy(f"proxy-{channel}", path.parent, env)
        proxy.wait_for("ready: DIMSE Proxy", seconds=START_SECONDS)
        return proxy

    def wait_for_peers(self, channel: str, others: Collection[str]) -> None:
        """Waits until the proxy on this channel has seen one on each of the others."""

        def check() -> bool:
            seen = {line.get("channel") for line in self[channel].find('"event": "peer appeared"')}
            return seen >= set(others)

        wait_until(check, seconds=START_SECONDS, what=f"{channel} to see {', '.join(others)}")

    def stop(self) -> None:
        """SIGTERM to all; each must exit with 0 and must have logged no trouble."""
        codes = {
            name: proxy.process.stop(seconds=GRACE_SECONDS + STOP_SECONDS) for name, proxy in self._proxies.items()
        }
        assert set(codes.values()) <= {0}, codes
        troubles = {name: proxy.troubles(self.allowed_troubles) for name, proxy in self._proxies.items()}
        assert not any(troubles.values()), troubles

    def __enter__(self) -> "Sites":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.stop()
        else:
            for proxy in self._proxies.values():
                proxy.process.kill()

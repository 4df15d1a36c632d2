"""Store and forward on one nats-server, on a cluster, and on a leaf node: what there is to kill, and how to mend it."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self, TypeAlias

from tests.chaos.scale import IS_LONG
from tests.chaos.servers import Server, Servers
from tests.integration.peers.pair import PRODUCT, START_SECONDS, Pair, Proxy, Target
from tests.integration.peers.waiting import LOOPBACK, free_port
from tests.integration.store_and_forward.conftest import env_of_a, env_of_b

MODULE: Final = PRODUCT if IS_LONG else "tests.chaos.hasty_proxy"
ALWAYS: Final = {"sync_interval": "always"}


class Stage:
    """A pair, what it stands on, and kills of each by name; use `with`."""

    def __init__(
        self,
        folder: Path,
        servers: Mapping[str, Server],
        *,
        url_a: str,
        url_b: str,
        env_a: Mapping[str, str] | None = None,
        env_b: Mapping[str, str] | None = None,
    ) -> None:
        self.target: Final = Target(port=free_port())
        self._servers: Final = dict(servers)
        self._folder: Final = folder / "pair"
        self._kills = 0
        pair = Pair(
            url_a,
            self._folder,
            target_b=self.target,
            env_a=env_of_a({"DIMSE_NATS_URL": url_a, **(env_a or {})}),
            env_b=env_of_b({"DIMSE_NATS_URL": url_b, **(env_b or {})}),
            module=MODULE,
        )
        self._running: Final[dict[str, Proxy]] = {"proxy a": pair.a, "proxy b": pair.b}
        self._all: Final = [pair.a, pair.b]
        self.port: Final = pair.a.port

    @property
    def victims(self) -> tuple[str, ...]:
        return (*self._running, *self._servers)

    def kill(self, victim: str) -> None:
        """SIGKILL, and started again at once."""
        self._kills += 1
        if victim in self._servers:
            self._servers[victim].kill()
            self._servers[victim].start()
            return
        before = self._running[victim]
        before.process.kill()
        proxy = Proxy(f"{before.name}-{self._kills}", self._folder, before.env, module=MODULE, cwd=Path.cwd())
        self._all.append(proxy)
        self._running[victim] = proxy
        proxy.wait_for("ready", seconds=START_SECONDS)

    def check_logs(self) -> None:
        """Fail if a proxy logged an exception or wrote anything that is no log line."""
        for proxy in self._all:
            bad = [line for line in proxy.log_lines() if "raw" in line or "exception" in line]
            assert not bad, f"{proxy.name}: {bad[:3]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for proxy in self._running.values():
            proxy.process.kill()


def one_server(stack: ExitStack[bool | None], folder: Path) -> Stage:
    """As docs/store-and-forward.md has it first."""
    servers = stack.enter_context(Servers(1, folder, config={"jetstream": dict(ALWAYS)}, has_store=True))
    (server,) = servers.all
    return stack.enter_context(Stage(folder, {"the server": server}, url_a=server.url, url_b=server.url))


def cluster(stack: ExitStack[bool | None], folder: Path) -> Stage:
    """Three servers with three replicas, with the default `sync_interval`."""
    servers = stack.enter_context(Servers(3, folder, config={"jetstream": {}}, has_store=True))
    urls = ",".join(server.url for server in servers.all)
    replicas = {"DIMSE_QUEUE_REPLICAS": "3"}
    nodes = {f"cluster node {number}": server for number, server in enumerate(servers.all, start=1)}
    return stack.enter_context(Stage(folder, nodes, url_a=urls, url_b=urls, env_a=replicas, env_b=replicas))


def leaf(stack: ExitStack[bool | None], folder: Path) -> Stage:
    """The queue is on a leaf node beside proxy A, in a JetStream domain of its own; proxy B reads it over the hub."""
    port = free_port()
    hub = Server(
        "hub",
        folder,
        {
            "jetstream": {**ALWAYS, "store_dir": str(folder / "hub"), "domain": "hub"},
            "leafnodes": {"host": LOOPBACK, "port": port, "no_advertise": True},
        },
    )
    node = Server(
        "leaf",
        folder,
        {
            "jetstream": {**ALWAYS, "store_dir": str(folder / "leaf"), "domain": "leaf"},
            "leafnodes": {"reconnect": 1, "remotes": [{"urls": [f"nats-leaf://{LOOPBACK}:{port}"]}]},
        },
    )
    for server in (hub, node):
        stack.callback(server.kill)
        server.start()
    domain = {"DIMSE_QUEUE_DOMAIN_IN": "leaf"}
    servers = {"the hub": hub, "the leaf node": node}
    return stack.enter_context(Stage(folder, servers, url_a=node.url, url_b=hub.url, env_b=domain))


MakeStage: TypeAlias = Callable[[ExitStack[bool | None], Path], Stage]

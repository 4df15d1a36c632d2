"""The fault bench: NATS servers, proxies on both channels each behind a link that can fail, and a site at each end.

It starts and ends things; what is done to them is in `faults`, and what must hold is for the tests.
"""

import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Self

from tests.chaos.accounts import Account, Totals, compare
from tests.chaos.fault_link import FaultLink, FaultNetwork
from tests.chaos.load import ROOT, Load
from tests.chaos.scale import FIND, MOST, MOVE
from tests.chaos.servers import Servers
from tests.chaos.stream import Content
from tests.integration.peers.pair import Proxy
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

Side = Literal["A", "B"]
SIDES: Final[tuple[Side, Side]] = ("A", "B")
PYTHON_PATH: Final = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
MOVING: Final = 8 << 20
"""Bytes that must have arrived at a site for its direction to count as moving again: more than was past the fault."""


class Pauses:
    """A thread that watches for how long nothing arrives at each site."""

    def __init__(self, sites: Mapping[Side, Load]) -> None:
        self._sites: Final = sites
        self._over: Final = threading.Event()
        self._longest = 0.0
        self._thread: Final = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        seen = dict.fromkeys(self._sites, -1)
        since = dict.fromkeys(self._sites, time.monotonic())
        while not self._over.wait(0.05):
            now = time.monotonic()
            for side, site in self._sites.items():
                received = site.last_figure("received")
                if received != seen[side]:
                    seen[side], since[side] = received, now
                self._longest = max(self._longest, now - since[side])

    def take(self) -> float:
        """The longest pause since the last call, in either direction, seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpRow:
    """A connection of this machine, as the kernel tells of it."""

    local: int
    remote: int
    unsent: int
    """Bytes written and not acknowledged."""


def tcp_rows() -> list[TcpRow]:
    """All connections."""
    rows = []
    with open("/proc/net/tcp", encoding="ascii") as lines:
        next(lines)
        for line in lines:
            fields = line.split()
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            rows.append(TcpRow(local=local, remote=remote, unsent=int(fields[4].partition(":")[0], 16)))
    return rows


@dataclass(slots=True)
class Node:
    """One proxy process with the link it reaches NATS through."""

    name: str
    proxy: Proxy
    link: FaultLink


class Bench:
    """Everything running; leaving the with block ends it, whatever happened to it."""

    def __init__(
        self,
        folder: Path,
        *,
        servers: int = 1,
        advertise: bool = False,
        instances: Mapping[str, int] | None = None,
        config: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        env_of: Mapping[str, Mapping[str, str]] | None = None,
        start: bool = True,
        watched: bool = False,
    ) -> None:
        """Start servers, sites and proxies, and wait until the proxies see each other.

        Args:
            folder: for configurations, logs and accounts.
            servers: how many nats-servers.
            advertise: have the servers of a cluster tell of each other, and the proxies told of the first one only,
                without a link that can fail.
            instances: how many proxies on each channel, one if not said.
            config: additional settings of the servers.
            env: additional variables of all proxies.
            env_of: additional variables of one channel's proxies.
            start: False leaves the proxies to `add`.
            watched: have the proxies tell what they hold (`watched_proxy`).
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder: Final = folder
        self.root: Final = f"T{uuid.uuid4().hex[:12]}"
        self.nodes: Final[dict[str, Node]] = {}
        self.accounts: dict[Side, Account] = {}
        """The sites', after `finish`."""
        self._env: Final = dict(env or {})
        self._env_of: Final = dict(env_of or {})
        self._is_watched: Final = watched
        self._is_advertised: Final = advertise
        self._stack: Final = ExitStack()
        try:
            self.network: Final = self._stack.enter_context(FaultNetwork())
            self.servers: Final = self._stack.enter_context(
                Servers(servers, folder, config=config, advertise=advertise)
            )
            self.sites: Final = {side: self._stack.enter_context(Load(side, folder)) for side in SIDES}
            self.pauses: Final = Pauses(self.sites)
            self._stack.callback(self.pauses.close)
            if start:
                for side in SIDES:
                    for number in range(1, (instances or {}).get(side, 1) + 1):
                        self.add(side, f"{side.lower()}{number}")
                self.wait_for_peers()
        except BaseException:
            self.close()
            raise

    # Proxies.

    def add(self, side: Side, name: str, **env: str) -> Node:
        """Start one more proxy on a channel."""
        link = self.network.link([server.port for server in self.servers.all])
        settings = {
            "DIMSE_NATS_URL": self.servers.all[0].url if self._is_advertised else link.url,
            "DIMSE_NATS_SUBJECT_ROOT": self.root,
            "DIMSE_NATS_SUBJECT_CHANNEL": side,
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_HTTP_PORT": "",
            "DIMSE_AE": "*",
            "DIMSE_CALLING_AE": "original",
            "DIMSE_TARGET_HOST": LOOPBACK,
            "DIMSE_TARGET_PORT": str(self.sites[side].port),
            "DIMSE_TARGET_AE": "LOAD",
            "DIMSE_CONFIG_PATH": str(self.folder / "no-dimse-config"),
            "DIMSE_LOG_FORMAT": "json",
            "DIMSE_GRACE_TIMEOUTSECONDS": "5",
            **self._env,
            **self._env_of.get(side, {}),
            **env,
        }
        if self._is_watched:
            settings |= {"CHAOS_WATCH": str(self.folder / f"{name}.held"), "PYTHONPATH": os.pathsep.join(PYTHON_PATH)}
        proxy = Proxy(
            name, self.folder, settings, module="tests.chaos.watched_proxy" if self._is_watched else "dimse_proxy"
        )
        node = self.nodes[name] = Node(name, proxy, link)
        self._stack.callback(proxy.process.kill)
        proxy.wait_for("ready")
        return node

    def wait_for_peers(self) -> None:
        """Return once every proxy knows a peer."""
        for node in self.nodes.values():
            node.proxy.wait_for("peer appeared")

    def node(self, side: Side) -> Node:
        """The first proxy of a channel."""
        return self.nodes[f"{side.lower()}1"]

    def port(self, side: Side) -> int:
        """Where SCUs of that side call."""
        return self.node(side).proxy.port

    def server_of(self, side: Side) -> int:
        """Which server of the cluster a channel's first proxy is connected to, by its log."""
        node = self.node(side)
        url = str(node.proxy.find('"NATS connected"')[-1]["server"])
        return node.link.ports.index(int(url.rpartition(":")[2]))

    def disconnections(self) -> int:
        """How often proxies lost their NATS connection."""
        return sum(len(node.proxy.find('"NATS disconnected"')) for node in self.nodes.values())

    # Load.

    def start_load(
        self,
        *,
        associations: int = 8,
        least: int = 10_000,
        most: int = MOST,
        per_association: int = 8,
        rate: float = 30e6,
        find: tuple[int, float] | None = FIND,
        move: tuple[int, int] | None = MOVE,
        sides: Sequence[Side] = SIDES,
    ) -> None:
        """Start C-STOREs from the sites of `sides`, and from A a long C-FIND and C-MOVEs."""
        for side in SIDES:
            self.sites[side].do("settings", move_port=self.port(side), rate=rate)
        for side in sides:
            self.sites[side].do(
                "store",
                port=self.port(side),
                associations=associations,
                least=least,
                most=most,
                per_association=per_association,
                calling="STORER",
            )
        if find is not None:
            self.sites["A"].do("find", port=self.port("A"), count=find[0], interval=find[1])
        if move is not None:
            self.sites["A"].do("move", port=self.port("A"), count=move[0], length=move[1])

    def received(self) -> dict[Side, int]:
        """Bytes that have arrived at each site."""
        return {side: self.sites[side].figure("received") for side in SIDES}

    def wait_until_moving(self, *, since: Mapping[Side, int] | None = None, seconds: float = 90.0) -> float:
        """Return once both directions have moved on, and how many seconds that took."""
        before = self.received() if since is None else since
        begun = time.monotonic()
        wait_until(
            lambda: all(self.received()[side] >= before[side] + MOVING for side in SIDES),
            seconds=seconds,
            what=f"both directions to move on from {before}; they are at {self.received()}",
        )
        return time.monotonic() - begun

    def wait_until_moves(self, side: Side, *, seconds: float = 60.0) -> None:
        """Return once something more has arrived at one site."""
        before = self.received()[side]
        wait_until(lambda: self.received()[side] > before + MOVING, seconds=seconds, what=f"site {side} to receive")

    def unsent(self, node: Node) -> int:
        """Bytes that the kernel holds of what a proxy wrote to its NATS connection."""
        return sum(row.unsent for row in tcp_rows() if row.remote in node.link.ports)

    def quiesce(self, *, seconds: float = 240.0) -> None:
        """Let the load come to its end; another one may be started."""
        sites = self.sites.values()
        for site in sites:
            site.do("settings", rate=1e12)
            site.do("finish")
        for site in sites:
            site.wait_until_done(seconds=seconds)

    def finish(self, *, seconds: float = 240.0, sent: Mapping[str, Content] = MappingProxyType({})) -> Totals:
        """Let the load come to its end, and compare all accounts.

        Args:
            seconds: that the last ones may take.
            sent: what the test itself stored, by SOP instance.
        """
        self.quiesce(seconds=seconds)
        self.accounts = {side: site.leave() for side, site in self.sites.items()}
        own = Account(sent={uid: [content.length, content.digest] for uid, content in sent.items()})
        return compare([*self.accounts.values(), own])

    def check_logs(self) -> None:
        """Fail if a proxy logged an exception or wrote anything that is no log line."""
        for node in self.nodes.values():
            bad = [line for line in node.proxy.log_lines() if "raw" in line or "exception" in line]
            assert not bad, f"{node.name}: {bad[:3]}"

    # The end.

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

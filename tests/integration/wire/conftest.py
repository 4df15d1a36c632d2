"""Routes from a raw SCU to a raw SCP: straight, or through a pair of proxies with the settings that a test asks for.

Pairs are started when first asked for and stay until the end of the run; the target of each is a port that the test
listens on itself, so that nothing of one test is left for the next. That nothing is left is itself shown: a route ends
only when neither proxy holds a socket of it any more.
"""

import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import LogLine, Pair, Proxy, Target
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.wire import pdus, raw_peers
from tests.integration.wire.raw_peers import Acceptor, Connection

log: Final = logging.getLogger(__name__)

Side = Literal["a", "b"]
SIDES: Final[tuple[Side, Side]] = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Settings of a pair, on top of those that `Pair` makes itself."""

    a: Mapping[str, str] = field(default_factory=dict)
    b: Mapping[str, str] = field(default_factory=dict)
    target_ae: str = "RAWSCP"
    target_of_a: bool = False
    """A has a target too, for associations that come from B's side."""
    max_payload: int | None = None
    config_a: Mapping[str, str] | None = None
    """Files of A's dimse-config folder."""
    config_b: Mapping[str, str] | None = None


QUICK: Final = {
    "DIMSE_ARTIM_TIMEOUTSECONDS": "1",
    "DIMSE_CONNECT_TIMEOUTSECONDS": "2",
    "DIMSE_ACCEPT_TIMEOUTSECONDS": "3",
}
CT_ONLY: Final = {
    "IMAGE_CUIDS": f"# what this side takes\nCTImageStorage:{pdus.CT_STORAGE}\n",
    "IMAGE_TSUIDS": f"ImplicitVRLittleEndian:{pdus.IMPLICIT}\nExplicitVRLittleEndian:{pdus.EXPLICIT}\n",
}
DEBUG: Final = {"DIMSE_LOG_LEVEL": "DEBUG"}

KINDS: Final = {
    "plain": Kind(),
    "quick": Kind(a=QUICK, b=QUICK),
    "patient": Kind(a={"DIMSE_ACCEPT_TIMEOUTSECONDS": "8"}, b={"DIMSE_ACCEPT_TIMEOUTSECONDS": "8"}),
    "rewriting": Kind(
        a={"DIMSE_AE": "RAWSCP,SECOND"}, b={"DIMSE_AE": "PROXYB", "DIMSE_CALLING_AE": "own"}, target_ae="OTHERSCP"
    ),
    "fixed-name": Kind(b={"DIMSE_CALLING_AE": "FIXEDNAME"}),
    "small-payload": Kind(max_payload=65536),
    "filter-a": Kind(config_a=CT_ONLY),
    "filter-b": Kind(config_b=CT_ONLY),
    "limit-a": Kind(a={"DIMSE_MAX_ASSOCIATIONS": "1"}),
    "limit-b": Kind(b={"DIMSE_MAX_ASSOCIATIONS": "1"}),
    "titles": Kind(a={"DIMSE_AE": "RAWSCP,SECOND", "DIMSE_ALLOWED_CALLING_AES": "RAWSCU,FRIEND"}),
    "hosts": Kind(a={"DIMSE_ALLOWED_HOSTS": "192.0.2.1"}),
    "moves": Kind(
        a={"DIMSE_AE": "*"},
        b={"DIMSE_AE": "*", "DIMSE_MOVE_ALIASES": "ASKER1=ALIAS_OF_ASKER_1,ASKER_NUMBER_TWO=AL2"},
        target_of_a=True,
    ),
    "bound": Kind(b={"DIMSE_BIND_HOST": "127.0.0.2"}),
    "debug": Kind(a=DEBUG, b=DEBUG),
    "short-of-time": Kind(a={"DIMSE_NATS_REPLY_TIMEOUTSECONDS": "2"}, b={"DIMSE_CONNECT_TIMEOUTSECONDS": "2"}),
    "release-limit": Kind(a={"DIMSE_RELEASE_TIMEOUTSECONDS": "1"}, b={"DIMSE_RELEASE_TIMEOUTSECONDS": "1"}),
    "idle-limit": Kind(a={"DIMSE_IDLE_TIMEOUTSECONDS": "1"}, b={"DIMSE_IDLE_TIMEOUTSECONDS": "1"}),
}


@dataclass(slots=True, kw_only=True)
class Standing:
    """A pair that runs, and the ports of its targets."""

    pair: Pair
    nats: NatsServer
    target_port: int
    target_of_a_port: int | None


class StandingPairs:
    """The pairs started so far, by the name of their kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[int | None, NatsServer] = {}
        self._pairs: dict[str, Standing] = {}
        self._ports: dict[str, int] = {}

    def server(self, max_payload: int | None = None) -> NatsServer:
        """The nats-server with this max_payload."""
        if max_payload not in self._servers:
            config = {} if max_payload is None else {"max_payload": max_payload}
            self._servers[max_payload] = NatsServer(self._folder / f"nats-{max_payload}", config=config)
        return self._servers[max_payload]

    def target_port(self, name: str) -> int:
        """Where the target of the pair of this kind listens, whether it has been started or not."""
        return self._ports.setdefault(name, free_port())

    def get(self, name: str) -> Standing:
        """The pair of this kind."""
        if name not in self._pairs:
            self._pairs[name] = self._start(name, KINDS[name])
        return self._pairs[name]

    def _start(self, name: str, kind: Kind) -> Standing:
        folder = self._folder / name
        port = self.target_port(name)
        other = free_port() if kind.target_of_a else None
        server = self.server(kind.max_payload)
        pair = Pair(
            server.url,
            folder,
            target_a=None if other is None else Target(port=other, ae=kind.target_ae),
            target_b=Target(port=port, ae=kind.target_ae),
            env_a={**kind.a, **_config_folder(folder / "config-a", kind.config_a)},
            env_b={**kind.b, **_config_folder(folder / "config-b", kind.config_b)},
        )
        return Standing(pair=pair, nats=server, target_port=port, target_of_a_port=other)

    def stop(self) -> None:
        """End every pair, then every server."""
        problems = []
        for name, standing in self._pairs.items():
            try:
                standing.pair.stop()
            except AssertionError as error:
                problems.append(f"{name}: {error}")
            finally:
                standing.pair.kill()
        for server in self._servers.values():
            server.stop()
        assert not problems, "\n".join(problems)


def _config_folder(folder: Path, files: Mapping[str, str] | None) -> dict[str, str]:
    if files is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return {"DIMSE_CONFIG_PATH": str(folder)}


def _log_line(text: str) -> LogLine:
    try:
        line = json.loads(text)
    except ValueError:
        return {"raw": text}
    assert isinstance(line, dict)
    return line


def _is_trouble(line: LogLine) -> bool:
    return "raw" in line or "exception" in line or line.get("level") in ("error", "critical")


class Route:
    """From a raw SCU to a raw SCP; keeps every socket of a test and closes them all.

    Attributes:
        standing: the pair in between; None if the SCU calls the SCP itself.
        target_port: where the SCP listens.
        called_port: where the SCU calls.
    """

    def __init__(self, standing: Standing | None, target_port: int, called_port: int) -> None:
        self.standing: Final = standing
        self.target_port: Final = target_port
        self.called_port: Final = called_port
        self._acceptor: Acceptor | None = None
        self._connections: list[Connection] = []
        proxies = () if standing is None else standing.pair.proxies()
        self._marks = {proxy.name: proxy.process.stderr_path.stat().st_size for proxy in proxies}

    # --- the two ends

    @property
    def acceptor(self) -> Acceptor:
        """The SCP's listening socket, opened when first asked for."""
        if self._acceptor is None:
            self._acceptor = Acceptor(self.target_port)
        return self._acceptor

    def call(self) -> Connection:
        """A connection of the SCU."""
        return self.keep(raw_peers.connect(self.called_port))

    def answer(self, *, patience: float = raw_peers.PATIENCE) -> Connection:
        """The next connection that reaches the SCP."""
        return self.keep(self.acceptor.accept(patience=patience))

    def keep(self, connection: Connection) -> Connection:
        """Close this connection too in the end."""
        self._connections.append(connection)
        return connection

    def request(self, request: bytes) -> tuple[Connection, Connection, bytes]:
        """Send this A-ASSOCIATE-RQ: the SCU's connection, the SCP's, and the RQ that the SCP sees."""
        self.acceptor  # noqa: B018 - listens before the SCU calls
        scu = self.call()
        scu.send(request)
        scp = self.answer()
        return scu, scp, scp.expect(pdus.RQ)

    def associate(self, request: bytes | None = None, user: bytes = pdus.USER) -> tuple[Connection, Connection]:
        """An association whose SCP accepts every context: both ends of it."""
        scu, scp, seen = self.request(pdus.rq() if request is None else request)
        scp.send(pdus.simple_ac(seen, user))
        scu.expect(pdus.AC)
        return scu, scp

    # --- the pair in between

    @property
    def pair(self) -> Pair:
        """The proxies in between."""
        assert self.standing is not None
        return self.standing.pair

    def proxy(self, side: Side) -> Proxy:
        """One of the proxies."""
        return self.pair.a if side == "a" else self.pair.b

    def logged(self, side: Side) -> list[LogLine]:
        """What this proxy logged since the route was made; what is not JSON is `{"raw": text}`."""
        proxy = self.proxy(side)
        with proxy.process.stderr_path.open("rb") as output:
            output.seek(self._marks[proxy.name])
            return [_log_line(line.decode(errors="replace")) for line in output if line.endswith(b"\n")]

    def wait_for_log(self, side: Side, event: str, **fields: Any) -> LogLine:
        """The first line with this event and these fields."""

        def look() -> LogLine | None:
            for line in self.logged(side):
                if line.get("event") == event and all(line.get(key) == value for key, value in fields.items()):
                    return line
            return None

        try:
            found = wait_until(look, seconds=raw_peers.PATIENCE, what=f"{side} to log {event!r} with {fields}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it logged {self.logged(side)}") from None
        assert found is not None
        return found

    # --- the end

    def open_sockets(self) -> list[raw_peers.TcpRow]:
        """Sockets of this route that are not closed, other than the listeners."""
        alive = (raw_peers.ESTABLISHED, raw_peers.SYN_SENT, raw_peers.CLOSE_WAIT)
        ports = {(self.called_port, "local"), (self.target_port, "remote")}
        return [
            row
            for row in raw_peers.tcp_table()
            if row.state in alive and ports & {(row.local, "local"), (row.remote, "remote")}
        ]

    def close(self) -> None:
        """Close what the test opened, and see that the proxies let go of it too."""
        for connection in self._connections:
            connection.close()
        if self._acceptor is not None:
            self._acceptor.close()
        if self.standing is None:
            return
        try:
            wait_until(lambda: not self.open_sockets(), seconds=15, what="the proxies to close their sockets")
        finally:
            for side in SIDES:
                log.warning("logged by %s:\n%s", side, "\n".join(map(str, self.logged(side))))
        troubles = [line for side in SIDES for line in self.logged(side) if _is_trouble(line)]
        assert not troubles, troubles


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandingPairs]:
    """The pairs of this run."""
    standing = StandingPairs(tmp_path_factory.mktemp("wire"))
    yield standing
    standing.stop()


@pytest.fixture
def routes(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Route]]:
    """Makes the routes of a test: "direct", or through the pair of this kind; one for each kind."""
    made: dict[str, Route] = {}

    def make(kind: str) -> Route:
        if kind in made:
            return made[kind]
        if kind == "direct":
            port = free_port()
            route = Route(None, port, port)
        else:
            pairs: StandingPairs = request.getfixturevalue("pairs")
            standing = pairs.get(kind)
            route = Route(standing, standing.target_port, standing.pair.a.port)
        made[kind] = route
        return route

    yield make
    for route in made.values():
        route.close()


@pytest.fixture
def lone_proxy(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Starts a proxy of channel A that nobody waits for: `lone_proxy(nats_url, DIMSE_PORT="11112")`."""
    started: list[Proxy] = []

    def start(nats_url: str, **env: str) -> Proxy:
        defaults = {
            "DIMSE_NATS_URL": nats_url,
            "DIMSE_NATS_SUBJECT_ROOT": f"T{uuid.uuid4().hex[:12]}",
            "DIMSE_NATS_SUBJECT_CHANNEL": "A",
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_HTTP_PORT": "",
            "DIMSE_AE": "*",
            "DIMSE_CONFIG_PATH": str(tmp_path / "no-dimse-config"),
        }
        proxy = Proxy(f"lone-proxy-{len(started)}", tmp_path, {**defaults, **env})
        started.append(proxy)
        proxy.process.wait_for_listener(proxy.port)
        return proxy

    yield start
    codes = [proxy.process.stop() for proxy in started]
    assert codes == [0] * len(started)


@pytest.fixture(params=["direct", "pair"])
def route(request: pytest.FixtureRequest, routes: Callable[[str], Route]) -> Route:
    """The same test, once straight and once through a pair."""
    return routes("plain" if request.param == "pair" else "direct")

"""The ways from an SCU to an SCP: none at all, a forwarder, a relay of an afternoon, and the proxies in every form.

A way is started once and used by many work loads; whoever wants to be called listens on its target port.
"""

import asyncio
import base64
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Self

import nats
from tests.certificates import PASSWORD, Authority
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import free_port, wait_until

from bench.processes import start_program
from dimse_proxy.transports.embedded_nats import ENVIRONMENT

NATS: Final = "nats-server"
PROXY_A: Final = "proxy A"
PROXY_B: Final = "proxy B"
LINK: Final = "link"
QUEUED: Final = {
    "DIMSE_DELIVERY": "store-and-forward",
    "DIMSE_QUEUE_MAX_BYTES": str(2 << 30),
    "DIMSE_QUEUE_RETRY_TIMEOUTSECONDS": "0.3",
}
"""Of a proxy that queues what it accepts, and delivers what the other one has queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files of one authority, for all ends of all legs."""

    authority: Path
    key: Path
    certificate: Path
    key_store: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where SCUs call, and where they come out."""

    name: str
    port: int
    target_port: int
    processes: Mapping[str, int] = field(default_factory=dict)
    """Id of each process on the way, by name."""
    arrived: Callable[[int], None] | None = None
    """Waits until so many more objects than at the last call have reached the target; None: an answer says so."""
    rest: float = 0.0
    """Seconds that it needs after a run to be as before."""
    clear: Callable[[], None] | None = None
    """Makes it as it was before a run, where the run leaves something behind."""


class Ways:
    """All that is running; leaving the with block ends it."""

    def __init__(self, folder: Path) -> None:
        """Starts nothing yet.

        Args:
            folder: for logs and certificates.
        """
        self._folder: Final = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._stack: Final = ExitStack()
        self._made: Final[dict[str, Way]] = {}
        self._servers: Final[dict[str, NatsServer]] = {}
        self._certificates: Certificates | None = None
        self._pairs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    # What the ways need.

    @property
    def certificates(self) -> Certificates:
        """Made when first asked for."""
        if self._certificates is None:
            self._certificates = make_certificates(self._folder)
        return self._certificates

    def nats(self, *, tls: bool = False, untuned: bool = False) -> NatsServer:
        """A nats-server with its default limits.

        Args:
            tls: with TLS.
            untuned: without the environment that docs/performance.md asks for.
        """
        name = "tls" if tls else "untuned" if untuned else "plain"
        if name not in self._servers:
            files = {"cert_file": str(self.certificates.certificate), "key_file": str(self.certificates.key)}
            server = NatsServer(
                self._folder / f"nats-{name}",
                config={"tls": files} if tls else None,
                env=os.environ if untuned else {**ENVIRONMENT, **os.environ},
            )
            self._servers[name] = self._stack.enter_context(server)
        return self._servers[name]

    def jetstream(self, *, sync_always: bool = True) -> NatsServer:
        """A nats-server with JetStream on the disk."""
        name = f"jetstream-{sync_always}"
        if name not in self._servers:
            store: dict[str, object] = {"store_dir": str(self._folder / name)}
            if sync_always:
                store["sync_interval"] = "always"
            server = NatsServer(
                self._folder / f"nats-{name}", config={"jetstream": store}, env={**ENVIRONMENT, **os.environ}
            )
            self._servers[name] = self._stack.enter_context(server)
        return self._servers[name]

    # The ways.

    def direct(self) -> Way:
        """None at all."""
        return self._once("direct", lambda: _same_port("direct"))

    def forwarder(self) -> Way:
        """One hop of a plain TCP forwarder."""

        def make() -> Way:
            port, target = free_port(), free_port()
            child = self._child("forwarder", port, target)
            return Way(name="forwarder", port=port, target_port=target, processes={"forwarder": child.pid})

        return self._once("forwarder", make)

    def store_and_forward(self) -> Way:
        """A relay of pynetdicom's, which answers before the target has anything."""

        def make() -> Way:
            port, target = free_port(), free_port()
            child = self._child("store_and_forward", port, target)
            return Way(
                name="store and forward",
                port=port,
                target_port=target,
                processes={"relay": child.pid},
                arrived=_Arrivals(child).wait,
                rest=0.5,
            )

        return self._once("store and forward", make)

    def pair(self) -> Way:
        """Two proxies over NATS."""
        return self._once("pair", lambda: self._pair("pair"))

    def pair_on_untuned_nats(self) -> Way:
        """The same over a nats-server as it is installed."""
        return self._once("pair, untuned NATS", lambda: self._pair("pair, untuned NATS", untuned=True))

    def pair_with_key(self) -> Way:
        """The same with the tunnel key."""
        return self._once("pair, tunnel key", lambda: self._pair("pair, tunnel key", tunnel_key_settings()))

    def pair_with_tls(self) -> Way:
        """The same with TLS on both DICOM legs and on NATS."""
        return self._once("pair, TLS", lambda: self._pair("pair, TLS", self.tls_settings(), tls=True))

    def pair_over_link(self, milliseconds: int, megabits: int) -> Way:
        """The same, proxy A being behind a link."""
        name = f"pair, {milliseconds} ms {megabits} Mbit/s"

        def make() -> Way:
            port = free_port()
            child = self._child("link", port, self.nats().port, "--round-trip", milliseconds, "--rate", megabits)
            way = self._pair(name, env_a={"DIMSE_NATS_URL": f"nats://127.0.0.1:{port}"})
            return Way(
                name=name, port=way.port, target_port=way.target_port, processes={**way.processes, LINK: child.pid}
            )

        return self._once(name, make)

    def queue(self, *, sync_always: bool = True) -> Way:
        """Store and forward, up to JetStream: nobody delivers.

        Args:
            sync_always: an acknowledgement is not given before the disk has it.
        """
        name = f"queue, sync {'always' if sync_always else 'as by default'}"
        return self._once(name, lambda: self._queue(name, {}, sync_always=sync_always, is_kept=True))

    def queue_delivered(self) -> Way:
        """Store and forward, all of it."""
        return self._once("queue, delivered", lambda: self._queue("queue, delivered", QUEUED))

    def queue_over_link(self, milliseconds: int, megabits: int) -> Way:
        """The same, proxy B being behind a link: JetStream is where the SCUs are."""
        name = f"queue, {milliseconds} ms {megabits} Mbit/s"

        def make() -> Way:
            port, server = free_port(), self.jetstream()
            child = self._child("link", port, server.port, "--round-trip", milliseconds, "--rate", megabits)
            return self._queue(name, {**QUEUED, "DIMSE_NATS_URL": f"nats://127.0.0.1:{port}"}, more={LINK: child.pid})

        return self._once(name, make)

    def plain(self) -> dict[str, Way]:
        """Those that plain SCUs and SCPs can use."""
        ways = (self.direct(), self.forwarder(), self.pair(), self.pair_with_key())
        return {way.name: way for way in ways}

    @contextmanager
    def fresh_pair(self) -> Iterator[Way]:
        """Two proxies that have carried nothing, for a with block."""
        with self._new_pair("fresh pair") as way:
            yield way

    @contextmanager
    def fresh_pair_with_everything(self) -> Iterator[Way]:
        """The same with everything on: tunnel key, TLS on all legs, status page and metrics."""
        everything = {**tunnel_key_settings(), **self.tls_settings()}
        ports = [{"DIMSE_HTTP_PORT": str(free_port())} for _ in range(2)]
        with self._new_pair("everything", everything, env_a=ports[0], env_b=ports[1], tls=True) as way:
            yield way

    def tls_settings(self) -> dict[str, str]:
        """What makes a pair use TLS on all legs."""
        files = self.certificates
        return {
            "DIMSE_TLS_ENABLED": "true",
            "DIMSE_TLS_KEYSTORE": str(files.key_store),
            "DIMSE_TLS_KEYSTORE_PASSWORD": PASSWORD,
            "DIMSE_TLS_TRUSTSTORE": str(files.authority),
            "DIMSE_TLS_TRUSTSTORE_TYPE": "PEM",
            "DIMSE_NATS_TLS_ENABLED": "true",
            "DIMSE_NATS_TLS_CA_FILE": str(files.authority),
        }

    # Inside.

    def _once(self, name: str, make: Callable[[], Way]) -> Way:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _child(self, program: str, port: int, *arguments: object) -> ChildProcess:
        child = start_program(program, port, *arguments, folder=self._folder, port=port)
        self._stack.callback(child.kill)
        return child

    def _queue(
        self,
        name: str,
        env_b: Mapping[str, str],
        *,
        sync_always: bool = True,
        is_kept: bool = False,
        more: Mapping[str, int] | None = None,
    ) -> Way:
        server = self.jetstream(sync_always=sync_always)
        root = f"Q{len(self._made)}"
        env = {"DIMSE_NATS_SUBJECT_ROOT": root, "DIMSE_NATS_URL": server.url}
        way = self._pair(name, env, env_a=QUEUED, env_b=env_b)
        names = [f"{root}_B_A_CHUNKS", f"{root}_B_A_RECORDS"]
        return replace(
            way,
            processes={**way.processes, NATS: server.process.pid, **(more or {})},
            clear=partial(purge, server.url, names) if is_kept else None,
        )

    def _pair(
        self,
        name: str,
        settings: Mapping[str, str] | None = None,
        *,
        env_a: Mapping[str, str] | None = None,
        env_b: Mapping[str, str] | None = None,
        tls: bool = False,
        untuned: bool = False,
    ) -> Way:
        pair = self._new_pair(name, settings, env_a=env_a, env_b=env_b, tls=tls, untuned=untuned)
        return self._stack.enter_context(pair)

    @contextmanager
    def _new_pair(
        self,
        name: str,
        settings: Mapping[str, str] | None = None,
        *,
        env_a: Mapping[str, str] | None = None,
        env_b: Mapping[str, str] | None = None,
        tls: bool = False,
        untuned: bool = False,
    ) -> Iterator[Way]:
        server = self.nats(tls=tls, untuned=untuned)
        target = Target(port=free_port(), ae="BENCHSCP")
        self._pairs += 1
        with Pair(
            server.url.replace("nats:", "tls:") if tls else server.url,
            self._folder / f"pair-{self._pairs}",
            target_b=target,
            env_a={**(settings or {}), **(env_a or {})},
            env_b={**(settings or {}), **(env_b or {})},
        ) as pair:
            processes = {PROXY_A: pair.a.process.pid, NATS: server.process.pid, PROXY_B: pair.b.process.pid}
            yield Way(name=name, port=pair.a.port, target_port=target.port, processes=processes)


def purge(url: str, streams: Iterable[str]) -> None:
    """Empty some streams."""

    async def work() -> None:
        client = await nats.connect(url)
        for stream in streams:
            await client.request(f"$JS.API.STREAM.PURGE.{stream}", b"", timeout=30)
        await client.close()

    asyncio.run(work())


def tunnel_key_settings() -> dict[str, str]:
    """A tunnel key that nobody has used before."""
    return {"DIMSE_TUNNEL_KEY": base64.b64encode(os.urandom(32)).decode()}


def make_certificates(folder: Path) -> Certificates:
    """One authority and one identity for everybody."""
    authority = Authority("Bench CA")
    identity = authority.issue("BENCH", kind="rsa")
    key, certificate = identity.key_and_certificate(folder, "bench")
    return Certificates(
        authority=authority.pem(folder / "ca.pem"),
        key=key,
        certificate=certificate,
        key_store=identity.pkcs12(folder / "bench.p12"),
    )


def _same_port(name: str) -> Way:
    port = free_port()
    return Way(name=name, port=port, target_port=port)


class _Arrivals:
    """Counts the lines that the relay prints."""

    def __init__(self, relay: ChildProcess) -> None:
        self._relay: Final = relay
        self._seen = 0

    def wait(self, count: int) -> None:
        wanted = self._seen + count
        wait_until(lambda: self._lines() >= wanted, seconds=600, what=f"{count} objects to reach the target")
        self._seen = self._lines()

    def _lines(self) -> int:
        return self._relay.stdout_path.read_bytes().count(b"\n")

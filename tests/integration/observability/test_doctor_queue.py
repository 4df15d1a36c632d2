"""`dimse-proxy doctor` with one fault of store and forward planted at a time."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from dimse_proxy.cli.diagnosis.findings import Report, Severity
from dimse_proxy.cli.diagnosis.queue import check_queues
from dimse_proxy.config.material import load_material
from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.secret_files import Secrets
from dimse_proxy.config.settings import review_settings
from dimse_proxy.proxy.routes import STORE_AND_FORWARD, LocalAe, Routes
from dimse_proxy.routing import routing_of
from tests.integration.observability.doctor import Env, Site, cause, plants
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.waiting import LOOPBACK

OUT = {"DIMSE_DELIVERY": "store-and-forward"}
IN = {"DIMSE_DELIVERY": "relay", "DIMSE_DELIVERY_IN": "store-and-forward", "DIMSE_TARGET_HOST": LOOPBACK}
QUEUED = Routes(
    own_ae_title="",
    channels=("B",),
    default_channel="B",
    local_aes=[LocalAe(called="OWN", channel="B", delivery=STORE_AND_FORWARD)],
)
EVERYTHING = {"user": "everything", "password": "everything-1"}
RELAY_ONLY = {"user": "relay", "password": "relay-1"}


@pytest.fixture(scope="module")
def jetstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("jetstream")
    relaying = {"publish": ["*.*.A.>", "*.*.B.>"], "subscribe": [">"]}
    users = [EVERYTHING, {**RELAY_ONLY, "permissions": relaying}]
    config = {"jetstream": {"store_dir": str(folder / "store")}, "authorization": {"users": users}}
    with NatsServer(folder, config=config) as server:
        yield server


def env(site: Site, server: NatsServer, who: dict[str, str], **more: str) -> Env:
    return site.env(
        "A", DIMSE_NATS_URL=server.url, DIMSE_NATS_USER=who["user"], DIMSE_NATS_PASSWORD=who["password"], **more
    )


def found(env: Env) -> list[tuple[str, str]]:
    """Severity and text of what is said of queues; in this process: the whole command waits for the other side."""
    reviewed = review_settings(env, None)
    problems: list[str] = []
    routing = routing_of(reviewed, problems)
    assert routing is not None, problems
    material = load_material(reviewed.settings, reviewed.variables.origins, has_tls_targets=False)
    report = Report()
    asyncio.run(check_queues(report, reviewed.settings, material.nats, routing.table, name="doctor"))
    assert {each.check for each in report.findings} == {"queue"}
    assert all(each.remedy for each in report.findings if each.severity is not Severity.GOOD)
    return [(each.severity.name.lower(), each.text) for each in report.findings]


def make(server: NatsServer, **config: object) -> None:
    async def ask() -> None:
        client = await nats.connect(server.url, user=EVERYTHING["user"], password=EVERYTHING["password"])
        answer: Any = await client.request(f"$JS.API.STREAM.CREATE.{config['name']}", json.dumps(config).encode())
        assert "error" not in json.loads(answer.data), answer.data
        await client.close()

    asyncio.run(ask())


@plants("JetStream is off, or not for this account or domain")
def test_jetstream_is_off(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    cause(site.env("A", **OUT), tmp_path, "queue", "objects to channel B: JetStream is not enabled on the NATS server")


@plants("the user may not look at the streams, or read them")
def test_a_user_who_may_relay_only(site: Site, jetstream: NatsServer) -> None:
    ((severity, text),) = found(env(site, jetstream, RELAY_ONLY, **OUT))
    assert severity == "error"
    assert "does not let this user publish to" in text
    assert "STREAM.INFO" in text


def test_the_proxys_own_server_does_not_run(site: Site, tmp_path: Path) -> None:
    settings = review_settings(site.env("A", **OUT, DIMSE_LEAF_STORE=str(tmp_path)), None).settings
    report = Report()
    asyncio.run(check_queues(report, settings, NatsAccess(settings, Secrets(settings, {})), QUEUED, name="doctor"))
    assert report.findings == []
    assert "the proxy writes it, for its own user, while it runs" in report.skipped[0]


@plants("a stream is missing", "a stream has wrong settings")
def test_streams_are_missing_wrong_and_right(site: Site, jetstream: NatsServer) -> None:
    name = f"{site.root}_B_A_CHUNKS"
    out = env(site, jetstream, EVERYTHING, **OUT)
    ((severity, text),) = found(out)
    assert (severity, text.partition(" yet: ")[0]) == ("good", f"objects to channel B: stream {name} does not exist")
    ((severity, text),) = found({**out, "DIMSE_QUEUE_CREATE_STREAMS": "false"})
    assert (severity, text) == ("error", f"objects to channel B: stream {name} does not exist")
    ((severity, text),) = found(env(site, jetstream, EVERYTHING, **IN))
    assert (severity, text) == ("warning", f"objects from channel B: stream {site.root}_A_B_CHUNKS does not exist")
    make(jetstream, name=name, subjects=[f"{site.root}.B.A.queue.chunk.>"], storage="memory")
    ((severity, text),) = found(out)
    assert severity == "error"
    assert "has wrong settings: retention" in text or "storage is memory" in text

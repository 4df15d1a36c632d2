"""A nats-server with JetStream on disk, and pairs of proxies that queue."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.waiting import free_port

QUICK = {
    "DIMSE_QUEUE_MAX_BYTES": str(256 * 1024 * 1024),  # is reserved, for each pair of a module
    "DIMSE_QUEUE_RETRY_TIMEOUTSECONDS": "0.3",
    "DIMSE_QUEUE_MAX_RETRY_TIMEOUTSECONDS": "1",
    "DIMSE_QUEUE_IDLE_TIMEOUTSECONDS": "3",
}


class QueuePair(Protocol):
    """Makes a pair that queues what A accepts for the target of B."""

    def __call__(
        self,
        *,
        nats_url: str | None = None,
        env_a: Mapping[str, str] | None = None,
        env_b: Mapping[str, str] | None = None,
        target: Target | None = None,
    ) -> Pair: ...


@pytest.fixture(scope="module")
def jetstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("jetstream")
    config = {"jetstream": {"store_dir": str(folder / "store"), "sync_interval": "always"}}
    with NatsServer(folder, config=config) as server:
        yield server


def env_of_a(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**QUICK, "DIMSE_DELIVERY": "store-and-forward", **(more or {})}


def env_of_b(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**QUICK, "DIMSE_DELIVERY_IN": "store-and-forward", **(more or {})}


@pytest.fixture
def queue_pair(jetstream: NatsServer, tmp_path: Path) -> Iterator[QueuePair]:
    with ExitStack() as stack:

        def make(
            *,
            nats_url: str | None = None,
            env_a: Mapping[str, str] | None = None,
            env_b: Mapping[str, str] | None = None,
            target: Target | None = None,
        ) -> Pair:
            pair = Pair(
                nats_url or jetstream.url,
                tmp_path / "pair",
                target_b=target or Target(port=free_port()),
                env_a=env_of_a(env_a),
                env_b=env_of_b(env_b),
            )
            return stack.enter_context(pair)

        yield make

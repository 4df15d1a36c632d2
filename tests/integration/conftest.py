"""What the integration tests share: one nats-server, one pair of proxies, and the two ways from an SCU to an SCP.

Settings of its own give a test a pair of its own (`make_pair`). Everything else uses `route`, so that it runs directly
and through the pair.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.routes import ASKER_AE, TARGET_AE, Route
from tests.integration.peers.waiting import free_port

PairFactory = Callable[..., Pair]


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A nats-server with its default limits."""
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_pair(nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair without a filter that keeps calling AE titles; each test puts its peers at the two targets' ports."""
    pair = Pair(
        nats_server.url,
        tmp_path_factory.mktemp("pair"),
        target_a=Target(port=free_port(), ae=ASKER_AE),
        target_b=Target(port=free_port(), ae=TARGET_AE),
    )
    yield pair
    pair.stop()


@pytest.fixture(params=["direct", "pair"])
def route(request: pytest.FixtureRequest) -> Iterator[Route]:
    """The way from an SCU to an SCP: a test that uses it runs directly and through two proxies."""
    if request.param == "direct":
        yield Route.direct()
        return
    pair: Pair = request.getfixturevalue("shared_pair")
    yield Route.through(pair)
    pair.check_logs()


@pytest.fixture
def make_pair(nats_server: NatsServer, tmp_path: Path) -> Iterator[PairFactory]:
    """Makes pairs with settings of their own: `make_pair(target_b=Target(...), env_a={...})`."""
    with ExitStack() as stack:
        count = 0

        def make(*, nats_url: str | None = None, **settings: object) -> Pair:
            nonlocal count
            count += 1
            pair = Pair(nats_url or nats_server.url, tmp_path / f"pair{count}", **settings)  # type: ignore[arg-type]
            return stack.enter_context(pair)

        yield make

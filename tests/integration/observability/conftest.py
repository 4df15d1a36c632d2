"""A pair with HTTP on both sides, a nats-server of its own, and what is read over HTTP."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.observability.doctor import Site
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.waiting import LOOPBACK, free_port

TOKEN = "a token of the tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """One proxy's HTTP listener."""

    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def read(self, path: str, *, method: str = "GET", token: str | None = None) -> tuple[int, str]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path: str) -> Any:
        return json.loads(self.read(path)[1])

    def metrics(self) -> dict[str, float]:
        """Sample -> value, the labels as Prometheus writes them."""
        lines = [line for line in self.read("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def summed(metrics: dict[str, float], name: str, **labels: str) -> int:
    """All samples of a metric with these labels."""
    total = 0.0
    for sample, value in metrics.items():
        if re.fullmatch(rf"dimse_proxy_{name}(\{{.*\}})?", sample) and all(
            f'{label}="{text}"' in sample for label, text in labels.items()
        ):
            total += value
    return int(total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A pair that is watched, and its NATS server."""

    pair: Pair
    nats: NatsServer
    http_a: Http
    http_b: Http
    folder: Path

    @property
    def target_port(self) -> int:
        assert self.pair.target_b is not None
        return self.pair.target_b.port


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Associations go from A to the target of B."""
    http_a, http_b = Http(port=free_port()), Http(port=free_port())
    with NatsServer(tmp_path / "nats") as nats:
        pair = Pair(
            nats.url,
            tmp_path / "pair",
            target_b=Target(port=free_port()),
            env_a={"DIMSE_HTTP_PORT": str(http_a.port), "DIMSE_HTTP_TOKEN": TOKEN},
            env_b={"DIMSE_HTTP_PORT": str(http_b.port), "DIMSE_HTTP_TOKEN": TOKEN},
        )
        with pair:
            yield Watched(pair=pair, nats=nats, http_a=http_a, http_b=http_b, folder=tmp_path)


@pytest.fixture
def site(nats_server: NatsServer, tmp_path: Path) -> Iterator[Site]:
    it = Site(nats_server, tmp_path)
    yield it
    it.close()

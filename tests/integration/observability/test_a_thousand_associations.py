"""The page and the API with 1000 associations that run."""

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.integration.observability.conftest import Watched
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Acceptor, connect

ASSOCIATIONS = 1000
PATHS = ("/", "/readyz", "/metrics", "/api/v1/status", "/api/v1/associations")


@pytest.mark.slow
@pytest.mark.alone
def test_they_do_not_slow_the_page_or_the_api(watched: Watched, record_property: Callable[[str, object], None]) -> None:
    """Each answer within 200 ms, the median of 20."""
    with ExitStack() as stack:
        target = stack.enter_context(Acceptor(watched.target_port))
        for _ in range(ASSOCIATIONS):
            scu = stack.enter_context(connect(watched.pair.a.port))
            scu.send(pdus.rq(pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)))
            scp = stack.enter_context(target.accept())
            scp.send(pdus.simple_ac(scp.expect(pdus.RQ)))
            scu.expect(pdus.AC)
        for http in (watched.http_a, watched.http_b):
            assert http.json("/api/v1/status")["associations"]["active"] == ASSOCIATIONS
            assert len(http.json("/api/v1/associations")["live"]) == ASSOCIATIONS
            for path in PATHS:
                times = []
                for _ in range(20):
                    begin = time.perf_counter()
                    assert http.read(path)[0] == 200
                    times.append(time.perf_counter() - begin)
                median = sorted(times)[10]
                record_property(f"{path}, milliseconds", round(median * 1000, 1))
                assert median < 0.2, path

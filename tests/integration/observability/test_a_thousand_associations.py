"""The page, the API and a scrape with 1000 associations that run: how long an answer takes, and what it costs."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.observability.conftest import Http, Watched
from tests.integration.peers.processes import ChildProcess
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Acceptor, connect

ASSOCIATIONS = 1000
PATHS = ("/", "/readyz", "/metrics", "/api/v1/status", "/api/v1/associations")
SCRAPES = 200

pytestmark = [pytest.mark.slow, pytest.mark.alone]

Record = Callable[[str, object], None]


@pytest.fixture
def busy(watched: Watched) -> Iterator[Watched]:
    """1000 associations are established, and each has asked for something that is not answered yet."""
    with ExitStack() as stack:
        target = stack.enter_context(Acceptor(watched.target_port))
        for _ in range(ASSOCIATIONS):
            scu = stack.enter_context(connect(watched.pair.a.port))
            scu.send(pdus.rq(pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)))
            scp = stack.enter_context(target.accept())
            scp.send(pdus.simple_ac(scp.expect(pdus.RQ)))
            scu.expect(pdus.AC)
            scu.send(pdus.command_pdu(pdus.echo_rq(), 1))
            scp.expect(pdus.P_DATA)
        for http in (watched.http_a, watched.http_b):
            assert http.json("/api/v1/status")["associations"]["active"] == ASSOCIATIONS
            live = http.json("/api/v1/associations")["live"]
            assert len([item for item in live if item["in_progress"]["service"] == "C-ECHO"]) == ASSOCIATIONS
        yield watched


def test_they_do_not_slow_the_page_or_the_api_and_a_scrape_is_cheap(busy: Watched, record_property: Record) -> None:
    """Each answer within 200 ms, the median of 20. A scrape a second takes less than 1 % of the processor, and so of
    the throughput of a process that has one thread for all."""
    for http in (busy.http_a, busy.http_b):
        for path in PATHS:
            milliseconds = median_milliseconds(http, path)
            record_property(f"{path}, milliseconds", round(milliseconds, 1))
            assert milliseconds < 200, path
    for proxy, http in ((busy.pair.a, busy.http_a), (busy.pair.b, busy.http_b)):
        share = 100 * seconds_of_a_scrape(proxy.process, http)
        record_property(f"{proxy.name}, a scrape a second, % of a processor", round(share, 2))
        assert share < 1, f"{share:.2f} % for a scrape a second"


def median_milliseconds(http: Http, path: str) -> float:
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        assert http.read(path)[0] == 200
        times.append(time.perf_counter() - begin)
    return 1000 * sorted(times)[10]


def seconds_of_a_scrape(process: ChildProcess, http: Http) -> float:
    """Processor time that the process takes for one, beyond what it takes without."""
    before, begin = process.cpu_seconds(), time.monotonic()
    time.sleep(4)
    idle = (process.cpu_seconds() - before) / (time.monotonic() - begin)
    before, begin = process.cpu_seconds(), time.monotonic()
    for _ in range(SCRAPES):
        assert http.read("/metrics")[0] == 200
    return (process.cpu_seconds() - before - idle * (time.monotonic() - begin)) / SCRAPES

"""The metrics of both proxies against what SCUs and SCP counted themselves, with NATS and a peer killed under load.

Every SCU waits for each response before it goes on, so what it has sent is known to the byte when something is lost.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.observability.conftest import Http, summed
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Proxy, Target
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Connection, EndedError, connect

CALLERS = 6
PATIENCE = 40.0
CONTEXTS = pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT) + pdus.proposed(3, pdus.CT_STORAGE, pdus.EXPLICIT)


class Ledger:
    """What SCUs have done and seen, all together."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.numbers[what] += number

    def __getitem__(self, what: str) -> int:
        return self.numbers[what]


class Caller(threading.Thread):
    """Asks for associations until told to stop, with some C-ECHO and C-STORE in each."""

    def __init__(self, port: int, ledger: Ledger, seed: int) -> None:
        super().__init__()
        self._port = port
        self._ledger = ledger
        self._random = random.Random(seed)
        self.over = threading.Event()
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self.over.is_set():
                with connect(self._port) as scu:
                    self._associate(scu)
        except Exception as error:
            self.error = error

    def _associate(self, scu: Connection) -> None:
        ledger = self._ledger
        ledger.add("requested")
        scu.send(pdus.rq(CONTEXTS))
        answer = scu.read_pdu(patience=PATIENCE)
        if answer[0] == pdus.RJ:
            ledger.add(f"refused {answer[7]}/{answer[8]}/{answer[9]}")
            self.over.wait(0.1)
            return
        assert answer[0] == pdus.AC
        ledger.add("established")
        for _ in range(self._random.randint(1, 8)):
            service, request, length = self._random.choice([self._echo, self._store])()
            scu.send(*request)
            ledger.add(f"{service} requests")
            ledger.add(f"{service} data set bytes", length)
            ledger.add("P-DATA bytes sent", sum(map(len, request)))
            answer = self._next(scu)
            if not answer:
                return
            ledger.add(f"{service} responses")
            ledger.add("P-DATA bytes received", len(answer))
        scu.send(pdus.release_rq())
        if self._next(scu):
            ledger.add("released")

    def _echo(self) -> tuple[str, list[bytes], int]:
        return "C-ECHO", [pdus.command_pdu(pdus.echo_rq(), 1)], 0

    def _store(self) -> tuple[str, list[bytes], int]:
        length = self._random.randrange(2, 60_000, 2)
        data_set = pdus.element(0x7FE00010, bytes(length))  # nobody looks into it
        return "C-STORE", [pdus.command_pdu(pdus.store_rq(), 3), pdus.data_pdus(data_set, 3)], len(data_set)

    def _next(self, scu: Connection) -> bytes:
        """The next PDU; nothing if the association was aborted."""
        try:
            answer = scu.read_pdu(patience=PATIENCE)
        except EndedError:
            answer = b""
        if not answer or answer[0] == pdus.ABORT:
            self._ledger.add("aborted")
            return b""
        return answer


class CountingScp:
    """The target, and what came of the associations that it accepted since `ledger` was put in."""

    def __init__(self, port: int) -> None:
        self.ledger = Ledger()
        self._ledgers: dict[int, Ledger] = {}
        handlers = [
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_RELEASED, lambda event: self._ledgers[id(event.assoc)].add("released")),
            (evt.EVT_C_ECHO, lambda event: self._count(event, "C-ECHO", 0)),
            (evt.EVT_C_STORE, lambda event: self._count(event, "C-STORE", len(event.request.DataSet.getvalue()))),
        ]
        self.scp = Scp(port, offers(Verification, CTImageStorage), handlers)

    def _accepted(self, event: evt.Event) -> None:
        self._ledgers[id(event.assoc)] = self.ledger
        self.ledger.add("established")

    def _count(self, event: evt.Event, service: str, length: int) -> int:
        ledger = self._ledgers[id(event.assoc)]
        ledger.add(f"{service} requests")
        ledger.add(f"{service} data set bytes", length)
        time.sleep(0.02)
        return 0


@contextmanager
def calling(port: int, ledger: Ledger, *, seed: int) -> Iterator[None]:
    callers = [Caller(port, ledger, seed + number) for number in range(CALLERS)]
    try:
        yield
    finally:
        for caller in callers:
            caller.over.set()
        for caller in callers:
            caller.join()
    assert not [caller.error for caller in callers if caller.error is not None]


def quiet(http: Http, side: str) -> dict[str, float]:
    """The metrics once no association is left."""
    return (
        wait_until(
            lambda: m if not summed(m := http.metrics(), "associations_active", side=side) else None,
            seconds=20,
            what="all to have ended",
        )
        or {}
    )


def refusals(ledger: Ledger) -> dict[str, int]:
    return {what.split()[1]: number for what, number in ledger.numbers.items() if what.startswith("refused")}


def agree_with_scus(http: Http, ledger: Ledger) -> dict[str, float]:
    metrics = quiet(http, "acceptor")
    assert summed(metrics, "associations_requested_total", side="acceptor") == ledger["requested"]
    assert summed(metrics, "associations_established_total", side="acceptor") == ledger["established"]
    assert summed(metrics, "associations_refused_total") == sum(refusals(ledger).values())
    for answer, number in refusals(ledger).items():
        result, source, reason = answer.split("/")
        found = summed(metrics, "associations_refused_total", result=result, source=source, reason=reason)
        assert found == number, answer
    released = summed(metrics, "associations_ended_total", cause="released")
    assert released == ledger["released"]
    assert summed(metrics, "associations_ended_total") - released == ledger["aborted"]
    for service in ("C-ECHO", "C-STORE"):
        assert summed(metrics, "requests_total", service=service, direction="out") == ledger[f"{service} requests"]
        answered = summed(metrics, "responses_total", service=service, direction="in", status="success")
        assert answered == ledger[f"{service} responses"]
        carried = summed(metrics, "data_set_bytes_total", service=service, direction="out")
        assert carried == ledger[f"{service} data set bytes"]
    assert summed(metrics, "p_data_bytes_total", direction="out") == ledger["P-DATA bytes sent"]
    assert summed(metrics, "p_data_bytes_total", direction="in") == ledger["P-DATA bytes received"]
    return metrics


def agree_with_scp(http: Http, ledger: Ledger) -> None:
    metrics = quiet(http, "requestor")
    assert ledger["established"] > 0
    assert summed(metrics, "associations_established_total", side="requestor") == ledger["established"]
    assert summed(metrics, "associations_ended_total", side="requestor", cause="released") == ledger["released"]
    for service in ("C-ECHO", "C-STORE"):
        assert summed(metrics, "requests_total", service=service, direction="in") == ledger[f"{service} requests"]
        carried = summed(metrics, "data_set_bytes_total", service=service, direction="in")
        assert carried == ledger[f"{service} data set bytes"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_metrics_agree_after_faults_under_load(tmp_path: Path) -> None:
    http_a, http_b = Http(port=free_port()), Http(port=free_port())
    with ExitStack() as stack:
        nats = stack.enter_context(NatsServer(tmp_path / "nats"))
        pair = Pair(
            nats.url,
            tmp_path / "pair",
            target_b=Target(port=free_port()),
            env_a={"DIMSE_HTTP_PORT": str(http_a.port)},
            env_b={"DIMSE_HTTP_PORT": str(http_b.port), "DIMSE_INSTANCE": "b"},
        )
        stack.callback(pair.kill)
        assert pair.target_b is not None
        scus, target = Ledger(), CountingScp(pair.target_b.port)
        stack.enter_context(target.scp)

        with calling(pair.a.port, scus, seed=1):
            time.sleep(2)
            nats.process.kill()
            with calling(pair.a.port, scus, seed=50):  # those that run wait; of these some are refused
                wait_until(lambda: refusals(scus), seconds=20, what="an association to be refused without NATS")
                stack.enter_context(NatsServer(tmp_path / "again", port=nats.port))
                time.sleep(3)
        agree_with_scus(http_a, scus)
        agree_with_scp(http_b, target.ledger)
        assert scus["aborted"] == 0, "an outage of NATS is a pause"
        assert scus["released"] == target.ledger["released"] > 20

        with calling(pair.a.port, scus, seed=100):
            time.sleep(2)
            pair.b.process.kill()
            target.ledger = Ledger()
            time.sleep(2)
            again = Proxy("proxy-b2", pair.folder, pair.b.env)
            stack.callback(again.process.kill)
            again.wait_for("peer appeared")
            time.sleep(3)
        metrics = agree_with_scus(http_a, scus)
        agree_with_scp(http_b, target.ledger)
        assert scus["aborted"] == summed(metrics, "associations_ended_total", cause="tunnel") > 0
        assert again.process.stop() == 0

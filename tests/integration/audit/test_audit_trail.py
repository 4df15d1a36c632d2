"""The whole way: what a pair of proxies does, as audit messages at a real receiver; a receiver that is not there."""

import base64
import json
import os
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from dimse_proxy.observability.audit.spool import RunMark
from tests.certificates import Authority
from tests.integration.conftest import PairFactory
from tests.integration.observability.conftest import Http
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Proxy, Target
from tests.integration.peers.plain_scu import PlainScu
from tests.integration.peers.pynetdicom_peers import Offer, Scp, association, offers, request
from tests.integration.peers.rsyslog import Rsyslog
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.wire import pdus
from tests.unit.dimse.data_sets import FORMS
from tests.unit.observability.audit.profile import Element, checked, code

CT = str(CTImageStorage)
FIND = str(StudyRootQueryRetrieveInformationModelFind)
REFUSED_STATUS = 0xA700


def image(patient: str, study: str) -> Dataset:
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID, found.SOPInstanceUID = CT, f"{study}.{time.monotonic_ns()}"
    found.PatientName, found.PatientID, found.StudyInstanceUID = f"{patient}^Jürgen", patient, study
    found.file_meta = Dataset()  # type: ignore[assignment]
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return found


def store(event: Event) -> int:
    return REFUSED_STATUS if event.dataset.PatientID == "FULL" else 0


def find(_event: Event) -> Iterator[tuple[int, Dataset | None]]:
    yield 0x0000, None


HANDLERS = [(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, find)]


class Trail:
    """What one proxy told: each message valid."""

    def __init__(self, xmls: list[bytes]) -> None:
        self.roots = [checked(xml) for xml in xmls]

    @property
    def kinds(self) -> list[str]:
        return [kind_of(root) for root in self.roots]

    def of(self, kind: str) -> list[Element]:
        return [root for root in self.roots if kind_of(root) == kind]


def kind_of(root: Element) -> str:
    event = root.find("EventIdentification")
    assert event is not None
    return f"{code(event, 'EventTypeCode') or code(event, 'EventID')}"


def object_ids(root: Element) -> list[str | None]:
    return [each.get("ParticipantObjectID") for each in root.findall("ParticipantObjectIdentification")]


def outcome(root: Element) -> str | None:
    event = root.find("EventIdentification")
    return None if event is None else event.get("EventOutcomeIndicator")


def alerts(trail: Trail, kind: str) -> list[str]:
    found = [root.find("ParticipantObjectIdentification/ParticipantObjectDetail") for root in trail.of(kind)]
    return [base64.b64decode(each.get("value") or "").decode() for each in found if each is not None]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def rsyslog(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rsyslog]:
    server = Rsyslog(tmp_path_factory.mktemp("rsyslog"), authority).start()
    yield server
    server.stop()


def traffic(pair: Pair, target: Target, tls_port: int) -> None:
    """Two patients stored, one not, two studies of one, a query, somebody who may not, an operation, a TLS failure."""
    contexts = [*offers(CT, FIND), Offer(sop_class=CT, transfer_syntaxes=(DeflatedExplicitVRLittleEndian,))]
    with (
        Scp(target.port, contexts, HANDLERS, ae=target.ae),
        association(pair.a.port, offers(CT, FIND), calling="CT1") as assoc,
    ):
        for patient, study in (("A", "1.2.1"), ("A", "1.2.2"), ("A", "1.2.1"), ("B", "1.2.3"), ("FULL", "1.2.4")):
            status = assoc.send_c_store(image(patient, study))
            assert status.Status == (REFUSED_STATUS if patient == "FULL" else 0)
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.PatientID = "STUDY", "A"
        list(assoc.send_c_find(identifier, FIND))
    assert request(pair.a.port, offers(CT), calling="STRANGER").is_rejected
    with socket.create_connection((LOOPBACK, tls_port)) as plain:
        plain.sendall(b"this is no TLS at all")
        plain.recv(100)


def summary(root: Element) -> tuple[str, str | None, str | None]:
    """Enough of a message to know it by: event or type, time, and first participant."""
    event = root.find("EventIdentification")
    assert event is not None
    return kind_of(root), event.get("EventDateTime"), root.findall("ActiveParticipant")[0].get("UserID")


def told_in(path: Path) -> list[tuple[str, str | None, str | None]]:
    """The same of each line of a file."""
    found = []
    for line in lines(path):
        event = line["EventIdentification"]
        kinds = event.get("EventTypeCode") or [event["EventID"]]
        found.append((kinds[0]["csd-code"], event["EventDateTime"], line["ActiveParticipant"][0]["UserID"]))
    return found


def source_of(root: Element) -> str | None:
    source = root.find("AuditSourceIdentification")
    return None if source is None else f"{source.get('AuditEnterpriseSiteID')}/{source.get('AuditSourceID')}"


def test_everything_of_a_run_arrives_whole_and_valid(
    make_pair: PairFactory,
    rsyslog: Rsyslog,
    authority: Authority,
    tls_env: dict[str, str],
    spool_env: dict[str, str],
    tmp_path: Path,
) -> None:
    target, tls_port = Target(port=free_port()), free_port()
    files = {name: tmp_path / f"{name}.json" for name in ("A", "B")}
    envs = {
        name: {
            "DIMSE_AUDIT_CONTENT": "true",
            "DIMSE_AUDIT_SITE_ID": "Hospital 1",
            "DIMSE_AUDIT_SOURCE_ID": name,
            "DIMSE_AUDIT_FILE": str(path),
        }
        for name, path in files.items()
    }
    own = {
        "DIMSE_AUDIT_SYSLOG": rsyslog.tls_url,
        "DIMSE_ALLOWED_CALLING_AES": "CT1",
        "DIMSE_TLS_PORT": str(tls_port),
        "DIMSE_TLS_KEYSTORE": str(authority.issue("dicom").pem(tmp_path / "dicom.pem")),
        "DIMSE_TLS_KEYSTORE_TYPE": "PEM",
    }
    pair = make_pair(
        target_b=target,
        env_a={**envs["A"], **own, **tls_env, **spool_env},
        env_b={**envs["B"], "DIMSE_AUDIT_SYSLOG": rsyslog.udp_url},
    )
    traffic(pair, target, tls_port)
    pair.stop()
    expected = {f"Hospital 1/{name}": told_in(path) for name, path in files.items()}
    count = sum(map(len, expected.values()))
    trail = Trail(rsyslog.wait_for(lambda found: len(found) >= count, f"{count} messages"))
    arrived: dict[str, list[tuple[str, str | None, str | None]]] = {name: [] for name in expected}
    for root in trail.roots:
        arrived[source_of(root) or ""].append(summary(root))
    assert arrived == expected
    each_side = {
        "110120": 1, "110121": 1, "110124": 1, "110125": 1, "110102": 4, "110104": 3, "110112": 1,
    }  # fmt: skip
    assert Counter(kind for kind, _, _ in expected["Hospital 1/B"]) == each_side
    assert Counter(kind for kind, _, _ in expected["Hospital 1/A"]) == each_side | {"110126": 1 + 1}
    assert_contents(trail)
    assert not (tmp_path / "spool" / "running").read_text(), "it stopped in order"


def assert_contents(trail: Trail) -> None:
    """What the messages of `traffic` say, of both sides."""
    transferred = Counter((outcome(root), tuple(object_ids(root))) for root in trail.of("110104"))
    assert transferred == {
        ("0", ("1.2.1", "1.2.2", "A")): 2,
        ("0", ("1.2.3", "B")): 2,
        ("4", ("1.2.4", "FULL")): 2,
    }
    assert {
        root.findtext("ParticipantObjectIdentification[last()]/ParticipantObjectName") for root in trail.of("110104")
    } == {"A^Jürgen", "B^Jürgen", "FULL^Jürgen"}
    assert [object_ids(root) for root in trail.of("110112")] == [[FIND]] * 2
    texts = " ".join(alerts(trail, "110126"))
    assert "association of STRANGER at 127.0.0.1:" in texts
    assert "no TLS with 127.0.0.1:" in texts


def stored(scu: PlainScu, message_id: int, patient: str) -> None:
    """One C-STORE, and its answer."""
    form = FORMS[pdus.EXPLICIT]
    scu.send(3, pdus.store_rq(message_id), form.patient(number=patient) + form.study(f"1.2.{message_id}"))
    scu.read()


def queried(scu: PlainScu, message_id: int, length: int) -> None:
    """One C-FIND with a long identifier, and its answer."""
    value = FORMS[pdus.EXPLICIT].text(0x00104000, "LT", "x" * length)
    scu.send(5, pdus.find_rq(message_id), value)
    scu.read()


def test_a_receiver_that_is_down_and_a_proxy_that_is_killed(
    nats_server: NatsServer, authority: Authority, tls_env: dict[str, str], spool_env: dict[str, str], tmp_path: Path
) -> None:
    rsyslog = Rsyslog(tmp_path / "rsyslog", authority)
    target, path = Target(port=free_port()), tmp_path / "a.json"
    env = {
        **tls_env,
        **spool_env,
        "DIMSE_AUDIT_SYSLOG": rsyslog.tls_url,
        "DIMSE_AUDIT_FILE": str(path),
        "DIMSE_AUDIT_CONTENT": "true",
    }
    pair = Pair(nats_server.url, tmp_path / "pair", target_b=target, env_a=env)
    try:
        with Scp(target.port, offers(CT, FIND, pdus.VERIFICATION, pdus.STUDY_GET, pdus.STUDY_MOVE), HANDLERS):
            for number in range(20):
                with association(pair.a.port, offers(CT), calling="CT1") as assoc:
                    assert assoc.send_c_store(image(f"P{number}", f"1.2.{number}")).Status == 0
            pair.a.wait_for("audit messages cannot be sent to tls://localhost:[0-9]+, and are kept: Connection refused")
            wait_until(lambda: len(lines(path)) >= 42, seconds=20, what="the file")
        pair.a.process.kill()
        again = Proxy("proxy-a-again", tmp_path / "pair", pair.a.env)
        try:
            again.wait_for("NATS connected", seconds=40)
            rsyslog.start()
            wait_until(lambda: len(lines(path)) >= 45, seconds=20, what="the file")
            again.wait_for("audit messages are sent to .* again", seconds=60)
        finally:
            again.process.stop()
        expected = told_in(path)
        trail = Trail(rsyslog.wait_for(lambda found: len(found) >= len(expected), f"{len(expected)} messages"))
    finally:
        pair.kill()
        rsyslog.stop()
    assert [summary(root) for root in trail.roots] == expected
    kinds = [kind for kind, _, _ in expected]
    assert kinds[:2] == ["110120", "110124"]
    assert Counter(kinds) == {"110120": 2, "110121": 2, "110124": 2, "110125": 1, "110102": 20, "110104": 20}
    vanished, _stopped = trail.of("110121")
    assert outcome(vanished) == "12"
    assert len(again.find("did not stop in order")) == 1


def test_a_spool_that_is_full(
    make_pair: PairFactory, authority: Authority, tls_env: dict[str, str], spool_env: dict[str, str], tmp_path: Path
) -> None:
    rsyslog = Rsyslog(tmp_path / "rsyslog", authority)
    target, http = Target(port=free_port()), Http(port=free_port())
    env = {
        **tls_env,
        **spool_env,
        "DIMSE_AUDIT_SYSLOG": rsyslog.tls_url,
        "DIMSE_AUDIT_SPOOL_SIZE": str(1 << 20),
        "DIMSE_AUDIT_CONTENT": "true",
        "DIMSE_HTTP_PORT": str(http.port),
    }
    pair = make_pair(target_b=target, env_a=env)
    label = f'{{target="{rsyslog.tls_url}"}}'
    dropped = f'dimse_proxy_audit_dropped_total{{reason="no-room",target="{rsyslog.tls_url}"}}'
    with Scp(target.port, offers(CT, FIND, pdus.VERIFICATION, pdus.STUDY_GET, pdus.STUDY_MOVE), HANDLERS):
        scu = PlainScu(pair.a.port)
        for number in range(60):
            queried(scu, number, 20_000)
        scu.release()
    made = 62

    def settled() -> dict[str, float]:
        found = http.metrics()
        is_settled = found[dropped] and found[f"dimse_proxy_audit_waiting{label}"] + found[dropped] == made
        return found if is_settled else {}

    numbers = wait_until(settled, seconds=40, what="all messages to be spooled or dropped")
    assert sum(value for name, value in numbers.items() if name.startswith("dimse_proxy_audit_messages_total")) == made
    size = numbers[f"dimse_proxy_audit_waiting_bytes{label}"]
    assert size > 900_000
    assert size <= 1 << 20
    assert numbers[f"dimse_proxy_audit_reachable{label}"] == 0
    assert len(pair.a.find("are lost up to now: more wait than there is room for")) == 1
    rsyslog.start()
    wait_until(lambda: http.metrics()[f"dimse_proxy_audit_waiting{label}"] == 0, seconds=60, what="an empty spool")
    pair.stop()
    left = int(made - numbers[dropped])
    trail = Trail(rsyslog.wait_for(lambda found: len(found) >= left + 3, "all that is left"))
    rsyslog.stop()
    assert trail.kinds == ["110112"] * left + ["110133", "110125", "110121"]
    assert f"{numbers[dropped]:.0f} audit messages to {rsyslog.tls_url} are lost" in alerts(trail, "110133")[0]


def test_a_spool_that_cannot_be_written(
    make_pair: PairFactory, authority: Authority, tls_env: dict[str, str], spool_env: dict[str, str], tmp_path: Path
) -> None:
    rsyslog = Rsyslog(tmp_path / "rsyslog", authority)
    target = Target(port=free_port())
    env = {**tls_env, **spool_env, "DIMSE_AUDIT_SYSLOG": rsyslog.tls_url, "DIMSE_AUDIT_CONTENT": "true"}
    pair = make_pair(target_b=target, env_a=env)
    pair.allowed_troubles = "the spool of audit messages to .* cannot be used, so they wait in memory"
    pair.a.wait_for("audit messages cannot be sent")
    limits = resource.prlimit(pair.a.process.pid, resource.RLIMIT_FSIZE)
    with Scp(target.port, offers(CT, FIND, pdus.VERIFICATION, pdus.STUDY_GET, pdus.STUDY_MOVE), HANDLERS):
        scu = PlainScu(pair.a.port)
        stored(scu, 1, "ON DISK")
        # As if the disk were full: no file of the process may grow beyond what its log needs.
        resource.prlimit(pair.a.process.pid, resource.RLIMIT_FSIZE, (40_000, limits[1]))
        for number in range(2, 12):
            stored(scu, number, "IN MEMORY")
        pair.a.wait_for(pair.allowed_troubles)
        scu.release()
    rsyslog.start()
    trail = Trail(rsyslog.wait_for(lambda found: len(found) >= 2 + 11 + 2, "what was in memory"))
    rsyslog.stop()
    resource.prlimit(pair.a.process.pid, resource.RLIMIT_FSIZE, limits)
    assert trail.kinds == ["110120", "110124"] + ["110102"] * 11 + ["110104"] * 2
    assert len(pair.a.find(pair.allowed_troubles)) == 1
    pair.stop()


def lone_env(nats_url: str, path: Path, **more: str) -> dict[str, str]:
    """The environment of a proxy whose other side does not matter."""
    return {
        "DIMSE_NATS_URL": nats_url,
        "DIMSE_NATS_SUBJECT_ROOT": f"T{path.parent.name}",
        "DIMSE_HOST": LOOPBACK,
        "DIMSE_PORT": str(free_port()),
        "DIMSE_HTTP_PORT": "",
        "DIMSE_LOG_FORMAT": "json",
        "DIMSE_AUDIT_FILE": str(path),
        **more,
    }


def test_a_spool_that_another_process_has(nats_server: NatsServer, tmp_path: Path) -> None:
    mark = RunMark(tmp_path / "spool")
    more = {"DIMSE_AUDIT_SPOOL": str(tmp_path / "spool"), "DIMSE_AUDIT_SYSLOG": f"udp://{LOOPBACK}:{free_port()}"}
    proxy = Proxy("proxy", tmp_path, lone_env(nats_server.url, tmp_path / "a.json", **more))
    assert proxy.process.wait(seconds=40) == 2
    assert f"DIMSE_AUDIT_SPOOL={tmp_path / 'spool'}: another process uses it." in proxy.process.output()
    mark.clear()


def test_the_file_is_opened_again_after_sighup(nats_server: NatsServer, tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    proxy = Proxy("proxy", tmp_path, lone_env(nats_server.url, path))
    wait_until(lambda: path.exists() and len(lines(path)) == 2, seconds=40, what="the first messages")
    path.rename(tmp_path / "audit.json.1")
    proxy.process.signal(signal.SIGHUP)
    proxy.wait_for("the file of audit messages is opened again")
    assert proxy.process.stop(seconds=40) == 0
    assert [kind for kind, _, _ in told_in(tmp_path / "audit.json.1")] == ["110120", "110124"]
    assert [kind for kind, _, _ in told_in(path)] == ["110125", "110121"]


def test_whom_nats_refuses(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    with NatsServer(tmp_path / "nats", config={"authorization": {"token": "right"}}) as server:
        env = lone_env(server.url, path, DIMSE_NATS_AUTH_TOKEN="wrong")
        assert Proxy("proxy", tmp_path, env).process.wait(seconds=40) == 1
    start, alert, stop = told_in(path)
    assert (start[0], alert[0], stop[0]) == ("110120", "110126", "110121")
    assert lines(path)[1]["ParticipantObjectIdentification"][0]["ParticipantObjectID"] == server.url


def test_proxies_with_different_tunnel_keys(nats_server: NatsServer, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    envs = {
        channel: lone_env(
            nats_server.url,
            tmp_path / f"{channel.lower()}.json",
            DIMSE_NATS_SUBJECT_CHANNEL=channel,
            DIMSE_TUNNEL_KEY=os.urandom(32).hex(),
            DIMSE_INSTANCE=channel.lower(),
        )
        for channel in ("A", "B")
    }
    proxies = [Proxy(f"proxy-{channel}", tmp_path, env) for channel, env in envs.items()]
    try:
        wait_until(lambda: path.exists() and len(lines(path)) >= 3, seconds=40, what="an alert")
    finally:
        for proxy in proxies:
            proxy.process.stop()
    alert = lines(path)[2]
    assert alert["EventIdentification"]["EventTypeCode"][0]["csd-code"] == "110126"
    assert alert["ParticipantObjectIdentification"][0]["ParticipantObjectID"] == "b@B"

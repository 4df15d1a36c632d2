"""Markers in everything that is secret or of a patient, and a search through all that the processes write at DEBUG."""

import base64
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import free_port, wait_until
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import connect

FIND = str(StudyRootQueryRetrieveInformationModelFind)

# Each is unlike anything that a log would hold by itself.
NATS_TOKEN = "Zq1NatsToken"
TUNNEL_SECRET = base64.urlsafe_b64encode(b"Zq2TunnelKey" + bytes(range(100, 120))).decode()
USER, PASSWORD, TICKET = "Zq3UserName", "Zq4PassWord", "Zq5Ticket"
PATIENT, PATIENT_ID, INSTANCE, COMMENT = "Zq6Patient^Jane", "Zq7PatId", "1.2.826.0.1.99887766", "Zq8Comment"
QUERIED, PIXELS, HTTP, BROKEN = "Zq9Queried", "Zq10Pixels", "Zq11Http", "Zq12Broken"
STORE_PASSWORD = "Zq13KeyStore"
MARKERS = [
    NATS_TOKEN, TUNNEL_SECRET, TUNNEL_SECRET[:12], USER, PASSWORD, TICKET, "Zq6Patient", PATIENT_ID, INSTANCE, COMMENT,
    QUERIED, PIXELS, HTTP, BROKEN, STORE_PASSWORD,
]  # fmt: skip


def found_in(text: str) -> list[str]:
    """Markers that a text holds: as they are, in hexadecimal or in base64."""
    lowered = text.lower()
    forms = {
        marker: (marker, marker.encode().hex(), base64.b64encode(marker.encode())[:-4].decode()) for marker in MARKERS
    }
    return [marker for marker, ways in forms.items() if any(way.lower() in lowered for way in ways)]


def data_set() -> bytes:
    def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        return (
            group.to_bytes(2, "little") + number.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value
        )

    return b"".join(
        [
            element(0x0008, 0x0018, b"UI", INSTANCE.encode()),
            element(0x0010, 0x0010, b"PN", PATIENT.encode()),
            element(0x0010, 0x0020, b"LO", PATIENT_ID.encode()),
            element(0x0010, 0x4000, b"LT", PIXELS.encode() * 20),
            element(0x0020, 0x000D, b"UI", INSTANCE.encode()),
        ]
    )


def fail_store(_event: Event) -> Dataset:
    status = Dataset()
    status.Status = 0xC001
    status.ErrorComment = COMMENT
    return status


def answer_find(_event: Event) -> Any:
    identifier = Dataset()
    identifier.PatientName = PATIENT
    identifier.PatientID = PATIENT_ID
    identifier.StudyInstanceUID = INSTANCE
    yield 0xFF00, identifier
    failed = Dataset()
    failed.Status = 0xC002
    failed.ErrorComment = COMMENT
    yield failed, None


def associate(port: int, *items: bytes, called: bytes = b"TARGET") -> Any:
    contexts = pdus.proposed(1, str(CTImageStorage), pdus.EXPLICIT) + pdus.proposed(3, FIND, pdus.EXPLICIT)
    connection = connect(port)
    connection.send(pdus.rq(contexts, pdus.USER + b"".join(items), called=called.ljust(16), calling=b"ASKER".ljust(16)))
    return connection


def talk(port: int, refused_port: int) -> None:
    """Everything an association can carry of a patient or a user, well-formed and not."""
    identities = [
        pdus.identity(1, USER.encode()),
        pdus.identity(2, USER.encode(), PASSWORD.encode()),
        pdus.identity(3, TICKET.encode()),
        pdus.identity(5, b"eyJhbGciOiJub25lIn0." + TICKET.encode()),
    ]
    for identity in identities:
        with associate(port, identity) as connection:
            connection.expect(pdus.AC, patience=20)
            connection.send(pdus.command_pdu(pdus.store_rq(1, INSTANCE), 1), pdus.data_pdus(data_set(), 1))
            connection.expect(pdus.P_DATA, patience=20)
            query = b"\x10\0\x10\0PN" + len(QUERIED).to_bytes(2, "little") + QUERIED.encode()
            connection.send(pdus.command_pdu(pdus.find_rq(2), 3), pdus.data_pdus(query, 3))
            connection.expect(pdus.P_DATA, patience=20)
            connection.send(pdus.release_rq())
    with associate(refused_port, identities[1]) as connection:
        connection.expect(pdus.RJ, patience=20)
    broken = identities[1][:-9] + BROKEN.encode()
    for garbage in (
        f"GET /?patient={HTTP} HTTP/1.1\r\nAuthorization: Basic {PASSWORD}\r\n\r\n".encode(),
        BROKEN.encode() * 40,
        pdus.rq(pdus.proposed(1, BROKEN, pdus.EXPLICIT), broken, called=b"TARGET".ljust(16), calling=b"A".ljust(16)),
    ):
        with connect(port) as connection:
            connection.send(garbage)
            connection.wait_for_end() if hasattr(connection, "wait_for_end") else connection.socket.recv(1000)
    for rest in (
        pdus.command_pdu(BROKEN.encode() * 10, 1),
        pdus.data_pdus(data_set(), 99),
        pdus.command_pdu(pdus.store_rq(1, INSTANCE), 1) + pdus.data_pdus(data_set(), 1)[:-20],
    ):
        with associate(port) as connection:
            connection.expect(pdus.AC, patience=20)
            connection.send(rest)


def outputs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(errors="replace") for path in folder.glob("proxy-*")}


def clean(env: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")} | dict(env)


def command(*arguments: str, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dimse_proxy", *arguments],
        env=clean(env), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def audit(folder: Path, name: str) -> dict[str, str]:
    """An audit trail with contents: to a file, to a receiver that is not there, and to a disk that is full."""
    return {
        "DIMSE_AUDIT_CONTENT": "true",
        "DIMSE_AUDIT_FILE": str(folder / f"audit-{name}.json") if name == "a" else "/dev/full",
        "DIMSE_AUDIT_SYSLOG": f"tls://127.0.0.1:{free_port()}",
        "DIMSE_AUDIT_SPOOL": str(folder / f"spool-{name}"),
    }


@pytest.mark.parametrize("tunnel_key", [None, TUNNEL_SECRET], ids=["without tunnel key", "with tunnel key"])
def test_logs_hold_no_secret_and_nothing_of_a_patient(tmp_path: Path, tunnel_key: str | None) -> None:
    secrets = {"DIMSE_NATS_AUTH_TOKEN": NATS_TOKEN, "DIMSE_LOG_LEVEL": "DEBUG", "DIMSE_NATS_TRACECONNECTION": "true"}
    secrets |= {} if tunnel_key is None else {"DIMSE_TUNNEL_KEY": tunnel_key}
    target, http_port = Target(port=free_port()), free_port()
    seen_over_http = ""
    with NatsServer(tmp_path / "nats", config={"authorization": {"token": NATS_TOKEN}}) as server:
        pair = Pair(
            server.url,
            tmp_path,
            target_a=target,
            target_b=target,
            env_a={**secrets, **audit(tmp_path, "a"), "DIMSE_HTTP_PORT": str(http_port)},
            env_b={
                **secrets,
                **audit(tmp_path, "b"),
                "DIMSE_ALLOWED_CALLING_AES": "NOBODY",
                "DIMSE_ALLOWED_OPERATIONS_IN": "*,!C-GET",
            },
        )
        with pair:
            handlers = [(evt.EVT_C_STORE, fail_store), (evt.EVT_C_FIND, answer_find)]
            with Scp(target.port, offers(str(CTImageStorage), FIND), handlers):
                talk(pair.a.port, pair.b.port)
            for path in ("metrics", "api/v1/status", "api/v1/associations", "api/v1/settings", ""):
                with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/{path}", timeout=20) as answer:
                    seen_over_http += answer.read().decode()
            server.process.kill()
            pair.a.wait_for("NATS disconnected")
            pair.allowed_troubles = "."
    texts = outputs(tmp_path)
    assert len(texts) == 4
    everything = "\n".join(texts.values())
    for seen in ("association ended", "C-STORE-RSP", "user identity", "not a DICOM peer"):
        assert seen.lower() in everything.lower(), f"nothing to search: no {seen!r}"
    assert {name: found_in(text) for name, text in texts.items()} == {name: [] for name in texts}
    assert "dimse_proxy_audit_messages_total" in seen_over_http
    assert found_in(seen_over_http) == []
    # The audit trail is the place for it, and nothing but what PS3.15 asks for is in it.
    for kept in (tmp_path / "audit-a.json", *(tmp_path / "spool-a").glob("*.spool*")):
        whole = found_in(kept.read_bytes().decode(errors="replace"))
        assert not set(whole) - {"Zq6Patient", PATIENT_ID, INSTANCE, QUERIED}, kept
    trail = (tmp_path / "audit-a.json").read_text()
    queries = re.findall(r'"ParticipantObjectQuery":"([^"]+)"', trail)
    assert set(found_in(trail)) >= {"Zq6Patient", PATIENT_ID, INSTANCE}
    assert QUERIED.encode() in b"".join(map(base64.b64decode, queries))
    assert "audit messages cannot be sent to /dev/full" in texts["proxy-b.err"]


def test_a_refused_credential_is_not_repeated(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats", config={"authorization": {"token": "another"}}) as server:
        env = {
            "DIMSE_NATS_URL": server.url,
            "DIMSE_NATS_AUTH_TOKEN": NATS_TOKEN,
            "DIMSE_LOG_LEVEL": "DEBUG",
            "DIMSE_NATS_TRACECONNECTION": "true",
            "DIMSE_HOST": "127.0.0.1",
            "DIMSE_PORT": str(free_port()),
            "DIMSE_HTTP_PORT": "",
        }
        proxy = ChildProcess("proxy", [sys.executable, "-m", "dimse_proxy", "run"], tmp_path, env=clean(env))
        try:
            wait_until(lambda: "authorization" in proxy.output().lower(), seconds=30, what="the refusal in the log")
        finally:
            proxy.stop()
        text = proxy.output() + server.log()
    assert "authorization" in text.lower()
    assert found_in(text) == []


def test_config_and_problems_mask_every_secret(tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text(TUNNEL_SECRET)
    right = {
        "DIMSE_NATS_URL": "nats.example.org",
        "DIMSE_NATS_AUTH_TOKEN": NATS_TOKEN,
        "DIMSE_TUNNEL_KEY_FILE": str(secret_file),
        "DIMSE_TLS_KEYSTORE_PASSWORD": STORE_PASSWORD,
    }
    shown = command("config", env=right)
    assert "DIMSE_NATS_AUTH_TOKEN" in shown
    assert found_in(shown) == []
    wrong = right | {
        "DIMSE_NATS_URL": f"nats://{USER}:{PASSWORD}@nats.example.org",
        "DIMSE_NATS_PASSWORD": PASSWORD,
        "DIMSE_TLS_TRUSTSTORE_PASSWORD": STORE_PASSWORD,
        "DIMSE_TLS_ENABLED": "true",
        "DIMSE_TUNNEL_KEY": TUNNEL_SECRET,
    }
    for arguments in (("config",), ("run",)):
        text = command(*arguments, env=wrong)
        assert "DIMSE_NATS_URL" in text
        assert found_in(text) == []
    jwt = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (
        b'{"alg":"none"}', json.dumps({"sub": f"a:{USER}", "secret": TICKET}).encode(), b"signature"))  # fmt: skip
    assert jwt not in command("config", env=right | {"DIMSE_NATS_AUTH_TOKEN": jwt})

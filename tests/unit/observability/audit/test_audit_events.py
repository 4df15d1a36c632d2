"""The message of each event: by the schema, by its table, and with what is known in it."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from lxml import etree

from dimse_proxy.observability.audit import codes
from dimse_proxy.observability.audit.codes import Outcome
from dimse_proxy.observability.audit.events import Alert, End, Events, Exchange, Node, Patient
from dimse_proxy.observability.audit.messages import AuditMessage, AuditSource
from dimse_proxy.observability.audit.rendering import timestamp, to_json, to_xml
from dimse_proxy.observability.audit.syslog import SyslogHeader, to_frame, to_syslog
from tests.unit.observability.audit.profile import SCHEMA, Element, checked, code

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_900, UTC)
EVENTS = Events(
    Node(instance="a1", host="proxy-a", titles=("INGESTION", "ARCHIVE")),
    AuditSource(source_id="proxy-a", site_id="Hospital"),
    lambda: NOON,
)
SCU, SCP = End(titles=("CT1",), host="10.0.0.7"), End(titles=("PACS", "INGESTION"), host="pacs.example.org")
STORE = Exchange(source=SCU, destination=SCP, is_source_requestor=True)
PATIENT = Patient("4711", "Doe^Jane")
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"


def alert(**values: object) -> AuditMessage:
    known: dict[str, object] = {
        "kind": codes.NODE_AUTHENTICATION,
        "outcome": Outcome.MINOR_FAILURE,
        "subject": "10.0.0.9",
        "subject_type": codes.NODE_ID,
        "description": "somebody knocked",
    }
    return EVENTS.alert(Alert(**(known | values)))  # type: ignore[arg-type]


MESSAGES = {
    "start": EVENTS.started(),
    "stop": EVENTS.stopped(),
    "stop by a fault": EVENTS.stopped("a fault"),
    "vanished": EVENTS.vanished("a0", NOON - timedelta(hours=1)),
    "attach": EVENTS.attached(),
    "detach": EVENTS.detached(),
    "lost": EVENTS.detached("NATS is gone"),
    "alert": alert(performer=End(titles=("EVIL",), host="10.0.0.9")),
    "alert on a server": alert(subject="tls://nats:4222", subject_type=codes.URI, kind=codes.RESTRICTED_FUNCTION),
    "begin": EVENTS.transfer_begins(STORE, PATIENT, "1.2.3", CT),
    "transferred": EVENTS.transferred(
        STORE, PATIENT, {"1.2.3": {CT: 4, "1.2.9": 1}, "1.2.4": {CT: 2}}, failure=None, when=NOON
    ),
    "not transferred": EVENTS.transferred(STORE, None, {None: {CT: 4}}, failure="status A700H", when=NOON),
    "query": EVENTS.query(STORE, "1.2.840.10008.5.1.4.1.2.2.1", b"\x10\0\x10\0", IMPLICIT, length=4),
}


def attributes(root: Element, path: str, index: int = 0) -> dict[str, str]:
    return {str(name): str(value) for name, value in root.findall(path)[index].attrib.items()}


@pytest.mark.parametrize("name", MESSAGES)
def test_each_is_what_the_standard_says(name: str) -> None:
    xml = to_xml(MESSAGES[name])
    assert xml.startswith(b'<?xml version="1.0" encoding="UTF-8"?><AuditMessage>')
    assert b"\n" not in xml
    root = checked(xml)
    assert attributes(root, "AuditSourceIdentification") == {
        "AuditSourceID": "proxy-a",
        "AuditEnterpriseSiteID": "Hospital",
    }


@pytest.mark.parametrize("name", MESSAGES)
def test_the_json_line_says_the_same(name: str) -> None:
    line = to_json(MESSAGES[name])
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    told, root = json.loads(line), checked(to_xml(MESSAGES[name]))
    event = root.find("EventIdentification")
    assert event is not None
    assert told["EventIdentification"]["EventID"]["csd-code"] == code(event, "EventID")
    assert [each["UserID"] for each in told["ActiveParticipant"]] == [
        each.get("UserID") for each in root.findall("ActiveParticipant")
    ]
    assert len(told.get("ParticipantObjectIdentification", [])) == len(root.findall("ParticipantObjectIdentification"))


def test_application_activity() -> None:
    root = checked(to_xml(MESSAGES["start"]))
    assert attributes(root, "EventIdentification") == {
        "EventActionCode": "E",
        "EventDateTime": "2026-03-01T12:00:00.250Z",
        "EventOutcomeIndicator": "0",
    }
    assert attributes(root, "ActiveParticipant") == {
        "UserID": "a1",
        "AlternativeUserID": "AETITLES=INGESTION;ARCHIVE",
        "UserName": "DIMSE Proxy",
        "UserIsRequestor": "false",
        "NetworkAccessPointID": "proxy-a",
        "NetworkAccessPointTypeCode": "1",
    }
    root = checked(to_xml(MESSAGES["vanished"]))
    assert attributes(root, "EventIdentification")["EventOutcomeIndicator"] == "12"
    assert attributes(root, "EventIdentification")["EventDateTime"] == "2026-03-01T11:00:00.250Z"
    assert attributes(root, "ActiveParticipant")["UserID"] == "a0"
    assert "did not stop in order" in (root.findtext("EventIdentification/EventOutcomeDescription") or "")


def test_an_alert_says_whom_it_is_about_and_why() -> None:
    root = checked(to_xml(MESSAGES["alert"]))
    assert attributes(root, "ActiveParticipant", 1) == {
        "UserID": "EVIL",
        "AlternativeUserID": "AETITLES=EVIL",
        "UserIsRequestor": "false",
        "NetworkAccessPointID": "10.0.0.9",
        "NetworkAccessPointTypeCode": "2",
    }
    assert attributes(root, "ParticipantObjectIdentification")["ParticipantObjectID"] == "10.0.0.9"
    detail = attributes(root, "ParticipantObjectIdentification/ParticipantObjectDetail")
    assert base64.b64decode(detail["value"]) == b"somebody knocked"


def test_instances_transferred() -> None:
    root = checked(to_xml(MESSAGES["transferred"]))
    source, destination, own = root.findall("ActiveParticipant")
    assert (source.get("UserID"), source.get("UserIsRequestor")) == ("CT1", "true")
    assert destination.get("AlternativeUserID") == "AETITLES=PACS;INGESTION"
    assert own.get("UserID") == "a1"
    first, second, patient = root.findall("ParticipantObjectIdentification")
    assert first.get("ParticipantObjectID") == "1.2.3"
    assert [dict(each.attrib) for each in first.iter("SOPClass")] == [
        {"UID": CT, "NumberOfInstances": "4"},
        {"UID": "1.2.9", "NumberOfInstances": "1"},
    ]
    assert second.get("ParticipantObjectID") == "1.2.4"
    assert (patient.get("ParticipantObjectID"), patient.findtext("ParticipantObjectName")) == ("4711", "Doe^Jane")
    failed = checked(to_xml(MESSAGES["not transferred"]))
    assert attributes(failed, "EventIdentification")["EventOutcomeIndicator"] == "4"
    assert failed.findtext("EventIdentification/EventOutcomeDescription") == "status A700H"
    assert {each.get("ParticipantObjectID") for each in failed.iter("ParticipantObjectIdentification")} == {"<unknown>"}


def test_a_query_has_its_identifier_and_transfer_syntax() -> None:
    root = checked(to_xml(MESSAGES["query"]))
    text = root.findtext("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert base64.b64decode(text or "") == b"\x10\0\x10\0"
    detail = attributes(root, "ParticipantObjectIdentification/ParticipantObjectDetail")
    assert base64.b64decode(detail["value"]).decode() == IMPLICIT
    cut = checked(to_xml(EVENTS.query(STORE, "1.2", b"abc", IMPLICIT, length=9)))
    details = cut.findall("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert base64.b64decode(details[1].get("value") or "") == b"3 of 9 bytes"


@pytest.mark.parametrize(
    ("exchange", "asking"),
    [
        (STORE, "CT1"),
        (Exchange(source=SCP, destination=SCU, is_source_requestor=False), "CT1"),
        (
            Exchange(
                source=SCU,
                destination=SCP,
                is_source_requestor=True,
                third=End(titles=("ASKER",)),
                is_third_requestor=True,
            ),
            "ASKER",
        ),
        (Exchange(source=SCU, destination=SCP, is_source_requestor=True, third=End(titles=("DEST",))), "CT1"),
    ],
    ids=["C-STORE", "C-GET", "C-MOVE", "with a destination"],
)
def test_who_asked(exchange: Exchange, asking: str) -> None:
    root = checked(to_xml(EVENTS.transfer_begins(exchange, PATIENT, "1.2.3", CT)))
    asked = [each.get("UserID") for each in root.iter("ActiveParticipant") if each.get("UserIsRequestor") == "true"]
    assert asked == [asking]


def test_values_that_are_missing() -> None:
    nobody = Exchange(source=End(titles=("",)), destination=End(titles=(), host="10.0.0.1"), is_source_requestor=True)
    root = checked(to_xml(EVENTS.transfer_begins(nobody, Patient("", ""), "1.2.3", CT)))
    assert [each.get("UserID") for each in root.iter("ActiveParticipant")][:2] == ["<unknown>", "10.0.0.1"]
    patient = root.findall("ParticipantObjectIdentification")[-1]
    assert (patient.get("ParticipantObjectID"), patient.findtext("ParticipantObjectName")) == ("<none>", "<none>")
    assert "Doe" not in repr(PATIENT)
    assert "4711" not in repr(MESSAGES["transferred"])


def test_whatever_a_peer_calls_itself_the_message_is_well_formed() -> None:
    text = "\x00\x1b<&>\"'\ud800\uffff\n]]>\U0001f480é" + "x" * 70
    exchange = Exchange(source=End(titles=(text,), host=text), destination=SCP, is_source_requestor=True)
    message = EVENTS.transfer_begins(exchange, Patient(text, text), text, text)
    root = checked(to_xml(message))
    assert "\U0001f480é" in (root.findtext("ParticipantObjectIdentification/ParticipantObjectName") or "")
    json.loads(to_json(message))
    checked(to_xml(alert(description=text, subject=text)))


def test_times_are_in_utc() -> None:
    assert timestamp(NOON.astimezone(timezone(timedelta(hours=2)))) == "2026-03-01T12:00:00.250Z"


def test_the_schema_can_fail() -> None:
    xml = to_xml(MESSAGES["transferred"])
    for good, bad in (
        (b'EventOutcomeIndicator="0"', b'EventOutcomeIndicator="1"'),
        (b"<ParticipantObjectName>Doe^Jane</ParticipantObjectName>", b""),
        (b'UserIsRequestor="true"', b""),
        (b'originalText="Source Role ID"', b""),
        (b"2026-03-01T", b"2026-03-01 "),
    ):
        assert good in xml
        assert not SCHEMA.validate(etree.fromstring(xml.replace(good, bad)))


def test_the_syslog_header() -> None:
    header = SyslogHeader(host="proxy a\u00e9", process="17")
    message = to_syslog(MESSAGES["start"], header)
    assert message.startswith(
        b"<85>1 2026-03-01T12:00:00.250Z proxy_a_ dimse-proxy 17 DICOM+RFC3881 - \xef\xbb\xbf<?xml "
    )
    assert to_syslog(MESSAGES["alert"], header).startswith(b"<84>1 ")
    assert to_syslog(MESSAGES["start"], SyslogHeader(host="", process="1")).split(b" ")[2] == b"-"
    assert to_frame(b"abc") == b"3 abc"

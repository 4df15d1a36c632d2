"""An audit message as XML by the schema of PS3.15 A.5.1, and as one line of JSON with the same names.

Pure. Text comes from peers: what XML 1.0 cannot hold becomes the replacement character, and the message is well-formed.
"""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final
from xml.etree import ElementTree as ET

from dimse_proxy.observability.audit.codes import Code
from dimse_proxy.observability.audit.messages import AuditMessage, AuditSource, Participant, ParticipantObject

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_NOT_XML: Final = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPACES: Final = str.maketrans("\t\n\r", "   ")
_APPLICATION_SERVER: Final = "4"
"""AuditSourceTypeCode: application server process (A.5.1.2.1)."""
_MACHINE_NAME, _IP_ADDRESS = "1", "2"
_REPEATED: Final = frozenset(
    {
        *("ActiveParticipant", "EventTypeCode", "ParticipantObjectDetail", "ParticipantObjectIdentification"),
        *("ParticipantObjectDescription", "RoleIDCode", "SOPClass", "AuditSourceTypeCode"),
    }
)
"""Elements that may stand more than once: lists in JSON, whatever their number."""


def to_xml(message: AuditMessage) -> bytes:
    """Return the message as an XML document without line ends, in UTF-8."""
    return (_DECLARATION + ET.tostring(_tree(message), encoding="unicode")).encode()


def to_json(message: AuditMessage) -> bytes:
    """Return the message as a JSON object on one line, in UTF-8, with its line end."""
    return json.dumps(_json(_tree(message)), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def timestamp(when: datetime) -> str:
    """Return a time in UTC with milliseconds, as xsd:dateTime and RFC 5424 write it."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tree(message: AuditMessage) -> ET.Element:
    root = ET.Element("AuditMessage")
    event = ET.SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=timestamp(message.when),
        EventOutcomeIndicator=message.outcome,
    )
    _code(event, "EventID", message.event)
    if message.event_type is not None:
        _code(event, "EventTypeCode", message.event_type)
    if message.description is not None:
        ET.SubElement(event, "EventOutcomeDescription").text = _clean(message.description)
    for participant in message.participants:
        _participant(root, participant)
    _source(root, message.source)
    for each in message.objects:
        _object(root, each)
    return root


def _participant(root: ET.Element, participant: Participant) -> None:
    attributes = {"UserID": _clean(participant.user_id)}
    if participant.titles:
        attributes["AlternativeUserID"] = _clean(f"AETITLES={';'.join(participant.titles)}")
    if participant.user_name is not None:
        attributes["UserName"] = _clean(participant.user_name)
    attributes["UserIsRequestor"] = str(participant.is_requestor).lower()
    if participant.host:
        attributes["NetworkAccessPointID"] = _clean(participant.host)
        attributes["NetworkAccessPointTypeCode"] = _IP_ADDRESS if _is_address(participant.host) else _MACHINE_NAME
    element = ET.SubElement(root, "ActiveParticipant", attributes)
    if participant.role is not None:
        _code(element, "RoleIDCode", participant.role)


def _source(root: ET.Element, source: AuditSource) -> None:
    attributes = {"AuditSourceID": _clean(source.source_id)}
    if source.site_id is not None:
        attributes["AuditEnterpriseSiteID"] = _clean(source.site_id)
    element = ET.SubElement(root, "AuditSourceIdentification", attributes)
    ET.SubElement(element, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})


def _object(root: ET.Element, each: ParticipantObject) -> None:
    element = ET.SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_clean(each.object_id),
        ParticipantObjectTypeCode=str(each.type_code),
        ParticipantObjectTypeCodeRole=str(each.role),
    )
    _code(element, "ParticipantObjectIDTypeCode", each.id_type)
    if each.query is None:
        ET.SubElement(element, "ParticipantObjectName").text = _clean(each.name)
    else:
        ET.SubElement(element, "ParticipantObjectQuery").text = _base64(each.query)
    for kind, value in each.details:
        ET.SubElement(element, "ParticipantObjectDetail", type=kind, value=_base64(value))
    if each.sop_classes:
        description = ET.SubElement(element, "ParticipantObjectDescription")
        for uid, number in each.sop_classes.items():
            ET.SubElement(description, "SOPClass", UID=_clean(uid), NumberOfInstances=str(number))


def _code(parent: ET.Element, name: str, code: Code) -> None:
    attributes = {
        "csd-code": code.value,
        "codeSystemName": code.system,
        "displayName": code.meaning,
        "originalText": code.meaning,
    }
    ET.SubElement(parent, name, attributes)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text.translate(_SPACES))


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _json(element: ET.Element) -> Any:
    """Attributes and elements by their names; an element that is text only is that text."""
    if not element.attrib and not len(element):
        return element.text or ""
    return dict(element.attrib) | dict(_children(element))


def _children(element: ET.Element) -> Iterator[tuple[str, Any]]:
    for name in dict.fromkeys(child.tag for child in element):
        found = [_json(child) for child in element if child.tag == name]
        yield name, found if name in _REPEATED else found[0]

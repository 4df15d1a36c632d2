"""What PS3.15 asks of an audit message, beside the code under test: the schema of A.5.1, and the tables of A.5.3.

Used wherever a test sees a message. `checked` returns it, or fails with what is wrong.
"""

from collections import Counter
from pathlib import Path

from lxml import etree

SCHEMA = etree.RelaxNG(etree.parse(str(Path(__file__).with_name("audit_message.rng"))))

NAMES = {
    "110100": "Application Activity",
    "110102": "Begin Transferring DICOM Instances",
    "110104": "DICOM Instances Transferred",
    "110108": "Network Entry",
    "110112": "Query",
    "110113": "Security Alert",
}
TYPES: dict[str, set[str | None]] = {
    "110100": {"110120", "110121"},
    "110102": {None},
    "110104": {None},
    "110108": {"110124", "110125"},
    "110112": {None},
    "110113": {"110126", "110132", "110133"},
}
Element = etree._Element


def code(element: Element, name: str) -> str | None:
    found = element.find(name)
    return None if found is None else found.get("csd-code")


def checked(xml: bytes) -> Element:
    """The message, when it is what its event's table says."""
    root = etree.fromstring(xml)
    SCHEMA.assertValid(root)
    event = root.find("EventIdentification")
    assert event is not None
    kind = code(event, "EventID")
    assert kind is not None
    meaning = event.find("EventID")
    assert meaning is not None
    assert (meaning.get("codeSystemName"), meaning.get("originalText")) == ("DCM", NAMES[kind])
    assert event.get("EventActionCode") == ("R" if kind == "110104" else "E")
    assert code(event, "EventTypeCode") in TYPES[kind]
    participants = root.findall("ActiveParticipant")
    assert len([each for each in participants if each.get("UserIsRequestor") == "true"]) <= 1
    assert len(root.findall("AuditSourceIdentification")) == 1
    for participant in participants:
        titles = participant.get("AlternativeUserID")
        assert titles is None or titles.startswith("AETITLES=")
        assert (participant.get("NetworkAccessPointID") is None) is (
            participant.get("NetworkAccessPointTypeCode") is None
        )
    _CHECKS[kind](root)
    return root


def objects(root: Element) -> list[tuple[str | None, str | None, str | None]]:
    """Type, role and kind of identifier of each."""
    return [
        (
            each.get("ParticipantObjectTypeCode"),
            each.get("ParticipantObjectTypeCodeRole"),
            code(each, "ParticipantObjectIDTypeCode"),
        )
        for each in root.findall("ParticipantObjectIdentification")
    ]


def roles(root: Element) -> Counter[str | None]:
    return Counter(code(each, "RoleIDCode") for each in root.findall("ActiveParticipant"))


def _activity(root: Element) -> None:
    assert roles(root) == {"110150": 1}
    assert objects(root) == []


def _network_entry(root: Element) -> None:
    [node] = root.findall("ActiveParticipant")
    assert node.get("UserIsRequestor") == "false"
    assert objects(root) == []


def _transfer(root: Element) -> None:
    found = roles(root)
    assert (found["110153"], found["110152"]) == (1, 1)
    *studies, patient = objects(root)
    assert studies
    assert set(studies) == {("2", "3", "110180")}
    assert patient == ("1", "1", "2")
    for study in root.findall("ParticipantObjectIdentification")[:-1]:
        assert study.findall("ParticipantObjectDescription/SOPClass")


def _query(root: Element) -> None:
    found = roles(root)
    assert (found["110153"], found["110152"]) == (1, 1)
    assert objects(root) == [("2", "3", "110181")]
    assert root.find("ParticipantObjectIdentification/ParticipantObjectQuery") is not None
    details = root.findall("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert details[0].get("type") == "TransferSyntax"


def _alert(root: Element) -> None:
    for participant in root.findall("ActiveParticipant"):
        assert participant.get("UserIsRequestor") == "false"
    [(kind, role, identifier)] = objects(root)
    assert (kind, role) == ("2", "13")
    assert identifier in {"12", "110182"}
    [detail] = root.findall("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail.get("type") == "Alert Description"


_CHECKS = {
    "110100": _activity,
    "110102": _transfer,
    "110104": _transfer,
    "110108": _network_entry,
    "110112": _query,
    "110113": _alert,
}

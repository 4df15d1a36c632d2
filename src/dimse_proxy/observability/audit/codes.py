"""The codes of audit messages (PS3.16 CIDs 400 to 405, PS3.15 A.5.1.2), as far as they are used here."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_DCM: Final = "DCM"
_RFC_3881: Final = "RFC-3881"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value."""

    value: str
    system: str
    meaning: str

    @property
    def word(self) -> str:
        """The meaning as a label of a metric."""
        return self.meaning.lower().replace(" ", "-")


class Outcome(StrEnum):
    """EventOutcomeIndicator; of a Security Alert it says how grave it is (A.5.3.11)."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"
    MAJOR_FAILURE = "12"


class Action(StrEnum):
    """EventActionCode."""

    READ = "R"
    EXECUTE = "E"


# Events (CID 400).
APPLICATION_ACTIVITY: Final = Code("110100", _DCM, "Application Activity")
BEGIN_TRANSFERRING: Final = Code("110102", _DCM, "Begin Transferring DICOM Instances")
INSTANCES_TRANSFERRED: Final = Code("110104", _DCM, "DICOM Instances Transferred")
NETWORK_ENTRY: Final = Code("110108", _DCM, "Network Entry")
QUERY: Final = Code("110112", _DCM, "Query")
SECURITY_ALERT: Final = Code("110113", _DCM, "Security Alert")
EVENTS: Final = (
    APPLICATION_ACTIVITY,
    BEGIN_TRANSFERRING,
    INSTANCES_TRANSFERRED,
    NETWORK_ENTRY,
    QUERY,
    SECURITY_ALERT,
)

# Types of events (CID 401).
APPLICATION_START: Final = Code("110120", _DCM, "Application Start")
APPLICATION_STOP: Final = Code("110121", _DCM, "Application Stop")
ATTACH: Final = Code("110124", _DCM, "Attach")
DETACH: Final = Code("110125", _DCM, "Detach")
NODE_AUTHENTICATION: Final = Code("110126", _DCM, "Node Authentication")
RESTRICTED_FUNCTION: Final = Code("110132", _DCM, "Use of Restricted Function")
AUDIT_RECORDING_STOPPED: Final = Code("110133", _DCM, "Audit Recording Stopped")

# Roles of participants (CID 402).
APPLICATION: Final = Code("110150", _DCM, "Application")
DESTINATION: Final = Code("110152", _DCM, "Destination Role ID")
SOURCE: Final = Code("110153", _DCM, "Source Role ID")

# What an object's identifier is (CID 404, A.5.1.2.4).
STUDY_INSTANCE_UID: Final = Code("110180", _DCM, "Study Instance UID")
SOP_CLASS_UID: Final = Code("110181", _DCM, "SOP Class UID")
NODE_ID: Final = Code("110182", _DCM, "Node ID")
PATIENT_NUMBER: Final = Code("2", _RFC_3881, "Patient Number")
URI: Final = Code("12", _RFC_3881, "URI")

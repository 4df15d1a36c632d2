"""What a DIMSE status means (PS3.7 Annex C): its class, which is what counts, and a name for people.

Service classes (PS3.4) give codes of their own to the ranges Axxx, Bxxx and Cxxx; those are told apart by class only.
"""

from enum import Enum, unique
from typing import Final


@unique
class StatusClass(Enum):
    """The classes of PS3.7 C.1."""

    SUCCESS = "success"
    PENDING = "pending"
    CANCEL = "cancel"
    WARNING = "warning"
    FAILURE = "failure"


_CLASSES: Final = {
    0x0000: StatusClass.SUCCESS,
    0x0001: StatusClass.WARNING,
    0x0107: StatusClass.WARNING,
    0x0116: StatusClass.WARNING,
    0xFE00: StatusClass.CANCEL,
    0xFF00: StatusClass.PENDING,
    0xFF01: StatusClass.PENDING,
}

_NAMES: Final = {
    0x0000: "success",
    0x0001: "requested optional attributes are not supported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0113: "no such event type",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "refused: SOP class not supported",
    0x0123: "no such action type",
    0x0124: "refused: not authorized",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xA700: "refused: out of resources",
    0xA701: "refused: out of resources, unable to calculate number of matches",
    0xA702: "refused: out of resources, unable to perform sub-operations",
    0xA801: "refused: move destination unknown",
    0xFE00: "cancel",
    0xFF00: "pending",
    0xFF01: "pending, optional keys not supported",
}


def status_class(code: int) -> StatusClass:
    """Return the class of a status; a code that Annex C gives no class is a failure, as nothing vouches for it."""
    if (known := _CLASSES.get(code)) is not None:
        return known
    return StatusClass.WARNING if 0xB000 <= code <= 0xBFFF else StatusClass.FAILURE


def status_name(code: int) -> str:
    """Return the meaning of a status that has the same one in every service, else its class and the code."""
    return _NAMES.get(code) or f"{status_class(code).value} {code:04X}H"

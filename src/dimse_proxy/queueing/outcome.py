"""What becomes of an object after the target's answer, and of the target after its refusal: rules, and nothing else.

PS3.4 B.2.3 gives C-STORE its statuses, PS3.7 Annex C the rest.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dimse_proxy.dimse.status import StatusClass, status_class, status_name

DUPLICATE: Final = 0x0111
"""Duplicate SOP instance."""
OUT_OF_RESOURCES: Final = 0xA700
"""Refused: out of resources; what an SCU is told when the queue cannot take its object."""
_TRY_AGAIN: Final = frozenset({0x0110, 0x0124, 0x0213})
"""Processing failure, not authorized, resource limitation: what a human or time may mend."""


class Outcome(Enum):
    """What becomes of an object."""

    DELIVERED = auto()
    TRY_AGAIN = auto()
    DEAD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the status of a C-STORE-RSP makes of an object."""

    outcome: Outcome
    text: str
    """The status in words."""
    is_warning: bool = False


def judge_status(status: int | None, *, is_redelivery: bool) -> Verdict:
    """Say what becomes of an object.

    Args:
        status: of the C-STORE-RSP; None if it had none.
        is_redelivery: it may have been sent to the target before.
    """
    if status is None:
        return Verdict(outcome=Outcome.TRY_AGAIN, text="a C-STORE-RSP without a status")
    text = f"{status:04X}H, {status_name(status)}"
    if status == DUPLICATE and is_redelivery:
        return Verdict(outcome=Outcome.DELIVERED, text=f"{text}: it was there already")
    match status_class(status):
        case StatusClass.SUCCESS:
            return Verdict(outcome=Outcome.DELIVERED, text=text)
        case StatusClass.WARNING:
            return Verdict(outcome=Outcome.DELIVERED, text=text, is_warning=True)
        case _:
            again = status in _TRY_AGAIN or 0xA700 <= status <= 0xA7FF
            return Verdict(outcome=Outcome.TRY_AGAIN if again else Outcome.DEAD, text=text)


def is_lasting(result: int) -> bool:
    """Whether an A-ASSOCIATE-RJ's result is rejected-permanent (PS3.8 9.3.4): the route rests and raises the alarm."""
    return result == 1

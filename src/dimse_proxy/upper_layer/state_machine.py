"""The state machine of the DICOM Upper Layer (PS3.8 9.2) as data, in the order of the standard, for both roles.

`TRANSITIONS` is Table 9-10: a key that is missing is an empty cell, which is the protocol error of whoever caused the
event. `ACTIONS` is Tables 9-6 to 9-9: what each action does, and the state it leads to. `association` carries the
effects out. What does not belong here: bytes, time, and anything that a single association remembers.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Role(Enum):
    """What our end of an association is: association-requestor or association-acceptor."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class State(Enum):
    """PS3.8 Tables 9-1 to 9-5; the value is what the standard calls it."""

    STA1 = "Sta1"
    STA2 = "Sta2"
    STA3 = "Sta3"
    STA4 = "Sta4"
    STA5 = "Sta5"
    STA6 = "Sta6"
    STA7 = "Sta7"
    STA8 = "Sta8"
    STA9 = "Sta9"
    STA10 = "Sta10"
    STA11 = "Sta11"
    STA12 = "Sta12"
    STA13 = "Sta13"


STATE_MEANINGS: Final[dict[State, str]] = {
    State.STA1: "idle",
    State.STA2: "transport connection open, waiting for A-ASSOCIATE-RQ",
    State.STA3: "waiting for the user's A-ASSOCIATE response",
    State.STA4: "waiting for the transport connection to open",
    State.STA5: "waiting for A-ASSOCIATE-AC or -RJ",
    State.STA6: "ready for data transfer",
    State.STA7: "waiting for A-RELEASE-RP",
    State.STA8: "waiting for the user's A-RELEASE response",
    State.STA9: "release collision (requestor), waiting for the user's A-RELEASE response",
    State.STA10: "release collision (acceptor), waiting for A-RELEASE-RP",
    State.STA11: "release collision (requestor), waiting for A-RELEASE-RP",
    State.STA12: "release collision (acceptor), waiting for the user's A-RELEASE response",
    State.STA13: "association over, waiting for the transport connection to close",
}
"""PS3.8 Tables 9-1 to 9-5 in a few words, for logs and the diagram."""


class Event(Enum):
    """The rows of Table 9-10, in its order."""

    A_ASSOCIATE_REQUEST = "A-ASSOCIATE request (user)"
    TRANSPORT_CONNECTION_CONFIRMED = "transport connection confirmed"
    A_ASSOCIATE_AC_PDU = "A-ASSOCIATE-AC"
    A_ASSOCIATE_RJ_PDU = "A-ASSOCIATE-RJ"
    TRANSPORT_CONNECTION_INDICATED = "transport connection indicated"
    A_ASSOCIATE_RQ_PDU = "A-ASSOCIATE-RQ"
    A_ASSOCIATE_RESPONSE_ACCEPT = "A-ASSOCIATE response, accept (user)"
    A_ASSOCIATE_RESPONSE_REJECT = "A-ASSOCIATE response, reject (user)"
    P_DATA_REQUEST = "P-DATA request (user)"
    P_DATA_TF_PDU = "P-DATA-TF"
    A_RELEASE_REQUEST = "A-RELEASE request (user)"
    A_RELEASE_RQ_PDU = "A-RELEASE-RQ"
    A_RELEASE_RP_PDU = "A-RELEASE-RP"
    A_RELEASE_RESPONSE = "A-RELEASE response (user)"
    A_ABORT_REQUEST = "A-ABORT request (user)"
    A_ABORT_PDU = "A-ABORT"
    TRANSPORT_CONNECTION_CLOSED = "transport connection closed"
    ARTIM_EXPIRED = "ARTIM timer expired"
    INVALID_PDU = "unrecognized or invalid PDU"


class Action(Enum):
    """PS3.8 Tables 9-6 to 9-9, and the one action that a relay adds."""

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"
    RELAY_1 = "RELAY-1"


class Effect(Enum):
    """What an action does besides going to its next state."""

    SEND = "send the PDU"
    SEND_ABORT = "send A-ABORT"
    INDICATE = "issue the indication or confirmation"
    INDICATE_P_ABORT = "issue the A-P-ABORT indication"
    START_ARTIM = "start ARTIM"
    STOP_ARTIM = "stop ARTIM"
    CLOSE = "close the transport connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDefinition:
    """A row of PS3.8 Tables 9-6 to 9-9."""

    effects: tuple[Effect, ...]
    """In the order in which they are carried out."""
    next_state: State
    """Of the association-requestor, and of the acceptor unless `acceptor_next_state` says otherwise."""
    acceptor_next_state: State | None = None
    """Only the actions of a release collision tell the roles apart."""


def _action(*effects: Effect, to: State, acceptor_to: State | None = None) -> ActionDefinition:
    return ActionDefinition(effects=effects, next_state=to, acceptor_next_state=acceptor_to)


ACTIONS: Final[dict[Action, ActionDefinition]] = {
    # Table 9-6. The transport connection of AE-1 is made by whoever gave the request, and no RQ is unacceptable to
    # this service-provider in AE-6: the real acceptor decides.
    Action.AE_1: _action(to=State.STA4),
    Action.AE_2: _action(Effect.SEND, to=State.STA5),
    Action.AE_3: _action(Effect.INDICATE, to=State.STA6),
    Action.AE_4: _action(Effect.INDICATE, Effect.CLOSE, to=State.STA1),
    Action.AE_5: _action(Effect.START_ARTIM, to=State.STA2),
    Action.AE_6: _action(Effect.STOP_ARTIM, Effect.INDICATE, to=State.STA3),
    Action.AE_7: _action(Effect.SEND, to=State.STA6),
    Action.AE_8: _action(Effect.SEND, Effect.START_ARTIM, to=State.STA13),
    # Table 9-7
    Action.DT_1: _action(Effect.SEND, to=State.STA6),
    Action.DT_2: _action(Effect.INDICATE, to=State.STA6),
    # Table 9-8
    Action.AR_1: _action(Effect.SEND, to=State.STA7),
    Action.AR_2: _action(Effect.INDICATE, to=State.STA8),
    Action.AR_3: _action(Effect.INDICATE, Effect.CLOSE, to=State.STA1),
    Action.AR_4: _action(Effect.SEND, Effect.START_ARTIM, to=State.STA13),
    Action.AR_5: _action(Effect.STOP_ARTIM, Effect.CLOSE, to=State.STA1),
    Action.AR_6: _action(Effect.INDICATE, to=State.STA7),
    Action.AR_7: _action(Effect.SEND, to=State.STA8),
    Action.AR_8: _action(Effect.INDICATE, to=State.STA9, acceptor_to=State.STA10),
    Action.AR_9: _action(Effect.SEND, to=State.STA11),
    Action.AR_10: _action(Effect.INDICATE, to=State.STA12),
    # Table 9-9. Where it says that the connection has been closed, our own end of it is still to be closed: the peer
    # may have ended its sending half only.
    Action.AA_1: _action(Effect.SEND_ABORT, Effect.START_ARTIM, to=State.STA13),
    Action.AA_2: _action(Effect.STOP_ARTIM, Effect.CLOSE, to=State.STA1),
    Action.AA_3: _action(Effect.INDICATE, Effect.CLOSE, to=State.STA1),
    Action.AA_4: _action(Effect.INDICATE_P_ABORT, Effect.CLOSE, to=State.STA1),
    Action.AA_5: _action(Effect.STOP_ARTIM, Effect.CLOSE, to=State.STA1),
    Action.AA_6: _action(to=State.STA13),
    Action.AA_7: _action(Effect.SEND_ABORT, to=State.STA13),
    Action.AA_8: _action(Effect.SEND_ABORT, Effect.INDICATE_P_ABORT, Effect.START_ARTIM, to=State.STA13),
    # Of a relay: both end points asked for the release while the requests were on their way through the tunnel.
    Action.RELAY_1: _action(Effect.SEND, to=State.STA9, acceptor_to=State.STA10),
}

TRANSITIONS: Final[dict[tuple[State, Event], Action]] = {
    (State.STA1, Event.A_ASSOCIATE_REQUEST): Action.AE_1,
    #
    (State.STA4, Event.TRANSPORT_CONNECTION_CONFIRMED): Action.AE_2,
    #
    (State.STA2, Event.A_ASSOCIATE_AC_PDU): Action.AA_1,
    (State.STA3, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA5, Event.A_ASSOCIATE_AC_PDU): Action.AE_3,
    (State.STA6, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA7, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA8, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA9, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA10, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA11, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA12, Event.A_ASSOCIATE_AC_PDU): Action.AA_8,
    (State.STA13, Event.A_ASSOCIATE_AC_PDU): Action.AA_6,
    #
    (State.STA2, Event.A_ASSOCIATE_RJ_PDU): Action.AA_1,
    (State.STA3, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA5, Event.A_ASSOCIATE_RJ_PDU): Action.AE_4,
    (State.STA6, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA7, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA8, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA9, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA10, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA11, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA12, Event.A_ASSOCIATE_RJ_PDU): Action.AA_8,
    (State.STA13, Event.A_ASSOCIATE_RJ_PDU): Action.AA_6,
    #
    (State.STA1, Event.TRANSPORT_CONNECTION_INDICATED): Action.AE_5,
    #
    (State.STA2, Event.A_ASSOCIATE_RQ_PDU): Action.AE_6,
    (State.STA3, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA5, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA6, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA7, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA8, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA9, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA10, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA11, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA12, Event.A_ASSOCIATE_RQ_PDU): Action.AA_8,
    (State.STA13, Event.A_ASSOCIATE_RQ_PDU): Action.AA_7,
    #
    (State.STA3, Event.A_ASSOCIATE_RESPONSE_ACCEPT): Action.AE_7,
    #
    (State.STA3, Event.A_ASSOCIATE_RESPONSE_REJECT): Action.AE_8,
    #
    (State.STA6, Event.P_DATA_REQUEST): Action.DT_1,
    (State.STA8, Event.P_DATA_REQUEST): Action.AR_7,
    #
    (State.STA2, Event.P_DATA_TF_PDU): Action.AA_1,
    (State.STA3, Event.P_DATA_TF_PDU): Action.AA_8,
    (State.STA5, Event.P_DATA_TF_PDU): Action.AA_8,
    (State.STA6, Event.P_DATA_TF_PDU): Action.DT_2,
    (State.STA7, Event.P_DATA_TF_PDU): Action.AR_6,
    (State.STA8, Event.P_DATA_TF_PDU): Action.AA_8,
    (State.STA9, Event.P_DATA_TF_PDU): Action.AA_8,
    (State.STA10, Event.P_DATA_TF_PDU): Action.AA_8,
    (State.STA11, Event.P_DATA_TF_PDU): Action.AA_8,
    (State.STA12, Event.P_DATA_TF_PDU): Action.AA_8,
    (State.STA13, Event.P_DATA_TF_PDU): Action.AA_6,
    #
    (State.STA6, Event.A_RELEASE_REQUEST): Action.AR_1,
    (State.STA8, Event.A_RELEASE_REQUEST): Action.RELAY_1,  # an empty cell in the standard
    #
    (State.STA2, Event.A_RELEASE_RQ_PDU): Action.AA_1,
    (State.STA3, Event.A_RELEASE_RQ_PDU): Action.AA_8,
    (State.STA5, Event.A_RELEASE_RQ_PDU): Action.AA_8,
    (State.STA6, Event.A_RELEASE_RQ_PDU): Action.AR_2,
    (State.STA7, Event.A_RELEASE_RQ_PDU): Action.AR_8,
    (State.STA8, Event.A_RELEASE_RQ_PDU): Action.AA_8,
    (State.STA9, Event.A_RELEASE_RQ_PDU): Action.AA_8,
    (State.STA10, Event.A_RELEASE_RQ_PDU): Action.AA_8,
    (State.STA11, Event.A_RELEASE_RQ_PDU): Action.AA_8,
    (State.STA12, Event.A_RELEASE_RQ_PDU): Action.AA_8,
    (State.STA13, Event.A_RELEASE_RQ_PDU): Action.AA_6,
    #
    (State.STA2, Event.A_RELEASE_RP_PDU): Action.AA_1,
    (State.STA3, Event.A_RELEASE_RP_PDU): Action.AA_8,
    (State.STA5, Event.A_RELEASE_RP_PDU): Action.AA_8,
    (State.STA6, Event.A_RELEASE_RP_PDU): Action.AA_8,
    (State.STA7, Event.A_RELEASE_RP_PDU): Action.AR_3,
    (State.STA8, Event.A_RELEASE_RP_PDU): Action.AA_8,
    (State.STA9, Event.A_RELEASE_RP_PDU): Action.AA_8,
    (State.STA10, Event.A_RELEASE_RP_PDU): Action.AR_10,
    (State.STA11, Event.A_RELEASE_RP_PDU): Action.AR_3,
    (State.STA12, Event.A_RELEASE_RP_PDU): Action.AA_8,
    (State.STA13, Event.A_RELEASE_RP_PDU): Action.AA_6,
    #
    (State.STA8, Event.A_RELEASE_RESPONSE): Action.AR_4,
    (State.STA9, Event.A_RELEASE_RESPONSE): Action.AR_9,
    (State.STA12, Event.A_RELEASE_RESPONSE): Action.AR_4,
    #
    (State.STA3, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA4, Event.A_ABORT_REQUEST): Action.AA_2,
    (State.STA5, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA6, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA7, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA8, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA9, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA10, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA11, Event.A_ABORT_REQUEST): Action.AA_1,
    (State.STA12, Event.A_ABORT_REQUEST): Action.AA_1,
    #
    (State.STA2, Event.A_ABORT_PDU): Action.AA_2,
    (State.STA3, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA5, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA6, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA7, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA8, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA9, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA10, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA11, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA12, Event.A_ABORT_PDU): Action.AA_3,
    (State.STA13, Event.A_ABORT_PDU): Action.AA_2,
    #
    (State.STA2, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_5,
    (State.STA3, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA4, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA5, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA6, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA7, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA8, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA9, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA10, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA11, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA12, Event.TRANSPORT_CONNECTION_CLOSED): Action.AA_4,
    (State.STA13, Event.TRANSPORT_CONNECTION_CLOSED): Action.AR_5,
    #
    (State.STA2, Event.ARTIM_EXPIRED): Action.AA_2,
    (State.STA13, Event.ARTIM_EXPIRED): Action.AA_2,
    #
    (State.STA2, Event.INVALID_PDU): Action.AA_1,
    (State.STA3, Event.INVALID_PDU): Action.AA_8,
    (State.STA5, Event.INVALID_PDU): Action.AA_8,
    (State.STA6, Event.INVALID_PDU): Action.AA_8,
    (State.STA7, Event.INVALID_PDU): Action.AA_8,
    (State.STA8, Event.INVALID_PDU): Action.AA_8,
    (State.STA9, Event.INVALID_PDU): Action.AA_8,
    (State.STA10, Event.INVALID_PDU): Action.AA_8,
    (State.STA11, Event.INVALID_PDU): Action.AA_8,
    (State.STA12, Event.INVALID_PDU): Action.AA_8,
    (State.STA13, Event.INVALID_PDU): Action.AA_7,
}


def next_state(action: Action, role: Role) -> State:
    """Return the state that `action` leads to."""
    definition = ACTIONS[action]
    if role is Role.ACCEPTOR and definition.acceptor_next_state is not None:
        return definition.acceptor_next_state
    return definition.next_state


def render_mermaid() -> str:
    """Return a Mermaid state diagram of the table, ending with a line feed.

    Events with the same action between the same two states share an arrow. The actions of Table 9-9 lead from nearly
    every state to Sta13 or Sta1 and would hide all else, so they are drawn where they leave Sta2, Sta4 or Sta13 only.
    """
    arrows: dict[tuple[State, State, Action], list[str]] = {}
    for (state, event), action in TRANSITIONS.items():
        if action.value.startswith("AA-") and state not in (State.STA2, State.STA4, State.STA13):
            continue
        for target in dict.fromkeys(next_state(action, role) for role in Role):
            arrows.setdefault((state, target, action), []).append(event.value)
    lines = ["stateDiagram-v2", "    [*] --> Sta1"]
    lines += [f"    {state.value}: {state.value}<br>{meaning}" for state, meaning in STATE_MEANINGS.items()]
    order = list(State)
    for state, target, action in sorted(arrows, key=lambda arrow: (order.index(arrow[0]), order.index(arrow[1]))):
        label = "<br>".join([*arrows[state, target, action], f"({action.value})"])
        lines.append(f"    {state.value} --> {target.value}: {label}")
    return "\n".join(lines) + "\n"

"""The tables of the state machine against PS3.8, against pynetdicom's, and the page made from them."""

import runpy
from pathlib import Path

import pytest
from pynetdicom import fsm

from dimse_proxy.upper_layer.state_machine import (
    ACTIONS,
    STATE_MEANINGS,
    TRANSITIONS,
    Action,
    Effect,
    Event,
    Role,
    State,
    next_state,
    render_mermaid,
)

ROOT = Path(__file__).parents[3]

# PS3.8 Table 9-10: the rows in its order, a column for each of Sta1 to Sta13.
TABLE_9_10 = """
A_ASSOCIATE_REQUEST            AE-1 .    .    .    .    .    .    .    .    .    .    .    .
TRANSPORT_CONNECTION_CONFIRMED .    .    .    AE-2 .    .    .    .    .    .    .    .    .
A_ASSOCIATE_AC_PDU             .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6
A_ASSOCIATE_RJ_PDU             .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6
TRANSPORT_CONNECTION_INDICATED AE-5 .    .    .    .    .    .    .    .    .    .    .    .
A_ASSOCIATE_RQ_PDU             .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-7
A_ASSOCIATE_RESPONSE_ACCEPT    .    .    AE-7 .    .    .    .    .    .    .    .    .    .
A_ASSOCIATE_RESPONSE_REJECT    .    .    AE-8 .    .    .    .    .    .    .    .    .    .
P_DATA_REQUEST                 .    .    .    .    .    DT-1 .    AR-7 .    .    .    .    .
P_DATA_TF_PDU                  .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6
A_RELEASE_REQUEST              .    .    .    .    .    AR-1 .    .    .    .    .    .    .
A_RELEASE_RQ_PDU               .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6
A_RELEASE_RP_PDU               .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
A_RELEASE_RESPONSE             .    .    .    .    .    .    .    AR-4 AR-9 .    .    AR-4 .
A_ABORT_REQUEST                .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 .
A_ABORT_PDU                    .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-2
TRANSPORT_CONNECTION_CLOSED    .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AR-5
ARTIM_EXPIRED                  .    AA-2 .    .    .    .    .    .    .    .    .    .    AA-2
INVALID_PDU                    .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-7
"""

# PS3.8 Tables 9-6 to 9-9: the next state, of the requestor and the acceptor where they differ.
NEXT_STATES = """
AE-1 4, AE-2 5, AE-3 6, AE-4 1, AE-5 2, AE-6 3, AE-7 6, AE-8 13, DT-1 6, DT-2 6,
AR-1 7, AR-2 8, AR-3 1, AR-4 13, AR-5 1, AR-6 7, AR-7 8, AR-8 9/10, AR-9 11, AR-10 12,
AA-1 13, AA-2 1, AA-3 1, AA-4 1, AA-5 1, AA-6 13, AA-7 13, AA-8 13, RELAY-1 9/10
"""


def standard_table() -> dict[tuple[State, Event], str]:
    table: dict[tuple[State, Event], str] = {}
    for line in TABLE_9_10.strip().splitlines():
        name, *cells = line.split()
        assert len(cells) == 13
        table |= {(state, Event[name]): cell for state, cell in zip(State, cells, strict=True)}
    return table


@pytest.mark.parametrize("event", Event)
def test_every_cell_is_the_standards(event: Event) -> None:
    expected = {(state, row): cell for (state, row), cell in standard_table().items() if row is event}
    if event is Event.A_RELEASE_REQUEST:
        expected[State.STA8, event] = "RELAY-1"
    assert len(expected) == 13
    for key, cell in expected.items():
        action = TRANSITIONS.get(key)
        assert (action.value if action else ".") == cell, key


def test_the_rows_are_in_the_standards_order() -> None:
    rows = [line.split()[0] for line in TABLE_9_10.strip().splitlines()]
    assert [event.name for event in Event] == rows
    assert list(dict.fromkeys(event.name for _, event in TRANSITIONS)) == rows
    for event in Event:
        states = [list(State).index(state) for state, row in TRANSITIONS if row is event]
        assert states == sorted(states)


def test_it_is_pynetdicoms_table_and_the_relays_cell() -> None:
    events = {event: f"Evt{number}" for number, event in enumerate(Event, 1)}
    ours = {(events[event], state.value): action.value for (state, event), action in TRANSITIONS.items()}
    assert ours == {**fsm.TRANSITION_TABLE, ("Evt11", "Sta8"): "RELAY-1"}


def test_the_actions_lead_where_the_standard_says() -> None:
    expected = dict(entry.split() for entry in NEXT_STATES.replace("\n", " ").strip().split(", "))
    assert list(expected) == [action.value for action in Action] == [action.value for action in ACTIONS]
    for action in Action:
        requestor, _, acceptor = expected[action.value].partition("/")
        assert next_state(action, Role.REQUESTOR).value == f"Sta{requestor}"
        assert next_state(action, Role.ACCEPTOR).value == f"Sta{acceptor or requestor}"


def test_whatever_leads_to_sta1_closes_and_stops_waiting() -> None:
    for action, definition in ACTIONS.items():
        assert (Effect.CLOSE in definition.effects) == (definition.next_state is State.STA1), action
    starters = {action for action, definition in ACTIONS.items() if Effect.START_ARTIM in definition.effects}
    assert starters == {Action.AE_5, Action.AE_8, Action.AR_4, Action.AA_1, Action.AA_8}


def test_every_state_has_a_meaning_that_fits_the_diagram() -> None:
    assert list(STATE_MEANINGS) == list(State)
    for text in [*STATE_MEANINGS.values(), *(event.value for event in Event)]:
        assert not set(text) & set(":;\n"), "Mermaid ends a label there"


def test_the_diagram_has_every_arrow_but_the_aborts() -> None:
    diagram = render_mermaid()
    assert diagram.startswith("stateDiagram-v2\n")
    assert "    Sta7 --> Sta9: A-RELEASE-RQ<br>(AR-8)\n" in diagram
    assert "    Sta7 --> Sta10: A-RELEASE-RQ<br>(AR-8)\n" in diagram
    assert "    Sta2 --> Sta1: A-ABORT<br>ARTIM timer expired<br>(AA-2)\n" in diagram
    for action in Action:
        assert (f"({action.value})" in diagram) == (action not in (Action.AA_3, Action.AA_8)), action


def test_the_page_is_what_the_tables_make() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "generate_state_machine.py"))["source"]()
    assert (ROOT / "docs" / "state-machine.md").read_text(encoding="utf-8") == made
    assert render_mermaid() in made

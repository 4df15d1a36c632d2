"""Inputs that are right, for the fuzzer to spoil."""

import json
from typing import Final

from dimse_proxy.tunnel.frames import HEADER, VERSION, FrameType
from tests.integration.wire import pdus
from tests.unit.dimse import messages
from tests.unit.dimse.data_sets import FORMS, encoded

_REQUEST: Final = pdus.rq(
    pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT) + pdus.proposed(3, pdus.CT_STORAGE, pdus.EXPLICIT),
    pdus.USER + pdus.role(pdus.CT_STORAGE, 1, 1) + pdus.identity(2, b"user", b"password"),
)
_HELLO: Final = {
    "instance": "b1", "epoch": "1", "version": "1.0", "protocols": [1], "load": 0, "limit": None, "accepts": True,
    "going_away": False, "start": False, "window": 4194304, "share": 4194304,
}  # fmt: skip
_BODIES: Final[list[object]] = [
    _HELLO,
    {"limit": 262144},
    {"limit": 262144, "seen": 7},
    {"code": "refused-limit"},
    {"sent": 3, "detail": {"abort": [2, 0], "text": "x"}},
    {"of": "end"},
    {"instance": "b1", "info": {"called": "A", "calling": "B"}, "limit": 262144},
    {"sessions": [["00" * 16, 1, 2, 3, 4]], "answer": True},
    {"sessions": [["00" * 16, 1]]},
    {"a": [[[[]]]], "b": -1, "c": 1e308, "d": "\ud800"},
]

SEEDS: Final[dict[str, list[bytes]]] = {
    "pdus": [
        _REQUEST,
        pdus.accept_all(_REQUEST),
        pdus.rj(1, 1, 3),
        pdus.release_rq(),
        pdus.release_rp(),
        pdus.abort(2, 6),
        _REQUEST + pdus.command_pdu(pdus.echo_rq(1), 1) + pdus.release_rq(),
        pdus.command_pdu(pdus.store_rq(1), 3) + pdus.data_pdus(bytes(100), 3, size=40),
    ],
    "command_sets": [
        messages.move_request(),
        messages.store_request(originator=b"PACS"),
        messages.echo_request(),
        messages.delete_request(),
        messages.pdu(messages.pdv(1, 1, messages.move_request()[:30]))
        + messages.pdu(messages.pdv(1, 3, messages.move_request()[30:]), messages.pdv(1, 2, b"IDENTIFIER")),
    ],
    "tunnel_frames": [
        HEADER.pack(VERSION, kind, 0, 0, bytes(range(16)), bytes(24), 1, 0) + b'{"limit":262144}' for kind in FrameType
    ]
    + [bytes([kind]) + bytes(8) + bytes(7) + b"\x64" + b'{"limit":1000000}' for kind in FrameType],
    "control_messages": [json.dumps(body).encode() for body in _BODIES],
    "data_sets": [
        encoded(
            syntax,
            form.sequence(0x00081110, form.item(form.study("7"), defined=False), form.item(b""), defined=False)
            + form.element(0x00091001, "UN", b"abc ")
            + form.patient()
            + form.study(),
        )
        for syntax, form in FORMS.items()
    ]
    + [pdus.data_pdus(FORMS[syntax].patient() + FORMS[syntax].study(), 1, size=20) for syntax in FORMS],
}
"""Target -> inputs."""

"""What the log says of the tunnel key: that another one is used, and that an identity crosses without."""

import logging
from dataclasses import replace

import pytest
import structlog

from dimse_proxy.observability.association_log import AssociationLog
from dimse_proxy.proxy.hooks import AssociationRecord, Side
from dimse_proxy.proxy.refusals import TEMPORARY_CONGESTION, answer_of, tunnel_cause
from dimse_proxy.tunnel import TunnelCode
from dimse_proxy.upper_layer.codec import decode_pdu
from dimse_proxy.upper_layer.pdu import AssociateRequest, UserIdentityRequest
from tests.playbook.conftest import VERIFICATION, request

SECRETS = (b"joe-marker", b"hunter2-marker")


@pytest.fixture
def lines() -> list[dict[str, object]]:
    """What is logged, as dictionaries."""
    written: list[dict[str, object]] = []

    def remember(_logger: object, method: str, event: structlog.typing.EventDict) -> str:
        written.append({**event, "level": method})
        raise structlog.DropEvent

    structlog.configure(
        processors=[remember],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    return written


def ask(log: AssociationLog, identity_type: int | None, secondary: bytes = b"") -> None:
    """Let the log see an association request with a user identity, or without."""
    asked = decode_pdu(request(syntaxes=(VERIFICATION,)))
    assert isinstance(asked, AssociateRequest)
    if identity_type is not None:
        identity = UserIdentityRequest(
            identity_type=identity_type,
            positive_response_requested=1,
            primary_field=SECRETS[0],
            secondary_field=secondary,
        )
        asked = replace(asked, user_information=(*asked.user_information, identity))
    record = AssociationRecord(side=Side.ACCEPTOR, started=0.0, peer="10.0.0.7:4000", calling="CT1", called="PACS")
    log.association_requested(record, asked)


def warnings(lines: list[dict[str, object]]) -> list[dict[str, object]]:
    return [line for line in lines if line["level"] == "warning"]


@pytest.mark.parametrize(("kind", "secondary"), [(2, SECRETS[1]), (3, b""), (4, b""), (5, b""), (1, SECRETS[1])])
def test_an_identity_that_crosses_without_tunnel_key_is_one_warning(
    lines: list[dict[str, object]], kind: int, secondary: bytes
) -> None:
    log = AssociationLog(is_tunnel_sealed=False)
    ask(log, None)
    ask(log, 1)
    assert warnings(lines) == []
    ask(log, kind, secondary)
    ask(log, kind, secondary)
    (warning,) = warnings(lines)
    assert warning["event"] == "user identity without tunnel key"
    assert "DIMSE_TUNNEL_KEY" in str(warning["cause"])
    assert not [secret for secret in SECRETS if secret.decode() in str(lines)]


def test_with_a_tunnel_key_it_is_none(lines: list[dict[str, object]]) -> None:
    ask(AssociationLog(is_tunnel_sealed=True), 2, SECRETS[1])
    assert warnings(lines) == []


def test_another_tunnel_key_is_named(lines: list[dict[str, object]]) -> None:
    AssociationLog().peer_refused("B", "b1", TunnelCode.KEY_MISMATCH)
    (line,) = lines
    assert (line["event"], line["level"], line["channel"], line["instance"]) == ("peer refused", "warning", "B", "b1")
    assert line["cause"] == tunnel_cause(TunnelCode.KEY_MISMATCH, "B", "")
    assert "the proxies on channel B use another tunnel key (DIMSE_TUNNEL_KEY)" in str(line["cause"])


def test_another_tunnel_key_is_a_transient_rejection() -> None:
    assert answer_of(TunnelCode.KEY_MISMATCH) == TEMPORARY_CONGESTION

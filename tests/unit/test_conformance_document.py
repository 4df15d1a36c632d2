"""The conformance statement's tables say what the program does."""

import re
from pathlib import Path

import pytest

from dimse_proxy.config.cipher_suites import DEFAULT_SUITES
from dimse_proxy.config.contexts import Service, load_contexts
from dimse_proxy.config.settings import FIELD_OF, Settings
from dimse_proxy.config.shown import written
from dimse_proxy.dimse.services import VERIFICATION_SOP_CLASS
from dimse_proxy.dimse.status import status_name
from dimse_proxy.errors import AssociationRejected
from dimse_proxy.proxy.commands import NOT_AUTHORIZED
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.refusals import RefusalCode, answer_of
from dimse_proxy.proxy.routes import LocalAe, Routes
from dimse_proxy.queueing.accepting import CANNOT_UNDERSTAND, NOT_SUPPORTED, SUCCESS
from dimse_proxy.queueing.commitment import PROCESSING_FAILURE
from dimse_proxy.queueing.outcome import OUT_OF_RESOURCES
from dimse_proxy.queueing.pdvs import LONGEST
from dimse_proxy.upper_layer.codec import APPLICATION_CONTEXT_NAME
from dimse_proxy.upper_layer.implementation import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    OWN_MAXIMUM_LENGTH,
)
from dimse_proxy.upper_layer.items import AbortReason

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
RESULTS = {1: "permanent", 2: "transient"}
SOURCES = {1: "service-user", 3: "presentation"}
REASONS = {
    (1, 1): "no reason given",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
# Not an answer of the proxy's own making: the target's passes as it is, and an AC without contexts is made.
WITHOUT_A_REJECTION = {RefusalCode.TARGET_REJECTED, RefusalCode.NO_CONTEXT}


def table(heading: str) -> list[list[str]]:
    """The rows below a line of the page that begins with `heading`, without the two of its head."""
    after = PAGE[PAGE.index(heading) :]
    rows = []
    for line in after.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


def value(name: str) -> str:
    return next(row[1] for row in table("### N.7.2 Association parameters") if row[0].startswith(name))


def rejection_row(answer: tuple[int, int, int]) -> list[str]:
    result, source, reason = answer
    return [
        f"{result} {RESULTS[result]}",
        f"{source} {SOURCES[source]}",
        f"{reason} {REASONS[source, reason]}",
    ]


def test_identifiers() -> None:
    assert value("Application Context Name").startswith(f"{APPLICATION_CONTEXT_NAME};")
    assert value("Implementation Class UID") == IMPLEMENTATION_CLASS_UID
    assert value("Implementation Version Name") == IMPLEMENTATION_VERSION_NAME
    assert value("Maximum Length Received, in PDUs that it makes") == str(OWN_MAXIMUM_LENGTH)
    assert f"announces the target's maximum length, {LONGEST} at most" in PAGE.replace("\n", " ")
    ((_, uid, _, role),) = table("### N.5.2 Verification of its own")
    assert (uid, role) == (VERIFICATION_SOP_CLASS, "SCU")


def test_statuses_of_its_own() -> None:
    own = (NOT_AUTHORIZED, SUCCESS, PROCESSING_FAILURE, OUT_OF_RESOURCES, CANNOT_UNDERSTAND, NOT_SUPPORTED)
    rows = [(row[0], row[1]) for row in table("#### N.7.3.3")]
    # C000H has a name in PS3.4 B.2.3 only, where it is a C-STORE's.
    named = {CANNOT_UNDERSTAND: "error: cannot understand"}
    assert rows == [(f"{status:04X}H", named.get(status) or status_name(status)) for status in own]


def test_every_refusal_has_its_row_with_the_answer_it_becomes() -> None:
    rows = [row for row in table("#### N.7.2.2") if "acceptor side" not in row[0]]
    codes = {re.findall(r"`([a-z-]+)`", row[0])[0]: row[1:4] for row in rows}
    assert len(codes) == len(rows), "a code stands there twice"
    assert codes == {
        str(code): rejection_row(answer_of(code)) for code in RefusalCode if code not in WITHOUT_A_REJECTION
    }


@pytest.mark.parametrize(
    ("called", "calling", "words"),
    [("OURS", "STRANGER", "calling AE title or host"), ("OTHER", "CT1", "the title is not one of this side's")],
)
def test_what_the_acceptor_side_refuses_by_its_own_lists(called: str, calling: str, words: str) -> None:
    routes = Routes(own_ae_title="OURS", channels=("B",), local_aes=[LocalAe(called="OURS", channel="B")])
    policy = Policy(routes=routes, allowed_calling=("CT1",))
    with pytest.raises(AssociationRejected) as raised:
        policy.admit(called=called, calling=calling, host="192.0.2.1")
    rejected = raised.value
    row = next(row for row in table("#### N.7.2.2") if "acceptor side" in row[0] and row[4].startswith(words))
    assert row[1:4] == rejection_row((rejected.result, rejected.source, rejected.reason))


def test_reasons_of_aborts() -> None:
    numbers = [int(row[0].split()[0]) for row in table("#### N.7.3.1 A-ABORT")]
    # 4, unrecognized PDU parameter: items that are unknown are passed on (PS3.8 9.3.1).
    assert numbers == [int(reason) for reason in AbortReason if reason is not AbortReason.UNRECOGNIZED_PARAMETER]


@pytest.mark.parametrize("heading", ["### N.6.1", "### N.6.2"])
def test_parameters_have_the_defaults_of_the_settings(heading: str) -> None:
    settings = Settings()
    for *_, variables, default in table(heading):
        names = re.findall(r"`(DIMSE_\w+)`", variables)
        assert names
        assert default == written(getattr(settings, FIELD_OF[names[0]])), names[0]
        assert set(names) <= set(FIELD_OF)


def test_every_timer_is_listed() -> None:
    rows = [re.findall(r"`(DIMSE_\w+)`", row[1])[0] for row in table("### N.6.1")]
    assert len(rows) == len(set(rows)), "a parameter stands there twice"
    assert {name for name in rows if name.endswith("_TIMEOUTSECONDS")} == {
        name for name in FIELD_OF if name.endswith("_TIMEOUTSECONDS")
    }


def test_cipher_suites_and_versions() -> None:
    assert tuple(row[1] for row in table("| default suites, TLS 1.2")) == DEFAULT_SUITES
    assert f"Versions: {', '.join(Settings().tls_protocol_versions)} by default" in PAGE


def test_the_filter_that_is_shipped() -> None:
    shipped = load_contexts(ROOT / "dimse-config")
    assert shipped is not None
    counted = [
        (service.value, str(len(shipped.sop_classes[service].uids)), str(len(shipped.transfer_syntaxes[service].uids)))
        for service in Service
    ]
    rows = [(row[0].split(":")[0], row[1], row[2]) for row in table("### N.5.1 Relayed services")]
    assert rows == counted

"""The dimse-config folder that is shipped passes everything that is standard, and is what its tool writes."""

from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom import sop_class

from dimse_proxy.config.contexts import ContextFilter, Service, load_contexts, service_of

FOLDER = Path(__file__).resolve().parents[3] / "dimse-config"
STANDARD = {
    kind: tuple(uid for uid, entry in UID_dictionary.items() if entry[1] == kind)
    for kind in ("SOP Class", "Meta SOP Class", "Transfer Syntax")
}


@pytest.fixture(scope="module")
def contexts() -> ContextFilter:
    loaded = load_contexts(FOLDER)
    assert loaded is not None
    return loaded


def test_every_standard_class_passes_with_every_standard_transfer_syntax(contexts: ContextFilter) -> None:
    transfer_syntaxes = STANDARD["Transfer Syntax"]
    assert len(transfer_syntaxes) > 50
    for uid in (*STANDARD["SOP Class"], *STANDARD["Meta SOP Class"]):
        assert contexts.decide(uid, transfer_syntaxes) == transfer_syntaxes, uid


def test_every_class_that_pynetdicom_knows_passes(contexts: ContextFilter) -> None:
    lists = (name for name in vars(sop_class) if name.endswith("_CLASSES") and name != "_SERVICE_CLASSES")
    uids = [str(uid) for name in lists for uid in getattr(sop_class, name).values()]
    assert len(uids) > 200
    assert [uid for uid in uids if contexts.decide(uid, ("1.2.840.10008.1.2",)) is None] == []


def test_private_ones_do_not_pass(contexts: ContextFilter) -> None:
    assert contexts.decide("1.2.826.0.1.3680043.9.9999.1", ("1.2.840.10008.1.2",)) is None
    assert contexts.decide("1.2.840.10008.5.1.4.1.1.2", ("1.2.826.0.1.3680043.9.9999.2",)) == ()


@pytest.mark.parametrize("service", Service)
def test_a_listed_class_is_of_the_kind_of_its_file(contexts: ContextFilter, service: Service) -> None:
    assert {service_of(uid) for uid in contexts.sop_classes[service].uids} == {service}


@pytest.mark.parametrize("service", Service)
def test_every_file_ends_with_a_star_in_a_comment(service: Service) -> None:
    for name in (service.sop_class_file, service.transfer_syntax_file):
        assert (FOLDER / name).read_text().splitlines()[-1] == "# *"


@pytest.mark.parametrize(
    ("listed", "service"),
    [
        ("_STORAGE_CLASSES", Service.IMAGE),
        ("_NON_PATIENT_OBJECT_CLASSES", Service.IMAGE),
        ("_QR_CLASSES", Service.QUERY),
        ("_BASIC_WORKLIST_CLASSES", Service.QUERY),
        ("_RELEVANT_PATIENT_QUERY_CLASSES", Service.QUERY),
        ("_PRINT_MANAGEMENT_CLASSES", Service.SERVICE),
        ("_PROCEDURE_STEP_CLASSES", Service.SERVICE),
        ("_UNIFIED_PROCEDURE_STEP_CLASSES", Service.SERVICE),
        ("_STORAGE_COMMITMENT_CLASSES", Service.SERVICE),
    ],
)
def test_the_kinds_are_those_of_the_standard(listed: str, service: Service) -> None:
    uids = [str(uid) for uid in getattr(sop_class, listed).values()]
    assert {uid: service_of(uid) for uid in uids} == dict.fromkeys(uids, service)

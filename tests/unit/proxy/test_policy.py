from ipaddress import ip_network

import pytest

from dimse_proxy.errors import PolicyDenied
from dimse_proxy.proxy.policy import AskedFor, Operations, Policy, Target
from dimse_proxy.upper_layer.pdu import ProposedContext

TARGET = Target(ae_title="ARCHIVE", host="pacs.example", port=104)


def policy(**changes: object) -> Policy:
    values: dict[str, object] = {"local_ae_titles": ("INGESTION", "Second One"), "own_ae_title": "INGESTION"}
    return Policy(**{**values, "target": TARGET, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("called", ["INGESTION", "Second One"])
def test_listed_titles_are_admitted(called: str) -> None:
    policy().admit(called=called, calling="ANYBODY", host="10.0.0.1")


@pytest.mark.parametrize("called", ["ingestion", "SECOND ONE", "INGESTION2", ""])
def test_other_titles_are_not_recognized(called: str) -> None:
    with pytest.raises(PolicyDenied) as denied:
        policy().admit(called=called, calling="ANYBODY", host="10.0.0.1")
    assert (denied.value.result, denied.value.source, denied.value.reason) == (1, 1, 7)
    assert repr(called) in str(denied.value)


def test_a_star_admits_every_title() -> None:
    policy(local_ae_titles=("*",)).admit(called="WHATEVER", calling="ANYBODY", host="10.0.0.1")


def test_a_move_alias_is_one_of_ours() -> None:
    policy(move_aliases={"ASKER": "ALIAS"}).admit(called="ALIAS", calling="PACS", host="10.0.0.1")


@pytest.mark.parametrize("host", ["10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0"])
def test_hosts_of_allowed_networks_are_admitted(host: str) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fe80::/10"))
    policy(allowed_hosts=networks).admit(called="INGESTION", calling="ANYBODY", host=host)


@pytest.mark.parametrize("host", ["11.1.2.3", "2001:db8::1", "unknown"])
def test_other_hosts_are_not(host: str) -> None:
    with pytest.raises(PolicyDenied) as denied:
        policy(allowed_hosts=(ip_network("10.0.0.0/8"),)).admit(called="INGESTION", calling="ANYBODY", host=host)
    assert (denied.value.result, denied.value.source, denied.value.reason) == (1, 1, 3)


def test_a_calling_title_that_is_not_allowed_is_not_recognized() -> None:
    with pytest.raises(PolicyDenied) as denied:
        policy(allowed_calling=("CT1",)).admit(called="INGESTION", calling="CT2", host="10.0.0.1")
    assert (denied.value.result, denied.value.source, denied.value.reason) == (1, 1, 3)


def test_titles_at_the_target() -> None:
    rules = policy(move_aliases={"ASKER": "ALIAS"})
    assert rules.asked_for("INGESTION") == AskedFor(called="INGESTION", is_alias=False)
    assert rules.asked_for("ALIAS") == AskedFor(called="ASKER", is_alias=True)
    assert rules.title_at_target(AskedFor(called="INGESTION", is_alias=False)) == "ARCHIVE"
    assert rules.title_at_target(AskedFor(called="ASKER", is_alias=True)) == "ASKER"
    assert rules.title_at_target(AskedFor(called="ALIAS", is_alias=False)) == "ASKER"


@pytest.mark.parametrize(("setting", "title"), [("own", "INGESTION"), ("original", "MODALITY"), ("CLOUD", "CLOUD")])
def test_the_calling_title_at_the_target(setting: str, title: str) -> None:
    assert policy(calling_ae=setting).calling_at_target("MODALITY") == title


def test_addresses_for_people() -> None:
    assert TARGET.address("ARCHIVE") == "ARCHIVE@pacs.example:104"
    assert Target(ae_title="X", host="::1", port=104).address("X") == "X@[::1]:104"


def test_without_a_folder_nothing_is_filtered() -> None:
    context = ProposedContext(context_id=1, abstract_syntax="1.2.3", transfer_syntaxes=("1.2", "1.3"))
    assert policy().decide(context) == ("1.2", "1.3")
    assert policy(decide_context=lambda _syntax, _transfer: None).decide(context) is None


def refusal_code(
    changes: dict[str, object], *, called: str = "PACS", calling: str = "SCU", peer: str = "10.9.0.1:9"
) -> str:
    refused = policy(**changes).refusal_in(called=called, calling=calling, peer=peer)
    return "" if refused is None else str(refused.code)


def test_without_lists_the_other_side_may_ask_for_all() -> None:
    assert refusal_code({}) == ""


def test_calling_titles_of_the_other_side_are_a_list_of_their_own() -> None:
    changes: dict[str, object] = {"allowed_calling_in": ("RESULTS",), "allowed_calling": ("CT1",)}
    assert refusal_code(changes, calling="RESULTS") == ""
    assert refusal_code(changes, calling="CT1") == "calling-not-allowed"


def test_called_titles_of_the_other_side() -> None:
    changes: dict[str, object] = {"allowed_called_in": ("PACS",)}
    assert refusal_code(changes) == ""
    assert refusal_code(changes, called="RIS") == "called-not-allowed"


@pytest.mark.parametrize(
    ("peer", "code"),
    [
        ("10.9.0.1:4711", ""),
        ("[fd00::7]:4711", ""),
        ("192.0.2.1:4711", "calling-not-allowed"),
        ("", "calling-not-allowed"),
        ("anything else", "calling-not-allowed"),
    ],
)
def test_hosts_of_the_other_side_as_its_proxy_tells_them(peer: str, code: str) -> None:
    networks = (ip_network("10.9.0.0/16"), ip_network("fd00::/8"))
    assert refusal_code({"allowed_hosts_in": networks}, peer=peer) == code


def test_each_direction_has_its_own_contexts() -> None:
    context = ProposedContext(context_id=1, abstract_syntax="1.2", transfer_syntaxes=("1.2.840.10008.1.2",))
    one_way = policy(decide_context_in=lambda _syntax, _transfer: None)
    assert one_way.decide_in(context) is None
    assert one_way.decide(context) == context.transfer_syntaxes


@pytest.mark.parametrize(
    ("words", "allowed", "refused"),
    [
        (("*",), ("C-STORE", "N-DELETE"), ()),
        (("*", "!N-DELETE"), ("C-STORE",), ("N-DELETE",)),
        (("C-ECHO", "C-STORE"), ("C-ECHO", "C-STORE"), ("C-FIND", "N-GET")),
        (("C-ECHO", "!C-ECHO"), (), ("C-ECHO",)),
    ],
)
def test_operations_by_name(words: tuple[str, ...], allowed: tuple[str, ...], refused: tuple[str, ...]) -> None:
    operations = Operations.of(words)
    assert all(operations.allows(service) for service in allowed)
    assert not any(operations.allows(service) for service in refused)
    assert operations.is_everything is not bool(refused)
    assert operations.allows_unknown is ("*" in words)

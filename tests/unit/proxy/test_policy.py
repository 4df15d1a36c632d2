from ipaddress import ip_network

import pytest

from dimse_proxy.errors import PolicyDenied, RouteNotFound
from dimse_proxy.proxy.policy import Operations, Policy
from dimse_proxy.proxy.refusals import Refused, answer_of
from dimse_proxy.proxy.routes import ANY, AskedFor, LocalAe, MoveAlias, Routes, Target
from dimse_proxy.transports.streams import Address
from dimse_proxy.upper_layer.pdu import ProposedContext

TARGET = Target(asked_for=(ANY,), channels=("B",), ae_title="ARCHIVE", hosts=(Address("pacs.example", 104),))


def routes(*titles: str, targets: tuple[Target, ...] = (TARGET,), move_aliases: tuple[MoveAlias, ...] = ()) -> Routes:
    return Routes(
        own_ae_title="INGESTION",
        channels=("B",),
        local_aes=[LocalAe(called=title, channel="B") for title in titles or ("INGESTION", "Second One")],
        targets=targets,
        move_aliases=move_aliases,
    )


def policy(**changes: object) -> Policy:
    return Policy(**{"routes": routes(), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("called", ["INGESTION", "Second One"])
def test_listed_titles_are_admitted(called: str) -> None:
    policy().admit(called=called, calling="ANYBODY", host="10.0.0.1")


@pytest.mark.parametrize("called", ["ingestion", "SECOND ONE", "INGESTION2", ""])
def test_other_titles_are_not_recognized(called: str) -> None:
    with pytest.raises(RouteNotFound) as denied:
        policy().admit(called=called, calling="ANYBODY", host="10.0.0.1")
    assert (denied.value.result, denied.value.source, denied.value.reason) == (1, 1, 7)
    assert repr(called) in str(denied.value)


def test_a_star_admits_every_title() -> None:
    policy(routes=routes("*")).admit(called="WHATEVER", calling="ANYBODY", host="10.0.0.1")


def test_a_move_alias_is_one_of_ours() -> None:
    alias = MoveAlias(asker="ASKER", alias="ALIAS", channel="B")
    asked = policy(routes=routes(move_aliases=(alias,))).admit(called="ALIAS", calling="PACS", host="10.0.0.1")
    assert asked == AskedFor(channel="B", called="ASKER", is_alias=True)


def test_a_sentence_names_only_some_of_many_titles() -> None:
    many = routes(*(f"AE{number}" for number in range(200)))
    with pytest.raises(RouteNotFound, match=r"AE19 and 180 more\)$"):
        policy(routes=many).admit(called="NOBODY", calling="ANYBODY", host="10.0.0.1")


def test_what_no_target_is_for_is_not_recognized() -> None:
    asked = AskedFor(channel="B", called="RIS")
    named = Target(asked_for=("PACS",), channels=("B",), hosts=(Address("pacs", 104),))
    refused = policy(routes=routes(targets=(named,))).way(asked)
    assert isinstance(refused, Refused)
    assert (refused.code, answer_of(refused.code)) == ("no-route", (1, 1, 7))
    assert "'RIS'" in refused.text
    refused = policy(routes=routes(targets=())).way(asked)
    assert isinstance(refused, Refused)
    assert (refused.code, answer_of(refused.code)) == ("no-target", (2, 3, 1))


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

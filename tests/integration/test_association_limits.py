"""Limits and lists for whole associations, at both ends: what a SCU is told, and what the log says."""

import time
from pathlib import Path

from pydicom.uid import CTImageStorage
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.conftest import PairFactory
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers
from tests.integration.peers.waiting import free_port
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import connect

LIMIT = (2, 3, 2)
CONGESTION = (2, 3, 1)


def target_port(pair: Pair) -> int:
    assert pair.target_b is not None
    return pair.target_b.port


def rejection(port: int, *, calling: str = "ASKER") -> tuple[int, ...]:
    """Result, source and reason of the answer; pynetdicom takes one that comes at once for an abort now and then."""
    with connect(port) as scu:
        contexts = pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
        scu.send(pdus.rq(contexts, pdus.USER, calling=calling.encode().ljust(16)))
        return tuple(scu.expect(pdus.RJ)[7:10])


def test_one_calling_ae_title_cannot_have_all(make_pair: PairFactory) -> None:
    pair = make_pair(target_b=Target(port=free_port()), env_a={"DIMSE_MAX_ASSOCIATIONS_PER_CALLING_AE": "2"})
    with Scp(target_port(pair), offers(Verification), []):
        with association(pair.a.port, offers(Verification)), association(pair.a.port, offers(Verification)):
            assert rejection(pair.a.port) == LIMIT
            with association(pair.a.port, offers(Verification), calling="OTHER") as other:
                assert other.send_c_echo().Status == 0
        with association(pair.a.port, offers(Verification)) as again:
            assert again.send_c_echo().Status == 0
    assert "DIMSE_MAX_ASSOCIATIONS_PER_CALLING_AE" in str(pair.a.find("association refused"))


def test_one_host_cannot_have_all(make_pair: PairFactory) -> None:
    pair = make_pair(target_b=Target(port=free_port()), env_a={"DIMSE_MAX_ASSOCIATIONS_PER_HOST": "1"})
    with Scp(target_port(pair), offers(Verification), []), association(pair.a.port, offers(Verification)):
        assert rejection(pair.a.port, calling="OTHER") == LIMIT


def test_a_flood_of_associations_is_temporary_congestion_and_few_lines(make_pair: PairFactory) -> None:
    pair = make_pair(target_b=Target(port=free_port()), env_a={"DIMSE_MAX_ASSOCIATION_RATE": "0.01"})
    asked = pdus.rq(pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT), pdus.USER)
    with Scp(target_port(pair), offers(Verification), []), connect(pair.a.port) as first:
        first.send(asked)
        first.expect(pdus.AC, patience=30)
        begin = time.monotonic()
        for _ in range(12):
            with connect(pair.a.port) as other:
                other.send(asked)
                assert tuple(other.expect(pdus.RJ, patience=30)[7:10]) == CONGESTION
        seconds = time.monotonic() - begin
        first.send(pdus.release_rq())
        first.expect(pdus.RELEASE_RP, patience=30)
    lines = pair.a.find('"code": "rate"')
    assert 1 <= len(lines) <= seconds + 2


def test_the_target_s_side_keeps_its_own_list_of_askers(make_pair: PairFactory) -> None:
    pair = make_pair(
        target_b=Target(port=free_port()),
        env_b={"DIMSE_ALLOWED_CALLING_AES_IN": "ASKER", "DIMSE_ALLOWED_HOSTS_IN": "127.0.0.0/8"},
    )
    with Scp(target_port(pair), offers(Verification), []):
        with association(pair.a.port, offers(Verification)) as allowed:
            assert allowed.send_c_echo().Status == 0
        assert rejection(pair.a.port, calling="STRANGER") == (1, 1, 3)
    for proxy in pair.proxies():
        assert "DIMSE_ALLOWED_CALLING_AES_IN" in str(proxy.find("association refused"))


def test_a_filter_of_its_own_for_what_arrives_through_the_tunnel(make_pair: PairFactory, tmp_path: Path) -> None:
    folder = tmp_path / "only-verification"
    folder.mkdir()
    for name in ("IMAGE_CUIDS", "QUERY_CUIDS", "SERVICE_CUIDS"):
        (folder / name).write_text("")
    pair = make_pair(target_b=Target(port=free_port()), env_b={"DIMSE_CONFIG_PATH_IN": str(folder)})
    with (
        Scp(target_port(pair), offers(Verification, CTImageStorage), []),
        association(pair.a.port, offers(Verification, CTImageStorage)) as assoc,
    ):
        assert [str(context.abstract_syntax) for context in assoc.accepted_contexts] == [str(Verification)]

"""DCMTK over TLS: its SCUs and SCPs with each of their profiles, straight and through the pair, byte for byte."""

from pathlib import Path

import pytest

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.pair import Pair
from tests.integration.peers.waiting import free_port
from tests.integration.tls.conftest import Files, Lenient

PROFILES = ("+py", "+px", "+pz")


def secured(files: Files) -> tuple[object, ...]:
    """DCMTK's options for a key of its own and the authority to trust; it requires a certificate in both roles."""
    return ("+tls", files.peer_key, files.peer_certificate, "+cf", files.ca)


@pytest.mark.parametrize("way", ["direct", "pair"])
@pytest.mark.parametrize("profile", PROFILES)
def test_storage_with_certificates_on_both_sides(
    mutual: Pair, files: Files, tmp_path: Path, way: str, profile: str
) -> None:
    assert mutual.target_b is not None
    target = mutual.target_b.port
    called = mutual.a.port if way == "pair" else target
    sent = dicom_files.shipped()[:3]
    options = (*secured(files), profile)
    with dcmtk.storescp(target, tmp_path, *options):
        dcmtk.scu("echoscu", called, *options).ok()
        dcmtk.scu("storescu", called, *options, files=[file.path for file in sent]).ok()
    received = dicom_files.received(tmp_path / "received")
    assert dicom_files.digests(received) == dicom_files.digests(sent)


def test_the_proxies_have_a_secure_suite(mutual: Pair, files: Files, tmp_path: Path) -> None:
    assert mutual.target_b is not None
    with dcmtk.storescp(mutual.target_b.port, tmp_path, *secured(files)):
        dcmtk.scu("echoscu", mutual.a.port, *secured(files)).ok()
    for proxy in mutual.proxies():
        assert proxy.find(r"TLS with 127\.0\.0\.1:\d+: TLSv1\.[23], (ECDHE-RSA-AES256-GCM-SHA384|TLS_AES)")


def test_an_old_modality_with_the_retired_profile(lenient: Lenient, files: Files, tmp_path: Path) -> None:
    """The AES profile of PS3.15 B.2, whose suite the defaults have last."""
    assert lenient.pair.target_b is not None
    options = ("+tls", files.peer_key, files.peer_certificate, "+cf", files.ca, "+cs", "TLS_RSA_WITH_AES_128_CBC_SHA")
    with dcmtk.storescp(lenient.pair.target_b.port, tmp_path, "-ic", *options):
        dcmtk.scu("echoscu", lenient.tls_port, *options).ok()


def test_plain_and_tls_at_the_same_time(lenient: Lenient, files: Files, tmp_path: Path) -> None:
    assert lenient.pair.target_b is not None
    with dcmtk.storescp(lenient.pair.target_b.port, tmp_path, "-ic", *secured(files)):
        dcmtk.scu("echoscu", lenient.plain_port).ok()
        dcmtk.scu("echoscu", lenient.tls_port, "+tla", "+cf", files.ca).ok()


def test_a_port_that_is_not_of_the_proxy_fails_alike(files: Files) -> None:
    assert dcmtk.scu("echoscu", free_port(), *secured(files)).code != 0

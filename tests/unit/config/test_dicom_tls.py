"""SSL contexts out of settings and stores: what they demand, what is wrong with what they are made of, reloading."""

import os
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from dimse_proxy.config.material import load_material
from dimse_proxy.config.settings import load_settings
from dimse_proxy.config.tls import DicomTls
from dimse_proxy.errors import ConfigError
from tests.certificates import PASSWORD, Authority, Identity

LISTENER = {"DIMSE_NATS_URL": "nats.example.org", "DIMSE_TLS_ENABLED": "true"}
TARGET = {"DIMSE_TARGET_HOST": "pacs.example.org"}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("root")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Identity:
    return authority.issue("proxy")


@pytest.fixture
def stores(tmp_path: Path, authority: Authority, own: Identity) -> dict[str, str]:
    return {
        "DIMSE_TLS_KEYSTORE": str(own.pkcs12(tmp_path / "key.p12")),
        "DIMSE_TLS_KEYSTORE_PASSWORD": PASSWORD,
        "DIMSE_TLS_TRUSTSTORE": str(authority.pkcs12(tmp_path / "trust.p12")),
        "DIMSE_TLS_TRUSTSTORE_PASSWORD": PASSWORD,
    }


def load(environ: dict[str, str]) -> DicomTls:
    loaded = load_settings(environ, None)
    tls = load_material(loaded.settings, loaded.origins, has_tls_targets=loaded.settings.has_tls_target).tls
    assert tls is not None
    return tls


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(environ)
    assert PASSWORD not in str(raised.value)
    return list(raised.value.problems)


def without_trust(stores: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in stores.items() if "TRUST" not in name}


def test_both_directions(stores: dict[str, str]) -> None:
    tls = load({**LISTENER, **TARGET, **stores})
    assert tls.acceptor.verify_mode is ssl.CERT_REQUIRED
    assert tls.requestor.verify_mode is ssl.CERT_REQUIRED
    assert not tls.requestor.check_hostname
    assert tls.requestor.cert_store_stats()["x509"] == 1
    assert tls.notes == ()


@pytest.mark.parametrize(
    ("chosen", "mode"),
    [("required", ssl.CERT_REQUIRED), ("optional", ssl.CERT_OPTIONAL), ("none", ssl.CERT_NONE)],
)
def test_client_authentication(stores: dict[str, str], chosen: str, mode: ssl.VerifyMode) -> None:
    assert load({**LISTENER, **stores, "DIMSE_TLS_CLIENT_AUTH": chosen}).acceptor.verify_mode is mode


def test_without_trust_store_callers_are_not_asked_and_targets_are_checked_by_name(stores: dict[str, str]) -> None:
    tls = load({**LISTENER, **TARGET, **without_trust(stores)})
    assert tls.acceptor.verify_mode is ssl.CERT_NONE
    assert tls.requestor.verify_mode is ssl.CERT_REQUIRED
    assert tls.requestor.check_hostname


def test_the_host_name_check_is_a_setting(stores: dict[str, str]) -> None:
    assert load({**LISTENER, **TARGET, **stores, "DIMSE_TLS_VERIFY_HOSTNAME": "true"}).requestor.check_hostname


def test_either_direction_alone(stores: dict[str, str]) -> None:
    listener = load({**LISTENER, **TARGET, **stores, "DIMSE_TARGET_TLS_ENABLED": "false"})
    assert listener.acceptor is not None
    with pytest.raises(AssertionError):
        listener.requestor  # noqa: B018
    target = load({**LISTENER, **TARGET, **stores, "DIMSE_TLS_ENABLED": "", "DIMSE_TARGET_TLS_ENABLED": "true"})
    assert target.requestor is not None
    with pytest.raises(AssertionError):
        target.acceptor  # noqa: B018


def test_a_second_port_alone_asks_for_a_listener(stores: dict[str, str]) -> None:
    environ = {**LISTENER, **TARGET, **stores, "DIMSE_TLS_ENABLED": "", "DIMSE_TLS_PORT": "2762"}
    settings = load_settings(environ, None).settings
    assert (settings.has_tls_listener, settings.has_tls_target) == (True, False)
    assert load(environ).acceptor is not None


def test_nothing_is_read_without_tls(stores: dict[str, str]) -> None:
    loaded = load_settings({**stores, "DIMSE_NATS_URL": "n", "DIMSE_TLS_KEYSTORE": "/does/not/exist"}, None)
    assert load_material(loaded.settings, loaded.origins, has_tls_targets=loaded.settings.has_tls_target).tls is None


def test_everything_that_is_wrong_is_said_at_once(stores: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("other\n")
    environ = {**LISTENER, **stores, "DIMSE_TLS_CIPHER_SUITES": "TLS_NONE", "DIMSE_TLS_TRUSTSTORE": "/none"}
    del environ["DIMSE_TLS_KEYSTORE_PASSWORD"]
    environ["DIMSE_TLS_KEYSTORE_PASSWORD_FILE"] = str(tmp_path / "password")
    suites, key, trust = problems(environ)
    assert "no suite is left" in suites
    assert key == f"DIMSE_TLS_KEYSTORE={tmp_path / 'key.p12'}: the password is wrong, or the file is damaged."
    assert trust == "DIMSE_TLS_TRUSTSTORE=/none: No such file or directory."


def test_a_key_that_is_too_short(stores: dict[str, str], authority: Authority, tmp_path: Path) -> None:
    authority.issue(kind="rsa1024").pkcs12(tmp_path / "key.p12")
    [sentence] = problems({**LISTENER, **stores})
    assert "its key is too short to be secure" in sentence


def test_certificates_that_are_not_valid_now_are_warned_about(
    stores: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "key.p12"
    for days, from_days, words in ((10, -20, "expired on"), (10, -1, "expires on"), (99, 5, "is not valid before")):
        authority.issue(days=days, from_days=from_days).pkcs12(path)
        [note] = load({**LISTENER, **stores}).notes
        assert f"DIMSE_TLS_KEYSTORE={path}: the certificate of CN=proxy {words}" in note


def test_suites_with_dhe_have_a_group(stores: dict[str, str], authority: Authority, tmp_path: Path) -> None:
    authority.issue(kind="rsa").pkcs12(tmp_path / "key.p12")
    suite = "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"
    tls = load({**LISTENER, **TARGET, **stores, "DIMSE_TLS_CIPHER_SUITES": suite})
    assert handshake(tls.requestor, tls.acceptor) == "DHE-RSA-AES128-GCM-SHA256"


def test_a_peers_own_certificate_can_be_trusted_by_itself(
    stores: dict[str, str], own: Identity, tmp_path: Path
) -> None:
    """Without the authority that signed it: so does Java."""
    trust = tmp_path / "trust.pem"
    trust.write_bytes(own.chain_pem())
    tls = load({**LISTENER, **TARGET, **stores, "DIMSE_TLS_TRUSTSTORE": str(trust), "DIMSE_TLS_TRUSTSTORE_TYPE": "PEM"})
    assert handshake(tls.requestor, tls.acceptor)


def test_reload_uses_new_files_and_keeps_the_old_ones_when_they_are_broken(
    stores: dict[str, str], authority: Authority, own: Identity, tmp_path: Path
) -> None:
    path = tmp_path / "key.p12"
    tls = load({**LISTENER, **stores})
    first = tls.acceptor
    assert not tls.has_changed()
    authority.issue("new").pkcs12(path)
    assert tls.has_changed()
    tls.reload()
    second = tls.acceptor
    assert second is not first
    assert not tls.has_changed()
    path.write_bytes(b"broken")
    assert tls.has_changed()
    with pytest.raises(ConfigError, match=r"key\.p12"):
        tls.reload()
    assert tls.acceptor is second
    assert not tls.has_changed()
    path.unlink()
    assert tls.has_changed()


def test_a_rotated_password_file_is_a_change(stores: dict[str, str], own: Identity, tmp_path: Path) -> None:
    del stores["DIMSE_TLS_KEYSTORE_PASSWORD"]
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    tls = load({**LISTENER, **stores, "DIMSE_TLS_KEYSTORE_PASSWORD_FILE": str(secret)})
    own.pkcs12(tmp_path / "key.p12", password="another")
    secret.write_text("another\n")
    os.utime(secret, ns=(1, 1))
    assert tls.has_changed()
    tls.reload()


def handshake(requestor: ssl.SSLContext, acceptor: ssl.SSLContext) -> str:
    """Does a handshake in memory; returns the suite."""
    to_acceptor, to_requestor = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = requestor.wrap_bio(to_requestor, to_acceptor, server_hostname="localhost")
    other = acceptor.wrap_bio(to_acceptor, to_requestor, server_side=True)
    for _ in range(4):
        for side in (one, other):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    suite = other.cipher()
    assert suite is not None
    return suite[0]

"""Stores that the real keytool and openssl have made, in every form that deployments have."""

from pathlib import Path

import pytest

from dimse_proxy.config.keystores import StoreError, read_key_store, read_trust_store
from tests.certificates import PASSWORD
from tests.integration.tls.conftest import Files
from tests.integration.tls.stores import import_certificate, import_key, keytool, openssl

OLD = "-J-Dkeystore.pkcs12.legacy"


@pytest.mark.parametrize(("kind", "options"), [("JKS", ()), ("PKCS12", ()), ("PKCS12", (OLD,))])
def test_stores_of_keytool(files: Files, tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    store = import_key(files.proxy.pkcs12(tmp_path / "source.p12"), tmp_path / "key", kind, *options)
    material = read_key_store(store, kind, PASSWORD, "own")
    assert material.chain == files.proxy.chain
    with pytest.raises(StoreError, match="the password is wrong"):
        read_key_store(store, kind, "other")
    with pytest.raises(StoreError, match="no key with the alias 'missing'"):
        read_key_store(store, kind, PASSWORD, "missing")
    trust = import_certificate(files.ca, tmp_path / "trust", kind, *options)
    assert read_trust_store(trust, kind, PASSWORD) == (files.authority.der,)


def test_a_jks_key_that_keytool_gave_a_password_of_its_own(files: Files, tmp_path: Path) -> None:
    store = import_key(files.proxy.pkcs12(tmp_path / "source.p12"), tmp_path / "key.jks", "JKS")
    keytool(
        "-keypasswd",
        "-alias",
        "own",
        "-keypass",
        PASSWORD,
        "-new",
        "another",
        "-keystore",
        store,
        "-storepass",
        PASSWORD,
    )
    with pytest.raises(StoreError, match="another password than the store; keytool -keypasswd"):
        read_key_store(store, "JKS", PASSWORD)


def test_a_jceks_store_is_named(files: Files, tmp_path: Path) -> None:
    store = import_certificate(files.ca, tmp_path / "trust", "JCEKS")
    with pytest.raises(StoreError, match="this is a JCEKS store"):
        read_trust_store(store, "JKS", PASSWORD)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-legacy",),
        ("-legacy", "-keypbe", "PBE-SHA1-RC2-40", "-certpbe", "PBE-SHA1-RC2-40"),
        ("-legacy", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-RC2-128"),
        ("-keypbe", "NONE", "-certpbe", "NONE"),
    ],
)
def test_pkcs12_of_openssl_in_old_and_new_encryption(files: Files, tmp_path: Path, options: tuple[str, ...]) -> None:
    store = tmp_path / "key.p12"
    source = files.proxy.pem(tmp_path / "key.pem")
    openssl("pkcs12", "-export", *options, "-in", source, "-name", "own", "-out", store, "-passout", f"pass:{PASSWORD}")
    assert read_key_store(store, "PKCS12", PASSWORD, "own").chain == files.proxy.chain
    with pytest.raises(StoreError, match="the password is wrong"):
        read_key_store(store, "PKCS12", "other")


@pytest.mark.parametrize("cipher", [None, "-aes256", "-des3"])
@pytest.mark.parametrize("traditional", [False, True])
def test_pem_of_openssl(files: Files, tmp_path: Path, cipher: str | None, traditional: bool) -> None:
    store = tmp_path / "key.pem"
    key = files.proxy.pem(tmp_path / "source.pem")
    options = [
        *(["-traditional"] if traditional else []),
        *([cipher, "-passout", f"pass:{PASSWORD}"] if cipher else []),
    ]
    openssl("pkey", "-in", key, "-out", store, *options)
    store.write_bytes(store.read_bytes() + files.proxy.chain_pem())
    assert read_key_store(store, "PEM", PASSWORD).chain == files.proxy.chain

"""Key stores and trust stores of every form, and the sentence for each thing that can be wrong with one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dimse_proxy.config.keystores import StoreError, read_key_store, read_trust_store
from tests.certificates import PASSWORD, Authority, Identity, new_key
from tests.unit.config import jks_writer as jks


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("root")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Identity:
    """Signed by an authority that is signed by the root, which stands in the chain too."""
    middle = Authority("middle", above=authority)
    identity = middle.issue("proxy")
    return Identity(key=identity.key, chain=(*identity.chain, authority.certificate))


def der_key(identity: Identity) -> bytes:
    return identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def der_chain(identity: Identity) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in identity.chain]


def write_jks(path: Path, *entries: bytes, password: str = PASSWORD) -> Path:
    path.write_bytes(jks.store(*entries, password=password))
    return path


def as_jks(identity: Identity, path: Path) -> Path:
    return write_jks(path, jks.key_entry("own", jks.protect(der_key(identity), PASSWORD), der_chain(identity)))


FORMS: dict[str, Callable[[Identity, Path], Path]] = {
    "PKCS12": lambda identity, path: identity.pkcs12(path),
    "JKS": as_jks,
    "PEM": lambda identity, path: identity.pem(path),
}


def problem(path: Path, kind: str = "PKCS12", password: str | None = PASSWORD, alias: str | None = None) -> str:
    with pytest.raises(StoreError) as raised:
        read_key_store(path, kind, password, alias)
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", FORMS)
def test_a_key_and_its_chain(own: Identity, tmp_path: Path, form: str, kind: str) -> None:
    """Whatever it is said to be, a store is read as what it is, as Java does it."""
    material = read_key_store(FORMS[form](own, tmp_path / "store"), kind, PASSWORD)
    assert material.key.public_key() == own.key.public_key()
    assert material.chain == own.chain
    assert material.notes == ()
    assert "PrivateKey" not in repr(material)


def test_the_chain_is_put_in_order_and_strangers_are_left_out(
    own: Identity, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "store.pem"
    stranger = authority.issue("stranger")
    shuffled = Identity(key=own.key, chain=(own.chain[2], stranger.certificate, own.chain[1], own.chain[0]))
    assert read_key_store(shuffled.pem(path), "PEM", None).chain == own.chain


def test_a_folder_as_kubernetes_mounts_it(own: Identity, tmp_path: Path) -> None:
    text = own.pem(tmp_path / "both.pem").read_bytes()
    start = text.index(b"-----BEGIN CERTIFICATE")
    (tmp_path / "tls.key").write_bytes(text[:start])
    (tmp_path / "tls.crt").write_bytes(text[start:])
    assert read_key_store(tmp_path, "PEM", None).chain == own.chain
    (tmp_path / "tls.crt").unlink()
    assert "tls.crt is missing" in problem(tmp_path, "PEM", None)


def test_a_pem_key_with_password(own: Identity, tmp_path: Path) -> None:
    path = own.pem(tmp_path / "store.pem", PASSWORD)
    assert read_key_store(path, "PEM", PASSWORD).chain == own.chain
    assert problem(path, "PEM", "other") == "the password is wrong, or the file is damaged"
    assert problem(path, "PEM", None) == "its key is encrypted: it needs its password"


@pytest.mark.parametrize("form", ["PKCS12", "JKS"])
def test_aliases(own: Identity, tmp_path: Path, form: str) -> None:
    path = FORMS[form](own, tmp_path / "store")
    assert read_key_store(path, form, PASSWORD, "OWN").chain == own.chain
    assert "no key with the alias 'other'" in problem(path, form, PASSWORD, "other")
    assert "own" in problem(path, form, PASSWORD, "other")


def test_a_pem_file_has_no_aliases(own: Identity, tmp_path: Path) -> None:
    assert "no aliases" in problem(own.pem(tmp_path / "store"), "PEM", None, "own")


def test_the_first_of_several_keys_or_the_one_that_is_named(
    own: Identity, authority: Authority, tmp_path: Path
) -> None:
    other = authority.issue("other")
    path = write_jks(
        tmp_path / "store",
        jks.trusted_entry("authority", authority.der),
        jks.key_entry("first", jks.protect(der_key(other), PASSWORD), der_chain(other)),
        jks.key_entry("second", jks.protect(der_key(own), PASSWORD), der_chain(own)),
    )
    material = read_key_store(path, "JKS", PASSWORD)
    assert material.chain == other.chain
    assert material.notes == ("it holds several keys (first, second), and 'first', the first, is used",)
    named = read_key_store(path, "JKS", PASSWORD, "second")
    assert (named.chain, named.notes) == (own.chain, ())
    assert read_trust_store(path, "JKS", PASSWORD) == (authority.der,)


@pytest.mark.parametrize("form", ["PKCS12", "JKS"])
def test_passwords(own: Identity, tmp_path: Path, form: str) -> None:
    path = FORMS[form](own, tmp_path / "store")
    assert problem(path, form, "other") == "the password is wrong, or the file is damaged"
    assert problem(path, form, None) == "it needs its password"


def test_a_pkcs12_store_without_password(own: Identity, tmp_path: Path) -> None:
    assert read_key_store(own.pkcs12(tmp_path / "store", password=None), "PKCS12", None).chain == own.chain


def test_a_jks_key_with_another_password(own: Identity, tmp_path: Path) -> None:
    path = write_jks(tmp_path / "store", jks.key_entry("own", jks.protect(der_key(own), "other"), der_chain(own)))
    assert problem(path, "JKS").startswith("the key 'own' has another password than the store; keytool")


def test_a_jks_key_and_certificate_that_are_none(own: Identity, tmp_path: Path) -> None:
    path = tmp_path / "store"
    write_jks(path, jks.key_entry("own", jks.protect(b"no key", PASSWORD), der_chain(own)))
    assert problem(path, "JKS") == "the key 'own' is of a kind that cannot be used"
    write_jks(path, jks.key_entry("own", jks.protect(der_key(own), PASSWORD), [b"none"]))
    assert problem(path, "JKS") == "it holds a certificate that cannot be read"
    write_jks(path, jks.key_entry("own", b"\x30\x04\x30\x02\x06\x00", der_chain(own)))
    assert problem(path, "JKS") == "its key is encrypted in a way that JKS does not have"


@pytest.mark.parametrize("form", ["JKS", "PEM"])
def test_a_key_that_does_not_fit(own: Identity, tmp_path: Path, form: str) -> None:
    wrong = Identity(key=new_key(), chain=own.chain)
    assert problem(FORMS[form](wrong, tmp_path / "store"), form) == "its private key does not fit its certificate"


def test_stores_without_what_is_needed(own: Identity, authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "store"
    assert problem(authority.pkcs12(path)) == "it holds no private key"
    write_jks(path, jks.trusted_entry("a", authority.der))
    assert problem(path, "JKS") == "it holds no private key"
    assert problem(authority.pem(path), "PEM") == "it holds no private key"
    path.write_bytes(own.key_pem())
    assert problem(path, "PEM") == "it holds a private key, and no certificate that belongs to it"
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert problem(path, "PEM") == "its private key cannot be read"
    path.write_bytes(own.key_pem() + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert problem(path, "PEM") == "it holds a certificate that cannot be read"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"hello", "this is no PKCS12 file, nor one of PKCS12, JKS and PEM"),
        (b"\xce\xce\xce\xce\0\0\0\2", "this is a JCEKS store; keytool -importkeystore makes a PKCS12 store of it"),
        (b"\x30\x03\x02\x01\x03", "the password is wrong, or the file is damaged"),
        (b"\xfe\xed\xfe\xed" + bytes(40), "the password is wrong, or the file is damaged"),
        (b"\x30" + bytes(5 << 20), "the file is too long to be a store"),
    ],
)
def test_files_that_are_no_store(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "store"
    path.write_bytes(content)
    assert problem(path) == sentence


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert problem(tmp_path / "none") == "No such file or directory"
    assert problem(tmp_path) == "this is a folder, and one with tls.key and tls.crt is right: tls.key is missing"


@pytest.mark.parametrize("form", ["PKCS12", "JKS", "PEM"])
def test_trusted_certificates(authority: Authority, tmp_path: Path, form: str) -> None:
    path = tmp_path / "store"
    match form:
        case "PKCS12":
            authority.pkcs12(path)
        case "JKS":
            write_jks(path, jks.trusted_entry("a", authority.der))
        case _:
            authority.pem(path)
    assert read_trust_store(path, form, PASSWORD) == (authority.der,)
    if form == "JKS":
        assert read_trust_store(path, form, None) == (authority.der,)


def test_a_trust_store_without_trust(own: Identity, tmp_path: Path) -> None:
    path = as_jks(own, tmp_path / "store")
    with pytest.raises(StoreError, match="it holds no trusted certificate"):
        read_trust_store(path, "JKS", PASSWORD)
    path.write_bytes(own.key_pem())
    with pytest.raises(StoreError, match="it holds no trusted certificate"):
        read_trust_store(path, "PEM", None)

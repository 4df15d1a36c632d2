"""Who we are towards NATS, in every form, as the files have it now; and the sentence for each thing that is wrong."""

from pathlib import Path

import pytest

from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.nkeys import NKeyError, UserKey, read_credentials
from dimse_proxy.config.secret_files import Secrets
from dimse_proxy.config.settings import load_settings
from dimse_proxy.errors import ConfigError
from tests.certificates import Authority
from tests.unit.config.nkey_texts import ACCOUNT, USER, KeyPair, credentials, encode


def access(**variables: str) -> NatsAccess:
    environ = {"DIMSE_NATS_URL": "nats.example.org"} | {f"DIMSE_NATS_{key}": text for key, text in variables.items()}
    loaded = load_settings(environ, None)
    return NatsAccess(loaded.settings, Secrets(loaded.settings, loaded.origins))


def problem(**variables: str) -> str:
    with pytest.raises(ConfigError) as raised:
        access(**variables).check()
    [sentence] = raised.value.problems
    return sentence


def test_nobody_in_particular() -> None:
    identity = access().identity()
    assert (identity.user, identity.password, identity.token, identity.sign) == (None, None, None, None)


def test_a_token_and_a_user() -> None:
    assert access(AUTH_TOKEN="s3cret").identity().token == "s3cret"
    identity = access(USER="me", PASSWORD="s3cret").identity()
    assert (identity.user, identity.password) == ("me", "s3cret")
    assert "s3cret" not in repr(identity)


@pytest.mark.parametrize("variable", ["AUTH_TOKEN", "PASSWORD"])
def test_secrets_of_files_are_read_anew(tmp_path: Path, variable: str) -> None:
    path = tmp_path / "secret"
    path.write_text("one\n")
    more = {"USER": "me"} if variable == "PASSWORD" else {}
    who = access(**{f"{variable}_FILE": str(path)}, **more)
    path.write_text("two\n")
    identity = who.identity()
    assert "two" in (identity.token, identity.password)
    path.write_text("\n")
    with pytest.raises(ConfigError, match=rf"DIMSE_NATS_{variable}_FILE=.*: it holds nothing"):
        who.identity()
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        who.identity()
    path.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        who.identity()


def test_an_nkey(tmp_path: Path) -> None:
    pair, path = KeyPair(USER), tmp_path / "seed"
    path.write_text(pair.seed + "\n")
    identity = access(NKEY_FILE=str(path)).identity()
    assert (identity.nkey, identity.jwt) == (pair.public, None)
    assert identity.sign is not None
    pair.key.public_key().verify(identity.sign(b"nonce"), b"nonce")


def test_a_credentials_file(tmp_path: Path) -> None:
    pair, path = KeyPair(USER), tmp_path / "user.creds"
    path.write_text(credentials("a.b.c", pair.seed))
    identity = access(CREDS_FILE=str(path)).identity()
    assert (identity.jwt, identity.nkey) == ("a.b.c", None)
    assert identity.sign is not None
    pair.key.public_key().verify(identity.sign(b"nonce"), b"nonce")


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ("", "begins with SU|check sum"),
        ("SUlower", "begins with SU"),
        ("SUAAAAAA", "check sum"),
        (KeyPair(ACCOUNT).seed, "seed of a user"),
        (KeyPair(USER).public, "check sum"),
        (encode(bytes(34)), "seed of a user"),
    ],
    ids=["empty", "lower case", "short", "an account's", "a public key", "zeros"],
)
def test_seeds_that_are_none(seed: str, message: str) -> None:
    with pytest.raises(NKeyError, match=message) as raised:
        UserKey(seed)
    assert not seed or seed not in str(raised.value)


def test_a_seed_with_one_letter_changed() -> None:
    seed = KeyPair(USER).seed
    changed = seed[:20] + ("A" if seed[20] != "A" else "B") + seed[21:]
    with pytest.raises(NKeyError, match="check sum"):
        UserKey(changed)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "user JWT"),
        ("-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n", "user NKey seed"),
    ],
)
def test_credentials_files_that_are_none(text: str, missing: str) -> None:
    with pytest.raises(NKeyError, match=missing):
        read_credentials(text)


def test_files_that_are_wrong_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert problem(CREDS_FILE=str(path)) == f"DIMSE_NATS_CREDS_FILE={path}: No such file or directory."
    path.write_text("nothing")
    assert problem(CREDS_FILE=str(path)).startswith(f"DIMSE_NATS_CREDS_FILE={path}: it is no credentials file")
    assert problem(NKEY_FILE=str(path)).startswith(f"DIMSE_NATS_NKEY_FILE={path}: it is no NKey seed")
    tls = {"TLS_ENABLED": "true"}
    assert problem(TLS_CA_FILE=str(path), **tls) == f"DIMSE_NATS_TLS_CA_FILE={path}: it holds no certificate in PEM."
    assert problem(TLS_CA_FILE="/none", **tls) == "DIMSE_NATS_TLS_CA_FILE=/none: No such file or directory."


def test_a_client_certificate(tmp_path: Path) -> None:
    authority = Authority("root")
    key, certificate = authority.issue("me").key_and_certificate(tmp_path, "me")
    ca = authority.pem(tmp_path / "ca.pem")
    who = access(TLS_ENABLED="true", TLS_CA_FILE=str(ca), TLS_CERT_FILE=str(certificate), TLS_KEY_FILE=str(key))
    who.check()
    first = who.tls()
    assert who.tls() is first
    new_key, new_certificate = authority.issue("me").key_and_certificate(tmp_path, "new")
    new_key.replace(key)
    with pytest.raises(ConfigError, match="the key does not fit the certificate"):
        who.tls()
    new_certificate.replace(certificate)
    assert who.tls() is not first


def test_a_client_key_with_password(tmp_path: Path) -> None:
    identity = Authority("root").issue("me")
    key, certificate = identity.key_and_certificate(tmp_path, "me")
    key.write_bytes(identity.key_pem("secret"))
    sentence = problem(TLS_ENABLED="true", TLS_CERT_FILE=str(certificate), TLS_KEY_FILE=str(key))
    assert sentence.endswith("the key is encrypted, and only one without password can be used.")
    key.write_text("nothing")
    sentence = problem(TLS_ENABLED="true", TLS_CERT_FILE=str(certificate), TLS_KEY_FILE=str(key))
    assert sentence.endswith("these are no certificate and key in PEM that can be used.")

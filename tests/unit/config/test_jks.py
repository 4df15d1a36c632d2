"""The reader of JKS key stores: entries, the digest at the end, the protection of keys, and damage of every kind."""

import pytest

from dimse_proxy.config.jks import JksError, JksPasswordError, decrypt_key, read_jks
from tests.unit.config import jks_writer as jks

PASSWORD = "päss wörd"
KEY = bytes(range(256)) * 5


def sample(version: int = 2) -> bytes:
    return jks.store(
        jks.key_entry("own", jks.protect(KEY, PASSWORD), [b"certificate", b"issuer"], version=version),
        password=PASSWORD,
        version=version,
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_key_and_its_chain(version: int) -> None:
    [entry] = read_jks(sample(version), PASSWORD)
    assert entry.alias == "own"
    assert entry.certificates == (b"certificate", b"issuer")
    assert decrypt_key(entry, PASSWORD) == KEY


def test_trusted_certificates_in_their_order() -> None:
    data = jks.store(jks.trusted_entry("b", b"one"), jks.trusted_entry("ä", b"two"), password=PASSWORD)
    entries = read_jks(data, PASSWORD)
    assert [(entry.alias, entry.certificates, entry.protected_key) for entry in entries] == [
        ("b", (b"one",), None),
        ("ä", (b"two",), None),
    ]


def test_an_empty_store() -> None:
    assert read_jks(jks.store(password=PASSWORD), PASSWORD) == ()


def test_without_password_the_digest_is_not_checked() -> None:
    data = bytearray(jks.store(jks.trusted_entry("a", b"one"), password=PASSWORD))
    data[-1] ^= 1
    assert [entry.alias for entry in read_jks(bytes(data), None)] == ["a"]
    with pytest.raises(JksPasswordError, match="wrong, or the file is damaged"):
        read_jks(bytes(data), PASSWORD)


def test_a_wrong_password() -> None:
    with pytest.raises(JksPasswordError, match="wrong"):
        read_jks(sample(), "other")
    [entry] = read_jks(sample(), None)
    with pytest.raises(JksPasswordError, match="key 'own' has another password"):
        decrypt_key(entry, "other")


def test_a_store_that_was_cut_short_anywhere() -> None:
    data = sample()
    for length in range(len(data)):
        with pytest.raises(JksError):
            read_jks(data[:length], PASSWORD)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (b"\0\0\0\3" + jks.utf("x") + bytes(8), "kind that JKS does not have"),
        (b"\0\0\0\2" + jks.utf("x") + bytes(8) + jks.utf("PGP") + jks.block(b""), "certificate of type 'PGP'"),
        (b"\0\0\0\1" + jks.utf("x") + bytes(8) + b"\xff\xff\xff\xff", "damaged"),
        (b"\0\0\0\2\0\2\xff\xff" + bytes(12), "damaged"),
        (b"", "damaged"),
    ],
)
def test_entries_that_are_none(entry: bytes, message: str) -> None:
    with pytest.raises(JksError, match=message):
        read_jks(jks.store(entry, password=PASSWORD), PASSWORD)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xfe\xed\xfe\xed" + b"\0\0\0\7" + bytes(4), "version 7"),
        (b"\xfe\xed\xfa\xce" + b"\0\0\0\2" + bytes(4), "no JKS"),
    ],
)
def test_files_that_are_no_jks_store(data: bytes, message: str) -> None:
    with pytest.raises(JksError, match=message):
        read_jks(data + bytes(20), None)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (b"", "damaged"),
        (b"\x30", "damaged"),
        (b"\x31\x00", "damaged"),
        (b"\x30\x05\x30", "damaged"),
        (b"\x30\x04\x30\x02\x06\x00", "encrypted in a way"),
        (jks.der(0x30, jks.SUN_KEY_PROTECTOR + jks.der(0x04, bytes(39))), "damaged"),
        (jks.der(0x30, jks.SUN_KEY_PROTECTOR), "damaged"),
    ],
)
def test_protected_keys_that_are_none(key: bytes, message: str) -> None:
    [entry] = read_jks(jks.store(jks.key_entry("own", key, []), password=PASSWORD), PASSWORD)
    with pytest.raises(JksError, match=message):
        decrypt_key(entry, PASSWORD)

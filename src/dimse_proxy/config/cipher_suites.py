"""Cipher suites: from the names of JSSE and IANA, which key stores' owners know, to those of OpenSSL. Pure tables."""

from typing import Final

_AUTHENTICATIONS: Final = {
    "TLS_ECDHE_ECDSA_WITH_": "ECDHE-ECDSA-",
    "TLS_ECDHE_RSA_WITH_": "ECDHE-RSA-",
    "TLS_DHE_RSA_WITH_": "DHE-RSA-",
    "TLS_RSA_WITH_": "",
}
_CIPHERS: Final = {
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    "AES_128_CCM": "AES128-CCM",
    "AES_256_CCM": "AES256-CCM",
    "AES_128_CCM_8": "AES128-CCM8",
    "AES_256_CCM_8": "AES256-CCM8",
    "AES_128_CBC_SHA256": "AES128-SHA256",
    "AES_256_CBC_SHA256": "AES256-SHA256",
    "AES_256_CBC_SHA384": "AES256-SHA384",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
}

OPENSSL_NAMES: Final = {
    ours + cipher: theirs + name for ours, theirs in _AUTHENTICATIONS.items() for cipher, name in _CIPHERS.items()
} | {"TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA": "EDH-RSA-DES-CBC3-SHA"}
"""IANA name -> name of OpenSSL, for TLS 1.2 and before. Combinations that were never defined do no harm: OpenSSL does
not have them. Suites without encryption are left out on purpose."""

TLS_1_3_SUITES: Final = frozenset(
    {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_CCM_8_SHA256",
    }
)
"""Python's `ssl` cannot choose among these (RFC 8446 B.4): they are on or off with TLS 1.3 as a whole."""

DEFAULT_SUITES: Final = (
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
)
"""PS3.15 B.12 follows BCP 195, whose RFC 9325 4.2 recommends the first four; the last is for old modalities, which
PS3.15 B.2 once obliged to have it."""


def iana_name(name: str) -> str:
    """Return the IANA name of a suite: JSSE calls those that are older than TLS `SSL_...`."""
    name = name.strip().upper()
    return f"TLS_{name.removeprefix('SSL_')}" if name.startswith("SSL_") else name

"""Which versions of TLS and which cipher suites DICOM connections may use, and a context with these and no key yet.

Knows no key store.
"""

import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dimse_proxy.config.cipher_suites import DEFAULT_SUITES, OPENSSL_NAMES, TLS_1_3_SUITES, iana_name
from dimse_proxy.config.settings import Settings
from dimse_proxy.config.values import TlsVersion
from dimse_proxy.errors import ConfigError

_VERSIONS: Final[dict[TlsVersion, ssl.TLSVersion]] = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_SWITCHES: Final[dict[TlsVersion, ssl.Options]] = {
    "TLSv1.0": ssl.Options.OP_NO_TLSv1,
    "TLSv1.1": ssl.Options.OP_NO_TLSv1_1,
    "TLSv1.2": ssl.Options.OP_NO_TLSv1_2,
    "TLSv1.3": ssl.Options.OP_NO_TLSv1_3,
}
_OLD: Final = frozenset({"TLSv1.0", "TLSv1.1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPlan:
    """What the settings say about versions and cipher suites, for both directions."""

    versions: tuple[TlsVersion, ...]
    """At least one, oldest first."""
    suites: tuple[str, ...]
    """OpenSSL's names for TLS 1.2 and before; empty when only TLS 1.3 is left."""
    security_level: int
    notes: tuple[str, ...]
    """Sentences worth a warning."""


def tls_plan(settings: Settings) -> TlsPlan:
    """Decide on versions and cipher suites.

    Raises:
        ConfigError: no version or no suite is left.
    """
    notes: list[str] = []
    versions = [version for version in _VERSIONS if version in settings.tls_protocol_versions]
    named = [iana_name(suite) for suite in settings.tls_cipher_suites]
    named_1_3 = [suite for suite in named if suite in TLS_1_3_SUITES]
    if named and not named_1_3 and "TLSv1.3" in versions:
        # Exactly the suites that are named: TLS 1.3 has only others.
        versions.remove("TLSv1.3")
        if "tls_protocol_versions" in settings.model_fields_set:
            notes.append("DIMSE_TLS_CIPHER_SUITES names no suite of TLS 1.3, so TLSv1.3 is not offered.")
    elif named_1_3 and "TLSv1.3" in versions:
        notes.append(
            f"DIMSE_TLS_CIPHER_SUITES names {', '.join(named_1_3)}: the suites of TLS 1.3 cannot be chosen one by "
            "one, so all that OpenSSL has are offered."
        )
    level = 0 if _OLD & set(versions) else 2
    suites: tuple[str, ...] = ()
    if set(versions) - {"TLSv1.3"}:
        suites, missing = _available(named or DEFAULT_SUITES, level)
        if missing and named:
            notes.append(
                f"DIMSE_TLS_CIPHER_SUITES names {', '.join(missing)}, which {ssl.OPENSSL_VERSION} does not have: left "
                "out."
            )
    if not suites:
        versions = [version for version in versions if version == "TLSv1.3"]
    if not versions:
        raise ConfigError(
            [
                f"DIMSE_TLS_CIPHER_SUITES={','.join(settings.tls_cipher_suites)}: {ssl.OPENSSL_VERSION} has none of "
                f"these for {', '.join(settings.tls_protocol_versions)}, and no suite is left."
            ]
        )
    if _OLD & set(versions):
        notes.append(
            "DIMSE_TLS_PROTOCOL_VERSIONS allows TLS before 1.2, which is not secure (RFC 8996) and needs OpenSSL's "
            "security level 0: short keys and SHA-1 signatures are accepted too, with every version."
        )
    return TlsPlan(versions=tuple(versions), suites=suites, security_level=level, notes=tuple(notes))


def _available(suites: Sequence[str], level: int) -> tuple[tuple[str, ...], list[str]]:
    """Return OpenSSL's names of the suites that it has, and our names of the others."""
    found: list[str] = []
    missing: list[str] = []
    for suite in suites:
        name = OPENSSL_NAMES.get(suite)
        if name is not None and _has_suite(name, level):
            found.append(name)
        elif suite not in TLS_1_3_SUITES:
            missing.append(suite)
    return tuple(found), missing


def _has_suite(name: str, level: int) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(f"{name}:@SECLEVEL={level}")
    except ssl.SSLError:
        return False
    return True


def new_context(protocol: int, plan: TlsPlan) -> ssl.SSLContext:
    """Return a context for the plan, without key and trusted certificates."""
    context = ssl.SSLContext(protocol)
    with warnings.catch_warnings():
        # Python deprecates old versions as such; whoever asks for them is warned by `tls_plan`.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _VERSIONS[plan.versions[0]]
        context.maximum_version = _VERSIONS[plan.versions[-1]]
        for version, switch in _SWITCHES.items():
            if plan.versions[0] < version < plan.versions[-1] and version not in plan.versions:
                context.options |= switch
    if plan.suites:
        context.set_ciphers(f"{':'.join(plan.suites)}:@SECLEVEL={plan.security_level}")
    context.options |= ssl.Options.OP_NO_RENEGOTIATION
    return context

"""What several settings must be together.

Each check gives a sentence or None, and looks only at values that are right alone.
"""

import importlib.util
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dimse_proxy.config.problems import given
from dimse_proxy.config.sources import Variables

if TYPE_CHECKING:
    from dimse_proxy.config.settings import Settings


@dataclass(frozen=True, slots=True)
class _Check:
    variables: frozenset[str]
    """What it looks at; it is left out when one of them is wrong already."""
    find: "Callable[[Settings, Variables], str | None]"


def check_together(settings: "Settings", variables: Variables, wrong: Collection[str]) -> Iterator[str]:
    """Return one sentence for each combination that cannot work."""
    for check in _CHECKS:
        if check.variables.isdisjoint(wrong) and (sentence := check.find(settings, variables)) is not None:
            yield sentence


def _nats_server(settings: "Settings", variables: Variables) -> str | None:
    if settings.nats_servers:
        return None
    return "DIMSE_NATS_URL is not set: the NATS servers to connect to are needed, host:port separated by commas."


def _target_title(settings: "Settings", variables: Variables) -> str | None:
    if settings.target_host is None or "DIMSE_TARGET_AE" not in variables.emptied:
        return None
    host = given("DIMSE_TARGET_HOST", variables)
    return f"{host} names a target without AE: DIMSE_TARGET_AE is empty, and the AE title to call there is right."


def _own_title(settings: "Settings", variables: Variables) -> str | None:
    if settings.target_host is None or settings.calling_ae != "own" or settings.own_ae_title is not None:
        return None
    return (
        f"{given('DIMSE_AE', variables)} names no AE title to call the target with: add one beside the *, or set "
        "DIMSE_CALLING_AE to original or to a title."
    )


def _channels(settings: "Settings", variables: Variables) -> str | None:
    if settings.nats_peer_channel != settings.nats_subject_channel:
        return None
    return f"{given('DIMSE_NATS_PEER_CHANNEL', variables)} is this side's own channel: each side has one of its own."


def _key_store(settings: "Settings", variables: Variables) -> str | None:
    if not settings.has_tls_listener or settings.tls_keystore is not None:
        return None
    name = "DIMSE_TLS_ENABLED" if settings.tls_enabled else "DIMSE_TLS_PORT"
    return f"{given(name, variables)} needs the own key and certificate: DIMSE_TLS_KEYSTORE is not set."


def _ports(settings: "Settings", variables: Variables) -> str | None:
    if settings.tls_port != settings.port:
        return None
    return f"{given('DIMSE_TLS_PORT', variables)} is the plain port too: it must differ from DIMSE_PORT."


def _http_port(settings: "Settings", variables: Variables) -> str | None:
    if settings.http_port is None or settings.is_http_optional:
        return None
    for name, port in (("DIMSE_PORT", settings.port), ("DIMSE_TLS_PORT", settings.tls_port)):
        if settings.http_port == port:
            return f"{given('DIMSE_HTTP_PORT', variables)} is that of DICOM too: it must differ from {name}."
    return None


def _client_auth(settings: "Settings", variables: Variables) -> str | None:
    if settings.tls_client_auth in (None, "none") or settings.tls_truststore is not None:
        return None
    return (
        f"{given('DIMSE_TLS_CLIENT_AUTH', variables)} needs the certificates to trust: DIMSE_TLS_TRUSTSTORE is not set."
    )


def _host_name(settings: "Settings", variables: Variables) -> str | None:
    if not settings.has_tls_target or settings.verifies_hostname or settings.tls_truststore is not None:
        return None
    return (
        f"{given('DIMSE_TLS_VERIFY_HOSTNAME', variables)} would take any certificate of a public authority for the "
        "target's: DIMSE_TLS_TRUSTSTORE is not set."
    )


def _leaf_store(settings: "Settings", variables: Variables) -> str | None:
    names = {"DIMSE_LEAF_URL": settings.leaf_urls, "DIMSE_LEAF_DOMAIN": settings.leaf_domain}
    given_names = [name for name, value in names.items() if value]
    if settings.leaf_store is not None or not given_names:
        return None
    return (
        f"{given(given_names[0], variables)} has no effect alone: DIMSE_LEAF_STORE says where the leaf node keeps data."
    )


def _one_credential(settings: "Settings", variables: Variables) -> str | None:
    forms = {
        "DIMSE_NATS_AUTH_TOKEN": settings.nats_auth_token,
        "DIMSE_NATS_USER": settings.nats_user,
        "DIMSE_NATS_CREDS_FILE": settings.nats_creds_file,
        "DIMSE_NATS_NKEY_FILE": settings.nats_nkey_file,
    }
    names = [name for name, value in forms.items() if value is not None]
    if len(names) < 2:
        return None
    return f"{' and '.join(names)} are given together: one credential for NATS is right."


def _user_and_password(settings: "Settings", variables: Variables) -> str | None:
    return _together("DIMSE_NATS_USER", settings.nats_user, "DIMSE_NATS_PASSWORD", settings.nats_password)


def _certificate_and_key(settings: "Settings", variables: Variables) -> str | None:
    return _together(
        "DIMSE_NATS_TLS_CERT_FILE", settings.nats_tls_cert_file, "DIMSE_NATS_TLS_KEY_FILE", settings.nats_tls_key_file
    )


def _together(first: str, first_value: object, second: str, second_value: object) -> str | None:
    if (first_value is None) is (second_value is None):
        return None
    there, missing = (second, first) if first_value is None else (first, second)
    return f"{there} is given without {missing}: both together are right."


def _nats_tls_files(settings: "Settings", variables: Variables) -> str | None:
    files = {
        "DIMSE_NATS_TLS_CA_FILE": settings.nats_tls_ca_file,
        "DIMSE_NATS_TLS_CERT_FILE": settings.nats_tls_cert_file,
    }
    names = [name for name, path in files.items() if path is not None]
    if not names or not settings.nats_servers or settings.has_nats_tls:
        return None
    return (
        f"{given(names[0], variables)} is for TLS, which is not asked for: DIMSE_NATS_TLS_ENABLED=true or tls:// in "
        "DIMSE_NATS_URL is right."
    )


def _audit_target(settings: "Settings", variables: Variables) -> str | None:
    if settings.has_audit or not settings.audit_content:
        return None
    name = given("DIMSE_AUDIT_CONTENT", variables)
    return f"{name} has no effect alone: DIMSE_AUDIT_SYSLOG or DIMSE_AUDIT_FILE says where audit messages go."


def _audit_spool(settings: "Settings", variables: Variables) -> str | None:
    if settings.audit_spool is None or settings.audit_syslog:
        return None
    name = given("DIMSE_AUDIT_SPOOL", variables)
    return f"{name} is for messages to syslog receivers, and DIMSE_AUDIT_SYSLOG names none."


def _audit_tls_files(settings: "Settings", variables: Variables) -> str | None:
    files = {
        "DIMSE_AUDIT_TLS_CA_FILE": settings.audit_tls_ca_file,
        "DIMSE_AUDIT_TLS_CERT_FILE": settings.audit_tls_cert_file,
    }
    names = [name for name, path in files.items() if path is not None]
    if not names or settings.has_audit_tls:
        return None
    return f"{given(names[0], variables)} is for TLS, and DIMSE_AUDIT_SYSLOG names no receiver with tls://."


def _audit_certificate_and_key(settings: "Settings", variables: Variables) -> str | None:
    return _together(
        "DIMSE_AUDIT_TLS_CERT_FILE",
        settings.audit_tls_cert_file,
        "DIMSE_AUDIT_TLS_KEY_FILE",
        settings.audit_tls_key_file,
    )


def _traces(settings: "Settings", variables: Variables) -> str | None:
    if not settings.traces_enabled or all(map(_is_installed, _OPENTELEMETRY)):
        return None
    return (
        f"{given('DIMSE_TRACES_ENABLED', variables)} needs OpenTelemetry, which is not installed: "
        "pip install 'dimse-proxy[otel]' adds it."
    )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of a package above it
        return False


_OPENTELEMETRY: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
"""What the extra `otel` installs."""

_CHECKS: Final = (
    _Check(frozenset({"DIMSE_NATS_URL", "DIMSE_NATS_TLS_ENABLED"}), _nats_server),
    _Check(frozenset({"DIMSE_TARGET_HOST"}), _target_title),
    _Check(frozenset({"DIMSE_AE", "DIMSE_CALLING_AE", "DIMSE_TARGET_HOST"}), _own_title),
    _Check(frozenset({"DIMSE_NATS_SUBJECT_CHANNEL", "DIMSE_NATS_PEER_CHANNEL"}), _channels),
    _Check(frozenset({"DIMSE_TLS_ENABLED", "DIMSE_TLS_PORT", "DIMSE_TLS_KEYSTORE"}), _key_store),
    _Check(frozenset({"DIMSE_TLS_PORT", "DIMSE_PORT"}), _ports),
    _Check(frozenset({"DIMSE_HTTP_PORT", "DIMSE_PORT", "DIMSE_TLS_PORT"}), _http_port),
    _Check(frozenset({"DIMSE_TLS_CLIENT_AUTH", "DIMSE_TLS_TRUSTSTORE"}), _client_auth),
    _Check(frozenset({"DIMSE_TLS_ENABLED", "DIMSE_TARGET_TLS_ENABLED", "DIMSE_TLS_VERIFY_HOSTNAME"}), _host_name),
    _Check(frozenset({"DIMSE_LEAF_URL", "DIMSE_LEAF_DOMAIN"}), _leaf_store),
    _Check(frozenset({"DIMSE_NATS_AUTH_TOKEN"}), _one_credential),
    _Check(frozenset({"DIMSE_NATS_PASSWORD"}), _user_and_password),
    _Check(frozenset(), _certificate_and_key),
    _Check(frozenset({"DIMSE_NATS_URL", "DIMSE_NATS_TLS_ENABLED"}), _nats_tls_files),
    _Check(frozenset({"DIMSE_AUDIT_SYSLOG"}), _audit_target),
    _Check(frozenset({"DIMSE_AUDIT_SYSLOG"}), _audit_spool),
    _Check(frozenset({"DIMSE_AUDIT_SYSLOG"}), _audit_tls_files),
    _Check(frozenset(), _audit_certificate_and_key),
    _Check(frozenset({"DIMSE_TRACES_ENABLED"}), _traces),
)

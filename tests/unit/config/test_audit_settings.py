"""The settings of the audit trail: what each takes, and the sentence for what is wrong."""

from pathlib import Path

import pytest

from dimse_proxy.config.material import load_material
from dimse_proxy.config.settings import Settings, load_settings
from dimse_proxy.config.shown import settings_shown
from dimse_proxy.config.values import AuditTarget
from dimse_proxy.errors import ConfigError
from tests.certificates import Authority

NATS = {"DIMSE_NATS_URL": "nats.example.org"}


def settings(**variables: str) -> Settings:
    return load_settings(NATS | {f"DIMSE_AUDIT_{name}": text for name, text in variables.items()}, None).settings


def problem(**variables: str) -> str:
    with pytest.raises(ConfigError) as raised:
        settings(**variables)
    [sentence] = raised.value.problems
    return sentence


def test_off_by_default() -> None:
    made = settings()
    assert (made.has_audit, made.has_audit_tls, made.audit_content) == (False, False, False)
    assert settings(FILE="a.json").has_audit


def test_receivers() -> None:
    made = settings(
        SYSLOG="tls://log.example.org, udp://10.1.2.3:1514 ,tls://[fd00::1]:7000,udp://log,tls://log.example.org"
    )
    assert made.audit_syslog == (
        AuditTarget("tls", "log.example.org", 6514),
        AuditTarget("udp", "10.1.2.3", 1514),
        AuditTarget("tls", "fd00::1", 7000),
        AuditTarget("udp", "log", 514),
    )
    assert made.has_audit_tls
    assert [str(target) for target in made.audit_syslog][1:3] == ["udp://10.1.2.3:1514", "tls://[fd00::1]:7000"]
    names = {target.file_name for target in made.audit_syslog}
    assert len(names) == 4
    assert "tls-fd00__1-7000.spool" in names
    shown = {name: value for name, value, _ in settings_shown(made, {})}
    assert shown["DIMSE_AUDIT_SYSLOG"].startswith("tls://log.example.org:6514,udp://10.1.2.3:1514")
    assert settings(SYSLOG=" , ").audit_syslog == ()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("log.example.org", "tls://host:6514 or udp://host:514 is right"),
        ("tcp://log", "tls://host:6514 or udp://host:514 is right"),
        ("tls://", "tls://host:6514 or udp://host:514 is right"),
        ("tls://log:0", "no port from 1 to 65535"),
        ("tls://log:x", "no port from 1 to 65535"),
        ("tls://log/path", "more than host and port"),
        ("udp://-log", "neither a host name nor an address"),
    ],
)
def test_receivers_that_are_none(text: str, right: str) -> None:
    sentence = problem(SYSLOG=text)
    assert sentence.startswith(f"DIMSE_AUDIT_SYSLOG={text} (environment): ")
    assert right in sentence


def test_a_credential_is_not_repeated() -> None:
    sentence = problem(SYSLOG="tls://me:s3cret@log")
    assert "s3cret" not in sentence
    assert "more than host and port" in sentence


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"CONTENT": "true"}, "DIMSE_AUDIT_CONTENT=true (environment) has no effect alone"),
        ({"SPOOL": "/spool"}, "DIMSE_AUDIT_SPOOL=/spool (environment) is for messages to syslog receivers"),
        (
            {"SPOOL": "/spool", "FILE": "a"},
            "DIMSE_AUDIT_SPOOL=/spool (environment) is for messages to syslog receivers",
        ),
        ({"SYSLOG": "udp://log", "TLS_CA_FILE": "ca"}, "DIMSE_AUDIT_TLS_CA_FILE=ca (environment) is for TLS"),
        ({"SYSLOG": "tls://log", "TLS_CERT_FILE": "c"}, "DIMSE_AUDIT_TLS_CERT_FILE is given without"),
        ({"SYSLOG": "tls://log", "TLS_KEY_FILE": "k"}, "DIMSE_AUDIT_TLS_KEY_FILE is given without"),
        ({"SPOOL_SIZE": "1000"}, "DIMSE_AUDIT_SPOOL_SIZE=1000 (environment): a number of bytes is right"),
        ({"SOURCE_ID": "a  b"}, "DIMSE_AUDIT_SOURCE_ID=a  b (environment): a name is 1 to 255"),
        ({"SITE_ID": "\u00e9"}, "DIMSE_AUDIT_SITE_ID="),
    ],
)
def test_what_is_wrong(variables: dict[str, str], sentence: str) -> None:
    assert problem(**variables).startswith(sentence)


def test_certificates_are_read_at_the_start(tmp_path: Path) -> None:
    authority = Authority("Audit CA")
    key, certificate = authority.issue("proxy").key_and_certificate(tmp_path, "proxy")
    files = {"TLS_CA_FILE": str(authority.pem(tmp_path / "ca")), "TLS_CERT_FILE": str(certificate)}
    made = settings(SYSLOG="tls://log", TLS_KEY_FILE=str(key), **files)
    material = load_material(made, {}, has_tls_targets=False)
    assert material.audit is not None
    context = material.audit.context()
    assert material.audit.context() is context
    other_key, other = authority.issue("proxy").key_and_certificate(tmp_path, "other")
    key.write_bytes(other_key.read_bytes())
    with pytest.raises(ConfigError, match=r"DIMSE_AUDIT_TLS_KEY_FILE=.*: the key does not fit the certificate"):
        load_material(made, {}, has_tls_targets=False)
    certificate.write_bytes(other.read_bytes())
    assert material.audit.context() is not context
    assert load_material(settings(SYSLOG="udp://log"), {}, has_tls_targets=False).audit is None

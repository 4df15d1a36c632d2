"""The page of the documentation has every variable, with its default as it really is."""

import re
from pathlib import Path

from dimse_proxy.config.settings import FIELD_OF, SECRETS, Settings, load_settings
from dimse_proxy.config.shown import written

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"
COMPANIONS = {
    "DIMSE_TLS_ENABLED": {"DIMSE_TLS_KEYSTORE": "key.p12"},
    "DIMSE_TLS_PORT": {"DIMSE_TLS_KEYSTORE": "key.p12"},
    "DIMSE_NATS_USER": {"DIMSE_NATS_PASSWORD": "x"},
    "DIMSE_NATS_PASSWORD": {"DIMSE_NATS_USER": "x"},
    "DIMSE_NATS_TLS_CA_FILE": {"DIMSE_NATS_TLS_ENABLED": "true"},
    "DIMSE_NATS_TLS_CERT_FILE": {"DIMSE_NATS_TLS_ENABLED": "true", "DIMSE_NATS_TLS_KEY_FILE": "k"},
    "DIMSE_LEAF_URL": {"DIMSE_LEAF_STORE": "leaf"},
    "DIMSE_LEAF_DOMAIN": {"DIMSE_LEAF_STORE": "leaf"},
    "DIMSE_AUDIT_CONTENT": {"DIMSE_AUDIT_FILE": "audit.json"},
    "DIMSE_AUDIT_SPOOL": {"DIMSE_AUDIT_SYSLOG": "udp://log"},
    "DIMSE_AUDIT_TLS_CA_FILE": {"DIMSE_AUDIT_SYSLOG": "tls://log"},
    "DIMSE_AUDIT_TLS_CERT_FILE": {"DIMSE_AUDIT_SYSLOG": "tls://log", "DIMSE_AUDIT_TLS_KEY_FILE": "k"},
    "DIMSE_AUDIT_TLS_KEY_FILE": {"DIMSE_AUDIT_SYSLOG": "tls://log", "DIMSE_AUDIT_TLS_CERT_FILE": "c"},
    "DIMSE_NATS_TLS_KEY_FILE": {"DIMSE_NATS_TLS_ENABLED": "true", "DIMSE_NATS_TLS_CERT_FILE": "c"},
}
"""What a variable needs beside it."""
SECRET_TEXTS = {"DIMSE_TUNNEL_KEY": bytes(range(32)).hex()}
"""Secrets that cannot be just any text."""
ROW = re.compile(r"^\| `(DIMSE_\w+)` \| (.+) \| (?:`(.*)`)? ?\| (?:`(.*)`)? ?\|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, str, str]]:
    return {name: (meaning, default, example) for name, meaning, default, example in ROW.findall(PAGE.read_text())}


def test_every_variable_has_a_row_and_no_other() -> None:
    assert sorted(rows()) == sorted(FIELD_OF)


def test_the_defaults_of_the_page_are_those_of_the_settings() -> None:
    settings = Settings()
    documented = {
        name: str(Path(default)) if "PATH" in name and default else default for name, (_, default, _) in rows().items()
    }
    assert documented == {name: written(getattr(settings, field)) for name, field in FIELD_OF.items()}


def test_every_variable_has_an_example_that_works(tmp_path: Path) -> None:
    for name, (_, _, example) in rows().items():
        assert example, name
        variable, text = name, example
        if name in SECRETS:
            secret = tmp_path / "secret"
            secret.write_text(SECRET_TEXTS.get(name, "x") + "\n")
            variable, text = f"{name}_FILE", str(secret)
        load_settings({"DIMSE_NATS_URL": "nats.example.org"} | COMPANIONS.get(name, {}) | {variable: text}, None)


def test_every_secret_is_marked() -> None:
    assert {name for name, (meaning, _, _) in rows().items() if "(secret)" in meaning} == SECRETS

"""What the settings name files for: secrets, the access to NATS, keys and certificates of DICOM and audit messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.pem import PemFiles
from dimse_proxy.config.secret_files import Secrets
from dimse_proxy.config.settings import Settings
from dimse_proxy.config.sources import Origin
from dimse_proxy.errors import ConfigError

if TYPE_CHECKING:
    from dimse_proxy.config.tls import DicomTls


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All of it, read and found right."""

    secrets: Secrets
    nats: NatsAccess
    tls: "DicomTls | None"
    """None when no DICOM connection has TLS."""
    audit: PemFiles | None = None
    """None when audit messages go nowhere with TLS."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences worth a warning."""
        return () if self.tls is None else self.tls.notes


def load_material(settings: Settings, origins: Mapping[str, Origin], *, has_tls_targets: bool) -> Material:
    """Read what the settings name.

    Args:
        settings: that have passed every check.
        origins: of every variable, from the same load.
        has_tls_targets: there is a target with TLS.

    Raises:
        ConfigError: with every problem found.
    """
    problems: list[str] = []
    secrets = Secrets(settings, origins)
    nats = NatsAccess(settings, secrets)
    tls = None
    try:
        nats.check()
    except ConfigError as error:
        problems += error.problems
    if settings.has_tls_listener or has_tls_targets:
        from dimse_proxy.config.tls import DicomTls

        try:
            tls = DicomTls(settings, secrets, has_targets=has_tls_targets)
        except ConfigError as error:
            problems += error.problems
    audit = None
    if settings.has_audit_tls:
        audit = PemFiles(
            "DIMSE_AUDIT_TLS",
            ca=settings.audit_tls_ca_file,
            certificate=settings.audit_tls_cert_file,
            key=settings.audit_tls_key_file,
        )
        try:
            audit.context()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Material(secrets=secrets, nats=nats, tls=tls, audit=audit)

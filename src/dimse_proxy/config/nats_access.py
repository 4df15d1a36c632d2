"""Who this process is towards NATS, and how TLS is done there: read from the settings and from the files they name.

Asked again for each connection, so that what was rotated is used. It opens no connection; how a credential is presented
is in `credentials`.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dimse_proxy.config.credentials import nats_credentials
from dimse_proxy.config.secret_files import Secrets, read_secret
from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsIdentity:
    """What the CONNECT to NATS carries; what is not used stays None."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    jwt: str | None = field(default=None, repr=False)
    nkey: str | None = None
    """Public key of a user without JWT."""
    sign: Callable[[bytes], bytes] | None = field(default=None, repr=False)
    """Signs the server's nonce, with `jwt` or `nkey`."""


class NatsAccess:
    """The settings of the NATS connection that files stand behind."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings: Final = settings
        self._secrets: Final = secrets
        self._context: ssl.SSLContext | None = None
        self._context_of: object = None

    def check(self) -> None:
        """See whether everything can be read.

        Raises:
            ConfigError: with everything that cannot.
        """
        problems: list[str] = []
        reads: list[Callable[[], object]] = [self.identity]
        if self._settings.has_nats_tls:
            reads.append(self.tls)
        for read in reads:
            try:
                read()
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)

    def identity(self) -> NatsIdentity:
        """Return who we are, as the files have it now.

        Raises:
            ConfigError: a file cannot be read or is none of its kind.
        """
        settings = self._settings
        if settings.nats_creds_file is not None:
            return _from_credentials_file(settings.nats_creds_file)
        if settings.nats_nkey_file is not None:
            return _from_nkey_file(settings.nats_nkey_file)
        if settings.nats_user is not None:
            return NatsIdentity(user=settings.nats_user, password=self._secrets.get("nats_password"))
        token = self._secrets.get("nats_auth_token")
        if token is None:
            return NatsIdentity()
        presented = nats_credentials(token)
        return NatsIdentity(user=presented.user, password=presented.password, token=presented.token)

    def tls(self) -> ssl.SSLContext:
        """Return how TLS is done where it is; made anew only when a file has changed.

        Raises:
            ConfigError: a file cannot be read or is none of its kind.
        """
        settings = self._settings
        files = (settings.nats_tls_ca_file, settings.nats_tls_cert_file, settings.nats_tls_key_file)
        state = tuple(None if path is None else file_state(path) for path in files)
        if self._context is None or state != self._context_of:
            self._context = _context(*files)
            self._context_of = state
        return self._context


def file_state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written or replaced; empty when there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _from_credentials_file(path: Path) -> NatsIdentity:
    from dimse_proxy.config.nkeys import NKeyError, read_credentials

    try:
        jwt, key = read_credentials(read_secret(path, "DIMSE_NATS_CREDS_FILE"))
    except NKeyError as error:
        raise ConfigError([f"DIMSE_NATS_CREDS_FILE={path}: {error}."]) from None
    return NatsIdentity(jwt=jwt, sign=key.sign)


def _from_nkey_file(path: Path) -> NatsIdentity:
    from dimse_proxy.config.nkeys import NKeyError, UserKey

    try:
        key = UserKey(read_secret(path, "DIMSE_NATS_NKEY_FILE"))
    except NKeyError as error:
        raise ConfigError([f"DIMSE_NATS_NKEY_FILE={path}: {error}."]) from None
    return NatsIdentity(nkey=key.public, sign=key.sign)


def _context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigError([f"DIMSE_NATS_TLS_CA_FILE={ca_file}: it holds no certificate in PEM."]) from None
    except OSError as error:
        raise ConfigError([f"DIMSE_NATS_TLS_CA_FILE={ca_file}: {error.strerror or 'it cannot be read'}."]) from None
    if cert_file is not None:
        _load_own_certificate(context, cert_file, key_file)
    return context


def _load_own_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    for variable, path in (("DIMSE_NATS_TLS_CERT_FILE", cert_file), ("DIMSE_NATS_TLS_KEY_FILE", key_file)):
        if path is not None and "ENCRYPTED" in read_secret(path, variable):
            raise ConfigError([f"{variable}={path}: the key is encrypted, and only one without password can be used."])
    try:
        # Without a password function OpenSSL would ask for one at the terminal, whatever we overlooked.
        context.load_cert_chain(cert_file, key_file, password=lambda: b"")
    except ssl.SSLError as error:
        match error.reason:
            case "KEY_VALUES_MISMATCH":
                reason = "the key does not fit the certificate"
            case _:
                reason = "these are no certificate and key in PEM that can be used"
        raise ConfigError(
            [f"DIMSE_NATS_TLS_CERT_FILE={cert_file}, DIMSE_NATS_TLS_KEY_FILE={key_file}: {reason}."]
        ) from None

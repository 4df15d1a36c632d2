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
from dimse_proxy.config.pem import PemFiles
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
        self._files: Final = PemFiles(
            "DIMSE_NATS_TLS",
            ca=settings.nats_tls_ca_file,
            certificate=settings.nats_tls_cert_file,
            key=settings.nats_tls_key_file,
        )

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
        return self._files.context()


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

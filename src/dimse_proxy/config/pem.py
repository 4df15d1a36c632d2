"""TLS towards a server by PEM files: an authority, an own certificate and its key. For NATS and for audit messages.

Asked again for each connection, so that what was rotated is used. It opens no connection.
"""

import ssl
from pathlib import Path
from typing import Final

from dimse_proxy.config.secret_files import file_state, read_secret
from dimse_proxy.errors import ConfigError


class PemFiles:
    """Three files that may be named by variables with a common beginning."""

    def __init__(self, prefix: str, *, ca: Path | None, certificate: Path | None, key: Path | None) -> None:
        """Reads nothing yet.

        Args:
            prefix: of the variables: `DIMSE_NATS_TLS` of `DIMSE_NATS_TLS_CA_FILE`, `..._CERT_FILE`, `..._KEY_FILE`.
            ca: authorities that are trusted; None for those that the system trusts.
            certificate: own certificate and its chain.
            key: key of `certificate`.
        """
        self._prefix: Final = prefix
        self._ca: Final = ca
        self._certificate: Final = certificate
        self._key: Final = key
        self._context: ssl.SSLContext | None = None
        self._context_of: object = None

    def context(self) -> ssl.SSLContext:
        """Return how TLS is done; made anew only when a file has changed.

        Raises:
            ConfigError: a file cannot be read or is none of its kind.
        """
        files = (self._ca, self._certificate, self._key)
        state = tuple(None if path is None else file_state(path) for path in files)
        if self._context is None or state != self._context_of:
            self._context = self._new_context()
            self._context_of = state
        return self._context

    def _new_context(self) -> ssl.SSLContext:
        where = f"{self._prefix}_CA_FILE={self._ca}"
        try:
            context = ssl.create_default_context(cafile=self._ca)
        except ssl.SSLError:
            raise ConfigError([f"{where}: it holds no certificate in PEM."]) from None
        except OSError as error:
            raise ConfigError([f"{where}: {error.strerror or 'it cannot be read'}."]) from None
        if self._certificate is not None:
            self._load_own_certificate(context, self._certificate)
        return context

    def _load_own_certificate(self, context: ssl.SSLContext, certificate: Path) -> None:
        variables = (f"{self._prefix}_CERT_FILE", f"{self._prefix}_KEY_FILE")
        for variable, path in zip(variables, (certificate, self._key), strict=True):
            if path is not None and "ENCRYPTED" in read_secret(path, variable):
                raise ConfigError(
                    [f"{variable}={path}: the key is encrypted, and only one without password can be used."]
                )
        try:
            # Without a password function OpenSSL would ask for one at the terminal, whatever we overlooked.
            context.load_cert_chain(certificate, self._key, password=lambda: b"")
        except ssl.SSLError as error:
            match error.reason:
                case "KEY_VALUES_MISMATCH":
                    reason = "the key does not fit the certificate"
                case _:
                    reason = "these are no certificate and key in PEM that can be used"
            raise ConfigError([f"{variables[0]}={certificate}, {variables[1]}={self._key}: {reason}."]) from None

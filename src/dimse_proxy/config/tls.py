"""TLS of DICOM connections: from the settings, the key store and the trust store to Python's SSL contexts.

`DicomTls` holds the contexts in use and makes them anew when a file has changed. It opens no connection. Imports
`cryptography`, so it is itself imported only when TLS is asked for.
"""

import os
import secrets as random
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from dimse_proxy.config.keystores import KeyMaterial, StoreError, read_key_store, read_trust_store
from dimse_proxy.config.secret_files import Secrets, file_state
from dimse_proxy.config.settings import Settings
from dimse_proxy.config.tls_plan import TlsPlan, new_context, tls_plan
from dimse_proxy.errors import ConfigError

_SOON: Final = timedelta(days=30)
"""How long before its end a certificate of our own is warned about, whenever it is read."""

# RFC 7919 A.1, ffdhe2048: for suites with DHE, which have no group without it.
_DH_GROUP: Final = """-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


class DicomTls:
    """The contexts in use for DICOM connections."""

    def __init__(self, settings: Settings, secrets: Secrets, *, has_targets: bool) -> None:
        """Reads all files.

        Args:
            settings: that have passed every check.
            secrets: where the passwords of the stores come from.
            has_targets: there is a target with TLS.

        Raises:
            ConfigError: with everything that is wrong with files, versions and suites.
        """
        self._settings: Final = settings
        self._secrets: Final = secrets
        self._has_targets = has_targets
        self._acceptor: ssl.SSLContext | None = None
        self._requestor: ssl.SSLContext | None = None
        self.notes: tuple[str, ...] = ()
        """Sentences worth a warning, of the last time that everything was read."""
        self._state: tuple[tuple[int, ...], ...] = ()
        self.reload()

    @property
    def acceptor(self) -> ssl.SSLContext:
        """For connections that come in; only when the settings ask for it."""
        assert self._acceptor is not None, "a TLS listener is asked for"
        return self._acceptor

    @property
    def requestor(self) -> ssl.SSLContext:
        """For connections to targets; only when one of them has TLS."""
        assert self._requestor is not None, "TLS towards a target is asked for"
        return self._requestor

    def serve_targets(self) -> None:
        """Have a context for targets from now on.

        Raises:
            ConfigError: as of `reload`.
        """
        if self._requestor is not None:
            return
        self._has_targets = True
        try:
            self.reload()
        except ConfigError:
            self._has_targets = False
            raise

    def has_changed(self) -> bool:
        """Say whether a file is another one than when everything was last read."""
        return self._files() != self._state

    def reload(self) -> None:
        """Read all files again, for the connections to come; those that stand keep what they have.

        Raises:
            ConfigError: with everything that is wrong; what was in use stays in use.
        """
        settings = self._settings
        self._state = self._files()
        problems: list[str] = []
        plan, key, trusted = (
            _collected(read, problems)
            for read in (lambda: tls_plan(settings), self._read_key_store, self._read_trust_store)
        )
        if problems:
            raise ConfigError(problems)
        assert isinstance(plan, TlsPlan)
        assert key is None or isinstance(key, KeyMaterial)
        assert trusted is None or isinstance(trusted, tuple)
        acceptor = requestor = None
        if settings.has_tls_listener:
            assert key is not None, "checked with the settings"
            acceptor = self._acceptor_context(plan, key, trusted)
        if self._has_targets:
            requestor = self._requestor_context(plan, key, trusted)
        self._acceptor, self._requestor = acceptor, requestor
        self.notes = (*plan.notes, *(self._key_notes(key) if key is not None else ()))

    # Files.

    def _files(self) -> tuple[tuple[int, ...], ...]:
        settings, secrets = self._settings, self._secrets
        paths = (
            settings.tls_keystore,
            settings.tls_truststore,
            secrets.file("tls_keystore_password"),
            secrets.file("tls_truststore_password"),
        )
        return tuple(file_state(path) for path in paths if path is not None)

    def _read_key_store(self) -> KeyMaterial | None:
        settings = self._settings
        if settings.tls_keystore is None:
            return None
        try:
            return read_key_store(
                settings.tls_keystore,
                settings.tls_keystore_type,
                self._secrets.get("tls_keystore_password"),
                settings.tls_keystore_alias,
            )
        except StoreError as error:
            raise ConfigError([f"DIMSE_TLS_KEYSTORE={settings.tls_keystore}: {error}."]) from None

    def _read_trust_store(self) -> tuple[bytes, ...] | None:
        settings = self._settings
        if settings.tls_truststore is None:
            return None
        try:
            return read_trust_store(
                settings.tls_truststore,
                settings.tls_truststore_type,
                self._secrets.get("tls_truststore_password"),
            )
        except StoreError as error:
            raise ConfigError([f"DIMSE_TLS_TRUSTSTORE={settings.tls_truststore}: {error}."]) from None

    def _key_notes(self, key: KeyMaterial) -> Iterator[str]:
        store = f"DIMSE_TLS_KEYSTORE={self._settings.tls_keystore}"
        for note in key.notes:
            yield f"{store}: {note}; DIMSE_TLS_KEYSTORE_ALIAS chooses another."
        now = datetime.now(UTC)
        for certificate in key.chain:
            name, end = certificate.subject.rfc4514_string(), certificate.not_valid_after_utc
            if end <= now:
                yield f"{store}: the certificate of {name} expired on {end:%Y-%m-%d}: peers refuse it."
            elif end - now <= _SOON:
                yield f"{store}: the certificate of {name} expires on {end:%Y-%m-%d}."
            if certificate.not_valid_before_utc > now:
                yield (
                    f"{store}: the certificate of {name} is not valid before "
                    f"{certificate.not_valid_before_utc:%Y-%m-%d}."
                )

    # Contexts.

    def _acceptor_context(self, plan: TlsPlan, key: KeyMaterial, trusted: tuple[bytes, ...] | None) -> ssl.SSLContext:
        context = new_context(ssl.PROTOCOL_TLS_SERVER, plan)
        if any(suite.startswith(("DHE-", "EDH-")) for suite in plan.suites):
            with _as_file(_DH_GROUP.encode()) as path:
                context.load_dh_params(path)
        self._load_key(context, key)
        if trusted is not None:
            self._load_trusted(context, trusted)
        context.verify_mode = {
            "required": ssl.CERT_REQUIRED,
            "optional": ssl.CERT_OPTIONAL,
            "none": ssl.CERT_NONE,
        }[self._settings.effective_client_auth]
        return context

    def _requestor_context(
        self, plan: TlsPlan, key: KeyMaterial | None, trusted: tuple[bytes, ...] | None
    ) -> ssl.SSLContext:
        context = new_context(ssl.PROTOCOL_TLS_CLIENT, plan)
        context.check_hostname = self._settings.verifies_hostname
        if key is not None:
            self._load_key(context, key)
        if trusted is None:
            context.load_default_certs()
        else:
            self._load_trusted(context, trusted)
        return context

    def _load_key(self, context: ssl.SSLContext, key: KeyMaterial) -> None:
        # OpenSSL takes files only. The key lies in memory, or in a file of this user for a moment, and encrypted.
        password = random.token_hex(32).encode()
        try:
            with _as_file(key.pem(password)) as path:
                context.load_cert_chain(path, password=password)
        except ssl.SSLError as error:
            match error.reason:
                case "EE_KEY_TOO_SMALL" | "CA_KEY_TOO_SMALL":
                    reason = "its key is too short to be secure: 2048 bits of RSA or 224 of an elliptic curve are right"
                case "CA_MD_TOO_WEAK" | "EE_MD_TOO_WEAK":
                    reason = "its certificate is signed with a hash that is not secure"
                case _:
                    reason = f"OpenSSL does not take its key and certificate: {error.reason or error}"
            raise ConfigError([f"DIMSE_TLS_KEYSTORE={self._settings.tls_keystore}: {reason}."]) from None

    def _load_trusted(self, context: ssl.SSLContext, trusted: tuple[bytes, ...]) -> None:
        try:
            context.load_verify_locations(cadata=b"".join(dict.fromkeys(trusted)))
        except ssl.SSLError as error:
            raise ConfigError(
                [
                    f"DIMSE_TLS_TRUSTSTORE={self._settings.tls_truststore}: OpenSSL does not take its certificates: "
                    f"{error.reason or error}."
                ]
            ) from None
        # What is in the store is trusted as it is, a peer's own certificate or that of an intermediate authority too.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def _collected(read: Callable[[], object], problems: list[str]) -> object:
    try:
        return read()
    except ConfigError as error:
        problems += error.problems
        return None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give `content` a path for as long as it is needed: in memory where the system can, else a file of this user."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("dimse-proxy")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name

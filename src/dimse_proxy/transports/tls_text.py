"""The sentences for what goes wrong with TLS, so that an administrator need not know OpenSSL's words. Pure."""

import re
import ssl
from typing import Final, cast

_OURS_REFUSED: Final = "it does not accept our certificate"

_REASONS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate, and one is required",
    "NO_SHARED_CIPHER": "no cipher suite in common",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no signature algorithm in common",
    "UNSUPPORTED_PROTOCOL": "no TLS version in common",
    "VERSION_TOO_LOW": "no TLS version in common",
    "INAPPROPRIATE_FALLBACK": "no TLS version in common",
    "TLSV1_ALERT_PROTOCOL_VERSION": "no TLS version in common, it says",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "no cipher suite in common that is secure enough, it says",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses: no cipher suite in common, or it asks for a certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a certificate of ours",
    "SSLV3_ALERT_NO_CERTIFICATE": "it requires a certificate of ours",
    "TLSV1_ALERT_UNKNOWN_CA": f"{_OURS_REFUSED}: it does not know who signed it",
    "SSLV3_ALERT_BAD_CERTIFICATE": _OURS_REFUSED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": f"{_OURS_REFUSED}: unsupported",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": f"{_OURS_REFUSED}: revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_OURS_REFUSED}: expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OURS_REFUSED,
    "TLSV1_ALERT_ACCESS_DENIED": f"{_OURS_REFUSED}: access denied",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it does not speak TLS, but plain HTTP",
    "HTTPS_PROXY_REQUEST": "it does not speak TLS, but plain HTTP",
    "RECORD_LAYER_FAILURE": "it does not speak TLS",
    "PACKET_LENGTH_TOO_LONG": "it does not speak TLS",
    "DH_KEY_TOO_SMALL": "its Diffie-Hellman key is too short to be secure",
}
_ALERT: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)")


def tls_error_text(error: ssl.SSLError) -> str:
    """Say what went wrong, as the end of a sentence about the peer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {(error.verify_message or str(error)).rstrip('.')}"
    reason = cast(str | None, error.reason)  # None for what Python has no name for.
    if reason is None:
        return "it broke the protocol"
    if reason in _REASONS:
        return _REASONS[reason]
    if (alert := _ALERT.fullmatch(reason)) is not None:
        return f"it ended TLS with the alert {_words(alert[1])}"
    return _words(reason)


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()

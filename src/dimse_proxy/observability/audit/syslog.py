"""The syslog message around an audit message: RFC 5424, with the values of PS3.15 A.6 and A.7. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from dimse_proxy.observability.audit.codes import Outcome
from dimse_proxy.observability.audit.messages import AuditMessage
from dimse_proxy.observability.audit.rendering import timestamp, to_xml

MSGID: Final = "DICOM+RFC3881"
APP_NAME: Final = "dimse-proxy"
_FACILITY: Final = 10
"""Security/authorization messages (A.6)."""
_NOTICE, _WARNING = 5, 4
_BOM: Final = b"\xef\xbb\xbf"
"""Stands before a message in UTF-8 (RFC 5424 6.4)."""
_NOT_PRINTABLE: Final = re.compile(r"[^!-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogHeader:
    """What stands in the header of every message of this process."""

    host: str
    """HOSTNAME."""
    process: str
    """PROCID."""


def to_syslog(message: AuditMessage, header: SyslogHeader) -> bytes:
    """Return SYSLOG-MSG: failures are warnings, all else is a notice."""
    severity = _NOTICE if message.outcome is Outcome.SUCCESS else _WARNING
    words = (
        f"<{_FACILITY * 8 + severity}>1",
        timestamp(message.when),
        _word(header.host, 255),
        APP_NAME,
        _word(header.process, 128),
        MSGID,
        "-",
    )
    return " ".join(words).encode() + b" " + _BOM + to_xml(message)


def to_frame(syslog_message: bytes) -> bytes:
    """Return the message with its length before it, as a stream wants it (RFC 5425 4.3)."""
    return b"%d %b" % (len(syslog_message), syslog_message)


def _word(text: str, longest: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:longest] or "-"

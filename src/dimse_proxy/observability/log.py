"""Sets up logging: text for a terminal, JSON lines when not, to standard error, in UTC.

Everything goes one way, ours through structlog and that of nats and asyncio through the standard library. No value
that is bytes is ever written: those are of DICOM or of credentials. What is logged when is not decided here.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, TextIO
from uuid import UUID

if TYPE_CHECKING:
    import structlog

    from dimse_proxy.config.settings import Settings

_LONGEST_VALUE: Final = 1000
_DEEPEST_VALUE: Final = 4
_LIBRARIES: Final = ("asyncio", "nats", "urllib3")
_FIRST: Final = ("timestamp", "level", "event")
_OWN_TEXT: Final = frozenset({"event", "level", "timestamp", "logger", "exception", "stack"})
"""Keys whose text is written by a program, of any length and with any number of lines."""
_TEXT_OR_BYTES: Final = (str, bytes, bytearray, memoryview)
_PLAIN_TYPES: Final = (datetime, IPv4Address, IPv6Address, PurePath, UUID, BaseException)


def configure_logging(settings: "Settings", stream: TextIO | None = None) -> None:
    """Send all logs of the process to one stream.

    Args:
        settings: `log_level`, which libraries follow from INFO up, and `log_format`: `auto` is text when the stream is
            a terminal, and JSON when not.
        stream: standard error when it is None.
    """
    import structlog

    stream = sys.stderr if stream is None else stream
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    number = logging.getLevelNamesMapping()[settings.log_level]
    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    last: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        keep_harmless,
        _renderer(colors=stream.isatty()) if as_text else structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    handler = logging.StreamHandler(stream)
    handler.addFilter(_harmless_arguments)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, timestamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, _add_logger_name, timestamp, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *names: _Lines(handler, *names),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(max(number, logging.INFO))


class _Lines:
    """Writes finished lines of structlog where the handler writes those of the standard library."""

    def __init__(self, handler: "logging.StreamHandler[TextIO]", name: str = "") -> None:
        self.name: Final = name
        self._handler: Final = handler

    def write(self, line: str) -> None:
        """Write one line; if nobody takes it, nobody can be told."""
        handler = self._handler
        handler.acquire()
        try:
            handler.stream.write(line + "\n")
            handler.stream.flush()
        except (OSError, ValueError):
            return
        finally:
            handler.release()

    debug = info = warning = error = critical = exception = write


def _add_logger_name(logger: _Lines, _method: str, event_dict: MutableMapping[str, Any]) -> Mapping[str, Any]:
    if logger.name:
        event_dict["logger"] = logger.name
    return event_dict


def keep_harmless(logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace what must not be written: bytes by their length, long texts by their beginning (a structlog processor).

    Control characters are escaped, so what a peer calls itself cannot forge a line or steer a terminal. A key without
    a value (None) is left out.
    """
    ordered = {key: event_dict[key] for key in _FIRST if key in event_dict} | dict(event_dict)
    return {
        key: _printable(value, but="\n\t") if key in _OWN_TEXT and isinstance(value, str) else _harmless(value)
        for key, value in ordered.items()
        if value is not None
    }


def _harmless_arguments(record: logging.LogRecord) -> bool:
    """Do the same for texts and bytes among the arguments of a standard record (a logging filter that keeps all)."""
    if isinstance(record.args, tuple):
        record.args = tuple(_harmless(arg) if isinstance(arg, _TEXT_OR_BYTES) else arg for arg in record.args)
    return True


def _harmless(value: Any, depth: int = _DEEPEST_VALUE) -> Any:
    if type(value) is str:
        return _short(value)
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _short(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Enum():
            return value.name
        case Mapping() if depth:
            return {_short(str(key)): _harmless(item, depth - 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth:
            return [_harmless(item, depth - 1) for item in value]
        case _ if isinstance(value, _PLAIN_TYPES) and not is_dataclass(value):
            return _short(str(value))
        case _:
            # An unknown object's text may hold bytes.
            return f"<{type(value).__name__}>"


def _short(text: str) -> str:
    if text.isprintable() and len(text) <= _LONGEST_VALUE:
        return text  # as nearly all are
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)"
    return _printable(text)


def _printable(text: str, *, but: str = "") -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in but else ascii(char)[1:-1] for char in text)


def _renderer(*, colors: bool) -> "structlog.typing.Processor":
    import structlog

    # The formatter for exceptions that structlog would choose shows local variables, and with them data.
    return structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )

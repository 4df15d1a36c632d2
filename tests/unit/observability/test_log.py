"""What may be written to the log, and how."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import structlog

from dimse_proxy.config.settings import Settings
from dimse_proxy.observability.log import configure_logging, keep_harmless


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    library_levels = {name: logging.getLogger(name).level for name in ("nats", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in library_levels.items():
        logging.getLogger(name).setLevel(old)
    structlog.reset_defaults()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def harmless(**values: object) -> dict[str, Any]:
    return dict(keep_harmless(None, "info", dict(values)))


def test_json_lines_when_not_a_terminal() -> None:
    stream = io.StringIO()
    configure_logging(Settings(), stream)
    structlog.get_logger("dimse_proxy").info("association ended", calling="CT1", bytes=7, none=None)
    [line] = written(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "association ended",
        "level": "info",
        "logger": "dimse_proxy",
        "calling": "CT1",
        "bytes": 7,
    }


def test_text_for_a_terminal() -> None:
    stream = Terminal()
    configure_logging(Settings(), stream)
    structlog.get_logger("dimse_proxy").info("association ended", calling="CT1")
    assert "association ended" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(("log_format", "stream"), [("text", io.StringIO()), ("json", Terminal())])
def test_the_setting_wins(log_format: Any, stream: io.StringIO) -> None:
    configure_logging(Settings(log_format=log_format), stream)
    structlog.get_logger("dimse_proxy").info("association ended", calling="CT1")
    assert stream.getvalue().startswith("{") is (log_format == "json")
    assert "\x1b" not in stream.getvalue()


def test_the_standard_library_goes_the_same_way() -> None:
    stream = io.StringIO()
    configure_logging(Settings(), stream)
    logging.getLogger("nats.aio.client").warning("lost %s after %d s: %s", "a\nb", 3, b"secret")
    [line] = written(stream)
    assert line["event"] == "lost a\\nb after 3 s: <6 bytes>"
    assert (line["level"], line["logger"]) == ("warning", "nats.aio.client")


@pytest.mark.parametrize("logger", ["dimse_proxy.service", "nats.aio", "asyncio"])
def test_levels(logger: str) -> None:
    stream = io.StringIO()
    configure_logging(Settings(log_level="WARNING"), stream)
    logging.getLogger(logger).info("no")
    structlog.get_logger(logger).info("no")
    logging.getLogger(logger).warning("yes")
    structlog.get_logger(logger).warning("yes")
    assert [line["event"] for line in written(stream)] == ["yes", "yes"]


def test_debug_is_for_our_own_lines() -> None:
    stream = io.StringIO()
    configure_logging(Settings(log_level="DEBUG"), stream)
    logging.getLogger("dimse_proxy.service").debug("ours")
    structlog.get_logger("dimse_proxy").debug("ours")
    logging.getLogger("asyncio").debug("theirs")
    logging.getLogger("nats.aio").debug("theirs")
    assert [line["event"] for line in written(stream)] == ["ours", "ours"]


def test_setting_it_up_again_writes_each_line_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging(Settings(), first)
    configure_logging(Settings(), second)
    logging.getLogger("dimse_proxy").info("once")
    assert first.getvalue() == ""
    assert len(written(second)) == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_is_written_without_local_variables(log_format: Any) -> None:
    stream = Terminal()
    configure_logging(Settings(log_format=log_format), stream)
    patient = b"DOE^JOHN" + bytes(1)
    try:
        raise ValueError(f"{len(patient)} bytes are too many")
    except ValueError:
        structlog.get_logger("dimse_proxy").exception("failed")
    assert "ValueError: 9 bytes are too many" in stream.getvalue()
    assert "DOE^JOHN" not in stream.getvalue().replace('b"DOE^JOHN"', "")


@pytest.mark.parametrize("value", [b"secret", bytearray(b"secret"), memoryview(b"secret")])
def test_bytes_are_their_length(value: object) -> None:
    assert harmless(a=value, b=[value], c={"d": (value,)}, event=value) == {
        "a": "<6 bytes>",
        "b": ["<6 bytes>"],
        "c": {"d": ["<6 bytes>"]},
        "event": "<6 bytes>",
    }


def test_objects_are_their_type() -> None:
    @dataclass
    class Pdu:
        raw: bytes = b"secret"

    assert harmless(pdu=Pdu()) == {"pdu": "<Pdu>"}


def test_plain_values_stay() -> None:
    class Side(Enum):
        ACCEPTOR = 1

    assert harmless(a=1, b=2.5, c=True, d=Side.ACCEPTOR, e=Path("/x"), f=OSError("gone")) == {
        "a": 1,
        "b": 2.5,
        "c": True,
        "d": "ACCEPTOR",
        "e": "/x",
        "f": "gone",
    }


def test_long_texts_are_cut_but_not_the_line_itself() -> None:
    kept = harmless(event="x" * 5000, value="y" * 5000)
    assert len(kept["event"]) == 5000
    assert kept["value"] == "y" * 1000 + "... (5000 characters)"


def test_control_characters_are_escaped() -> None:
    kept = harmless(event="one\ntwo\x1b[31m", calling="A\r\n\x1b[31mB\x00")
    assert kept == {"event": "one\ntwo\\x1b[31m", "calling": "A\\r\\n\\x1b[31mB\\x00"}

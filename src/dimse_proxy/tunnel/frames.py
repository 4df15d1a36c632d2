"""The frame: a fixed header of 64 bytes, and behind it raw bytes (DATA) or one JSON object (everything else).

The layout is in `docs/tunnel-protocol.md`. Nothing here knows what a frame means for a session.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final

from dimse_proxy.errors import TunnelError

VERSION: Final = 1
"""Of the protocol: the header and the meaning of every frame and hello."""
HEADER: Final = Struct(">BBHI16s24sQQ")
"""Version, type, flags, key id, session id, route, counter, offset."""
HEADER_SIZE: Final = HEADER.size
TAIL: Final = Struct(">QQ")
"""Counter and offset: the part of the header that differs between the frames of one type of one session."""
NO_SESSION: Final = bytes(16)
"""Session id of frames between two processes (SYNC, RESET)."""
INITIAL_CREDIT: Final = 262144
"""Bytes that may follow an open before its acknowledgement brought a limit; less if the hello says a smaller window."""
LARGEST_SEAL: Final = 64
"""Bytes that a seal adds to a frame at most: in an OPEN a key, a number, and the tag."""
LARGEST_BODY: Final = 65536
"""Longest JSON body read, bytes."""
LARGEST_DETAIL: Final = 4096
"""Longest `info` of an open and `detail` of an abort, bytes of JSON."""
LARGEST_NUMBER: Final = (1 << 63) - 1

_ROUTE: Final = Struct(">8sQQ")
_START: Final = Struct(">BBHI16s24s")


class FrameType(IntEnum):
    """Second byte of a frame."""

    OPEN = 1
    OPENED = 2
    REFUSED = 3
    CANCEL = 4
    DATA = 5
    ACK = 6
    GAP = 7
    PROBE = 8
    END = 9
    ABORT = 10
    CLOSED = 11
    SYNC = 12
    RESET = 13


class KeyId(IntEnum):
    """The header's key id: what the bytes behind the header are sealed with."""

    PLAIN = 0
    """Nothing: there is no tunnel key."""
    PAIR = 1
    """The key of two processes: everything but DATA."""
    OFFER = 2
    """DATA of the opener until the other side's key has come."""
    SESSION = 3
    """All other DATA."""


class FrameFlag(IntFlag):
    """Bits of the header's flags; a frame with any other bit is refused."""

    ACK_NOW = 1
    """The sender measures the round trip: acknowledge with the batch this frame came in."""


BAD_FRAME: Final = "bad-frame"
FORGED_OFFSET: Final = "forged-offset"
BEYOND_LIMIT: Final = "beyond-limit"
FORGED: Final = "forged"
REPLAYED: Final = "replayed"


def bad_frame(why: str) -> TunnelError:
    """Return the error of a frame that is not what its type asks for."""
    return TunnelError(why, code=BAD_FRAME)


def forged_offset(why: str) -> TunnelError:
    """Return the error of an offset that cannot be."""
    return TunnelError(why, code=FORGED_OFFSET)


def instance_tag(instance: str) -> bytes:
    """Return the 8 bytes that stand for an instance's name in a header."""
    return hashlib.sha256(instance.encode()).digest()[:8]


def make_route(sender_tag: bytes, sender_epoch: int, receiver_epoch: int) -> bytes:
    """Return the 24 bytes that say from which process a frame is, and for which."""
    return _ROUTE.pack(sender_tag, sender_epoch, receiver_epoch)


def make_prefix(
    frame_type: FrameType, session_id: bytes, route: bytes, flags: int = 0, key: KeyId = KeyId.PLAIN
) -> bytes:
    """Return the header without its `TAIL`."""
    return _START.pack(VERSION, frame_type, flags, key, session_id, route)


def encode_body(body: Mapping[str, object]) -> bytes:
    """Return a JSON object as bytes.

    Raises:
        TypeError, ValueError: a value has no JSON.
    """
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def decode_body(data: bytes) -> dict[str, object]:
    """Read a JSON object; nothing at all is read as an empty one.

    Raises:
        TunnelError: it is none, or holds text that is no Unicode.
    """
    if len(data) > LARGEST_BODY:
        raise bad_frame("the body is too long")
    if not data:
        return {}
    try:
        body = json.loads(data.decode())
        if b"\\u" in data:
            json.dumps(body, ensure_ascii=False).encode()  # lone surrogates would fail in the user's log
    except (ValueError, RecursionError):
        raise bad_frame("the body is not JSON") from None
    if not isinstance(body, dict):
        raise bad_frame("the body is not a JSON object")
    return body


def number(body: Mapping[str, object], name: str) -> int:
    """Return a member that has to be a number that can count bytes.

    Raises:
        TunnelError: it is missing or something else.
    """
    value = body.get(name)
    if type(value) is not int or not 0 <= value <= LARGEST_NUMBER:
        raise bad_frame(f"{name} is not a number")
    return value


def text(body: Mapping[str, object], name: str) -> str:
    """Return a member that has to be text.

    Raises:
        TunnelError: it is missing or something else.
    """
    value = body.get(name)
    if type(value) is not str:
        raise bad_frame(f"{name} is not text")
    return value


def flag(body: Mapping[str, object], name: str, default: bool = False) -> bool:
    """Return a member that has to be true or false.

    Raises:
        TunnelError: it is something else.
    """
    value = body.get(name, default)
    if type(value) is not bool:
        raise bad_frame(f"{name} is neither true nor false")
    return value

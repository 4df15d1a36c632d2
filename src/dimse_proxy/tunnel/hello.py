"""The hello: what an instance says of itself to all instances of another channel, as JSON.

A hello is the only message without a header, because it is how the header's versions are agreed on. It is never sealed,
but with a tunnel key it carries this process's public key and an authentication code for each tunnel key.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dimse_proxy.errors import TunnelError
from dimse_proxy.tunnel.frames import VERSION, bad_frame, decode_body, encode_body, flag, number, text
from dimse_proxy.tunnel.settings import KEY_SIZE
from dimse_proxy.tunnel.subjects import is_token

LARGEST_EPOCH = (1 << 64) - 1
_CODES = b',"codes":'
_LONGEST_CODES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """One hello."""

    instance: str
    epoch: int
    version: str
    """Of the program."""
    protocols: tuple[int, ...]
    """Versions of the tunnel's protocol that it speaks."""
    load: int
    """Associations it has."""
    limit: int | None
    """Associations it takes at most."""
    accepts: bool
    going_away: bool
    start: bool
    """It has just started or connected, and wants to know who is there."""
    window: int
    """Bytes a session may be ahead of its receiver."""
    share: int
    """Bytes that any one peer may have in flight to it."""
    key: bytes | None = None
    """Its public key of this epoch; None without a tunnel key."""
    number: int = 0
    """With a tunnel key: higher than that of every hello before."""
    time: int | None = None
    """Its wall clock, milliseconds since 1970 UTC, for people: nothing is decided by it."""
    interval: int | None = None
    """Milliseconds between two of its hellos; None from a version that does not tell."""

    @property
    def is_compatible(self) -> bool:
        """It speaks the version that we speak."""
        return VERSION in self.protocols

    @property
    def is_full(self) -> bool:
        """It would refuse an open."""
        return self.limit is not None and self.load >= self.limit


def encode_hello(hello: Hello) -> bytes:
    """Return a hello's payload, without authentication codes."""
    body: dict[str, object] = {
        "instance": hello.instance,
        "epoch": hello.epoch,
        "version": hello.version,
        "protocols": list(hello.protocols),
        "load": hello.load,
        "limit": hello.limit,
        "accepts": hello.accepts,
        "going_away": hello.going_away,
        "start": hello.start,
        "window": hello.window,
        "share": hello.share,
    }
    if hello.time is not None:
        body["time"] = hello.time
    if hello.interval is not None:
        body["interval"] = hello.interval
    if hello.key is not None:
        body |= {"public_key": hello.key.hex(), "number": hello.number}
    return encode_body(body)


def add_codes(payload: bytes, codes: Sequence[str]) -> bytes:
    """Return a hello's payload with authentication codes of it, as its last member."""
    return payload[:-1] + _CODES + json.dumps(list(codes), separators=(",", ":")).encode() + b"}"


def split_codes(payload: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a hello's payload without its authentication codes, and them; whatever it is, it never raises."""
    text, found, rest = payload.rpartition(_CODES)
    if not found or len(rest) > _LONGEST_CODES:
        return payload, ()
    try:
        codes = json.loads(rest[:-1])
    except (ValueError, RecursionError):
        return payload, ()
    if rest[-1:] != b"}" or not isinstance(codes, list) or not all(map(_is_code, codes)):
        return payload, ()
    return text + b"}", tuple(codes)


def decode_hello(payload: bytes) -> Hello:
    """Read a hello's payload; members that are not known are left alone.

    Raises:
        TunnelError: it is not a hello.
    """
    body = decode_body(payload)
    return Hello(
        instance=instance_name(body),
        epoch=_epoch(body.get("epoch")),
        version=text(body, "version")[:64],
        protocols=_protocols(body.get("protocols")),
        load=number(body, "load"),
        limit=None if body.get("limit") is None else number(body, "limit"),
        accepts=flag(body, "accepts"),
        going_away=flag(body, "going_away"),
        start=flag(body, "start"),
        window=number(body, "window"),
        share=number(body, "share"),
        key=public_key(body) if "public_key" in body else None,
        number=number(body, "number") if "public_key" in body else 0,
        time=number(body, "time") if "time" in body else None,
        interval=number(body, "interval") if "interval" in body else None,
    )


def instance_name(body: dict[str, object]) -> str:
    """Return the member `instance`.

    Raises:
        TunnelError: it cannot be a token of a subject.
    """
    name = text(body, "instance")
    if not is_token(name):
        raise bad_frame("the instance is not a token of a subject")
    return name


def public_key(body: dict[str, object]) -> bytes:
    """Return the member `public_key`, 32 bytes.

    Raises:
        TunnelError: it is not that.
    """
    try:
        key = bytes.fromhex(text(body, "public_key"))
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise bad_frame("the public key is not 32 bytes in hexadecimal")
    return key


def _is_code(value: object) -> bool:
    return type(value) is str and value.isascii()


def _epoch(value: object) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_EPOCH:
        raise bad_frame("the epoch is not a number of 64 bits")
    return value


def _protocols(value: object) -> tuple[int, ...]:
    error: TunnelError = bad_frame("the protocol versions are not a list of numbers")
    if not isinstance(value, list) or len(value) > 255:
        raise error
    if not all(type(version) is int for version in value):
        raise error
    return tuple(value)

"""The hello: what an instance says of itself to all instances of another channel, as JSON.

A hello is the only message without a header, because it is how the header's versions are agreed on.
"""

from dataclasses import dataclass

from dimse_proxy.errors import TunnelError
from dimse_proxy.tunnel.frames import VERSION, bad_frame, decode_body, encode_body, flag, number, text
from dimse_proxy.tunnel.subjects import is_token

LARGEST_EPOCH = (1 << 64) - 1


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

    @property
    def is_compatible(self) -> bool:
        """It speaks the version that we speak."""
        return VERSION in self.protocols

    @property
    def is_full(self) -> bool:
        """It would refuse an open."""
        return self.limit is not None and self.load >= self.limit


def encode_hello(hello: Hello) -> bytes:
    """Return a hello's payload."""
    return encode_body(
        {
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
    )


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

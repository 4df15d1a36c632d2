"""The names of store and forward: subjects and streams of one direction between two channels.

Everything is below the two subjects that a site may use anyway: the sender publishes below `R.<receiver>.<sender>`, the
receiver below `R.<sender>.<receiver>`. Nothing here decides what is written there.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

QUEUE: Final = "queue"
CONSUMER: Final = "deliver"
"""The durable consumer of the work list."""

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_NO_STREAM_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
_ASSOCIATION: Final = re.compile(r"[0-9a-f]{32}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")


class Kind(StrEnum):
    """What a message is, as the token behind `queue`."""

    CHUNK = "chunk"
    """A piece of a data set."""
    RECORD = "record"
    """An object whose chunks are all there."""
    ASSOCIATION = "association"
    """Who called whom."""
    WORK = "work"
    """There is something to deliver."""
    END = "end"
    """The association brings no more objects."""
    ATTEMPT = "attempt"
    """An object that was tried and is to be tried again."""
    DEAD = "dead"
    """An object that is tried no more."""
    LEASE = "lease"
    """Who delivers the association."""


_OF_SENDER: Final = (Kind.RECORD, Kind.ASSOCIATION, Kind.WORK, Kind.END)
_OF_RECEIVER: Final = (Kind.ATTEMPT, Kind.DEAD, Kind.LEASE)
_TOKENS: Final = {Kind.CHUNK: 2, Kind.RECORD: 1, Kind.ATTEMPT: 1, Kind.DEAD: 1}
"""Numbers behind the association; none for the others."""


@dataclass(frozen=True, slots=True, order=True)
class AssociationKey:
    """One original association in the queue."""

    asker: str
    """The token that stands for the calling AE title."""
    association: str
    """32 hexadecimal digits: 12 of the time in milliseconds, 20 at random. So a list sorts by age."""

    def __str__(self) -> str:
        return f"{self.asker}.{self.association}"

    @property
    def began(self) -> float:
        """When it began, seconds since 1970."""
        return int(self.association[:12], 16) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a subject says."""

    kind: Kind
    key: AssociationKey
    number: int = 0
    """Of the object, from 1."""
    index: int = 0
    """Of the chunk, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One direction between two channels."""

    root: str
    sender: str
    """Channel whose proxies accept the objects."""
    receiver: str
    """Channel whose proxies deliver them."""

    @property
    def chunk_stream(self) -> str:
        """Name of the stream of chunks."""
        return self._stream("CHUNKS")

    @property
    def record_stream(self) -> str:
        """Name of the stream of everything else."""
        return self._stream("RECORDS")

    @property
    def chunk_subjects(self) -> tuple[str, ...]:
        """What the stream of chunks stores."""
        return (f"{self.prefix(Kind.CHUNK)}.>",)

    @property
    def record_subjects(self) -> tuple[str, ...]:
        """What the stream of records stores."""
        return tuple(f"{self.prefix(kind)}.>" for kind in (*_OF_SENDER, *_OF_RECEIVER))

    def prefix(self, kind: Kind) -> str:
        """What the subjects of a kind begin with."""
        if kind in _OF_RECEIVER:
            return f"{self.root}.{self.sender}.{self.receiver}.{QUEUE}.{kind}"
        return f"{self.root}.{self.receiver}.{self.sender}.{QUEUE}.{kind}"

    def every(self, kind: Kind, key: AssociationKey | None = None) -> str:
        """The filter for all of a kind, or all of a kind that belongs to an association."""
        return f"{self.prefix(kind)}.>" if key is None else f"{self.prefix(kind)}.{key}.>"

    def of_asker(self, kind: Kind, asker: str) -> str:
        """The filter for all of a kind that belongs to the associations of a calling AE title, by its token."""
        return f"{self.prefix(kind)}.{asker}.>"

    def of_association(self, kind: Kind, key: AssociationKey) -> str:
        """The subject of a kind of which an association has one."""
        return f"{self.prefix(kind)}.{key}"

    def of_object(self, kind: Kind, key: AssociationKey, number: int) -> str:
        """The subject of a kind of which an object has one."""
        return f"{self.prefix(kind)}.{key}.{number}"

    def chunk(self, key: AssociationKey, number: int, index: int) -> str:
        """The subject of one chunk."""
        return f"{self.prefix(Kind.CHUNK)}.{key}.{number}.{index}"

    def chunks_of(self, key: AssociationKey, number: int) -> str:
        """The filter for all chunks of an object."""
        return f"{self.prefix(Kind.CHUNK)}.{key}.{number}.*"

    @property
    def asked_again(self) -> str:
        """Where the receiver's side asks its own proxies to try something at once; no association's subject."""
        return f"{self.prefix(Kind.LEASE)}.again"

    def parse(self, subject: str) -> Place | None:
        """Read a subject of this flow; None for any other."""
        for kind, prefix in _prefixes(self):
            if subject.startswith(prefix):
                return _parse(kind, subject.removeprefix(prefix).split("."))
        return None

    def _stream(self, what: str) -> str:
        return _NO_STREAM_NAME.sub("_", f"{self.root}_{self.receiver}_{self.sender}_{what}")


@lru_cache(maxsize=64)
def _prefixes(flow: Flow) -> tuple[tuple[Kind, str], ...]:
    return tuple((kind, flow.prefix(kind) + ".") for kind in Kind)


def _parse(kind: Kind, tokens: list[str]) -> Place | None:
    numbers = tokens[2:]
    if len(tokens) < 2 or not tokens[0] or not _ASSOCIATION.fullmatch(tokens[1]):
        return None
    if len(numbers) != _TOKENS.get(kind, 0) or not all(_NUMBER.fullmatch(number) for number in numbers):
        return None
    number, index = (*map(int, numbers), 0, 0)[:2]
    return Place(kind=kind, key=AssociationKey(tokens[0], tokens[1]), number=number, index=index)


def title_token(title: str) -> str:
    """Return an AE title as a token of a subject: what is not a letter, digit, `_` or `-` becomes `=XX`."""
    return "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in title.encode()) or "="


def title_of_token(token: str) -> str:
    """Return the AE title of a token that `title_token` has made."""
    return re.sub("=([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), token).rstrip("=")


def new_association(milliseconds: int, random_bytes: bytes) -> str:
    """Return the id of an association.

    Args:
        milliseconds: since 1970.
        random_bytes: ten of them.
    """
    return f"{milliseconds & 0xFFFF_FFFF_FFFF:012x}{random_bytes.hex()}"

"""What is written beside the chunks: JSON that says by itself what it is, and can be read with any NATS tool.

With a tunnel key, what could tell of a patient or of who asked is sealed inside; sizes, counts and times stay readable,
so that a list needs no key. Nothing here decides what becomes of an object.
"""

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from dimse_proxy.errors import DimseProxyError
from dimse_proxy.queueing.subjects import AssociationKey, Flow, title_token

VERSION: Final = 1
SALT_SIZE: Final = 32
"""Random bytes that the keys of one object are made of."""
SEAL_OVERHEAD: Final = 16
"""Bytes that a sealed chunk is longer."""

_T = TypeVar("_T")


class RecordError(DimseProxyError):
    """A stored message that cannot be read; it is left where it is."""


class SealError(RecordError):
    """A stored message that no key of this proxy opens, or that is not sealed although it should be."""


class Seal(ABC):
    """Closes and opens what belongs to one object. `place` is bound to the text and not stored with it."""

    key_id: str
    salt: bytes

    @abstractmethod
    def seal_text(self, text: bytes, place: bytes) -> bytes:
        """Return the record's own text, sealed."""

    @abstractmethod
    def open_text(self, sealed: bytes, place: bytes) -> bytes:
        """Return the record's own text.

        Raises:
            SealError: it was not sealed like this.
        """

    @abstractmethod
    def seal_chunk(self, index: int, data: bytes, place: bytes) -> bytes:
        """Return a chunk, sealed; each index is used once."""

    @abstractmethod
    def open_chunk(self, index: int, sealed: bytes, place: bytes) -> bytes:
        """Return a chunk.

        Raises:
            SealError: it was not sealed like this.
        """


class Keys(Protocol):
    """The tunnel keys, as far as stored objects need them."""

    def new_seal(self, salt: bytes) -> Seal:
        """Return the seal of a new object."""

    def seal_of(self, key_id: str, salt: bytes) -> Seal:
        """Return the seal of a stored object; raises SealError without its key."""

    def token(self, title: str) -> str:
        """Return what stands for an AE title where everybody can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who asked whom, as the A-ASSOCIATE-RQ and the acceptor side's policy have it."""

    calling: str
    called: str
    """The AE title asked for at the other side."""
    peer: str
    """`host:port` of the requestor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedAssociation:
    """An original association."""

    parties: Parties
    contexts: tuple[tuple[str, str], ...]
    """Abstract and transfer syntax of each accepted context that is not Verification's."""
    started: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedObject:
    """An object whose chunks are all stored."""

    number: int
    parties: Parties
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    priority: int
    """Of the C-STORE-RQ (PS3.7 9.1.1.1)."""
    length: int
    """Bytes of the data set."""
    chunks: int
    chunk_size: int
    """Bytes of the data set in every chunk but the last."""
    accepted: float
    """When the SCU was told success, seconds since 1970."""
    study: str = ""
    """Study Instance UID, where it is known."""
    seal: Seal | None = None
    """Opens the chunks; None if they are not sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of an object that will be tried again."""

    tries: int
    last: str
    """A sentence on the last try."""
    status: int | None
    """Of the last C-STORE-RSP; None without one."""
    at: float
    """Time of the last try, seconds since 1970."""
    not_before: float
    """Time of the next try."""
    begun: float = 0.0
    """When its tries began anew by hand, from where its age counts; 0 if they did not."""
    called: str = ""
    """What it was moved to by hand, as `Codec.hide_title` has it; empty: as the SCU called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Why an object is tried no more."""

    reason: str
    """A short word: `status`, `no-context`, `tries`, `age`, `data-lost`."""
    text: str
    status: int | None
    tries: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who delivers an association."""

    instance: str
    epoch: int


class Codec:
    """Writes and reads the messages of one flow."""

    def __init__(self, flow: Flow, keys: Keys | None) -> None:
        """Remember the flow, to which all that is sealed is bound, and the tunnel keys, if there are any."""
        self._flow: Final = flow
        self._keys: Final = keys

    def new_seal(self, salt: bytes) -> Seal | None:
        """Return the seal of a new object, None without a tunnel key."""
        return None if self._keys is None else self._keys.new_seal(salt)

    def token(self, title: str) -> str:
        """Return the word that stands for an AE title in subjects and in `work`."""
        return title_token(title) if self._keys is None else self._keys.token(title)

    def place(self, key: AssociationKey, number: int) -> bytes:
        """Return what everything sealed of an object is bound to; number 0 is the association itself."""
        flow = self._flow
        fields = (flow.root, flow.sender, flow.receiver, key.association, str(number))
        return b"".join(len(field).to_bytes(2, "big") + field.encode() for field in fields)

    def hide_title(self, key: AssociationKey, number: int, title: str, salt: bytes) -> str:
        """Return an AE title as it may stand in an `attempt`; with a tunnel key it is sealed by itself."""
        seal = self.new_seal(salt)
        if seal is None:
            return title
        sealed = seal.seal_text(title.encode(), self._title_place(key, number))
        return ":".join((seal.key_id, _base64(salt), _base64(sealed)))

    def read_title(self, key: AssociationKey, number: int, hidden: str) -> str:
        """Return the AE title that `hide_title` has hidden.

        Raises:
            RecordError: it cannot be read.
        """
        if self._keys is None:
            return hidden
        key_id, _, rest = hidden.partition(":")
        salt, _, sealed = rest.partition(":")
        text = self._keys.seal_of(key_id, _bytes(salt)).open_text(_bytes(sealed), self._title_place(key, number))
        return text.decode(errors="replace")

    def _title_place(self, key: AssociationKey, number: int) -> bytes:
        return self.place(key, number) + b"called"

    def encode_object(self, key: AssociationKey, record: QueuedObject) -> bytes:
        """Return the record of an object."""
        clear = {
            "what": "object",
            "association": key.association,
            "number": record.number,
            "accepted": record.accepted,
            "length": record.length,
            "chunks": record.chunks,
            "chunk_size": record.chunk_size,
        }
        hidden = asdict(replace(record, seal=None))
        del hidden["seal"]
        hidden = {name: value for name, value in hidden.items() if name not in clear}
        return self._encode(clear, hidden, record.seal, self.place(key, record.number))

    def decode_object(self, key: AssociationKey, number: int, data: bytes) -> QueuedObject:
        """Read a record.

        Raises:
            RecordError: it cannot be read.
        """
        fields, seal = self._decode(data, "object", self.place(key, number))
        if fields.get("number") != number:
            raise RecordError("it is the record of another object")
        return _made(
            QueuedObject,
            {**fields, "parties": _made(Parties, _mapping(fields.get("parties"))), "seal": seal},
        )

    def encode_association(self, key: AssociationKey, entry: QueuedAssociation, seal: Seal | None) -> bytes:
        """Return the entry of an association."""
        clear = {"what": "association", "association": key.association, "started": entry.started}
        hidden = {"parties": asdict(entry.parties), "contexts": [list(pair) for pair in entry.contexts]}
        return self._encode(clear, hidden, seal, self.place(key, 0))

    def decode_association(self, key: AssociationKey, data: bytes) -> QueuedAssociation:
        """Read the entry of an association.

        Raises:
            RecordError: it cannot be read.
        """
        fields, _ = self._decode(data, "association", self.place(key, 0))
        contexts = fields.get("contexts")
        pairs = [tuple(map(str, pair)) for pair in contexts] if isinstance(contexts, list) else []
        if not all(len(pair) == 2 for pair in pairs):
            raise RecordError("its contexts are none")
        parties = _made(Parties, _mapping(fields.get("parties")))
        return _made(QueuedAssociation, {**fields, "parties": parties, "contexts": tuple(pairs)})

    def _encode(
        self, clear: Mapping[str, object], hidden: Mapping[str, object], seal: Seal | None, place: bytes
    ) -> bytes:
        if seal is None:
            return _text({"version": VERSION, **clear, **hidden})
        sealed = seal.seal_text(_text(hidden), place)
        return _text(
            {"version": VERSION, **clear, "key": seal.key_id, "salt": _base64(seal.salt), "sealed": _base64(sealed)}
        )

    def _decode(self, data: bytes, what: str, place: bytes) -> tuple[dict[str, Any], Seal | None]:
        fields = _read(data, what)
        if "sealed" not in fields:
            if self._keys is not None:
                raise SealError("it was stored without the tunnel key that this proxy has")
            return fields, None
        if self._keys is None:
            raise SealError("it is sealed, and this proxy has no tunnel key (DIMSE_TUNNEL_KEY)")
        seal = self._keys.seal_of(str(fields.get("key")), _bytes(fields.get("salt")))
        hidden = _json(seal.open_text(_bytes(fields.get("sealed")), place))
        return {**fields, **hidden}, seal


def encode_attempt(attempt: Attempt) -> bytes:
    """Return the JSON of an attempt."""
    return _text({"version": VERSION, "what": "attempt", **asdict(attempt)})


def decode_attempt(data: bytes) -> Attempt:
    """Read an attempt; raises RecordError."""
    return _made(Attempt, _read(data, "attempt"))


def encode_dead_letter(dead: DeadLetter) -> bytes:
    """Return the JSON of a dead letter's reason."""
    return _text({"version": VERSION, "what": "dead", **asdict(dead)})


def decode_dead_letter(data: bytes) -> DeadLetter:
    """Read a dead letter's reason; raises RecordError."""
    return _made(DeadLetter, _read(data, "dead"))


def encode_lease(lease: Lease) -> bytes:
    """Return the JSON of a lease."""
    return _text({"version": VERSION, "what": "lease", **asdict(lease)})


def decode_lease(data: bytes) -> Lease:
    """Read a lease; raises RecordError."""
    return _made(Lease, _read(data, "lease"))


def encode_end(at: float) -> bytes:
    """Return the JSON of `end`, which says nothing but that it is there."""
    return _text({"version": VERSION, "what": "end", "at": at})


def encode_work(at: float, target: str, again: Collection[int] = ()) -> bytes:
    """Return the JSON of `work`: for whom it is, as `Codec.token` has it, and which objects begin anew."""
    fields = {"version": VERSION, "what": "work", "at": at, "target": target}
    return _text({**fields, "again": sorted(again)} if again else fields)


def decode_work(data: bytes) -> str:
    """Read for whom it is; raises RecordError."""
    target = _read(data, "work").get("target")
    if not isinstance(target, str):
        raise RecordError("its target is not as it should be")
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What the sender's side asks for in `work`: tries of these objects begin anew."""

    at: float
    """When it was asked, seconds since 1970."""
    numbers: tuple[int, ...]


def decode_work_again(data: bytes) -> Again | None:
    """Read whether it asks for objects to begin anew; raises RecordError."""
    fields = _read(data, "work")
    numbers, at = fields.get("again"), fields.get("at")
    if not numbers:
        return None
    if not isinstance(numbers, list) or not all(_fits(number, int) for number in numbers) or not _fits(at, float):
        raise RecordError("what it asks for is not as it should be")
    return Again(at=float(str(at)), numbers=tuple(numbers))


def encode_asked(at: float, keys: Collection[AssociationKey]) -> bytes:
    """Return the JSON of what the receiver's side asks its own proxies to try at once."""
    return _text({"version": VERSION, "what": "again", "at": at, "associations": [str(key) for key in keys]})


def decode_asked(data: bytes) -> list[AssociationKey]:
    """Read which associations are to be tried at once; raises RecordError."""
    names = _read(data, "again").get("associations")
    if not isinstance(names, list):
        raise RecordError("its associations are no list")
    parts = (str(name).partition(".") for name in names)
    return [AssociationKey(asker, association) for asker, _, association in parts]


def _text(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _json(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except ValueError:
        raise RecordError("it is no JSON") from None
    return _mapping(fields)


def _mapping(fields: object) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise RecordError("a part of it is no JSON object")
    return fields


def _read(data: bytes, what: str) -> dict[str, Any]:
    fields = _json(data)
    if fields.get("version") != VERSION or fields.get("what") != what:
        raise RecordError(f"it is no {what} of version {VERSION}")
    return fields


def _made(kind: type[_T], fields: Mapping[str, Any]) -> _T:
    """Return a value of `kind` from those of `fields` that it has; what it does not know is left out."""
    annotations: Mapping[str, Any] = kind.__annotations__
    values = {name: value for name, value in fields.items() if name in annotations}
    for name, value in values.items():
        if not _fits(value, annotations[name]):
            raise RecordError(f"its {name} is not as it should be")
    try:
        return kind(**values)
    except TypeError:
        missing = ", ".join(sorted(set(annotations) - set(values)))
        raise RecordError(f"it lacks one of {missing}") from None


def _fits(value: object, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if kind is str:
        return isinstance(value, str)
    if kind == int | None:
        return value is None or _fits(value, int)
    return True  # Read by its own function before.


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise RecordError("it holds something that is no base64") from None


def length_of(data: bytes) -> int:
    """Return the bytes of the data set that a record is of, for which it takes no key; 0 if it cannot be read."""
    try:
        length = _read(data, "object").get("length")
    except RecordError:
        return 0
    return length if isinstance(length, int) and _fits(length, int) else 0


def chunk_lengths(record: QueuedObject) -> Sequence[int]:
    """Return the bytes of the data set in each chunk.

    Raises:
        RecordError: the numbers do not go together.
    """
    length, size, count = record.length, record.chunk_size, record.chunks
    if size <= 0 or count != max(1, -(-length // size)):
        raise RecordError("its length does not fit its chunks")
    return [size] * (count - 1) + [length - size * (count - 1)]

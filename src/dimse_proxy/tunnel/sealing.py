"""The tunnel key: who may speak, and what nobody but the two processes can read or change.

The one module of the tunnel that imports `cryptography`, and itself imported only where there is a tunnel key. The
scheme is in `docs/tunnel-protocol.md`; nothing here knows what a frame means, and no random number is made here.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dimse_proxy.errors import TunnelError
from dimse_proxy.tunnel.frames import (
    FORGED,
    HEADER_SIZE,
    REPLAYED,
    FrameType,
    KeyId,
    bad_frame,
    instance_tag,
    make_route,
)
from dimse_proxy.tunnel.replay import ReplayWindow
from dimse_proxy.tunnel.settings import TunnelIdentity

PUBLIC_SIZE: Final = 32
"""Bytes of an X25519 public key."""
_KEY_SIZE: Final = 32
_NONCE: Final = Struct(">4xQ")
_NUMBER: Final = Struct(">Q")
_OPEN: Final = int(FrameType.OPEN)
MOST_REMEMBERED: Final = 16384
"""Peers that are gone, and whose messages must not count a second time: about 4 MB."""


class Keyring:
    """The tunnel keys of this process, its own key of this epoch, and what it has seen of peers that are gone."""

    def __init__(
        self, keys: Sequence[bytes], root: str, identity: TunnelIdentity, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Make this epoch's key.

        Args:
            keys: the tunnel keys, 32 random bytes each; not empty.
            root: of the subjects.
            identity: this process.
            random_bytes: returns that many unpredictable bytes.
        """
        self._root: Final = root.encode()
        self._identity: Final = identity
        self._random_bytes: Final = random_bytes
        self._hello_keys: Final = tuple(_expand(key, b"hello") for key in keys)
        self.mixing_keys: Final = tuple(_expand(key, b"mixing") for key in keys)
        """What is mixed into every shared secret, one for each tunnel key."""
        self.private: Final = self.make_private()
        self.public: Final = public_of(self.private)
        self._number = 0
        self._gone: Final[OrderedDict[tuple[str, bytes], tuple[int, int]]] = OrderedDict()
        self._oldest: Final[dict[str, int]] = {}

    def make_private(self) -> X25519PrivateKey:
        """Return a new private key."""
        return X25519PrivateKey.from_private_bytes(self._random_bytes(_KEY_SIZE))

    def next_number(self) -> int:
        """Return a number that no message to anybody has had: nonces of all pairs are made of it."""
        self._number += 1
        return self._number

    # Hellos.

    def sign(self, channel: str, text: bytes) -> list[str]:
        """Return the authentication codes of a hello to `channel`, one for each tunnel key."""
        data = self._hello(self._identity.channel, channel, text)
        return [hmac.digest(key, data, "sha256").hex() for key in self._hello_keys]

    def verify(self, channel: str, text: bytes, codes: Sequence[str]) -> int | None:
        """Return which of our tunnel keys a hello from `channel` was made with, the first if several; None if none."""
        data = self._hello(channel, self._identity.channel, text)
        for index, key in enumerate(self._hello_keys):
            right = hmac.digest(key, data, "sha256").hex().encode()
            if any(hmac.compare_digest(right, code.encode()) for code in codes):
                return index
        return None

    def _hello(self, sender: str, receiver: str, text: bytes) -> bytes:
        return _fields(b"dimse-proxy 1 hello", self._root, sender.encode(), receiver.encode(), text)

    # Peers.

    def pair(self, channel: str, route_in: bytes, public: bytes, index: int = 0) -> "PairSeal":
        """Return the seal of the frames with one peer.

        Args:
            channel: the peer's.
            route_in: of its frames.
            public: its key of its epoch.
            index: the tunnel key to seal with.

        Raises:
            TunnelError: it is so long gone that its messages cannot be told from replays, or its key is none.
        """
        known = self._gone.get((channel, route_in))
        if known is None and _sender_epoch(route_in) <= self._oldest.get(channel, -1):
            raise TunnelError("a peer that was forgotten", code=REPLAYED)
        floor, hello_number = known or (0, 0)
        seal = PairSeal(self, channel, route_in, public, index, floor)
        seal.hello_number = hello_number
        return seal

    def pair_of_open(self, channel: str, route_in: bytes, payload: bytes) -> "PairSeal":
        """Return the seal of the frames with a peer whose OPEN came before its hello.

        Raises:
            TunnelError: as `pair`.
        """
        return self.pair(channel, route_in, payload[HEADER_SIZE : HEADER_SIZE + PUBLIC_SIZE])

    def remember(self, seal: "PairSeal") -> None:
        """Remember what came from a peer that is gone."""
        gone = self._gone
        gone[seal.channel, seal.route_in] = (seal.window.highest, seal.hello_number)
        gone.move_to_end((seal.channel, seal.route_in))
        if len(gone) > MOST_REMEMBERED:
            (channel, route), _ = gone.popitem(last=False)
            self._oldest[channel] = max(_sender_epoch(route), self._oldest.get(channel, -1))

    def context(self, channel: str, route_in: bytes, is_ours: bool) -> bytes:
        """Return what every key is bound to: root, channels and processes, the sender's (or opener's) first."""
        own = self._identity
        route_out = make_route(instance_tag(own.instance), own.epoch, _sender_epoch(route_in))
        ours, theirs = (own.channel.encode(), route_out), (channel.encode(), route_in)
        first, second = (ours, theirs) if is_ours else (theirs, ours)
        return _fields(self._root, *first, *second)


class PairSeal:
    """Seals the control frames between this process and one peer, and opens each of the peer's once."""

    __slots__ = (
        "_keyring",
        "_receivers",
        "_senders",
        "channel",
        "hello_number",
        "public",
        "route_in",
        "sending_key",
        "window",
    )

    def __init__(self, keyring: Keyring, channel: str, route_in: bytes, public: bytes, index: int, floor: int) -> None:
        self._keyring: Final = keyring
        self.channel: Final = channel
        self.route_in: Final = route_in
        self.public: Final = public
        """The peer's key of its epoch."""
        self.hello_number = 0
        """Of the latest hello taken."""
        self.window: Final = ReplayWindow(floor)
        secret = exchange(keyring.private, public)
        out = (keyring.context(channel, route_in, True), keyring.public, public)
        back = (keyring.context(channel, route_in, False), public, keyring.public)
        self.sending_key = keyring.mixing_keys[index]
        """The tunnel key that we seal with, as it is mixed in."""
        keys = keyring.mixing_keys
        self._senders: Final = {key: AESGCM(derive(key, secret, b"pair", *out)) for key in keys}
        self._receivers: Final = [(key, AESGCM(derive(key, secret, b"pair", *back))) for key in keys]

    @property
    def receiving_key(self) -> bytes:
        """The tunnel key that the peer's latest frame was sealed with, as it is mixed in."""
        return self._receivers[0][0]

    def part(self) -> None:
        """Remember what came from the peer, which is gone."""
        self._keyring.remember(self)

    def answer_alike(self) -> None:
        """Seal with the tunnel key that the peer's latest frame was sealed with."""
        self.sending_key = self.receiving_key

    def seal(self, header: bytes, body: bytes) -> bytes:
        """Return what follows `header` in a frame."""
        number = self._keyring.next_number()
        prefix = self._keyring.public if header[1] == _OPEN else b""
        sealed = self._senders[self.sending_key].encrypt(_NONCE.pack(number), body, header + prefix)
        return prefix + _NUMBER.pack(number) + sealed

    def open(self, payload: bytes) -> bytes:
        """Return the body of a frame.

        Raises:
            TunnelError: it is not as the peer sealed it for us, or has come before.
        """
        start = HEADER_SIZE + (PUBLIC_SIZE if payload[1] == _OPEN else 0)
        end = start + _NUMBER.size
        if len(payload) < end:
            raise forged()
        number = int.from_bytes(payload[start:end], "big")
        if not self.window.is_new(number):
            raise TunnelError("a control frame that has come before", code=REPLAYED)
        for position, (_, receiver) in enumerate(self._receivers):
            body = _opened(receiver, number, payload[end:], payload[:start])
            if body is not None:
                self.window.note(number)
                if position:
                    self._receivers.insert(0, self._receivers.pop(position))
                return body
        raise forged()

    def session_context(self, is_opener: bool) -> bytes:
        """Return what the keys of a session are bound to."""
        return self._keyring.context(self.channel, self.route_in, is_opener)

    def offer(self, session_id: bytes) -> "SessionSeal":
        """Return the seal of a session that we open."""
        private = self._keyring.make_private()
        secret = exchange(private, self.public)
        return SessionSeal(self, self.sending_key, session_id, private, public_of(private), secret, is_opener=True)

    def accept(self, session_id: bytes, offered: bytes) -> "SessionSeal":
        """Return the seal of a session whose OPEN, the latest frame opened, brought the key `offered`.

        Raises:
            TunnelError: that is no key.
        """
        secret = exchange(self._keyring.private, offered)
        private = self._keyring.make_private()
        seal = SessionSeal(self, self.receiving_key, session_id, private, offered, secret, is_opener=False)
        seal.complete(offered)
        return seal


class SessionSeal:
    """Seals the DATA frames of one session, with keys that are this session's alone.

    The opener seals with the offer's key until the other side's key has come; the other side never does.
    """

    __slots__ = ("_early", "_info", "_is_opener", "_mixing", "_private", "_receiver", "_sender", "_theirs", "public")

    def __init__(
        self,
        pair: PairSeal,
        mixing: bytes,
        session_id: bytes,
        private: X25519PrivateKey,
        offered: bytes,
        secret: bytes,
        *,
        is_opener: bool,
    ) -> None:
        self._is_opener: Final = is_opener
        self._mixing: Final = mixing
        self._info: Final = (pair.session_context(is_opener), session_id, offered)
        self._private: X25519PrivateKey | None = private
        self.public: Final = public_of(private)
        """This side's key for the session."""
        self._theirs: bytes | None = None
        self._early: AESGCM | None = AESGCM(derive(mixing, secret, b"offer", *self._info))
        self._receiver: AESGCM | None = None
        self._sender: AESGCM = self._early

    @property
    def is_complete(self) -> bool:
        """Both sides' keys are known."""
        return self._private is None

    @property
    def key_id(self) -> KeyId:
        """What DATA is sealed with."""
        return KeyId.SESSION if self.is_complete else KeyId.OFFER

    def complete(self, public: bytes) -> None:
        """Take the other side's key, and forget our own private one.

        Raises:
            TunnelError: it is none, or not the one that came before.
        """
        if self._private is None:
            if public != self._theirs:
                raise bad_frame("another key for a session that has one")
            return
        secret = exchange(self._private, public)
        answered = public if self._is_opener else self.public
        first = AESGCM(derive(self._mixing, secret, b"opener", *self._info, answered))
        second = AESGCM(derive(self._mixing, secret, b"taker", *self._info, answered))
        self._sender, self._receiver = (first, second) if self._is_opener else (second, first)
        self._private = None
        self._theirs = public
        if self._is_opener:
            self._early = None

    def seal(self, counter: int, data: bytes | memoryview, header: bytes) -> bytes:
        """Return what follows `header` in a DATA frame; `counter` is never used a second time."""
        return self._sender.encrypt(_NONCE.pack(counter), data, header)

    def open(self, key_id: int, counter: int, payload: bytes) -> bytes:
        """Return the bytes of a DATA frame.

        Raises:
            TunnelError: it is not as the peer sealed it.
        """
        receiver = self._receiver if key_id == KeyId.SESSION else self._early
        if receiver is not None:
            view = memoryview(payload)
            data = _opened(receiver, counter, view[HEADER_SIZE:], view[:HEADER_SIZE])
            if data is not None:
                return data
        raise forged()


def forged() -> TunnelError:
    """Return the error of a message that is not as a holder of the tunnel key made it for us."""
    return TunnelError("the seal is not right", code=FORGED)


def public_of(private: X25519PrivateKey) -> bytes:
    """Return the public key that belongs to a private one."""
    return private.public_key().public_bytes_raw()


def exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    """Return the secret that two keys share.

    Raises:
        TunnelError: `public` is no key that may be used.
    """
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise bad_frame("a public key that is none") from None


def derive(mixing: bytes, secret: bytes, *info: bytes) -> bytes:
    """Return an AES-256 key made of a tunnel key and a shared secret, for the use that `info` names."""
    return HKDF(SHA256(), _KEY_SIZE, mixing, _fields(b"dimse-proxy 1", *info)).derive(secret)


def _expand(key: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_SIZE, None, _fields(b"dimse-proxy 1 tunnel key", use)).derive(key)


def _fields(*fields: bytes) -> bytes:
    """Return all fields, each behind its length, so that no two lists look alike."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def _opened(receiver: AESGCM, number: int, sealed: bytes | memoryview, header: bytes | memoryview) -> bytes | None:
    try:
        return receiver.decrypt(_NONCE.pack(number), sealed, header)
    except (InvalidTag, ValueError):
        return None


def _sender_epoch(route: bytes) -> int:
    return int.from_bytes(route[8:16], "big")

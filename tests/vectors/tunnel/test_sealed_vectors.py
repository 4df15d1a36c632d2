"""Sealed messages made and opened by hand from what `docs/tunnel-protocol.md` says, and some of them in full."""

import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dimse_proxy.tunnel import DataReceived, Message, SessionOpened, Tunnel, TunnelIdentity, TunnelSettings

KEY = bytes(range(32))
EPOCH_A, EPOCH_B = bytes([0xA1]) * 32, bytes([0xB1]) * 32
SESSION_A, SESSION_B = bytes([0xA2]) * 32, bytes([0xB2]) * 32
SESSION_ID = bytes([0x55]) * 16


def fields(*items: bytes) -> bytes:
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, one block of result."""
    extracted = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def shared(private: bytes, other: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public(other)))


HELLO_KEY = hkdf(KEY, b"", fields(b"dimse-proxy 1 tunnel key", b"hello"))
MIXING_KEY = hkdf(KEY, b"", fields(b"dimse-proxy 1 tunnel key", b"mixing"))


def tag(instance: bytes) -> bytes:
    return hashlib.sha256(instance).digest()[:8]


A_TO_B = tag(b"a1") + (3).to_bytes(8, "big") + (4).to_bytes(8, "big")
B_TO_A = tag(b"b1") + (4).to_bytes(8, "big") + (3).to_bytes(8, "big")
FROM_A = fields(b"DIMSE", b"A", A_TO_B, b"B", B_TO_A)
FROM_B = fields(b"DIMSE", b"B", B_TO_A, b"A", A_TO_B)


def pair_key(is_from_a: bool) -> bytes:
    order = (EPOCH_A, EPOCH_B) if is_from_a else (EPOCH_B, EPOCH_A)
    context = FROM_A if is_from_a else FROM_B
    info = fields(b"dimse-proxy 1", b"pair", context, public(order[0]), public(order[1]))
    return hkdf(shared(EPOCH_A, EPOCH_B), MIXING_KEY, info)


def offer_key() -> bytes:
    info = fields(b"dimse-proxy 1", b"offer", FROM_A, SESSION_ID, public(SESSION_A))
    return hkdf(shared(SESSION_A, EPOCH_B), MIXING_KEY, info)


def session_key(who: bytes) -> bytes:
    info = fields(b"dimse-proxy 1", who, FROM_A, SESSION_ID, public(SESSION_A), public(SESSION_B))
    return hkdf(shared(SESSION_A, SESSION_B), MIXING_KEY, info)


def nonce(number: int) -> bytes:
    return bytes(4) + number.to_bytes(8, "big")


def scripted(*values: bytes) -> Tunnel:
    """Not a tunnel's randomness: the values in the order in which they are asked for."""
    left = list(values)

    def random_bytes(size: int) -> bytes:
        value = left.pop(0)
        assert len(value) == size
        return value

    is_a = values[0] == EPOCH_A
    identity = TunnelIdentity(*(("A", "a1", 3) if is_a else ("B", "b1", 4)), version="1.0")
    tunnel = Tunnel(identity, TunnelSettings(keys=(KEY,)), ("B" if is_a else "A",), random_bytes)
    tunnel.connected(1 << 20, 0.0)
    return tunnel


def payload(message: Message) -> bytes:
    return b"".join(message.parts)


def give(tunnel: Tunnel, message: Message) -> None:
    tunnel.receive_message(message.subject, payload(message), 0.0)


def frames(tunnel: Tunnel) -> list[Message]:
    return [message for message in tunnel.messages_to_send(0.0) if not message.subject.endswith(".hello")]


KEYS = (
    HELLO_KEY,
    MIXING_KEY,
    pair_key(True),
    pair_key(False),
    offer_key(),
    session_key(b"opener"),
    session_key(b"taker"),
)
PREFIXES = [
    "25fd5fd1828f560e",  # the hello key
    "3102485cf0b3e13b",  # the mixing key
    "acdd876558e8e434",  # pair, A to B
    "ab6bf2a0768d46e7",  # pair, B to A
    "30823d0d83abf128",  # offer
    "869c918b3a6d2578",  # session, A to B
    "1016ffe5b20abb8e",  # session, B to A
]


def test_the_keys_of_the_documentation() -> None:
    assert [key.hex()[:16] for key in KEYS] == PREFIXES


def test_hello() -> None:
    (message,) = scripted(EPOCH_A).messages_to_send(0.0)
    text, _, codes = payload(message).rpartition(b',"codes":')
    assert text == (
        b'{"instance":"a1","epoch":3,"version":"1.0","protocols":[1],"load":0,"limit":null,"accepts":true,'
        b'"going_away":false,"start":true,"window":4194304,"share":16777216,"interval":750,"public_key":"%b","number":1'
        % public(EPOCH_A).hex().encode()
    )
    code = hmac.new(HELLO_KEY, fields(b"dimse-proxy 1 hello", b"DIMSE", b"A", b"B", text + b"}"), hashlib.sha256)
    assert codes == b'["%b"]}' % code.hexdigest().encode()


def test_open_opened_and_data() -> None:
    a, b = scripted(EPOCH_A, SESSION_ID, SESSION_A), scripted(EPOCH_B, SESSION_B)
    for message in a.messages_to_send(0.0):
        give(b, message)
    for message in b.messages_to_send(0.0):
        give(a, message)
    a.messages_to_send(0.0)
    session = a.open_session("B", {"called": "PACS"}, 0.0)
    session.send_data(b"\x01\x00", 0.0)
    opened, early = frames(a)

    sealed = payload(opened)
    assert sealed[:24] == bytes([1, 1, 0, 0, 0, 0, 0, 1]) + SESSION_ID
    assert sealed[24:48] == A_TO_B
    assert sealed[64:96] == public(EPOCH_A)
    number = int.from_bytes(sealed[96:104], "big")
    body = json.loads(AESGCM(pair_key(True)).decrypt(nonce(number), sealed[104:], sealed[:96]))
    assert body == {
        "instance": "a1",
        "limit": 4194304,
        "info": {"called": "PACS"},
        "public_key": public(SESSION_A).hex(),
    }

    sealed = payload(early)
    assert sealed[:8] == bytes([1, 5, 0, 1, 0, 0, 0, 2])
    counter = int.from_bytes(sealed[48:56], "big")
    assert AESGCM(offer_key()).decrypt(nonce(counter), sealed[64:], sealed[:64]) == b"\x01\x00"

    give(b, opened)
    give(b, early)
    events = b.events_received()
    theirs = next(event.session for event in events if isinstance(event, SessionOpened))
    assert [bytes(event.data) for event in events if isinstance(event, DataReceived)] == [b"\x01\x00"]
    theirs.send_data(b"answer", 0.0)
    answer, _, back = frames(b)
    sealed = payload(answer)
    assert sealed[:8] == bytes([1, 2, 0, 0, 0, 0, 0, 1])
    number = int.from_bytes(sealed[64:72], "big")
    body = json.loads(AESGCM(pair_key(False)).decrypt(nonce(number), sealed[72:], sealed[:64]))
    assert body == {"limit": 4194304, "public_key": public(SESSION_B).hex()}

    sealed = payload(back)
    assert sealed[:8] == bytes([1, 5, 0, 1, 0, 0, 0, 3])
    counter = int.from_bytes(sealed[48:56], "big")
    assert AESGCM(session_key(b"taker")).decrypt(nonce(counter), sealed[64:], sealed[:64]) == b"answer"

    give(a, answer)
    session.send_data(b"later", 0.0)
    later = frames(a)[-1]
    sealed = payload(later)
    assert sealed[4:8] == bytes([0, 0, 0, 3])
    counter = int.from_bytes(sealed[48:56], "big")
    assert AESGCM(session_key(b"opener")).decrypt(nonce(counter), sealed[64:], sealed[:64]) == b"later"


def test_a_frame_made_by_hand_is_taken() -> None:
    """Whoever has the key and the documentation can write another implementation."""
    b = scripted(EPOCH_B, SESSION_B)
    body = json.dumps({"instance": "a1", "limit": 1 << 20, "info": {}, "public_key": public(SESSION_A).hex()}).encode()
    header = bytes([1, 1, 0, 0, 0, 0, 0, 1]) + SESSION_ID + A_TO_B + (1).to_bytes(8, "big") + bytes(8)
    sealed = AESGCM(pair_key(True)).encrypt(nonce(7), body, header + public(EPOCH_A))
    give(b, Message("DIMSE.B.A.i.b1", (header, public(EPOCH_A), (7).to_bytes(8, "big"), sealed)))
    header = bytes([1, 5, 0, 0, 0, 0, 0, 2]) + SESSION_ID + A_TO_B + (2).to_bytes(8, "big") + bytes(8)
    give(b, Message("DIMSE.B.A.i.b1", (header, AESGCM(offer_key()).encrypt(nonce(2), b"early", header))))
    header = bytes([1, 5, 0, 0, 0, 0, 0, 3]) + SESSION_ID + A_TO_B + (3).to_bytes(8, "big") + (5).to_bytes(8, "big")
    give(b, Message("DIMSE.B.A.i.b1", (header, AESGCM(session_key(b"opener")).encrypt(nonce(3), b"later", header))))
    received = [bytes(event.data) for event in b.events_received() if isinstance(event, DataReceived)]
    assert received == [b"early", b"later"]

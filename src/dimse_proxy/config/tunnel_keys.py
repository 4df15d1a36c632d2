"""The tunnel keys: 32 random bytes each, written in base64 or hexadecimal. No sentence here ever repeats one.

A passphrase is not taken: whoever runs NATS could try words at leisure against the hellos that pass there.
"""

import base64
import binascii
import re
from typing import Final

KEY_BYTES: Final = 32
"""As `openssl rand -base64 32` makes them, and no other number: what is cut or pasted twice is noticed."""
MOST_KEYS: Final = 2
"""The one that is used, and the one that it replaces or that will replace it."""
_FEWEST_VALUES: Final = 16
"""Different values among the bytes of a key; 32 random bytes have fewer once in 10^14."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{64}")
RIGHT: Final = (
    "one key, or two separated by a comma or a line end, each as `openssl rand -base64 32` prints it, are right"
)


def read_tunnel_keys(text: str) -> tuple[bytes, ...]:
    """Return the keys, the one to use first.

    Raises:
        ValueError: what is wrong, without a word of the value.
    """
    words = list(dict.fromkeys(word for word in re.split(r"[,\s]+", text) if word))
    if not 1 <= len(words) <= MOST_KEYS:
        raise ValueError(f"it holds {len(words)} keys: {RIGHT}")
    keys = tuple(_key(word) for word in words)
    if any(len(set(key)) < _FEWEST_VALUES for key in keys):
        raise ValueError(f"a key of it is not random: {RIGHT}")
    return keys


def _key(word: str) -> bytes:
    if _HEXADECIMAL.fullmatch(word):
        return bytes.fromhex(word)
    if _BASE64.fullmatch(word):
        try:
            return base64.b64decode(word[:43].replace("-", "+").replace("_", "/") + "=", validate=True)
        except binascii.Error:
            pass
    raise ValueError(f"a key of it is not {KEY_BYTES} bytes in base64 or hexadecimal ({len(word)} characters): {RIGHT}")

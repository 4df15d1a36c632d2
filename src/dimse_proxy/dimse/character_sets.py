"""Text of a data set by its Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2), for people to read.

Nothing here raises: what no character set explains becomes the replacement character. What the text means is not known.
"""

import codecs
from collections.abc import Iterator, Sequence
from typing import Final

_DEFAULT: Final = "latin_1"
"""ISO-IR 6 is ASCII; senders that leave the character set out often mean ISO 8859-1, and ASCII is a part of it."""

_SINGLE: Final = {
    "": _DEFAULT,
    "6": _DEFAULT,
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "13": "shift_jis",
    "166": "tis_620",
    "192": "utf_8",
    "87": _DEFAULT,
    "159": _DEFAULT,
    "149": _DEFAULT,
    "58": _DEFAULT,
}
"""Number of the registration -> codec of text before any escape sequence."""
_NAMED: Final = {"GB18030": "gb18030", "GBK": "gbk"}

_ESCAPE: Final = b"\x1b"
_WITH_ESCAPE: Final = {b"$B": "iso2022_jp", b"$(D": "iso2022_jp_2"}
"""Multi-byte sets of G0: the codec wants the escape sequence, and no byte of theirs is a delimiter."""
_ESCAPED: Final = {
    b"(B": _DEFAULT,
    b"(J": "shift_jis",
    b")I": "shift_jis",
    b"-A": "latin_1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-L": "iso8859_5",
    b"-G": "iso8859_6",
    b"-F": "iso8859_7",
    b"-H": "iso8859_8",
    b"-M": "iso8859_9",
    b"-T": "tis_620",
    b"-b": "iso8859_15",
    b"$)C": "euc_kr",
    b"$)A": "gb2312",
}
"""Escape sequence -> codec of what follows it, up to the next one or a delimiter (PS3.3 Tables C.12-3 and C.12-4)."""
_DELIMITERS: Final = b"\\^=\r\n\f\t"
"""Where the first character set is in force again (PS3.5 6.1.2.5.3)."""


def decode_text(value: bytes, character_sets: Sequence[str] = ()) -> str:
    """Return the text of a value, without the padding at its end.

    Args:
        value: of an element whose value representation the Specific Character Set concerns (LO, PN...).
        character_sets: the values of (0008,0005); none for the default.
    """
    value = value.rstrip(b" \0")
    codec = _codec_of(character_sets[0] if character_sets else "")
    if _ESCAPE not in value:
        return value.decode(codec, "replace")
    first, *escaped = value.split(_ESCAPE)
    return first.decode(codec, "replace") + "".join(text for part in escaped for text in _decode_escaped(part, codec))


def _decode_escaped(part: bytes, first: str) -> Iterator[str]:
    """Decode what stands behind one ESC, its escape sequence included."""
    for sequence, codec in _WITH_ESCAPE.items():
        if part.startswith(sequence):
            yield (_ESCAPE + part).decode(codec, "replace")
            return
    for sequence, codec in _ESCAPED.items():
        if part.startswith(sequence):
            text = part[len(sequence) :]
            end = next((place for place, byte in enumerate(text) if byte in _DELIMITERS), len(text))
            yield text[:end].decode(codec, "replace")
            yield text[end:].decode(first, "replace")
            return
    yield part.decode(first, "replace")


def _codec_of(term: str) -> str:
    """Return the codec of a defined term: `ISO_IR 100`, `ISO 2022 IR 100`, `GB18030`..."""
    term = term.strip().upper()
    codec = _NAMED.get(term) or _SINGLE.get(term.replace("_", " ").rpartition(" ")[2], _DEFAULT)
    return codecs.lookup(codec).name

"""Vectors as people read them: hex, a field a line, `#` and a comment behind it; 'text' stands for its ASCII bytes."""

import re

_TOKEN = re.compile(r"'([^']*)'|([0-9A-Fa-f]{2})|(#.*)|\s+")


def from_hex(text: str) -> bytes:
    out = bytearray()
    for line in text.splitlines():
        position = 0
        while position < len(line):
            found = _TOKEN.match(line, position)
            if found is None:
                raise ValueError(f"cannot read {line[position:]!r}")
            quoted, byte, comment = found.groups()
            if comment is not None:
                break
            if quoted is not None:
                out += quoted.encode("ascii")
            elif byte is not None:
                out.append(int(byte, 16))
            position = found.end()
    return bytes(out)

"""Data sets element by element, in each way of encoding one; what the tests of heads and contents share."""

import struct
import zlib
from dataclasses import dataclass

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Form:
    """One way of encoding elements."""

    explicit: bool = True
    order: str = "<"

    def tag(self, tag: int) -> bytes:
        return struct.pack(f"{self.order}HH", tag >> 16, tag & 0xFFFF)

    def element(self, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
        size = len(value) if length is None else length
        if not self.explicit:
            return self.tag(tag) + struct.pack(f"{self.order}I", size) + value
        if vr in LONG:
            return self.tag(tag) + vr.encode() + b"\0\0" + struct.pack(f"{self.order}I", size) + value
        return self.tag(tag) + vr.encode() + struct.pack(f"{self.order}H", size) + value

    def text(self, tag: int, vr: str, text: str | bytes) -> bytes:
        value = text.encode() if isinstance(text, str) else text
        return self.element(tag, vr, value + b" " * (len(value) % 2))

    def item(self, content: bytes, *, defined: bool = True) -> bytes:
        if defined:
            return self.tag(0xFFFEE000) + struct.pack(f"{self.order}I", len(content)) + content
        return self.tag(0xFFFEE000) + b"\xff\xff\xff\xff" + content + self.tag(0xFFFEE00D) + bytes(4)

    def sequence(self, tag: int, *items: bytes, defined: bool = True, vr: str = "SQ") -> bytes:
        content = b"".join(items)
        if defined:
            return self.element(tag, vr, content)
        return self.element(tag, vr, content + self.tag(0xFFFEE0DD) + bytes(4), UNDEFINED)

    def patient(self, name: str | bytes = "Doe^Jane", number: str | bytes = "4711") -> bytes:
        return self.text(0x00100010, "PN", name) + self.text(0x00100020, "LO", number)

    def study(self, uid: str = "1.2.3.4") -> bytes:
        return self.element(0x0020000D, "UI", uid.encode() + b"\0" * (len(uid) % 2))


FORMS = {
    IMPLICIT: Form(explicit=False),
    EXPLICIT: Form(),
    BIG_ENDIAN: Form(order=">"),
    DEFLATED: Form(),
    JPEG: Form(),
}


def encoded(transfer_syntax: str, elements: bytes) -> bytes:
    """The data set as it is sent."""
    if transfer_syntax != DEFLATED:
        return elements
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(elements) + deflate.flush()

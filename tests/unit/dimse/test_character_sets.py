"""Names in every kind of character set; the examples are those of PS3.5 Annexes H, I and K."""

import pytest

from dimse_proxy.dimse.character_sets import decode_text


@pytest.mark.parametrize(
    ("value", "sets", "text"),
    [
        (b"Doe^Jane ", (), "Doe^Jane"),
        (b"M\xfcller^J\xf6rg", ("ISO_IR 100",), "Müller^Jörg"),
        (b"M\xfcller", (), "Müller"),
        (b"Buc^J\xe9r\xf4me", ("ISO_IR 100",), "Buc^Jérôme"),
        (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", ("ISO_IR 126",), "Διονυσιος"),
        (b"\xbb\xee\xda", ("ISO_IR 144",), "Люк"),
        (b"\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1", ("ISO_IR 192",), "王^小東"),
        (b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", ("GB18030",), "Wang^XiaoDong=王^小东"),
        (b"Zhang^XiaoDong=\xd5\xc5^\xd0\xa1\xb6\xab", ("GBK",), "Zhang^XiaoDong=张^小东"),
        (
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            ("", "ISO 2022 IR 87"),
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            ("", "ISO 2022 IR 149"),
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (b"Zhang=\x1b$)A\xd5\xc5^x", ("", "ISO 2022 IR 58"), "Zhang=张^x"),
        (b"A=\x1b-F\xc4^\xfc", ("ISO 2022 IR 100", "ISO 2022 IR 126"), "A=Δ^ü"),
        (b"\xff\xfe", ("ISO_IR 192",), "\ufffd\ufffd"),
        (b"\xfc", ("ISO_IR 9999",), "ü"),
        (b"A\x1b%/B\xfc", ("ISO_IR 100",), "A%/Bü"),
        (b"", (), ""),
        (b"\x1b", (), ""),
    ],
)
def test_text(value: bytes, sets: tuple[str, ...], text: str) -> None:
    assert decode_text(value, sets) == text

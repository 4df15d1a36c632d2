import pytest

from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes, ae_title_to_bytes, validate_ae_title


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (b"STORE           ", "STORE"),
        (b"  STORE         ", "STORE"),
        (b"STORE SCP       ", "STORE SCP"),
        (b"ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOP"),
        (b"STORE" + bytes(11), "STORE"),
        (b"STORE  " + bytes(9), "STORE"),
        (b"STORE\0garbage\0\0\0", "STORE"),
        (b"\tSTO\xdcE\\          ", "\\x09STO\\xdcE\\"),
        (b" " * 16, ""),
        (bytes(16), ""),
        (b"", ""),
    ],
)
def test_from_bytes(raw: bytes, title: str) -> None:
    assert ae_title_from_bytes(raw) == title


@pytest.mark.parametrize(
    ("title", "raw"),
    [
        ("STORE", b"STORE           "),
        ("  STORE SCP ", b"STORE SCP       "),
        ("ABCDEFGHIJKLMNOP", b"ABCDEFGHIJKLMNOP"),
        ("A" + " " * 20, b"A               "),
        ("~!", b"~!              "),
    ],
)
def test_to_bytes(title: str, raw: bytes) -> None:
    assert ae_title_to_bytes(title) == raw
    assert ae_title_from_bytes(raw) == title.strip()


@pytest.mark.parametrize(
    ("title", "problem"),
    [
        ("", "at least one character"),
        ("    ", "at least one character"),
        ("ABCDEFGHIJKLMNOPQ", "has 17 characters; at most 16"),
        ("A\\B", "contains '\\\\\\\\'"),
        ("A\tB", "contains '\\\\t'"),
        ("AB\n", "contains '\\\\n'"),
        ("A\x7f", "contains '\\\\x7f'"),
        ("ÄRZTE", "contains 'Ä'"),
    ],
)
def test_invalid_titles(title: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        validate_ae_title(title)
    with pytest.raises(ValueError, match=problem):
        ae_title_to_bytes(title)


def test_validation_takes_outer_spaces_off() -> None:
    assert validate_ae_title(" STORE SCP ") == "STORE SCP"

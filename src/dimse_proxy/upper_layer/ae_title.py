"""AE titles: 16 bytes of a PDU and the text that people write (PS3.8 Table 9-11, VR AE in PS3.5 6.2).

What does not belong here: which titles are let in or put in place of others; that is for the proxy's policy.
"""

from typing import Final

from dimse_proxy.upper_layer.items import decode_uid

AE_TITLE_LENGTH: Final = 16
"""Bytes of an AE title in a PDU, and the most characters it can have."""


def ae_title_from_bytes(raw: bytes) -> str:
    r"""Return the title in an AE title field as text, for comparing and for logs.

    Outer spaces are not significant. PS3.8 pads with spaces; in the field NULs are seen too, so what follows the
    first NUL is left out, as receivers do that keep titles as C strings. What is not printable ASCII becomes `\xNN`,
    which no valid title contains. An empty field gives an empty text.

    Args:
        raw: the field; any number of bytes.
    """
    return decode_uid(raw.split(b"\0", 1)[0])


def ae_title_to_bytes(title: str) -> bytes:
    """Return the 16 bytes of an AE title field, padded with spaces.

    Raises:
        ValueError: it is not a valid title; the text says what is wrong.
    """
    return validate_ae_title(title).encode("ascii").ljust(AE_TITLE_LENGTH)


def validate_ae_title(title: str) -> str:
    """Return the title without its outer spaces.

    Raises:
        ValueError: it is not a valid title; the text says what is wrong.
    """
    significant = title.strip(" ")
    if not significant:
        raise ValueError("an AE title must have at least one character that is not a space")
    wrong = next((character for character in significant if not " " <= character <= "~" or character == "\\"), None)
    if wrong is not None:
        raise ValueError(
            f"AE title {significant!r} contains {wrong!r}; only printable ASCII without the backslash is allowed"
        )
    if len(significant) > AE_TITLE_LENGTH:
        raise ValueError(f"AE title {significant!r} has {len(significant)} characters; at most 16 are allowed")
    return significant

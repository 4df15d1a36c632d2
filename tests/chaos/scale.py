"""How much the tests of this folder do: the short form in `make test`, the long one with CHAOS=long (`make chaos`)."""

import os
from typing import Final

IS_LONG: Final = os.environ.get("CHAOS") == "long"
MOST: Final = 100_000_000 if IS_LONG else 20_000_000
"""Length of the longest object, bytes."""
FIND: Final = (120, 0.25) if IS_LONG else (16, 0.25)
"""Answers of a C-FIND, and seconds between two of them."""
MOVE: Final = (20, 2_000_000) if IS_LONG else (5, 1_000_000)
"""Objects of a C-MOVE, and their length."""


def timeout(short: float, long: float = 3600) -> float:
    """Seconds after which a test is given up."""
    return long if IS_LONG else short

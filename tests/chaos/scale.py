"""How much the tests of this folder do: the short form in `make test`, the long one with CHAOS=long (`make chaos`)."""

import os
from typing import Final

IS_LONG: Final = os.environ.get("CHAOS") == "long"


def timeout(short: float, long: float = 3600) -> float:
    """Seconds after which a test is given up."""
    return long if IS_LONG else short

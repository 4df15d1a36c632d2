"""How much the tests of this folder do: the short form in `make test`, the long one with `make availability`."""

import os
from typing import Final

IS_LONG: Final = "MOVES" in os.environ
MOVES: Final = int(os.environ.get("MOVES", "40"))
"""C-MOVEs from each PACS."""

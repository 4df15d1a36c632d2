"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="File of DIMSE_* settings, weaker than the environment."),
]

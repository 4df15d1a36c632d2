"""Options that several commands have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from dimse_proxy.config.values import check_ae_title

EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="File of DIMSE_* settings, weaker than the environment."),
]


def mistyped_titles(*, called: str | None, calling: str | None) -> Iterator[str]:
    """A sentence for each of `--called` and `--calling` that is no AE title."""
    for option, title in (("--called", called), ("--calling", calling)):
        try:
            if title is not None:
                check_ae_title(title)
        except ValueError as error:
            yield f"{option}: {error}."

"""The sentences that say what is wrong with a setting: variable, where it came from, its value, what would be right.

The one place that puts pydantic's errors into words, so none of its own reach a person. A secret's value is never part
of a sentence.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dimse_proxy.config.sources import Variables
from dimse_proxy.config.values import Expects

_LONGEST_VALUE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """What is wrong with the values of single variables."""

    sentences: list[str]
    variables: set[str]
    """Those whose value could not be used."""


def shown(text: str) -> str:
    """Return a value fit for one line: control characters escaped, and not longer than a line."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def given(variable: str, variables: Variables, *, secret: bool = False) -> str:
    """Return the start of a sentence: `NAME=VALUE (origin)`, or without the value where it is a secret."""
    text = variables.values.get(variable)
    origin = variables.origins[variable]
    # An address with an @ holds a credential, which is the very problem then.
    if secret or text is None or "@" in text:
        return f"{variable} ({origin})"
    return f"{variable}={shown(text)} ({origin})"


def problems_of(
    error: ValidationError, variables: Variables, model: type[BaseModel], *, secrets: Collection[str]
) -> Problems:
    """Turn pydantic's errors into sentences."""
    expects = expectations(model)
    sentences: dict[str, None] = {}
    names: set[str] = set()
    for detail in error.errors(include_url=False, include_input=False):
        name = str(detail["loc"][0])
        names.add(name)
        right = right_of(detail, expects.get(name))
        sentences[f"{given(name, variables, secret=name in secrets)}: {right}"] = None
    return Problems(sentences=list(sentences), variables=names)


def right_of(detail: ErrorDetails, expected: str | None) -> str:
    """Return what would be right in place of a value, as the end of a sentence.

    Args:
        detail: one of pydantic's errors; a check of our own says it itself.
        expected: what the field says that it expects.
    """
    cause = detail.get("ctx", {}).get("error")
    text = str(cause) if isinstance(cause, ValueError) else expected or "this cannot be read"
    return text if text.endswith(".") else f"{text}."


def expectations(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field expects, by the name under which it is given."""
    return {
        str(field.validation_alias or name): mark.sentence
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Expects)
    }

"""The sentences that say what is wrong with a setting: variable, where it came from, its value, what would be right.

The one place that reads pydantic's errors, so none of its words reach a person. A secret's value is never part of a
sentence.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

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
    expects = dict(_expectations(model))
    sentences: dict[str, None] = {}
    names: set[str] = set()
    for detail in error.errors(include_url=False, include_input=False):
        name = str(detail["loc"][0])
        names.add(name)
        cause = detail.get("ctx", {}).get("error")
        right = str(cause) if isinstance(cause, ValueError) else expects.get(name, "this cannot be read")
        sentences[f"{given(name, variables, secret=name in secrets)}: {shown_sentence(right)}"] = None
    return Problems(sentences=list(sentences), variables=names)


def shown_sentence(text: str) -> str:
    """Return the text as the end of a sentence."""
    return text if text.endswith(".") else f"{text}."


def _expectations(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        marks: list[Any] = list(field.metadata)
        for sentence in (mark.sentence for mark in marks if isinstance(mark, Expects)):
            yield str(field.validation_alias or name), sentence

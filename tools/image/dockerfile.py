"""Reads a Dockerfile: its instructions, and the stages that they make. Runs nothing."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

KNOWN: Final = frozenset(
    {
        "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL",
        "USER", "WORKDIR",
    }
)  # fmt: skip


class DockerfileError(Exception):
    """Something that this reader does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    name: str
    text: str


@dataclass(slots=True, kw_only=True)
class Stage:
    """What is between one FROM and the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)


def instructions(text: str) -> list[Instruction]:
    """All instructions in order.

    Raises:
        DockerfileError: one is unknown.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        name, _, rest = line.strip().partition(" ")
        if not name:
            continue
        if name not in KNOWN:
            raise DockerfileError(f"{name} is not known here")
        found.append(Instruction(name=name, text=rest.strip()))
    return found


def stages(text: str) -> list[Stage]:
    """The stages, with the ARGs before the first FROM put into the names of bases."""
    arguments: dict[str, str] = {}
    made: list[Stage] = []
    for instruction in instructions(text):
        if instruction.name == "FROM":
            words = substituted(instruction.text, arguments).split()
            name = words[2] if len(words) == 3 and words[1].upper() == "AS" else ""
            made.append(Stage(base=words[0], name=name))
        elif made:
            made[-1].instructions.append(instruction)
        else:
            arguments |= assignments(instruction.text, arguments)
    return made


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced; what has no value becomes nothing."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: variables.get(found[1] or found[2], ""), text)


def assignments(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """`A=1 B="x y"`, as ENV, ARG and LABEL have them; a name alone has no value."""
    pairs = (word.partition("=") for word in shlex.split(text))
    return {name: substituted(value, variables) for name, _, value in pairs}


def command(text: str) -> list[str]:
    """A command in its exec form, which is the only one that signals reach.

    Raises:
        DockerfileError: it is in the shell form.
    """
    try:
        words = json.loads(text)
    except ValueError:
        raise DockerfileError(f"{text!r} is not in the exec form") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DockerfileError(f"{text!r} is not in the exec form")
    return words

"""Where variables come from: the environment, an env file, the command line, and files that hold one secret.

Gives texts and the origin of each; what the texts mean is for `settings`. Problems are collected, never raised.
"""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

PREFIX: Final = "DIMSE_"
_FILE_SUFFIX: Final = "_FILE"


class OriginKind(Enum):
    """The sources, weakest first."""

    DEFAULT = "default"
    ENV_FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the value of one variable came from."""

    kind: OriginKind
    env_file: Path | None = None
    """With ENV_FILE: which."""
    line: int | None = None
    """With ENV_FILE: the line, from 1."""
    secret_file: Path | None = None
    """The file that holds the value, when NAME_FILE was given instead of NAME."""

    def __str__(self) -> str:
        place = f"{self.env_file}:{self.line}" if self.kind is OriginKind.ENV_FILE else self.kind.value
        return place if self.secret_file is None else f"{self.secret_file}, named in {place}"


DEFAULT: Final = Origin(kind=OriginKind.DEFAULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The known variables that have a value, and what was wrong on the way."""

    values: dict[str, str] = field(default_factory=dict)
    """Variable -> text, for those that are not left to their default."""
    origins: dict[str, Origin] = field(default_factory=dict)
    """Of every known variable."""
    emptied: set[str] = field(default_factory=set)
    """Variables that were given without a value, which is the default."""
    unusable: set[str] = field(default_factory=set)
    """Variables that were given, but could not be read."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Given:
    text: str
    origin: Origin


def read_variables(
    environ: Mapping[str, str],
    env_file: Path | None,
    overrides: Mapping[str, str],
    *,
    known: Collection[str],
    secrets: Collection[str],
) -> Variables:
    """Read all sources.

    Args:
        environ: the process's environment.
        env_file: a file of `NAME=VALUE` lines, weaker than the environment, or None.
        overrides: what the command line sets, stronger than all else.
        known: names of all variables.
        secrets: those of them that may come from a file of their own.
    """
    result = Variables()
    given = _read_env_file(env_file, result.problems) if env_file is not None else {}
    given |= _of(environ, OriginKind.ENVIRONMENT) | _of(overrides, OriginKind.COMMAND_LINE)
    file_names = {name + _FILE_SUFFIX for name in secrets}
    for name in known:
        result.origins[name] = DEFAULT
        if name in given:
            _take(name, given[name], result)
        if name in secrets and (secret_file := given.get(name + _FILE_SUFFIX)) is not None:
            _take_secret(name, secret_file, result)
    all_names = sorted({*known, *file_names})
    for name, entry in given.items():
        if name not in all_names:
            result.warnings.append(_unknown(name, entry.origin, all_names))
    return result


def _of(variables: Mapping[str, str], kind: OriginKind) -> dict[str, _Given]:
    return {
        name: _Given(text, Origin(kind=kind)) for name, text in variables.items() if name.upper().startswith(PREFIX)
    }


def _take(name: str, entry: _Given, result: Variables) -> None:
    if entry.text.strip():
        result.values[name] = entry.text
        result.origins[name] = entry.origin
    else:
        result.emptied.add(name)


def _take_secret(name: str, entry: _Given, result: Variables) -> None:
    """Read the secret `name` from the file that `entry` tells."""
    variable = name + _FILE_SUFFIX
    if not entry.text.strip():
        return
    if name in result.values:
        result.problems.append(
            f"{name} ({result.origins[name]}) and {variable} ({entry.origin}) are both given: one of them is right."
        )
        del result.values[name]
        result.unusable.add(name)
        return
    path = Path(entry.text.strip())
    origin = Origin(kind=entry.origin.kind, env_file=entry.origin.env_file, line=entry.origin.line, secret_file=path)
    result.origins[name] = origin
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except UnicodeDecodeError:
        reason = "its content is not UTF-8 text"
    else:
        reason = "" if text else "it holds nothing"
    if reason:
        result.problems.append(f"{variable}={path} ({entry.origin}): {reason}.")
        result.unusable.add(name)
    else:
        result.values[name] = text


def nearest(name: str, known: Collection[str]) -> str:
    """Return the known name that is most like one that is not."""
    return difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]


def _unknown(name: str, origin: Origin, known: Collection[str]) -> str:
    right = nearest(name.upper(), known)
    return f"{name} ({origin}) is unknown and has no effect; the nearest known name is {right}."


def _read_env_file(path: Path, problems: list[str]) -> dict[str, _Given]:
    """Read `NAME=VALUE` lines: comments, `export`, single and double quotes; nothing is expanded."""
    from dotenv.parser import parse_stream

    given: dict[str, _Given] = {}
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except OSError as error:
        problems.append(f"Env file {path}: {error.strerror or 'it cannot be read'}.")
        return given
    except UnicodeDecodeError:
        problems.append(f"Env file {path}: its content is not UTF-8 text.")
        return given
    for binding in bindings:
        text = binding.original.string
        line = binding.original.line + len(text[: len(text) - len(text.lstrip())].splitlines())
        if binding.error:
            problems.append(f"Env file {path}:{line}: this is no NAME=VALUE line.")
        elif binding.key is not None and binding.value is not None and binding.key.upper().startswith(PREFIX):
            origin = Origin(kind=OriginKind.ENV_FILE, env_file=path, line=line)
            given[binding.key] = _Given(binding.value, origin)
    return given

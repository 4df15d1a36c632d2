"""Which objects of the queue are meant, as the command line says it."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dimse_proxy.config.settings import Settings
from dimse_proxy.config.values import check_ae_title
from dimse_proxy.errors import ConfigError
from dimse_proxy.queueing.listing import State, Wanted
from dimse_proxy.queues import askers_of

OUT: Final = "out"
"""Accepted here, for another channel."""
IN: Final = "in"
"""Delivered here, from another channel."""
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)")
_STATES: Final = frozenset(map(str, State))
_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_OBJECT: Final = re.compile(r"([0-9a-f]{4,32})(?:/([1-9][0-9]{0,9}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options that choose objects, as they were written."""

    name: str = ""
    """`ASSOCIATION` or `ASSOCIATION/NUMBER`."""
    study: str = ""
    calling: str = ""
    called: str = ""
    older: str = ""
    newer: str = ""
    states: tuple[str, ...] = ()
    channel: str = ""
    direction: str = ""
    everything: bool = False
    """No choice is the choice."""

    @property
    def is_choice(self) -> bool:
        """It says which objects are meant; channel and direction alone do not."""
        chosen = (self.name, self.study, self.calling, self.called, self.older, self.newer, self.states)
        return self.everything or any(chosen)


def wanted_of(asked: Asked, settings: Settings) -> Wanted:
    """Return what is meant.

    Raises:
        ConfigError: an option is wrong.
    """
    problems = list(_mistyped(asked))
    if problems:
        raise ConfigError(problems)
    now = time.time()
    found = _OBJECT.fullmatch(asked.name)
    return Wanted(
        states=frozenset(State(word) for word in asked.states),
        askers=askers_of(settings, asked.calling.strip(" ")) if asked.calling else frozenset(),
        called=asked.called.strip(" "),
        study=asked.study,
        association="" if found is None else found[1],
        number=0 if found is None else int(found[2] or 0),
        began_before=now - _seconds(asked.older) if asked.older else None,
        began_after=now - _seconds(asked.newer) if asked.newer else None,
    )


def _mistyped(asked: Asked) -> Iterator[str]:
    if asked.name and not _OBJECT.fullmatch(asked.name):
        yield f"{asked.name!r} names nothing: what `list` shows is right, such as 3f9a52c01b7e or 3f9a52c01b7e/12."
    for option, title in (("--calling", asked.calling), ("--called", asked.called)):
        try:
            if title:
                check_ae_title(title)
        except ValueError as error:
            yield f"{option}: {error}."
    for option, age in (("--older", asked.older), ("--newer", asked.newer)):
        if age and not _AGE.fullmatch(age):
            yield f"{option} is {age!r}: a number with s, m, h or d is right, such as 90s or 3d."
    if asked.study and not re.fullmatch(r"[0-9.]{1,64}", asked.study):
        yield f"--study is {asked.study!r}: a Study Instance UID is right."
    for word in asked.states:
        if word not in _STATES:
            yield f"--state is {word!r}: {', '.join(State)} are what there is."
    if asked.direction not in ("", OUT, IN):
        yield f"--direction is {asked.direction!r}: {OUT} or {IN} is right."


def _seconds(age: str) -> float:
    found = _AGE.fullmatch(age)
    assert found is not None, "was checked"
    return float(found[1]) * _SECONDS[found[2]]

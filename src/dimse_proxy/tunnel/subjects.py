"""The subjects of the tunnel: `R.<to>.<from>.hello` and `R.<to>.<from>.i.<instance>`.

Whom a message is from is read from its subject, because that is what the server's permissions enforce. No reply
subject is ever used.
"""

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ROOT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}")
_CACHE_LIMIT: Final = 1024


def is_token(text: str) -> bool:
    """Tell whether `text` can be one token of a subject: a channel or an instance."""
    return _TOKEN.fullmatch(text) is not None


def is_root(text: str) -> bool:
    """Tell whether `text` can be the root of the subjects: one token, or some joined by dots."""
    return _ROOT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Origin:
    """What the subject of a received message says."""

    channel: str
    """The channel it comes from."""
    is_hello: bool
    """A hello; otherwise a frame for this instance."""


class Subjects:
    """Builds and reads the subjects of one instance."""

    def __init__(self, root: str, channel: str, instance: str) -> None:
        self._root: Final = root
        self._channel: Final = channel
        self._instance: Final = instance
        self._prefix: Final = f"{root}.{channel}."
        self._cache: Final[dict[str, Origin]] = {}

    def subscriptions(self) -> tuple[str, ...]:
        """Return what this instance subscribes to, once for its whole life."""
        return (f"{self._prefix}*.hello", f"{self._prefix}*.i.{self._instance}")

    def hello(self, channel: str) -> str:
        """Return where this instance announces itself to all instances of `channel`."""
        return f"{self._root}.{channel}.{self._channel}.hello"

    def instance(self, channel: str, instance: str) -> str:
        """Return where frames for one instance of `channel` are published."""
        return f"{self._root}.{channel}.{self._channel}.i.{instance}"

    def parse(self, subject: str) -> Origin | None:
        """Read the subject of a received message; None if it is not one of ours."""
        origin = self._cache.get(subject)
        if origin is None:
            origin = self._read(subject)
            if origin is not None:
                if len(self._cache) >= _CACHE_LIMIT:
                    self._cache.clear()
                self._cache[subject] = origin
        return origin

    def _read(self, subject: str) -> Origin | None:
        if not subject.startswith(self._prefix):
            return None
        match subject[len(self._prefix) :].split("."):
            case [channel, "hello"] if is_token(channel):
                return Origin(channel, True)
            case [channel, "i", instance] if is_token(channel) and instance == self._instance:
                return Origin(channel, False)
            case _:
                return None

"""What is read again while a proxy runs: whenever a file changes, and all of it at SIGHUP.

A part of the composition root. What is read, and what becomes of it, is for each `Reloadable` to say; associations that
run are never touched.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from dimse_proxy.errors import ConfigError

LOOK_INTERVAL: Final = 3.0
"""Seconds between looks at the files: what was replaced is in use within twice that."""

log: Final = logging.getLogger(__name__)


class Reloadable(Protocol):
    """Something that files make."""

    def is_there(self) -> bool:
        """Whether there is something to be read."""

    def has_changed(self) -> bool:
        """Whether a file is another one than when it was last read. Called in a thread."""

    def read(self) -> None:
        """Reads the files. What is wrong changes nothing that is in use. Called in a thread.

        Raises:
            ConfigError: with everything that is wrong.
        """

    def take(self) -> None:
        """Uses what was read from now on, and says so."""

    def keep(self, problems: Sequence[str]) -> None:
        """Says that what was in use stays in use, and why."""


class Reloader:
    """Looks after all of them."""

    def __init__(self, members: Sequence[Reloadable]) -> None:
        self._members: Final = tuple(members)
        self._wanted: Final = asyncio.Event()

    def reload(self) -> None:
        """Asks `watch` to read everything again."""
        self._wanted.set()

    async def watch(self) -> None:
        """Reads again what has changed, or everything when `reload` was called, until cancelled."""
        while True:
            is_asked = True
            try:
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._wanted.wait()
            except TimeoutError:
                is_asked = False
            self._wanted.clear()
            if is_asked and not any(member.is_there() for member in self._members):
                log.info("there is nothing to be read again: no routes file, no keys and certificates of connections")
            for member in self._members:
                if member.is_there() if is_asked else await asyncio.to_thread(member.has_changed):
                    await self._read(member)

    async def _read(self, member: Reloadable) -> None:
        try:
            await asyncio.to_thread(member.read)
        except ConfigError as error:
            member.keep(error.problems)
        else:
            member.take()

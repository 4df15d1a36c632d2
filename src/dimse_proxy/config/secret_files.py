"""The secrets of one process; those that come from files are read again whenever they are asked for.

Whoever rotates a secret (Kubernetes does it by replacing files) needs no restart for it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from dimse_proxy.config.sources import Origin
from dimse_proxy.errors import ConfigError

if TYPE_CHECKING:
    from dimse_proxy.config.settings import Settings


class Secrets:
    """The secrets, by the names of their fields in `Settings`."""

    def __init__(self, settings: "Settings", origins: Mapping[str, Origin]) -> None:
        """Takes the values as they are at the start.

        Args:
            settings: that have passed every check.
            origins: of every variable, from the same load.
        """
        self._settings: Final = settings
        self._files: Final[dict[str, Path]] = {
            name: origin.secret_file
            for name, field in type(settings).model_fields.items()
            if (origin := origins.get(str(field.validation_alias))) is not None and origin.secret_file is not None
        }

    def get(self, field: str) -> str | None:
        """Return the secret of a field of `Settings` as it is now; None if there is none.

        Raises:
            ConfigError: its file cannot be read any more, or holds nothing.
        """
        if (path := self._files.get(field)) is not None:
            return read_secret(path, str(type(self._settings).model_fields[field].validation_alias) + "_FILE")
        value: SecretStr | None = getattr(self._settings, field)
        return None if value is None else value.get_secret_value()

    def file(self, field: str) -> Path | None:
        """Return the file that the secret comes from, if it comes from one."""
        return self._files.get(field)


def read_secret(path: Path, variable: str) -> str:
    """Return the text of a secret's file, without line ends at its end.

    Raises:
        ConfigError: it cannot be read, or holds nothing.
    """
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError([f"{variable}={path}: {error.strerror or 'it cannot be read'}."]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{variable}={path}: its content is not UTF-8 text."]) from None
    if not text:
        raise ConfigError([f"{variable}={path}: it holds nothing."])
    return text


def file_state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written or replaced; empty when there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino

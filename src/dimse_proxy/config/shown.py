"""Settings as one would write them in a variable, with every secret masked: for `dimse-proxy config` and the API."""

from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from dimse_proxy.config.settings import FIELD_OF, Settings
from dimse_proxy.config.sources import Origin
from dimse_proxy.config.values import ANY, EVERY_NETWORK

MASK: Final = "********"


def written(value: object) -> str:
    """Return a setting as one would write it in a variable; secrets are masked."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case SecretStr():
            return MASK
        case tuple():
            return ANY if value == EVERY_NETWORK else ",".join(str(item) for item in value)
        case Mapping():
            return ",".join(f"{key}={item}" if key else str(item) for key, item in value.items())
        case _:
            return str(value)


def settings_shown(settings: Settings, origins: Mapping[str, Origin]) -> list[tuple[str, str, str]]:
    """Return variable, value and origin of every setting, of settings that have passed every check."""
    return [
        (variable, written(getattr(settings, field)), str(origins.get(variable, "")))
        for variable, field in FIELD_OF.items()
    ]

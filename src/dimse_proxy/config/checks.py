"""What several settings must be together.

Each check gives a sentence or None, and looks only at values that are right alone.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dimse_proxy.config.problems import given
from dimse_proxy.config.sources import Variables

if TYPE_CHECKING:
    from dimse_proxy.config.settings import Settings


@dataclass(frozen=True, slots=True)
class _Check:
    variables: frozenset[str]
    """What it looks at; it is left out when one of them is wrong already."""
    find: "Callable[[Settings, Variables], str | None]"


def check_together(settings: "Settings", variables: Variables, wrong: Collection[str]) -> Iterator[str]:
    """Return one sentence for each combination that cannot work."""
    for check in _CHECKS:
        if check.variables.isdisjoint(wrong) and (sentence := check.find(settings, variables)) is not None:
            yield sentence


def _nats_server(settings: "Settings", variables: Variables) -> str | None:
    if settings.nats_servers:
        return None
    return "DIMSE_NATS_URL is not set: the NATS servers to connect to are needed, host:port separated by commas."


def _target_title(settings: "Settings", variables: Variables) -> str | None:
    if settings.target_host is None or "DIMSE_TARGET_AE" not in variables.emptied:
        return None
    host = given("DIMSE_TARGET_HOST", variables)
    return f"{host} names a target without AE: DIMSE_TARGET_AE is empty, and the AE title to call there is right."


def _own_title(settings: "Settings", variables: Variables) -> str | None:
    if settings.target_host is None or settings.calling_ae != "own" or settings.own_ae_title is not None:
        return None
    return (
        f"{given('DIMSE_AE', variables)} names no AE title to call the target with: add one beside the *, or set "
        "DIMSE_CALLING_AE to original or to a title."
    )


def _no_tls(settings: "Settings", variables: Variables) -> str | None:
    name = "DIMSE_TLS_ENABLED" if settings.tls_enabled else "DIMSE_TARGET_TLS_ENABLED"
    if not settings.tls_enabled and not settings.target_tls_enabled:
        return None
    return (
        f"{given(name, variables)}: this version does not offer TLS on DICOM connections yet, and does not start "
        "without the TLS that is asked for; false is right."
    )


_CHECKS: Final = (
    _Check(frozenset({"DIMSE_NATS_URL", "DIMSE_NATS_TLS_ENABLED"}), _nats_server),
    _Check(frozenset({"DIMSE_TARGET_HOST"}), _target_title),
    _Check(frozenset({"DIMSE_AE", "DIMSE_CALLING_AE", "DIMSE_TARGET_HOST"}), _own_title),
    _Check(frozenset({"DIMSE_TLS_ENABLED", "DIMSE_TARGET_TLS_ENABLED"}), _no_tls),
)

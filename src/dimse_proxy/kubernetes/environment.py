"""The variables that a spec becomes, and what the proxy's own settings say to them.

So nothing is accepted here that the proxy would refuse when it starts. Secrets are not needed for that: something of
the right form stands for them. No file is read.
"""

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dimse_proxy.config.routes_file import parse_routes
from dimse_proxy.config.routes_together import problems_together
from dimse_proxy.config.settings import SECRETS, Settings, review_settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.kubernetes.mounts import ROUTES_KEY, Mount
from dimse_proxy.kubernetes.spec import DimseProxySpec

DICOM_PORT: Final = 11112
TLS_PORT: Final = 2762
HTTP_PORT: Final = 8080

_STOPPING_TIME: Final = 15
"""Seconds that a pod has beyond the grace period of its proxy, for the A-ABORTs and the end of the process."""
_SOME_SECRET: Final = base64.b64encode(bytes(range(32))).decode()
_FILE: Final = "_FILE"
_FIELDS: Final[Mapping[str, str]] = {
    "DIMSE_AE": "localApplicationEntityTitle",
    "DIMSE_TARGET_AE": "applicationEntityTitle",
    "DIMSE_TARGET_HOST": "targetDimseHost",
    "DIMSE_TARGET_PORT": "targetDimsePort",
    "DIMSE_NATS_URL": "natsUrl",
    "DIMSE_NATS_TLS_ENABLED": "natsSecure",
    "DIMSE_NATS_SUBJECT_ROOT": "natsSubjectRoot",
    "DIMSE_NATS_SUBJECT_CHANNEL": "natsSubjectChannel",
    "DIMSE_NATS_PEER_CHANNEL": "natsPeerChannel",
}
"""Variable of the ConfigMap -> field that it comes from."""
_OF_THE_POD: Final[Mapping[str, str]] = {
    "DIMSE_PORT": "dimsePort is the port of the Service",
    "DIMSE_HTTP_PORT": "the probes of the pods need it",
    "DIMSE_TLS_PORT": "tls.port is the port of the Service",
    "DIMSE_INSTANCE": "it is the name of the pod",
    "DIMSE_CONFIG_PATH": "dimseConfig names a ConfigMap for it",
    "DIMSE_ROUTES_FILE": "routes is the field for it",
}
"""Variables that belong to the form of the pod, and why `extraEnv` cannot have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What the proxy would say when it starts."""

    problems: tuple[str, ...]
    """It would not start: one sentence each."""
    warnings: tuple[str, ...]
    """It would say so, and start."""
    termination_seconds: int
    """What a pod needs to stop: the grace period and a little more."""


def configuration(spec: DimseProxySpec) -> dict[str, str]:
    """Return the variables of the ConfigMap: the NATS end point and the target."""
    values = {
        "DIMSE_AE": spec.local_application_entity_title,
        "DIMSE_TARGET_AE": spec.application_entity_title,
        "DIMSE_TARGET_HOST": spec.target_dimse_host,
        "DIMSE_TARGET_PORT": str(spec.target_dimse_port),
        "DIMSE_NATS_URL": spec.nats_url,
        "DIMSE_NATS_TLS_ENABLED": _flag(spec.nats_secure),
        "DIMSE_NATS_SUBJECT_ROOT": spec.nats_subject_root,
        "DIMSE_NATS_SUBJECT_CHANNEL": spec.nats_subject_channel,
        "DIMSE_NATS_PEER_CHANNEL": spec.nats_peer_channel,
    }
    return {name: value for name, value in values.items() if value is not None}


def pod_variables(spec: DimseProxySpec, mounts: tuple[Mount, ...]) -> dict[str, str]:
    """Return the variables with a value that the pods have beside the ConfigMap, without those of `extraEnv`."""
    values = {
        "DIMSE_PORT": str(DICOM_PORT),
        "DIMSE_HTTP_HOST": "0.0.0.0",  # noqa: S104 - the kubelet calls the probes from outside the pod
        "DIMSE_HTTP_PORT": str(HTTP_PORT),
    }
    for mount in mounts:
        values |= mount.environment()
    if (tls := spec.tls) is not None:
        if tls.secret_name is not None:
            values["DIMSE_TLS_KEYSTORE_TYPE"] = tls.key_store_kind
        if tls.trust_secret_name is not None:
            values["DIMSE_TLS_TRUSTSTORE_TYPE"] = tls.trust_store_kind
        if tls.port is not None:
            values["DIMSE_TLS_PORT"] = str(TLS_PORT)
        elif tls.secret_name is not None:
            values["DIMSE_TLS_ENABLED"] = "true"
        if tls.target is not None:
            values["DIMSE_TARGET_TLS_ENABLED"] = _flag(tls.target)
    return values


def review(spec: DimseProxySpec, mounts: tuple[Mount, ...], routes: str | None = None) -> Review:
    """Ask the proxy's settings what they say to the spec.

    Args:
        spec: of the resource.
        mounts: of the same.
        routes: text of the routes file, if there is one.
    """
    made = configuration(spec) | pod_variables(spec, mounts)
    problems = [*_misplaced(spec, made), *_contradictions(spec)]
    environ: dict[str, str] = {}
    for name, value in (made | _extra(spec)).items():
        secret = name.removesuffix(_FILE)
        environ |= {secret: _SOME_SECRET} if secret in SECRETS else {name: value}
    reviewed = review_settings(environ, None)
    problems += (_told(sentence) for sentence in reviewed.problems)
    if not problems:
        problems += (_told(sentence) for sentence in _route_problems(reviewed.settings, routes))
    return Review(
        problems=tuple(problems),
        warnings=tuple(_told(sentence) for sentence in reviewed.variables.warnings),
        termination_seconds=math.ceil(reviewed.settings.grace_timeout) + _STOPPING_TIME,
    )


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _extra(spec: DimseProxySpec) -> dict[str, str]:
    """What `extraEnv` sets, as far as it is known here: a secret from elsewhere is one, other values are not."""
    return {
        variable.name: variable.value or ""
        for variable in spec.extra_env
        if variable.value_from is None or variable.name in SECRETS
    }


def _misplaced(spec: DimseProxySpec, made: Mapping[str, str]) -> Iterator[str]:
    """The variables that `extraEnv` cannot have."""
    for variable in spec.extra_env:
        name = variable.name
        if name in _OF_THE_POD:
            yield f"spec.extraEnv cannot have {name}: {_OF_THE_POD[name]}."
        elif name + _FILE in made or (name.endswith(_FILE) and name in made):
            yield f"spec.extraEnv cannot have {name}: another field names the Secret for it."


def _contradictions(spec: DimseProxySpec) -> Iterator[str]:
    """What Kubernetes would refuse of the objects."""
    if spec.tls is not None and spec.tls.port == spec.dimse_port:
        yield f"spec.tls.port={spec.tls.port} is dimsePort too: leave it out to have TLS there, or choose another."
    for variable in spec.extra_env:
        if variable.value is not None and variable.value_from is not None:
            yield f"spec.extraEnv has {variable.name} with value and valueFrom: one of them is right."


def _route_problems(settings: Settings, text: str | None) -> tuple[str, ...]:
    """What the proxy says to the routes file, alone and with the variables."""
    try:
        file = None if text is None else parse_routes(text, Path(ROUTES_KEY))
    except ConfigError as error:
        return error.problems
    return tuple(problems_together(settings, file))


def _told(sentence: str) -> str:
    """Name the field rather than the variable where a problem begins with one of its own."""
    sentence = sentence.replace(" (environment)", "")
    name = sentence.partition("=")[0].partition(" ")[0]
    return f"spec.{_FIELDS[name]} becomes {sentence}" if name in _FIELDS else sentence

"""What a pod gets as files: the Secrets and ConfigMaps that a spec names, and the variables that name the files.

The one list from which volumes, variables, the check for what is missing and the hash over what is read only at the
start are made. Nothing here asks the API.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from dimse_proxy.config.contexts import ROUTES_FILE_NAME
from dimse_proxy.kubernetes.spec import DimseProxySpec, NatsTls, StoreKind, Tls

Kind = Literal["Secret", "ConfigMap"]
Source = tuple[Kind, str]
"""Kind and name of an object in the resource's namespace."""
Data = Mapping[str, str]
"""Its data: text of a ConfigMap, base64 of a Secret."""

FOLDER: Final = "/etc/dimse"
CONFIG_FOLDER: Final = f"{FOLDER}/config"
ROUTES_KEY: Final = ROUTES_FILE_NAME

_KEY_STORES: Final[Mapping[StoreKind, tuple[str, ...]]] = {
    "PEM": ("tls.crt", "tls.key"),
    "PKCS12": ("keystore.p12",),
    "JKS": ("keystore.jks",),
}
_TRUST_STORES: Final[Mapping[StoreKind, str]] = {"PEM": "ca.crt", "PKCS12": "truststore.p12", "JKS": "truststore.jks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One Secret or ConfigMap in the pod."""

    name: str
    """Of the volume, and of its folder below /etc/dimse."""
    source: Source
    keys: tuple[str, ...] = ()
    """The keys that become files; empty for all."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variable -> file name; an empty one is the folder itself."""
    is_read_at_start: bool = False
    """The proxy does not look at it again: when it changes, the pods are replaced."""
    is_owned: bool = False
    """The operator makes it itself, so it cannot be missing."""

    @property
    def folder(self) -> str:
        """Where it is mounted."""
        return f"{FOLDER}/{self.name}"

    def environment(self) -> dict[str, str]:
        """The variables with their paths in the pod."""
        return {name: f"{self.folder}/{file}".rstrip("/") for name, file in self.variables.items()}


def config_name(resource: str) -> str:
    """The ConfigMap with the dimse-config folder that is made where the spec names none."""
    return f"{resource}-dimse-config"


def routes_name(resource: str) -> str:
    """The ConfigMap with the routes file where the spec has its text."""
    return f"{resource}-dimse-routes"


def mounts_of(resource: str, spec: DimseProxySpec) -> tuple[Mount, ...]:
    """Return everything that is mounted, in the order of the volumes.

    Args:
        resource: name of the DimseProxy.
        spec: of it.
    """
    mounts = [
        Mount(
            name="config",
            source=("ConfigMap", spec.dimse_config or config_name(resource)),
            variables={"DIMSE_CONFIG_PATH": ""},
            is_read_at_start=True,
            is_owned=spec.dimse_config is None,
        )
    ]
    if spec.nats_token_secret is not None:
        mounts.append(_secret_file("nats-token", spec.nats_token_secret, "token", "DIMSE_NATS_AUTH_TOKEN_FILE"))
    if spec.tunnel_key_secret is not None:
        mounts.append(
            _secret_file("tunnel-key", spec.tunnel_key_secret, "key", "DIMSE_TUNNEL_KEY_FILE", is_read_at_start=True)
        )
    if spec.nats_tls is not None:
        mounts += _nats_tls(spec.nats_tls)
    if spec.tls is not None:
        mounts += _dicom_tls(spec.tls)
    if spec.routes is not None:
        mounts.append(
            Mount(
                name="routes",
                source=("ConfigMap", spec.routes.config_map or routes_name(resource)),
                keys=(ROUTES_KEY,),
                variables={"DIMSE_ROUTES_FILE": ROUTES_KEY},
                is_owned=spec.routes.config_map is None,
            )
        )
    return tuple(mounts)


def _secret_file(name: str, secret: str, key: str, variable: str, *, is_read_at_start: bool = False) -> Mount:
    return Mount(
        name=name,
        source=("Secret", secret),
        keys=(key,),
        variables={variable: key},
        is_read_at_start=is_read_at_start,
    )


def _nats_tls(tls: NatsTls) -> Iterable[Mount]:
    if tls.ca_secret_name is not None:
        yield _secret_file("nats-ca", tls.ca_secret_name, "ca.crt", "DIMSE_NATS_TLS_CA_FILE")
    if tls.client_secret_name is not None:
        yield Mount(
            name="nats-client",
            source=("Secret", tls.client_secret_name),
            keys=("tls.crt", "tls.key"),
            variables={"DIMSE_NATS_TLS_CERT_FILE": "tls.crt", "DIMSE_NATS_TLS_KEY_FILE": "tls.key"},
        )


def _dicom_tls(tls: Tls) -> Iterable[Mount]:
    keys = _KEY_STORES[tls.key_store_kind]
    if tls.secret_name is not None:
        yield Mount(
            name="tls",
            source=("Secret", tls.secret_name),
            keys=keys,
            # Of a PEM key store in two files the proxy is told the folder.
            variables={"DIMSE_TLS_KEYSTORE": keys[0] if len(keys) == 1 else ""},
        )
    if tls.key_store_password_secret is not None:
        yield _secret_file(
            "tls-password", tls.key_store_password_secret, "password", "DIMSE_TLS_KEYSTORE_PASSWORD_FILE"
        )
    if tls.trust_secret_name is not None:
        yield _secret_file("trust", tls.trust_secret_name, _TRUST_STORES[tls.trust_store_kind], "DIMSE_TLS_TRUSTSTORE")
    if tls.trust_store_password_secret is not None:
        yield _secret_file(
            "trust-password", tls.trust_store_password_secret, "password", "DIMSE_TLS_TRUSTSTORE_PASSWORD_FILE"
        )


def routes_text(mounts: Iterable[Mount], spec: DimseProxySpec, found: Mapping[Source, Data]) -> str | None:
    """Return the routes file that the proxy would read; None if there is none, or it is not there yet."""
    if spec.routes is not None and spec.routes.text is not None:
        return spec.routes.text
    wanted = "config" if spec.routes is None else "routes"
    sources = (mount.source for mount in mounts if mount.name == wanted)
    return next((found[source].get(ROUTES_KEY) for source in sources if source in found), None)


def missing(mounts: Iterable[Mount], found: Mapping[Source, Data]) -> list[str]:
    """Return a sentence for each object or key that the pods will wait for.

    Args:
        mounts: of one resource.
        found: the data of each object that exists.
    """
    sentences: dict[str, None] = {}
    for mount in mounts:
        if mount.is_owned:
            continue
        kind, name = mount.source
        if mount.source not in found:
            sentences[f"{kind} {name} does not exist: the pods wait for it."] = None
            continue
        for key in mount.keys:
            if key not in found[mount.source]:
                sentences[f"{kind} {name} has no key {key}: the pods wait for it."] = None
    return list(sentences)


def start_digest(mounts: Iterable[Mount], found: Mapping[Source, Data], variables: Mapping[str, str]) -> str:
    """Return a hash over all that the proxy reads only when it starts: another one means new pods.

    Args:
        mounts: of one resource.
        found: the data of each object that exists, those owned included.
        variables: in the ConfigMap that the pods take their environment from.
    """
    parts = [repr(sorted(variables.items()))]
    for mount in mounts:
        if mount.is_read_at_start:
            data = found.get(mount.source, {})
            # A routes file in the dimse-config folder is looked at again, unlike the rest of it.
            keys = mount.keys or tuple(key for key in data if key != ROUTES_KEY)
            parts.append(repr((mount.name, sorted((key, data.get(key)) for key in keys))))
    return digest("\n".join(parts))


def digest(text: str) -> str:
    """Return a short hash, which tells nothing about what was hashed."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]

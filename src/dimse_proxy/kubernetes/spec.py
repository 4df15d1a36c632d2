"""The spec of a DimseProxy resource, as a typed model: the one description of its fields.

`resource` makes the schema of the CustomResourceDefinition from it, and the documentation its table. What a value must
look like in the end is decided by `config.settings`; the patterns here refuse early what would be refused there.
Nothing here knows a Kubernetes object other than the resource itself.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

_TITLE: Final = r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?"  # printable ASCII without the backslash, PS3.5 6.2
_LISTED_TITLE: Final = r"[!-+\--\[\]-~]([ -+\--\[\]-~]{0,14}[!-+\--\[\]-~])?"  # and without the comma
_TITLE_PATTERN: Final = rf"^ *{_TITLE} *$"
_TITLES_PATTERN: Final = rf"^ *{_LISTED_TITLE} *(, *{_LISTED_TITLE} *)*$"
_HOST_PATTERN: Final = r"^(\[?[A-Za-z0-9_.:-]{1,253}\]?)?$"
_ROOT_PATTERN: Final = r"^[!-)+-\-/-=?-~]+(\.[!-)+-\-/-=?-~]+)*$"  # tokens without space, star and greater-than
_SERVERS_PATTERN: Final = r"^[!-?A-~]+( *, *[!-?A-~]+)*$"  # without space and @: a credential does not belong there
_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME_PATTERN: Final = rf"^{_LABEL}(\.{_LABEL})*$"
_KEY_PATTERN: Final = r"^[-._a-zA-Z0-9]+$"
_VARIABLE_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

NAME_PATTERN: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""Names of resources: those of the Service made from them begin so."""
NAME_LENGTH: Final = 51
"""With `-dimse-proxy`, the longest ending, the name of a Service has at most 63 characters."""

ObjectName = Annotated[str, Field(max_length=253, pattern=_NAME_PATTERN)]
OptionalName = Annotated[str, Field(max_length=253, pattern=rf"^({_LABEL}(\.{_LABEL})*)?$")]
Channel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
DataKey = Annotated[str, Field(max_length=253, pattern=_KEY_PATTERN)]
Port = Annotated[int, Field(ge=1, le=65535)]
Quantity = Annotated[int | str, WithJsonSchema({"pattern": _QUANTITY_PATTERN, "x-kubernetes-int-or-string": True})]
StoreKind = Literal["PEM", "PKCS12", "JKS"]


class _Part(BaseModel):
    """Fields in camelCase, as Kubernetes has them; what is null or an empty text is not set."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {key: item for key, item in value.items() if item is not None and item != ""}


class ImagePullSecret(_Part):
    """One of `proxy.imagePullSecrets`."""

    name: ObjectName = Field(description="Name of the Secret.")


class ProxyImage(_Part):
    """What the pods run."""

    image: str | None = Field(default=None, max_length=512, description="Image; unset: the operator's own.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When it is pulled; unset: as Kubernetes does it."
    )
    image_pull_secrets: tuple[ImagePullSecret, ...] = Field(
        default=(), description="Secrets that the image is pulled with."
    )


class Resources(_Part):
    """Of each pod."""

    limits: dict[str, Quantity] = Field(default_factory=dict, description="The most that a pod gets.")
    requests: dict[str, Quantity] = Field(default_factory=dict, description="What is reserved for a pod.")


class Toleration(_Part):
    """Of the pods, as in a PodSpec."""

    key: str | None = Field(default=None, description="Key of the taint; unset with Exists: every one.")
    operator: Literal["Exists", "Equal"] | None = Field(default=None, description="Unset: Equal.")
    value: str | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; unset: every one."
    )
    toleration_seconds: int | None = Field(default=None, description="With NoExecute: for how long.")


class KeySelector(_Part):
    """A key of a Secret or ConfigMap."""

    name: ObjectName = Field(description="Name of the object.")
    key: DataKey = Field(description="Key in it.")
    optional: bool | None = Field(default=None, description="Whether it may be missing.")


class FieldSelector(_Part):
    """A field of the pod."""

    field_path: str = Field(description="Path of the field, such as `spec.nodeName`.")


class VariableSource(_Part):
    """Where a variable's value comes from."""

    secret_key_ref: KeySelector | None = Field(default=None, description="Key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(default=None, description="Key of a ConfigMap.")
    field_ref: FieldSelector | None = Field(default=None, description="Field of the pod.")


class Variable(BaseModel):
    """One of `extraEnv`. An empty value is a value here: `DIMSE_HTTP_PORT` has a meaning for it."""

    model_config = _Part.model_config

    name: str = Field(max_length=253, pattern=_VARIABLE_PATTERN, description="Name of the variable.")
    value: str | None = Field(default=None, description="Its value.")
    value_from: VariableSource | None = Field(default=None, description="Where its value comes from instead.")


class Routes(_Part):
    """Either of the two."""

    text: str | None = Field(default=None, max_length=524288, description="The routes file itself.")
    config_map: ObjectName | None = Field(default=None, description="ConfigMap with the key `routes.toml`.")

    @model_validator(mode="after")
    def _is_one_of_two(self) -> "Routes":
        if (self.text is None) is (self.config_map is None):
            raise ValueError("either text or configMap is right")
        return self


class Tls(_Part):
    """TLS on DICOM connections."""

    secret_name: ObjectName | None = Field(
        default=None,
        description="Secret with the own key and certificate chain; unset: no listener with TLS.",
    )
    key_store_kind: StoreKind = Field(
        default="PEM",
        description="PEM: keys `tls.crt` and `tls.key`, as of type kubernetes.io/tls. PKCS12: `keystore.p12`. "
        "JKS: `keystore.jks`.",
    )
    key_store_password_secret: ObjectName | None = Field(
        default=None, description="Secret whose key `password` opens the key store."
    )
    trust_secret_name: ObjectName | None = Field(
        default=None, description="Secret with the trusted certificates; whoever calls must then show one of them."
    )
    trust_store_kind: StoreKind = Field(
        default="PEM", description="PEM: key `ca.crt`. PKCS12: `truststore.p12`. JKS: `truststore.jks`."
    )
    trust_store_password_secret: ObjectName | None = Field(
        default=None, description="Secret whose key `password` opens the trust store."
    )
    port: Port | None = Field(
        default=None, description="Port of the Service for TLS beside a plain `dimsePort`; unset: `dimsePort` has TLS."
    )
    target: bool | None = Field(
        default=None, description="TLS towards the target, where that differs from the listener of `dimsePort`."
    )


class NatsTls(_Part):
    """TLS towards NATS beyond `natsSecure`."""

    ca_secret_name: ObjectName | None = Field(
        default=None, description="Secret whose key `ca.crt` holds the authorities of the servers."
    )
    client_secret_name: ObjectName | None = Field(
        default=None, description="Secret of type kubernetes.io/tls with the own certificate for NATS."
    )


class Metrics(_Part):
    """Metrics of the pods."""

    enabled: bool = Field(
        default=False, description="A Service `<name>-dimse-http`, and annotations for Prometheus on the pods."
    )


class ServiceOptions(_Part):
    """How the Service is reached."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(default="ClusterIP", description="Its type.")
    external_traffic_policy: Literal["Cluster", "Local"] | None = Field(
        default=None,
        description="With NodePort and LoadBalancer: Local keeps the address of whoever calls, which allow lists of "
        "hosts need.",
    )
    node_port: int | None = Field(default=None, ge=1, le=65535, description="Node port of `dimsePort`.")
    load_balancer_source_ranges: tuple[str, ...] = Field(
        default=(), description="With LoadBalancer: networks that it lets through."
    )
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations, for the load balancer's maker.")


class DimseProxySpec(_Part):
    """What a DimseProxy is to be."""

    application_entity_title: str | None = Field(
        default=None, pattern=_TITLE_PATTERN, description="AE title to call at the target."
    )
    local_application_entity_title: str | None = Field(
        default=None,
        pattern=_TITLES_PATTERN,
        description="AE titles that the proxy answers to, separated by commas, or `*`; the first is its own.",
    )
    dimse_port: Port = Field(default=11112, description="Port of the Service for DICOM; in the pod it is 11112.")
    target_dimse_host: str | None = Field(
        default=None,
        pattern=_HOST_PATTERN,
        description="Host of the target; unset: this proxy only originates associations.",
    )
    target_dimse_port: Port = Field(default=11112, description="Port of the target.")
    nats_url: str = Field(
        max_length=4096,
        pattern=_SERVERS_PATTERN,
        description="NATS servers, host:port, separated by commas.",
    )
    nats_secure: bool = Field(default=False, description="TLS towards NATS; certificates are verified.")
    nats_tls: NatsTls | None = Field(default=None, description="Certificates for that.")
    nats_subject_root: str = Field(
        default="DIMSE", max_length=256, pattern=_ROOT_PATTERN, description="First part of every subject."
    )
    nats_subject_channel: Channel = Field(default="A", description="This side's channel.")
    nats_peer_channel: Channel | None = Field(
        default=None,
        description="The other side's channel; unset: B for A and A for B, or what the routes file names.",
    )
    nats_token_secret: OptionalName | None = Field(
        default=None, description="Secret whose key `token` holds the credential for NATS."
    )
    tunnel_key_secret: ObjectName | None = Field(
        default=None, description="Secret whose key `key` holds the tunnel key, the same on both sides."
    )
    proxy: ProxyImage = Field(default_factory=ProxyImage, description="What the pods run.")
    replicas: int = Field(
        default=1, ge=0, le=64, description="Number of pods; with two or more a PodDisruptionBudget keeps all but one."
    )
    resources: Resources | None = Field(default=None, description="Memory and CPU of each pod.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels of the nodes that pods may run on.")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints of nodes that the pods bear.")
    extra_env: tuple[Variable, ...] = Field(
        default=(), description="More variables of the proxy; they win over those made from other fields."
    )
    dimse_config: ObjectName | None = Field(
        default=None, description="ConfigMap with files of the dimse-config folder, in place of those shipped."
    )
    routes: Routes | None = Field(
        default=None, description="Routes file, for more than one AE or other side (`DIMSE_ROUTES_FILE`)."
    )
    tls: Tls | None = Field(default=None, description="TLS on DICOM connections.")
    service: ServiceOptions = Field(default_factory=ServiceOptions, description="How the Service is reached.")
    metrics: Metrics = Field(default_factory=Metrics, description="Metrics.")


class SpecError(ValueError):
    """The spec is not what the definition of the resource allows.

    Attributes:
        problems: one sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems: Final = tuple(problems)


def read_spec(spec: Mapping[str, Any]) -> DimseProxySpec:
    """Read the spec of a resource as the API gives it.

    Raises:
        SpecError: the API server checks the same, so the definition that is installed must be an older one.
    """
    try:
        return DimseProxySpec.model_validate(dict(spec))
    except ValidationError as error:
        paths = dict.fromkeys(_path(detail["loc"]) for detail in error.errors(include_url=False))
        raise SpecError(
            [f"{path} is missing or not as `kubectl explain dimseproxy.{path}` says." for path in paths]
        ) from None


def _path(location: tuple[int | str, ...]) -> str:
    """The field of an error, without the places in lists, as `kubectl explain` names it."""
    return ".".join(["spec", *(part for part in location if isinstance(part, str))])

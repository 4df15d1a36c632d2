"""All settings of one process: the `Settings` model, and how it is made from variables.

Each field names its variable. What a value must look like is in `values`, what several must be together in `checks`,
where they are read from in `sources`. Nothing here opens a connection or reads the dimse-config folder.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from dimse_proxy.config.checks import check_together
from dimse_proxy.config.problems import problems_of
from dimse_proxy.config.queue_settings import QueueSettings
from dimse_proxy.config.sources import Origin, Variables, read_variables
from dimse_proxy.config.tunnel_keys import read_tunnel_keys
from dimse_proxy.config.values import (
    ANY,
    DEFAULT_LEAF_PORT,
    DEFAULT_NATS_PORT,
    EVERY_NETWORK,
    OFF,
    AeTitle,
    AeTitles,
    AssociateLength,
    AuditNameOrUnset,
    AuditTargets,
    CallingAe,
    Channel,
    ChannelOrUnset,
    ClientAuthOrUnset,
    Count,
    Domain,
    Flag,
    FlagOrUnset,
    FrameSize,
    Host,
    InstanceName,
    KeyStoreType,
    LogFormat,
    LogLevel,
    MoveAliases,
    Networks,
    Operations,
    Port,
    PortOrOff,
    PortOrUnset,
    Rate,
    Seconds,
    SecondsOrOff,
    Secret,
    SpoolSize,
    SubjectRoot,
    TlsVersions,
    TunnelKeys,
    WindowSize,
    Words,
    read_nats_server,
    split_list,
)
from dimse_proxy.errors import ConfigError


class Settings(QueueSettings):
    """The settings of one process. `load_settings` makes it; what it returns has passed every check."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    config_path: Path = Field(default=Path("./dimse-config"), validation_alias="DIMSE_CONFIG_PATH")
    """The folder with the presentation contexts that may pass."""

    routes_file: Path | None = Field(default=None, validation_alias="DIMSE_ROUTES_FILE")
    """The routes file; None: `routes.toml` in `config_path` if it is there."""

    # The local network.
    local_ae_titles: AeTitles = Field(default=("INGESTION",), validation_alias="DIMSE_AE")
    """AE titles this proxy answers to; `*` for any. The first named one is its own."""
    calling_ae: CallingAe = Field(default="own", validation_alias="DIMSE_CALLING_AE")
    """Calling AE title towards the target: `own`, `original` (the requestor's) or a title."""
    move_aliases: MoveAliases = Field(
        default_factory=lambda: MappingProxyType({}), validation_alias="DIMSE_MOVE_ALIASES"
    )
    """Asker's AE title -> the AE title under which the target knows it; one to one."""
    host: Host = Field(default="0.0.0.0", validation_alias="DIMSE_HOST")
    """Address to listen on."""
    port: Port = Field(default=11112, validation_alias="DIMSE_PORT")
    """Port to listen on."""
    bind_host: Host | None = Field(default=None, validation_alias="DIMSE_BIND_HOST")
    """Source address of connections to the target; None leaves it to the system."""
    allowed_calling_aes: AeTitles = Field(default=(ANY,), validation_alias="DIMSE_ALLOWED_CALLING_AES")
    """Calling AE titles that may open an association here; `*` for any."""
    allowed_hosts: Networks = Field(default=EVERY_NETWORK, validation_alias="DIMSE_ALLOWED_HOSTS")
    """Networks that may open an association here; `*` has become 0.0.0.0/0 and ::/0."""

    allowed_operations_out: Operations = Field(default=(ANY,), validation_alias="DIMSE_ALLOWED_OPERATIONS_OUT")
    """DIMSE operations that AEs of this network may ask the other side for; `*` for any, `!` before what is not."""
    proxy_protocol: Flag = Field(default=False, validation_alias="DIMSE_PROXY_PROTOCOL")
    """Each connection begins with a header of a load balancer that says whose it is."""

    # What the other side may ask of this one.
    allowed_calling_aes_in: AeTitles = Field(default=(ANY,), validation_alias="DIMSE_ALLOWED_CALLING_AES_IN")
    """Calling AE titles of the other side that may ask for an association with the target; `*` for any."""
    allowed_called_aes_in: AeTitles = Field(default=(ANY,), validation_alias="DIMSE_ALLOWED_CALLED_AES_IN")
    """AE titles that the other side may call; `*` for any."""
    allowed_hosts_in: Networks = Field(default=EVERY_NETWORK, validation_alias="DIMSE_ALLOWED_HOSTS_IN")
    """Networks of the other side that may ask, by what its proxy tells; `*` has become 0.0.0.0/0 and ::/0."""
    allowed_operations_in: Operations = Field(default=(ANY,), validation_alias="DIMSE_ALLOWED_OPERATIONS_IN")
    """DIMSE operations that AEs of the other side may ask this one for; `*` for any, `!` before what is not."""
    config_path_in: Path | None = Field(default=None, validation_alias="DIMSE_CONFIG_PATH_IN")
    """The folder with the presentation contexts of associations that arrive through the tunnel; None: `config_path`."""

    # The target.
    target_ae: AeTitle = Field(default="DCM4CHEE", validation_alias="DIMSE_TARGET_AE")
    """AE title to call for associations that arrive from the other side."""
    target_host: Host | None = Field(default=None, validation_alias="DIMSE_TARGET_HOST")
    """Where that AE is; None when this proxy only originates."""
    target_port: Port = Field(default=11112, validation_alias="DIMSE_TARGET_PORT")
    """Port of that AE."""

    # NATS and the tunnel. TLS stands before the servers, which are read with it.
    nats_tls_enabled: Flag = Field(default=False, validation_alias="DIMSE_NATS_TLS_ENABLED")
    """TLS towards NATS; certificates are verified."""
    nats_servers: tuple[str, ...] = Field(default=(), validation_alias="DIMSE_NATS_URL")
    """URLs with scheme and, but for ws and wss, port. Never empty after `load_settings`; never hold a credential."""
    leaf_store: Path | None = Field(default=None, validation_alias="DIMSE_LEAF_STORE")
    """Folder of a nats-server of this process's own, a leaf node of those servers; None: none is started."""
    leaf_urls: tuple[str, ...] = Field(default=(), validation_alias="DIMSE_LEAF_URL")
    """Where the servers take leaf nodes; `effective_leaf_urls` has the default."""
    leaf_domain: Domain = Field(default="", validation_alias="DIMSE_LEAF_DOMAIN")
    """JetStream domain of that server; `effective_leaf_domain` has the default."""
    nats_auth_token: Secret | None = Field(default=None, validation_alias="DIMSE_NATS_AUTH_TOKEN")
    """The credential; `credentials.nats_credentials` says how it is presented."""
    nats_user: str | None = Field(default=None, validation_alias="DIMSE_NATS_USER")
    """User, with `nats_password`."""
    nats_password: Secret | None = Field(default=None, validation_alias="DIMSE_NATS_PASSWORD")
    """Password of `nats_user`."""
    nats_creds_file: Path | None = Field(default=None, validation_alias="DIMSE_NATS_CREDS_FILE")
    """Credentials file: a user's JWT and the seed of its NKey."""
    nats_nkey_file: Path | None = Field(default=None, validation_alias="DIMSE_NATS_NKEY_FILE")
    """File with the seed of a user's NKey."""
    nats_tls_ca_file: Path | None = Field(default=None, validation_alias="DIMSE_NATS_TLS_CA_FILE")
    """Authorities that sign the servers' certificates; None for those that the system trusts."""
    nats_tls_cert_file: Path | None = Field(default=None, validation_alias="DIMSE_NATS_TLS_CERT_FILE")
    """Own certificate and its chain towards NATS, with `nats_tls_key_file`."""
    nats_tls_key_file: Path | None = Field(default=None, validation_alias="DIMSE_NATS_TLS_KEY_FILE")
    """Key of `nats_tls_cert_file`."""
    nats_subject_root: SubjectRoot = Field(default="DIMSE", validation_alias="DIMSE_NATS_SUBJECT_ROOT")
    """Root of every subject."""
    nats_subject_channel: Channel = Field(default="A", validation_alias="DIMSE_NATS_SUBJECT_CHANNEL")
    """This side's channel."""
    nats_peer_channel: ChannelOrUnset = Field(default=None, validation_alias="DIMSE_NATS_PEER_CHANNEL")
    """The other side's channel; None: B for A and A for B, or what the routes file says."""
    instance: InstanceName = Field(default="", validation_alias="DIMSE_INSTANCE")
    """Name of this process on its channel, which it keeps over restarts; empty for a new one at each start."""
    nats_trace_connection: Flag = Field(default=False, validation_alias="DIMSE_NATS_TRACECONNECTION")
    """Log the NATS connection's life in detail."""
    nats_reply_timeout: Seconds = Field(default=60.0, validation_alias="DIMSE_NATS_REPLY_TIMEOUTSECONDS")
    """Seconds an open request may take."""
    nats_chunk_size: FrameSize = Field(default=262144, validation_alias="DIMSE_NATS_CHUNK_SIZE")
    """Largest data frame, bytes."""
    window_size: WindowSize = Field(default=4 * 1024 * 1024, validation_alias="DIMSE_WINDOW_SIZE")
    """Bytes of one session that may be under way in one direction."""
    resume_timeout: Seconds = Field(default=60.0, validation_alias="DIMSE_RESUME_TIMEOUTSECONDS")
    """Seconds after which a peer that is not heard is lost."""
    tunnel_key: TunnelKeys | None = Field(default=None, validation_alias="DIMSE_TUNNEL_KEY")
    """One key or two that both sides share; `tunnel_keys` reads them. None: sessions are not encrypted."""

    # Limits of an association.
    max_associations: Count = Field(default=1024, validation_alias="DIMSE_MAX_ASSOCIATIONS")
    """Associations at the same time, accepted and requested together, in this process; 0 for no limit."""
    max_associations_per_calling_ae: Count = Field(default=0, validation_alias="DIMSE_MAX_ASSOCIATIONS_PER_CALLING_AE")
    """Associations of one calling AE title at the same time, for each direction; 0 for no limit."""
    max_associations_per_host: Count = Field(default=0, validation_alias="DIMSE_MAX_ASSOCIATIONS_PER_HOST")
    """Associations of one host of the local network at the same time; 0 for no limit."""
    max_association_rate: Rate = Field(default=0.0, validation_alias="DIMSE_MAX_ASSOCIATION_RATE")
    """New associations a second, for each direction; 0 for no limit."""
    max_unassociated_connections: Count = Field(default=512, validation_alias="DIMSE_MAX_UNASSOCIATED_CONNECTIONS")
    """Connections without an association; beyond it the oldest makes room. 0 for no limit."""
    max_associate_length: AssociateLength = Field(default=1 << 20, validation_alias="DIMSE_MAX_ASSOCIATE_LENGTH")
    """Bytes of the longest A-ASSOCIATE-RQ or -AC that is taken."""
    artim_timeout: Seconds = Field(default=30.0, validation_alias="DIMSE_ARTIM_TIMEOUTSECONDS")
    """ARTIM timer, seconds (PS3.8 9.1.4)."""
    connect_timeout: Seconds = Field(default=10.0, validation_alias="DIMSE_CONNECT_TIMEOUTSECONDS")
    """Seconds to wait for the target's TCP connection."""
    accept_timeout: Seconds = Field(default=25.0, validation_alias="DIMSE_ACCEPT_TIMEOUTSECONDS")
    """Seconds to wait for the target's answer to the A-ASSOCIATE-RQ."""
    release_timeout: SecondsOrOff = Field(default=0.0, validation_alias="DIMSE_RELEASE_TIMEOUTSECONDS")
    """Seconds to wait for an A-RELEASE-RP; 0 for no limit."""
    tcp_timeout: SecondsOrOff = Field(default=180.0, validation_alias="DIMSE_TCP_TIMEOUTSECONDS")
    """Seconds after which an end point that acknowledges nothing or takes no byte is gone; 0: as the system does it."""
    idle_timeout: SecondsOrOff = Field(default=0.0, validation_alias="DIMSE_IDLE_TIMEOUTSECONDS")
    """Seconds after which an association without traffic is aborted; 0 for no limit."""
    grace_timeout: SecondsOrOff = Field(default=30.0, validation_alias="DIMSE_GRACE_TIMEOUTSECONDS")
    """Seconds that running associations have to finish after SIGTERM; 0 aborts them at once."""

    # TLS on DICOM connections.
    tls_enabled: Flag = Field(default=False, validation_alias="DIMSE_TLS_ENABLED")
    """TLS for DICOM on the local network: of `port`, unless `tls_port` is there, and of the target."""
    tls_port: PortOrUnset = Field(default=None, validation_alias="DIMSE_TLS_PORT")
    """Port of a TLS listener beside the plain one on `port`."""
    target_tls_enabled: FlagOrUnset = Field(default=None, validation_alias="DIMSE_TARGET_TLS_ENABLED")
    """TLS towards the target where it differs from `tls_enabled`."""
    tls_keystore: Path | None = Field(default=None, validation_alias="DIMSE_TLS_KEYSTORE")
    """Own key and certificate chain."""
    tls_keystore_type: KeyStoreType = Field(default="PKCS12", validation_alias="DIMSE_TLS_KEYSTORE_TYPE")
    """Format of the key store."""
    tls_keystore_password: Secret | None = Field(default=None, validation_alias="DIMSE_TLS_KEYSTORE_PASSWORD")
    """Password of the key store."""
    tls_keystore_alias: str | None = Field(default=None, validation_alias="DIMSE_TLS_KEYSTORE_ALIAS")
    """Alias of the key; None for the first one."""
    tls_truststore: Path | None = Field(default=None, validation_alias="DIMSE_TLS_TRUSTSTORE")
    """Trusted certificates."""
    tls_truststore_type: KeyStoreType = Field(default="PKCS12", validation_alias="DIMSE_TLS_TRUSTSTORE_TYPE")
    """Format of the trust store."""
    tls_truststore_password: Secret | None = Field(default=None, validation_alias="DIMSE_TLS_TRUSTSTORE_PASSWORD")
    """Password of the trust store."""
    tls_client_auth: ClientAuthOrUnset = Field(default=None, validation_alias="DIMSE_TLS_CLIENT_AUTH")
    """Whether who calls must show a certificate; `effective_client_auth` has the default."""
    tls_verify_hostname: FlagOrUnset = Field(default=None, validation_alias="DIMSE_TLS_VERIFY_HOSTNAME")
    """Whether the target's certificate must be for `target_host`; `verifies_hostname` has the default."""
    tls_protocol_versions: TlsVersions = Field(
        default=("TLSv1.2", "TLSv1.3"), validation_alias="DIMSE_TLS_PROTOCOL_VERSIONS"
    )
    """TLS versions that may be negotiated."""
    tls_cipher_suites: Words = Field(default=(), validation_alias="DIMSE_TLS_CIPHER_SUITES")
    """Exactly these suites, by their JSSE names; empty for the suites of PS3.15 B.12."""
    tls_handshake_timeout: Seconds = Field(default=10.0, validation_alias="DIMSE_TLS_HANDSHAKE_TIMEOUTSECONDS")
    """Seconds that a TLS handshake may take."""
    tls_max_handshakes: Count = Field(default=256, validation_alias="DIMSE_TLS_MAX_HANDSHAKES")
    """Connections that came in and have not finished their handshake, at the same time; 0 for no limit."""

    # What an operator sees.
    http_host: Host = Field(default="127.0.0.1", validation_alias="DIMSE_HTTP_HOST")
    """Address of the HTTP listener: health, metrics, status page."""
    http_port: PortOrOff = Field(default=8080, validation_alias="DIMSE_HTTP_PORT")
    """Its port; None for no HTTP listener. That the default one is taken is no error: see `is_http_optional`."""
    http_token: Secret | None = Field(default=None, validation_alias="DIMSE_HTTP_TOKEN")
    """With it, an association can be aborted and the target tested over HTTP; without, everything is read-only."""

    # The audit trail.
    audit_syslog: AuditTargets = Field(default=(), validation_alias="DIMSE_AUDIT_SYSLOG")
    """Syslog receivers of audit messages; each gets all of them."""
    audit_file: Path | None = Field(default=None, validation_alias="DIMSE_AUDIT_FILE")
    """File that audit messages are written to, a line of JSON each."""
    audit_content: Flag = Field(default=False, validation_alias="DIMSE_AUDIT_CONTENT")
    """Audit whose data sets pass: the head of each is read, and identifiers of queries."""
    audit_spool: Path | None = Field(default=None, validation_alias="DIMSE_AUDIT_SPOOL")
    """Folder for messages that are not sent yet; None keeps them in memory."""
    audit_spool_size: SpoolSize = Field(default=64 << 20, validation_alias="DIMSE_AUDIT_SPOOL_SIZE")
    """Bytes of messages in it, for each receiver."""
    audit_source_id: AuditNameOrUnset = Field(default=None, validation_alias="DIMSE_AUDIT_SOURCE_ID")
    """AuditSourceID; None for the name of the machine."""
    audit_site_id: AuditNameOrUnset = Field(default=None, validation_alias="DIMSE_AUDIT_SITE_ID")
    """AuditEnterpriseSiteID."""
    audit_tls_ca_file: Path | None = Field(default=None, validation_alias="DIMSE_AUDIT_TLS_CA_FILE")
    """Authorities that sign the receivers' certificates; None for those that the system trusts."""
    audit_tls_cert_file: Path | None = Field(default=None, validation_alias="DIMSE_AUDIT_TLS_CERT_FILE")
    """Own certificate and its chain towards receivers, with `audit_tls_key_file`."""
    audit_tls_key_file: Path | None = Field(default=None, validation_alias="DIMSE_AUDIT_TLS_KEY_FILE")
    """Key of `audit_tls_cert_file`."""

    traces_enabled: Flag = Field(default=False, validation_alias="DIMSE_TRACES_ENABLED")
    """Tell each association to OpenTelemetry, whose own variables say where to; needs the extra `otel`."""

    # Logs.
    log_level: LogLevel = Field(default="INFO", validation_alias="DIMSE_LOG_LEVEL")
    """The least severe level that is written."""
    log_format: LogFormat = Field(default="auto", validation_alias="DIMSE_LOG_FORMAT")
    """`text`, `json`, or `auto`: text for a terminal, JSON when not."""

    @field_validator("nats_servers", "leaf_urls", mode="before")
    @classmethod
    def _read_nats_servers(cls, value: object, info: ValidationInfo) -> object:
        addresses = split_list(value)
        if not isinstance(addresses, tuple):
            return addresses
        tls = bool(info.data.get("nats_tls_enabled"))
        port = DEFAULT_LEAF_PORT if info.field_name == "leaf_urls" else DEFAULT_NATS_PORT
        servers = tuple(read_nats_server(str(address), tls=tls, port=port) for address in addresses)
        if len({server.startswith("ws") for server in servers}) > 1:
            raise ValueError("WebSocket addresses (ws, wss) and others do not go together in one list")
        return servers

    @property
    def own_ae_title(self) -> str | None:
        """The first AE title of `DIMSE_AE` that is a title; None when it is only `*`."""
        return next((title for title in self.local_ae_titles if title != ANY), None)

    @property
    def peer_channel(self) -> str | None:
        """The other side's channel, unless the routes file names others; None for no such one."""
        return self.nats_peer_channel or {"A": "B", "B": "A"}.get(self.nats_subject_channel)

    @property
    def tunnel_keys(self) -> tuple[bytes, ...]:
        """The keys of `tunnel_key`, 32 bytes each, the one to use first; empty without one."""
        return () if self.tunnel_key is None else read_tunnel_keys(self.tunnel_key.get_secret_value())

    @property
    def is_http_optional(self) -> bool:
        """Nobody asked for this HTTP port: a second proxy on one machine starts without it."""
        return "http_port" not in self.model_fields_set

    @property
    def http_url(self) -> str | None:
        """Where this machine finds the HTTP listener; None without one."""
        if self.http_port is None:
            return None
        host = self.http_host
        with suppress(ValueError):
            if (address := ip_address(host)).is_unspecified:
                host = "::1" if address.version == 6 else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.http_port}"

    @property
    def has_nats_tls(self) -> bool:
        """Whether servers of NATS are spoken to with TLS."""
        return any(url.startswith(("tls:", "wss:")) for url in self.nats_servers)

    @property
    def effective_leaf_urls(self) -> tuple[str, ...]:
        """Where the hub takes leaf nodes: without setting, its servers, on the port for leaf nodes."""
        return self.leaf_urls or tuple(
            url if url.startswith("ws") else f"{url.rpartition(':')[0]}:{DEFAULT_LEAF_PORT}"
            for url in self.nats_servers
        )

    @property
    def effective_leaf_domain(self) -> str:
        """The JetStream domain of this process's own server."""
        return self.leaf_domain or f"leaf-{self.nats_subject_channel}"

    @property
    def has_audit(self) -> bool:
        """Whether audit messages go anywhere."""
        return bool(self.audit_syslog) or self.audit_file is not None

    @property
    def has_audit_tls(self) -> bool:
        """Whether they go anywhere with TLS."""
        return any(target.is_tls for target in self.audit_syslog)

    @property
    def has_tls_listener(self) -> bool:
        """Whether a port takes TLS: `tls_port`, or else `port`."""
        return self.tls_enabled or self.tls_port is not None

    @property
    def wants_target_tls(self) -> bool:
        """Whether there is TLS towards targets that do not say otherwise."""
        return self.tls_enabled if self.target_tls_enabled is None else self.target_tls_enabled

    @property
    def has_tls_target(self) -> bool:
        """Whether there is a target of the variables, and TLS towards it."""
        return self.wants_target_tls and self.target_host is not None

    @property
    def answers_to_default_only(self) -> bool:
        """Nobody said which AE titles this proxy answers to."""
        return "local_ae_titles" not in self.model_fields_set

    @property
    def effective_client_auth(self) -> str:
        """`required`, `optional` or `none`: without setting, required where there is a trust store."""
        return self.tls_client_auth or ("none" if self.tls_truststore is None else "required")

    @property
    def verifies_hostname(self) -> bool:
        """Without setting, only where everything that the system trusts is trusted."""
        return self.tls_truststore is None if self.tls_verify_hostname is None else self.tls_verify_hostname


FIELD_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        str(field.validation_alias): name
        for name, field in sorted(Settings.model_fields.items(), key=lambda item: item[0] in QueueSettings.model_fields)
    }
)
"""Variable -> field of `Settings`, those of store and forward last."""

EMPTY_MEANS: Final[Mapping[str, str]] = MappingProxyType({"DIMSE_HTTP_PORT": OFF})
"""Variables for which no value is a value; for all others it is the default."""

SECRETS: Final = frozenset(
    {
        "DIMSE_NATS_AUTH_TOKEN",
        "DIMSE_TLS_KEYSTORE_PASSWORD",
        "DIMSE_TLS_TRUSTSTORE_PASSWORD",
        "DIMSE_NATS_PASSWORD",
        "DIMSE_TUNNEL_KEY",
        "DIMSE_HTTP_TOKEN",
    }
)
"""Variables that may also come from the file that the same name with `_FILE` appended tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings that are right, and where they came from."""

    settings: Settings
    origins: Mapping[str, Origin]
    """Of every variable."""
    warnings: list[str]
    """One sentence each; none of them stops the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedSettings:
    """Settings that may be wrong: what is wrong stands in `settings` with its default."""

    settings: Settings
    variables: Variables
    problems: list[str]
    """One sentence each; empty when all is right."""
    wrong: frozenset[str]
    """Variables whose value could not be used."""


def load_settings(
    environ: Mapping[str, str], env_file: Path | None, overrides: Mapping[str, str] = MappingProxyType({})
) -> LoadedSettings:
    """Make the settings from all sources.

    Args:
        environ: the process's environment, which wins over the file.
        env_file: a file of `NAME=VALUE` lines, or None.
        overrides: variables that the command line sets; they win over all else.

    Raises:
        ConfigError: with every problem found, not only the first.
    """
    reviewed = review_settings(environ, env_file, overrides)
    if reviewed.problems:
        raise ConfigError(reviewed.problems)
    return LoadedSettings(
        settings=reviewed.settings,
        origins=reviewed.variables.origins,
        warnings=list(reviewed.variables.warnings),
    )


def review_settings(
    environ: Mapping[str, str], env_file: Path | None, overrides: Mapping[str, str] = MappingProxyType({})
) -> ReviewedSettings:
    """Do what `load_settings` does, without an exception: for telling what is right beside what is wrong."""
    variables = read_variables(environ, env_file, overrides, known=FIELD_OF.keys(), secrets=SECRETS)
    problems = list(variables.problems)
    wrong = set(variables.unusable)
    values = variables.values | {name: text for name, text in EMPTY_MEANS.items() if name in variables.emptied}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        found = problems_of(error, variables, Settings, secrets=SECRETS)
        problems += found.sentences
        wrong |= found.variables
        settings = Settings.model_validate({name: text for name, text in values.items() if name not in wrong})
    problems += check_together(settings, variables, wrong)
    return ReviewedSettings(settings=settings, variables=variables, problems=problems, wrong=frozenset(wrong))

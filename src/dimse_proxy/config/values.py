"""The kinds of values that settings have: how each is read from a variable's text, and what is right about it.

Pure functions and annotated types. Nothing here knows which variable it serves, and nothing reads a file or looks a
name up in the network.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from dimse_proxy.config.tunnel_keys import read_tunnel_keys

Network: TypeAlias = IPv4Network | IPv6Network

ANY: Final = "*"
"""In a list of AE titles or addresses: all of them."""

CALLING_WORDS: Final = ("own", "original", "alias")
"""In place of a calling AE title: whose it is, as `proxy.routes` takes them."""

OFF: Final = "off"
"""In place of a port: none."""

EVERY_NETWORK: Final[tuple[Network, ...]] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))

OPERATIONS: Final = (
    "C-ECHO",
    "C-STORE",
    "C-FIND",
    "C-MOVE",
    "C-GET",
    "N-EVENT-REPORT",
    "N-GET",
    "N-SET",
    "N-ACTION",
    "N-CREATE",
    "N-DELETE",
)
"""The DIMSE services of PS3.7, by name."""

_AE_TITLE_LENGTH: Final = 16  # PS3.5 Table 6.2-1, value representation AE
_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_SUBJECT_TOKEN: Final = re.compile(r"[!-~]+")  # printable ASCII without the space
_CHANNEL: Final = r"^[A-Za-z0-9_-]{1,64}$"  # as `tunnel.subjects` takes it
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RIGHT_CHANNEL: Final = "a channel is a word of letters, digits, - and _, such as A or B"
DEFAULT_NATS_PORT: Final = 4222
DEFAULT_LEAF_PORT: Final = 7422
_AUDIT_PORTS: Final = {"tls": 6514, "udp": 514}
"""Scheme -> port where none is given (RFC 5425 4.1, RFC 5426 3.3)."""
_SCHEME_WITH_TLS: Final = {"nats": "tls", "tls": "tls", "ws": "wss", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class Expects:
    """Says what is right, for the cases in which pydantic's own validator finds a value wrong."""

    sentence: str


@dataclass(frozen=True, slots=True)
class AuditTarget:
    """A syslog receiver."""

    scheme: str
    """`tls` or `udp`."""
    host: str
    port: int

    @property
    def is_tls(self) -> bool:
        """Whether it is spoken to with TLS."""
        return self.scheme == "tls"

    @property
    def file_name(self) -> str:
        """Of its spool, in a folder of them."""
        return f"{self.scheme}-{self.host.replace(':', '_')}-{self.port}.spool"

    def __str__(self) -> str:
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def split_list(value: object) -> object:
    """Cut a comma-separated text into its trimmed items, empty ones and repetitions left out."""
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(item for part in value.split(",") if (item := part.strip())))


def check_ae_title(value: str) -> str:
    """Return the AE title without its outer spaces, which are not significant (PS3.5 6.2)."""
    title = value.strip(" ")
    if not title:
        raise ValueError("an AE title has at least one character that is not a space")
    if len(title) > _AE_TITLE_LENGTH:
        raise ValueError(f"AE title {title!r} has {len(title)} characters, and at most {_AE_TITLE_LENGTH} are right")
    if "\\" in title or not (title.isascii() and title.isprintable()):
        raise ValueError(f"AE title {title!r} holds a backslash, a control character or one outside ASCII")
    return title


def check_calling_ae(value: str) -> str:
    """Return `own`, `original`, `alias` or an AE title, which is not one of these words mistyped.

    Else the PACS would be called by an AE named `orginal`, and would refuse it without a word about the reason.
    """
    title = check_named_title(value)
    if title not in CALLING_WORDS and title.isalpha():
        for word in get_close_matches(title.lower(), CALLING_WORDS, n=1, cutoff=0.8):
            raise ValueError(
                f"{title!r} is taken for a mistyped {word}: own, original, alias or another AE title is right"
            )
    return title


def check_named_title(value: str) -> str:
    """Return the AE title, where `*` is none."""
    title = check_ae_title(value)
    if title == ANY:
        raise ValueError("* is no AE title here: one title is right")
    return title


def check_host(value: str) -> str:
    """Return a host name or an address; a port or a scheme with it is an error."""
    host = value.strip().removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host) or _is_address_mistyped(host):
            raise ValueError(
                f"{value!r} is neither a host name nor an address; it stands alone, without port"
            ) from None
    return host


def _is_address_mistyped(host: str) -> bool:
    """Nothing but numbers, and more or larger ones than an address has: 10.1.2.300 (10.1 is an address to some)."""
    numbers = host.removesuffix(".").split(".")
    return all(map(str.isdigit, numbers)) and (len(numbers) > 4 or (len(numbers) == 4 and max(map(int, numbers)) > 255))


def check_network(value: object) -> Network | object:
    """Read an address or a network (`10.1.2.3`, `10.0.0.0/8`, `fd00::/8`)."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is neither an address nor a network such as 10.0.0.0/8") from None


def split_networks(value: object) -> object:
    """Cut a list of networks; `*` is every IPv4 and every IPv6 address."""
    items = split_list(value)
    if isinstance(items, tuple) and ANY in items:
        return EVERY_NETWORK
    return items


def check_operation(value: str) -> str:
    """Return a DIMSE operation by the name of its service (`C-STORE`), `*`, or one with a `!` before it."""
    word = value.upper()
    if word != ANY and word.removeprefix("!") not in OPERATIONS:
        raise ValueError(f"{value!r} is no DIMSE operation: {', '.join(OPERATIONS)} are right, and * for all")
    return word


def check_operations(value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the list when it allows something that can be left out of it."""
    if all(word.startswith("!") for word in value):
        raise ValueError("it only says what is not allowed: *,!N-DELETE is right for all but N-DELETE")
    return value


def check_subject_root(value: str) -> str:
    """Return the root when it is one or more NATS subject tokens."""
    for token in value.split("."):
        if not _SUBJECT_TOKEN.fullmatch(token) or "*" in token or ">" in token:
            raise ValueError(
                "a subject root is words separated by single dots, each of printable ASCII characters other than "
                "space, * and >"
            )
    return value


def read_move_aliases(value: object) -> object:
    """Read `asker=alias` pairs separated by commas; each asker and each alias stands in one pair only."""
    if not isinstance(value, str):
        return value
    aliases: dict[str, str] = {}
    for pair in value.split(","):
        if not pair.strip():
            continue
        asker_text, equals, alias_text = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair.strip()!r} is no pair: asker=alias is right")
        asker, alias = check_ae_title(asker_text), check_ae_title(alias_text)
        if asker in aliases:
            raise ValueError(f"asker {asker!r} stands in two pairs, and each asker has one alias")
        if alias in aliases.values():
            raise ValueError(f"alias {alias!r} is given to two askers, and each asker needs one of its own")
        aliases[asker] = alias
    return aliases


def read_domains(value: object) -> object:
    """Read `channel=domain` pairs separated by commas; a domain alone is for all other channels, which are ``."""
    if not isinstance(value, str):
        return value
    domains: dict[str, str] = {}
    for item in filter(None, map(str.strip, value.split(","))):
        channel, _, domain = ("", "", item) if "=" not in item else item.partition("=")
        channel, domain = channel.strip(), domain.strip()
        if not _DOMAIN.fullmatch(domain) or ("=" in item and not re.fullmatch(_CHANNEL, channel)):
            raise ValueError(f"{item!r} is neither a JetStream domain nor a pair channel=domain")
        if channel in domains:
            raise ValueError(f"{f'channel {channel}' if channel else 'every other channel'} has two domains")
        domains[channel] = domain
    return domains


def read_nats_server(address: str, *, tls: bool, port: int = DEFAULT_NATS_PORT) -> str:
    """Return the URL of a NATS server: scheme, host and port.

    Args:
        address: host or host:port, with or without one of the schemes nats, tls, ws and wss.
        tls: whether TLS is asked for; a scheme without TLS then becomes the one with it.
        port: for an address without one.

    Raises:
        ValueError: it is no address of a NATS server. The text never repeats a credential.
    """
    if "@" in address:
        raise ValueError("a credential does not belong in an address, which is logged: use DIMSE_NATS_AUTH_TOKEN")
    url = urlsplit(address if "://" in address else f"nats://{address}")
    if url.scheme not in _SCHEME_WITH_TLS:
        raise ValueError(f"scheme {url.scheme!r} is unknown: nats, tls, ws and wss are right")
    scheme = _SCHEME_WITH_TLS[url.scheme] if tls else url.scheme
    host = check_host(url.hostname or "")
    named_port = _port_of(url)
    web_socket = scheme in ("ws", "wss")
    if url.query or url.fragment or (url.path.strip("/") and not web_socket):
        raise ValueError(f"{address!r} says more than scheme, host and port")
    if named_port is None and not web_socket:
        named_port = port
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + (f":{named_port}" if named_port else "") + (url.path if web_socket else "")


def read_audit_targets(value: object) -> object:
    """Read `tls://host:port` and `udp://host:port`, separated by commas; the port may be left out."""
    if not isinstance(value, str):
        return value
    targets = []
    for address in (part.strip() for part in value.split(",")):
        if not address:
            continue
        url = urlsplit(address)
        if url.scheme not in _AUDIT_PORTS or not url.hostname:
            raise ValueError(f"{address!r} is no syslog receiver: tls://host:6514 or udp://host:514 is right")
        if url.username or url.path.strip("/") or url.query or url.fragment:
            raise ValueError(f"{url.scheme}://{url.hostname} comes with more than host and port")
        targets.append(AuditTarget(url.scheme, check_host(url.hostname), _port_of(url) or _AUDIT_PORTS[url.scheme]))
    return tuple(dict.fromkeys(targets))


def _port_of(url: SplitResult) -> int | None:
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"{url.netloc!r} has no port from 1 to 65535")
    return port


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _off(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == OFF else value


AeTitle = Annotated[str, AfterValidator(check_ae_title)]
CallingAe = Annotated[str, AfterValidator(check_calling_ae)]
AeTitles = Annotated[
    tuple[AeTitle, ...],
    BeforeValidator(split_list),
    Field(min_length=1),
    Expects("one or more AE titles are right, or *"),
]
Host = Annotated[str, AfterValidator(check_host)]
Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(check_network)], ...],
    BeforeValidator(split_networks),
    Field(min_length=1),
    Expects("one or more addresses or networks are right, or *"),
]
Operations = Annotated[
    tuple[Annotated[str, AfterValidator(check_operation)], ...],
    BeforeValidator(split_list),
    Field(min_length=1),
    AfterValidator(check_operations),
    Expects("one or more DIMSE operations are right, or *"),
]
Words = Annotated[tuple[str, ...], BeforeValidator(split_list)]
MoveAliases = Annotated[Mapping[str, str], BeforeValidator(read_move_aliases), AfterValidator(MappingProxyType)]
Flag = Annotated[bool, Expects("true or false is right")]
FlagOrUnset = Annotated[bool | None, Expects("true or false is right")]
Port = Annotated[int, Field(ge=1, le=65535), Expects("a port is a number from 1 to 65535")]
PortOrOff = Annotated[
    int | None,
    Field(ge=1, le=65535),
    BeforeValidator(_off),
    Expects("a port is a number from 1 to 65535; empty or off for none"),
]
PortOrUnset = Annotated[int | None, Field(ge=1, le=65535), Expects("a port is a number from 1 to 65535")]
Seconds = Annotated[
    float, Field(gt=0, allow_inf_nan=False), Expects("a number of seconds greater than 0 is right, 30 or 0.5")
]
SecondsOrOff = Annotated[
    float, Field(ge=0, allow_inf_nan=False), Expects("a number of seconds is right, 0 for no limit")
]
Count = Annotated[int, Field(ge=0), Expects("a whole number is right, 0 for no limit")]
Rate = Annotated[
    float, Field(ge=0, allow_inf_nan=False), Expects("a number of associations a second is right, 0 for no limit")
]
AssociateLength = Annotated[int, Field(ge=4096), Expects("a number of bytes is right, at least 4096")]
SpoolSize = Annotated[int, Field(ge=1 << 20), Expects("a number of bytes is right, at least 1048576")]
AuditTargets = Annotated[tuple[AuditTarget, ...], BeforeValidator(read_audit_targets)]
AuditNameOrUnset = Annotated[
    str | None,
    Field(max_length=255, pattern=r"^[!-~]+( [!-~]+)*$"),
    Expects("a name is 1 to 255 printable ASCII characters, with single spaces at most"),
]
FrameSize = Annotated[int, Field(ge=1024), Expects("a number of bytes is right, at least 1024")]
WindowSize = Annotated[int, Field(ge=65536), Expects("a number of bytes is right, at least 65536")]
QueueChunkSize = Annotated[
    int, Field(ge=16384, le=8 * 1024 * 1024), Expects("a number of bytes is right, from 16384 to 8388608")
]
Bytes = Annotated[int, Field(ge=1), Expects("a number of bytes is right, greater than 0")]
Number = Annotated[int, Field(ge=1), Expects("a whole number is right, at least 1")]
Replicas = Annotated[int, Field(ge=1, le=5), Expects("a number of replicas is right, from 1 to 5")]
Domain = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{0,64}$"),
    Expects("a JetStream domain is letters, digits, - and _"),
]
Domains = Annotated[Mapping[str, str], BeforeValidator(read_domains), AfterValidator(MappingProxyType)]
Delivery = Annotated[
    Literal["relay", "store-and-forward"], BeforeValidator(_lower), Expects("relay or store-and-forward is right")
]
DeliveryOrUnset = Annotated[
    Literal["relay", "store-and-forward"] | None,
    BeforeValidator(_lower),
    Expects("relay or store-and-forward is right"),
]
SubjectRoot = Annotated[str, AfterValidator(check_subject_root)]
InstanceName = Annotated[
    str,
    Field(pattern=r"^(?:[A-Za-z0-9_-]{1,63})?$"),  # the longest name of a pod
    Expects("an instance name is 1 to 63 letters, digits, - and _, and no other proxy on the channel has it"),
]
Channel = Annotated[str, Field(pattern=_CHANNEL), Expects(_RIGHT_CHANNEL)]
ChannelOrUnset = Annotated[str | None, Field(pattern=_CHANNEL), Expects(_RIGHT_CHANNEL)]
KeyStoreType = Annotated[
    Literal["PKCS12", "JKS", "PEM"], BeforeValidator(_upper), Expects("PKCS12, JKS or PEM is right")
]
ClientAuthOrUnset = Annotated[
    Literal["required", "optional", "none"] | None,
    BeforeValidator(_lower),
    Expects("required, optional or none is right"),
]
TlsVersion = Literal["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
TlsVersions = Annotated[
    tuple[TlsVersion, ...],
    BeforeValidator(split_list),
    Field(min_length=1),
    Expects("one or more of TLSv1.0, TLSv1.1, TLSv1.2 and TLSv1.3 are right"),
]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(_upper),
    Expects("DEBUG, INFO, WARNING or ERROR is right"),
]
LogFormat = Annotated[Literal["auto", "text", "json"], BeforeValidator(_lower), Expects("auto, text or json is right")]
Secret: TypeAlias = SecretStr


def check_tunnel_keys(value: SecretStr) -> SecretStr:
    """Return the value if it is one or two tunnel keys."""
    read_tunnel_keys(value.get_secret_value())
    return value


TunnelKeys = Annotated[SecretStr, AfterValidator(check_tunnel_keys)]

"""`dimse-proxy doctor` with one fault of this machine planted at a time: settings, files, ports."""

import os
import socket
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.integration.observability.doctor import WARNING, Env, Site, cause, plants
from tests.integration.peers.waiting import LOOPBACK, free_port


@plants("no NATS server is set")
def test_nats_is_not_set(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_NATS_URL=""), tmp_path, "settings", "DIMSE_NATS_URL is not set")


@plants("a setting is wrong")
def test_a_setting_is_wrong(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_PORT="eleven"), tmp_path, "settings", "DIMSE_PORT=.*1 to 65535")


@plants("a variable is misspelt")
def test_a_variable_is_misspelt(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    cause(site.env("A", DIMSE_TARGET_HOTS="x"), tmp_path, "settings", "DIMSE_TARGET_HOST", code=WARNING)


@plants("the dimse-config folder is the wrong one")
def test_the_folder_is_the_wrong_one(site: Site, tmp_path: Path) -> None:
    (tmp_path / "wrong").mkdir()
    cause(
        site.env_without_nats("A", DIMSE_CONFIG_PATH=str(tmp_path / "wrong")),
        tmp_path,
        "dimse-config",
        "folder without files",
    )


def key_store(folder: Path, *, days: int, from_days: int = -400) -> Env:
    """A PEM key store whose certificate is valid from then on for so many days."""
    path = Authority("authority").issue(days=days, from_days=from_days).pem(folder / "key.pem")
    return {"DIMSE_TLS_PORT": str(free_port()), "DIMSE_TLS_KEYSTORE": str(path), "DIMSE_TLS_KEYSTORE_TYPE": "PEM"}


@plants("a key store is missing, is none, or has another password")
@pytest.mark.parametrize(
    ("name", "words"),
    [("none.p12", "No such file"), ("own.p12", "the password is wrong"), ("own.txt", "no PKCS12 file, nor one of")],
)
def test_a_key_store_cannot_be_used(site: Site, tmp_path: Path, name: str, words: str) -> None:
    Authority("authority").issue().pkcs12(tmp_path / "own.p12", password="another")
    (tmp_path / "own.txt").write_text("a letter\n" * 100)
    store = {"DIMSE_TLS_KEYSTORE": str(tmp_path / name), "DIMSE_TLS_KEYSTORE_TYPE": "PKCS12"}
    env = site.env_without_nats("A", DIMSE_TLS_PORT=str(free_port()), DIMSE_TLS_KEYSTORE_PASSWORD="wrong", **store)
    cause(env, tmp_path, "keys and certificates", f"{name}.*{words}")


@plants("the certificate has expired, or is not valid yet")
@pytest.mark.parametrize(("days", "from_days", "words"), [(397, -400, "expired on"), (100, 5, "not valid before")])
def test_the_certificate_is_not_valid_today(site: Site, tmp_path: Path, days: int, from_days: int, words: str) -> None:
    env = site.env_without_nats("A", **key_store(tmp_path, days=days, from_days=from_days))
    cause(env, tmp_path, "keys and certificates", words)


@plants("the certificate expires within 30 days")
def test_the_certificate_expires_soon(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    cause(site.env("A", **key_store(tmp_path, days=409)), tmp_path, "keys and certificates", "expires on", code=WARNING)


@plants("the routes file is wrong, or does not go with the variables")
@pytest.mark.parametrize(
    ("text", "words"),
    [("[[target]]\nae = 7\n", r"routes\.toml:1: \[\[target\]\] without asked_for"), ("[[local]\n", r"routes\.toml")],
)
def test_the_routes_file_is_wrong(site: Site, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(text)
    cause(site.env_without_nats("A", DIMSE_ROUTES_FILE=str(path)), tmp_path, "routes", words)


@plants("the DICOM port is taken")
def test_the_port_is_taken(site: Site, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        cause(
            site.env_without_nats("A", DIMSE_PORT=str(other.getsockname()[1])), tmp_path, "DICOM port", "already in use"
        )


@plants("the DICOM port needs a privilege")
def test_the_port_needs_a_privilege(site: Site, tmp_path: Path) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 1:
        pytest.skip("every port is for everybody on this machine")
    without = ["setpriv", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    env = site.env_without_nats("A", DIMSE_PORT=str(min(first, 1024) - 1))
    cause(env, tmp_path, "DICOM port", "[Pp]ermission denied", within=without)


@plants("the address to listen on is not of this machine")
def test_the_address_is_not_ours(site: Site, tmp_path: Path) -> None:
    cause(site.env_without_nats("A", DIMSE_HOST="192.0.2.7"), tmp_path, "DICOM port", "192.0.2.7")


@plants("the HTTP port is taken")
def test_the_http_port_is_taken(site: Site, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        cause(
            site.env_without_nats("A", DIMSE_HTTP_PORT=str(other.getsockname()[1])),
            tmp_path,
            "HTTP port",
            "already in use",
        )

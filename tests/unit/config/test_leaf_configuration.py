"""The configuration of the proxy's own nats-server: what it stores where, and as whom it calls the hub."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dimse_proxy.config.leaf import leaf_configuration
from dimse_proxy.config.secret_files import Secrets
from dimse_proxy.config.settings import load_settings
from dimse_proxy.errors import ConfigError


def configured(tmp_path: Path, **more: str) -> dict[str, Any]:
    variables = {"DIMSE_NATS_URL": "hub.example.org:4222", "DIMSE_LEAF_STORE": str(tmp_path)}
    loaded = load_settings({**variables, **{f"DIMSE_{name}": text for name, text in more.items()}}, None)
    found: dict[str, Any] = json.loads(
        leaf_configuration(loaded.settings, Secrets(loaded.settings, loaded.origins), "own-token")
    )
    return found


def remote(tmp_path: Path, **more: str) -> dict[str, Any]:
    (found,) = configured(tmp_path, **more)["leafnodes"]["remotes"]
    assert isinstance(found, dict)
    return found


def test_what_it_stores_and_who_may_speak_to_it(tmp_path: Path) -> None:
    found = configured(tmp_path, NATS_SUBJECT_CHANNEL="NORTH")
    stored = found["jetstream"]
    assert (stored["store_dir"], stored["domain"]) == (str(tmp_path), "leaf-NORTH")
    assert stored["sync_interval"] == "always"
    assert stored["max_file_store"] > 1_000_000
    assert found["authorization"] == {"token": "own-token"}
    assert found["http"].startswith("127.0.0.1:")
    assert configured(tmp_path, LEAF_DOMAIN="north-2")["jetstream"]["domain"] == "north-2"


@pytest.mark.parametrize(
    ("variables", "urls"),
    [
        ({}, ["nats://hub.example.org:7422"]),
        ({"NATS_URL": "one:4222,[fd00::1]:4223"}, ["nats://one:7422", "nats://[fd00::1]:7422"]),
        ({"NATS_TLS_ENABLED": "true"}, ["tls://hub.example.org:7422"]),
        ({"NATS_URL": "wss://hub.example.org/nats"}, ["wss://hub.example.org/nats"]),
        ({"LEAF_URL": "leafs.example.org,tls://two:7000"}, ["nats://leafs.example.org:7422", "tls://two:7000"]),
        ({"NATS_USER": "h@x", "NATS_PASSWORD": "p:/ü"}, ["nats://h%40x:p%3A%2F%C3%BC@hub.example.org:7422"]),
        ({"NATS_AUTH_TOKEN": "t?1"}, ["nats://t%3F1@hub.example.org:7422"]),
    ],
)
def test_where_it_calls_the_hub_and_as_whom(tmp_path: Path, variables: dict[str, str], urls: list[str]) -> None:
    assert remote(tmp_path, **variables) == {"urls": urls}


def test_a_jwt_is_presented_as_the_proxy_presents_it(tmp_path: Path) -> None:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, {"sub": "a:me"})]
    jwt = ".".join([*parts, "c2ln"])
    assert remote(tmp_path, NATS_AUTH_TOKEN=jwt)["urls"] == [f"nats://me:{jwt}@hub.example.org:7422"]


def test_files_beside_the_url(tmp_path: Path) -> None:
    creds, nkey, ca = tmp_path / "a.creds", tmp_path / "a.nk", tmp_path / "ca.pem"
    nkey.write_text("SUASEED\n")
    assert remote(tmp_path, NATS_CREDS_FILE=str(creds)) == {
        "urls": ["nats://hub.example.org:7422"],
        "credentials": str(creds),
    }
    assert remote(tmp_path, NATS_NKEY_FILE=str(nkey))["nkey"] == "SUASEED"
    with_tls = remote(tmp_path, NATS_TLS_ENABLED="true", NATS_TLS_CA_FILE=str(ca))
    assert with_tls["tls"] == {"ca_file": str(ca)}


def test_what_has_no_effect_without_a_store() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({"DIMSE_NATS_URL": "hub", "DIMSE_LEAF_DOMAIN": "north"}, None)
    (problem,) = caught.value.problems
    assert problem.startswith("DIMSE_LEAF_DOMAIN=north (environment) has no effect alone")

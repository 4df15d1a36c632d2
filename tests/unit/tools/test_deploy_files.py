"""What is in deploy/ and .github/ fits the program: versions, ports, times, and every pin."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tools.generate_env_file import ENV_FILE

from dimse_proxy import __version__
from dimse_proxy.config.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE_FILES = (ROOT / "deploy/bundle/docker-compose.yml", ROOT / "deploy/compose/docker-compose.yml")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def compose(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def proxies(path: Path) -> dict[str, dict[str, Any]]:
    """The services of a compose file that are proxies."""
    return {name: service for name, service in compose(path)["services"].items() if "dimse-proxy" in service["image"]}


def locked(name: str) -> dict[str, str]:
    """Package -> version of a file of requirements, and a check that each line has hashes."""
    text = (ROOT / "deploy/requirements" / name).read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+).*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE))
    return {canonicalize_name(package): version for package, version in found}


def wanted(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = project["dependencies"] + [text for extra in extras for text in project["optional-dependencies"][extra]]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.parent.name)
def test_containers_are_confined_and_of_this_version(path: Path) -> None:
    assert proxies(path)
    for service in proxies(path).values():
        assert service["image"].endswith(f":-dimse-proxy:{__version__}}}")
        assert service["read_only"] is True
        assert service["user"] == "10001:10001"
        assert service["cap_drop"] == ["ALL"]
        assert int(service["stop_grace_period"].removesuffix("s")) > Settings().grace_timeout


def test_the_bundles_compose_file_mounts_the_folder_and_wins_over_the_env_file() -> None:
    (service,) = proxies(COMPOSE_FILES[0]).values()
    assert "./dimse-config:/etc/dimse/config:ro" in service["volumes"]
    assert service["env_file"] == ENV_FILE.name
    assert service["environment"]["DIMSE_CONFIG_PATH"] == "/etc/dimse/config"
    inside = {line.rpartition(":")[2] for line in service["ports"]}
    assert inside == {service["environment"]["DIMSE_PORT"]}


@pytest.mark.parametrize("name", ["hospital", "cloud"])
def test_the_pair_to_play_with_has_settings_that_are_right(name: str) -> None:
    environment = compose(COMPOSE_FILES[1])["services"][name]["environment"]
    loaded = load_settings(environment, None)
    assert loaded.warnings == []
    networks = {key: set(service["networks"]) for key, service in compose(COMPOSE_FILES[1])["services"].items()}
    assert not networks["pacs"] & networks["archive"]


def test_the_unit_waits_longer_than_the_grace_period() -> None:
    unit = (ROOT / "deploy/bundle/dicom-dimse-proxy.service").read_text(encoding="utf-8")
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > Settings().grace_timeout
    assert "Type=notify" in unit
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit


@pytest.mark.parametrize(("name", "extras"), [("runtime.txt", ()), ("image.txt", ("kubernetes", "otel"))])
def test_what_is_locked_is_what_the_project_asks_for(name: str, extras: tuple[str, ...]) -> None:
    versions = locked(name)
    for requirement in wanted(*extras):
        package = canonicalize_name(requirement.name)
        assert package in versions, f"{package} is not in {name}: run make lock"
        assert requirement.specifier.contains(versions[package]), f"{package} in {name}: run make lock"


def test_bundle_and_image_have_the_same_versions() -> None:
    image, runtime = locked("image.txt"), locked("runtime.txt")
    assert {name: image[name] for name in runtime} == runtime
    build = locked("build.txt")
    assert {name: build[name] for name in locked("wheel.txt")} == locked("wheel.txt")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_nothing_is_permitted_to_all(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert yaml.safe_load(text)["permissions"] == {}


def test_pull_requests_are_tested_on_every_version_that_is_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [entry.rpartition(" ")[2] for entry in project["classifiers"] if "Python :: 3." in entry]
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == promised

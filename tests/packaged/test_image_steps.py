"""The Dockerfile's steps, carried out without an engine, give a system in which the entry point works as it must.

As a user by number, with a read-only root, without a network: two of them make a pair, and DCMTK stores through it.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tools.image import roots
from tools.image.steps import Image, Steps

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import free_port, wait_until
from tests.packaged.conftest import ROOT
from tests.packaged.systems import Side, side

pytestmark = [pytest.mark.packaged, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def image(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Made with the network of this machine: steps install packages."""
    steps = Steps(ROOT, tmp_path_factory.mktemp("image"), debian)
    return steps.run((ROOT / "Dockerfile").read_text(), {"VERSION": "1.2.3"})


@pytest.fixture(scope="module")
def nats_server(image: Image, no_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


def in_image(image: Image, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in the image, to its end."""
    command, environment = image.command_line(list(words))
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def start(image: Image, one: Side, folder: Path) -> ChildProcess:
    """The entry point with its default command, and the settings as an engine gives them."""
    command, environment = image.command_line([*image.entrypoint, *image.command])
    return ChildProcess(f"image-{one.channel}", command, folder, env={**environment, **one.settings})


def test_what_the_image_says_of_itself(image: Image) -> None:
    assert image.user.split(":")[0].isdigit()
    assert image.user != "0:0"
    assert image.stop_signal == "SIGTERM"
    assert image.ports == ["11112", "8080"]
    assert image.labels["org.opencontainers.image.version"] == "1.2.3"
    assert all(image.labels.values()), image.labels
    assert image.environment["DIMSE_CONFIG_PATH"] == "/etc/dimse/config"


def test_the_user_can_write_nothing_and_the_settings_are_checked(image: Image, no_network: None) -> None:
    assert in_image(image, "sh", "-c", "touch /etc/dimse/x /opt/dimse-proxy/x").returncode != 0
    find = "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*'"
    assert in_image(image, "sh", "-c", find).stdout.split() == ["/tmp"]  # noqa: S108 - of that system
    without = in_image(image, *image.entrypoint, "run")
    assert without.returncode == 2
    assert "DIMSE_NATS_URL" in without.stderr


def test_a_pair_of_images_stores(image: Image, nats_server: NatsServer, tmp_path: Path) -> None:
    archive_port = free_port()
    a, b = side("A", nats_server.url), side("B", nats_server.url, archive_port)
    with ExitStack() as stack:
        stack.enter_context(dcmtk.storescp(archive_port, tmp_path / "archive"))
        processes = [start(image, one, tmp_path) for one in (a, b)]
        for process in processes:
            stack.callback(process.kill)
        wait_until(
            lambda: all("peer appeared" in process.output() for process in processes),
            seconds=30,
            what="both to see each other",
        )
        command, environment = image.command_line(image.health)
        health = subprocess.run(command, env={**environment, **a.settings}, timeout=60, check=False)
        assert health.returncode == 0
        sent = [dicom_files.write_object(tmp_path / "sent", patient_id=f"PAT{number}") for number in range(3)]
        dcmtk.scu("storescu", a.port, files=[file.path for file in sent]).ok()
        stored = dicom_files.received(tmp_path / "archive" / "received")
        assert dicom_files.digests(stored) == dicom_files.digests(sent)
        # The signal of an engine goes to the process it started, and that is the proxy.
        assert [process.stop() for process in processes] == [0, 0], processes[0].output()
        assert "stopped" in processes[0].output()
        health = subprocess.run(command, env={**environment, **a.settings}, timeout=60, check=False)
        assert health.returncode == 1


def test_the_image_is_the_operators_too_and_can_trace(image: Image, no_network: None) -> None:
    asked = in_image(image, "dimse-proxy", "operator", "--help")
    assert asked.returncode == 0, asked.stderr
    extras = "import dimse_proxy.kubernetes.operator, opentelemetry.sdk.trace"
    assert in_image(image, "/opt/dimse-proxy/bin/python", "-c", extras).stderr == ""


def test_the_root_is_as_small_as_its_parts(image: Image, debian: Path) -> None:
    assert not (image.root / "opt/dimse-proxy/bin/pip").exists()
    assert not list((image.root / "var/lib/apt/lists").glob("*Packages*"))
    assert roots.SUITE in (ROOT / "Dockerfile").read_text()

"""The commands of docs/deployment.md, as they stand there: installed, upgraded, and back again.

systemd is not there: a stand-in for `systemctl` keeps what it is told. The editor puts the one needed setting in.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tools.image import roots

from dimse_proxy import __version__
from tests.packaged.conftest import NAME, ROOT
from tests.packaged.systems import run_inside

pytestmark = [pytest.mark.packaged, pytest.mark.timeout(600)]

AS_ROOT = "0:0"
NEXT = "dicom-dimse-proxy-0.2.0"
STAND_INS = {
    "systemctl": 'echo "$@" >> /told',
    "journalctl": ":",
    "vi": "sed -i 's/^DIMSE_NATS_URL=.*/DIMSE_NATS_URL=nats.example.org/' \"$1\"",
}


def blocks(heading: str) -> list[str]:
    """The shell commands below a heading of the page."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    after = page[page.index(f"### {heading}\n") :]
    return re.findall(r"```sh\n(.*?)```", re.split(r"\n#{2,3} ", after)[0], re.DOTALL)


@pytest.fixture(scope="module")
def root(debian: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documented")
    root = roots.copy(debian, folder / "root")
    for name, script in STAND_INS.items():
        path = root / "usr/local/bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    shutil.copy(bundle, root / "root")
    subprocess.run(["tar", "-C", folder, "-xf", bundle], check=True)
    (folder / NAME).rename(folder / NEXT)
    subprocess.run(["tar", "-C", folder, "-cf", root / "root" / f"{NEXT}.tar", NEXT], check=True)
    shutil.rmtree(folder / NEXT)
    return root


def run(root: Path, script: str) -> str:
    """Runs commands of the page beside the tars; each must succeed."""
    done = run_inside(root, "sh", "-c", f"cd /root && set -ex\n{script}", user=AS_ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def version(root: Path) -> str:
    return run_inside(root, "readlink", "/opt/dicom-dimse-proxy").stdout.strip()


def test_tried_as_any_user(root: Path) -> None:
    (block,) = blocks("Try it, as any user")
    out = run(root, block)
    assert "ready, with PID" in out
    run(root, f"{NAME}/dicom-dimse-proxy.sh stop\nrm -r {NAME}")


def test_installed_upgraded_and_back_again(root: Path) -> None:
    install, begin = blocks("Install it as a service")
    run(root, install)
    out = run(root, begin)
    assert "nats://nats.example.org:4222" in out
    assert version(root) == NAME
    account = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("dimse:"))
    user = ":".join(account.split(":")[2:4])
    config = ("/opt/dicom-dimse-proxy/dicom-dimse-proxy", "config", "--env-file", "/etc/dimse/dicom-dimse-proxy.env")
    as_service = run_inside(root, *config, user=user)
    assert as_service.returncode == 0, as_service.stderr
    assert "from /etc/dimse/config:" in as_service.stdout
    stranger = run_inside(root, *config)
    assert stranger.returncode != 0, "the settings are not for everybody"

    upgrade, back = blocks("Upgrade, and back")
    run(root, upgrade)
    assert version(root) == NEXT
    run(root, back)
    assert version(root) == NAME
    assert run_inside(root, config[0], "--version").stdout.strip() == f"dimse-proxy {__version__}"
    assert (root / "told").read_text().splitlines() == [
        "daemon-reload",
        "enable --now dicom-dimse-proxy",
        "status dicom-dimse-proxy",
        "restart dicom-dimse-proxy",
        "restart dicom-dimse-proxy",
    ]

"""systemd's own tools read the unit: nothing unknown in it, and little that it leaves open."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "deploy" / "bundle" / "dicom-dimse-proxy.service"

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_it_has_no_mistake(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("ExecStart=/opt/dicom-dimse-proxy/dicom-dimse-proxy", "ExecStart=/bin/true"))
    done = analyze("verify", str(unit))
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


def test_it_is_confined() -> None:
    done = analyze("security", "--offline=yes", str(UNIT))
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) < 2.0, done.stdout

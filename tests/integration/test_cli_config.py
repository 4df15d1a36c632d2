"""The command as it is started: exit codes, one line for each problem, and nothing secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dimse_proxy import __version__

NATS = {"DIMSE_NATS_URL": "127.0.0.1:4222"}


def dimse_proxy(
    *arguments: str, environ: dict[str, str], folder: Path, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("DIMSE_")}
    return subprocess.run(
        [sys.executable, "-m", "dimse_proxy", *arguments],
        env=clean | environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_version(tmp_path: Path) -> None:
    done = dimse_proxy("--version", environ={}, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"dimse-proxy {__version__}\n")


def test_config_shows_what_counts_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "proxy.env").write_text("DIMSE_AE=PACS\nDIMSE_PORT=104\nDIMSE_NATS_AUTH_TOKEN=hunter2\n")
    environ = NATS | {"DIMSE_PORT": "105", "DIMSE_DEVICE": "x"}
    done = dimse_proxy("config", "--env-file", "proxy.env", environ=environ, folder=tmp_path)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert ["DIMSE_AE", "PACS", "proxy.env:1"] in rows
    assert ["DIMSE_PORT", "105", "environment"] in rows
    assert ["DIMSE_HOST", "0.0.0.0", "default"] in rows
    assert ["DIMSE_NATS_AUTH_TOKEN", "********", "proxy.env:3"] in rows
    assert done.stderr.startswith("warning: DIMSE_DEVICE (environment) is unknown")
    assert "hunter2" not in done.stdout + done.stderr


def wrong_settings(folder: Path) -> dict[str, str]:
    config = folder / "contexts"
    config.mkdir()
    (config / "IMAGE_CUIDS").write_text("CTImageStorage:1.2.840.10008.5.1.4.1.1.2\nMRImageStorage:1.2.840.x\n")
    return NATS | {
        "DIMSE_PORT": "0",
        "DIMSE_TARGET_PORT": "70000",
        "DIMSE_AE": "SEVENTEEN_LETTERS",
        "DIMSE_NATS_SUBJECT_CHANNEL": "Z.1",
        "DIMSE_TARGET_HOST": "pacs",
        "DIMSE_TARGET_AE": "",
        "DIMSE_CONFIG_PATH": str(config),
        "DIMSE_NATS_AUTH_TOKEN": "hunter2",
    }


def test_config_lists_every_problem_beside_what_is_right(tmp_path: Path) -> None:
    done = dimse_proxy("config", environ=wrong_settings(tmp_path), folder=tmp_path)
    assert done.returncode == 1
    assert "DIMSE_NATS_URL" in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("problem: ") for line in lines)
    for fact in ("DIMSE_PORT=0", "70000", "17 characters", "such as A or B", "without AE", "IMAGE_CUIDS:2"):
        assert sum(fact in line for line in lines) == 1, fact
    assert "hunter2" not in done.stdout + done.stderr


WRONG_ALONE = {
    "port 0": ({"DIMSE_PORT": "0"}, "DIMSE_PORT=0"),
    "port 70000": ({"DIMSE_PORT": "70000"}, "DIMSE_PORT=70000"),
    "AE title of 17 characters": ({"DIMSE_AE": "SEVENTEEN_LETTERS"}, "17 characters"),
    "channel of two words": ({"DIMSE_NATS_SUBJECT_CHANNEL": "Z.1"}, "DIMSE_NATS_SUBJECT_CHANNEL=Z.1"),
    "channel without the other side": ({"DIMSE_NATS_SUBJECT_CHANNEL": "Z"}, "DIMSE_NATS_PEER_CHANNEL"),
    "config folder without files": ({"DIMSE_CONFIG_PATH": "empty"}, "config folder without files"),
    "bad UID": ({"DIMSE_CONFIG_PATH": "bad"}, "IMAGE_CUIDS:2"),
    "target without AE": ({"DIMSE_TARGET_HOST": "pacs", "DIMSE_TARGET_AE": ""}, "target without AE"),
    "routes that point two ways": ({"DIMSE_ROUTES_FILE": "routes.toml"}, "routes.toml:2 and routes.toml:6: called AE"),
    "TLS without a key": ({"DIMSE_TLS_ENABLED": "true"}, "DIMSE_TLS_KEYSTORE is not set"),
}


@pytest.mark.parametrize("case", WRONG_ALONE)
def test_run_stops_with_one_clear_line(tmp_path: Path, case: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "IMAGE_CUIDS").write_text("# head\nCT:1.2.840.x\n")
    local = '[[local]]\ncalled = "PACS"\nask_for = "{}"\n\n'
    (tmp_path / "routes.toml").write_text(local.format("ONE") + local.format("OTHER"))
    environ, fact = WRONG_ALONE[case]
    done = dimse_proxy("run", environ=NATS | environ, folder=tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert fact in line
    assert "Traceback" not in line


def test_run_has_a_line_for_each_problem(tmp_path: Path) -> None:
    environ = {"DIMSE_PORT": "0", "DIMSE_NATS_SUBJECT_CHANNEL": "Z.1"}
    done = dimse_proxy("run", environ=environ, folder=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3


def test_the_command_line_does_not_import_what_it_does_not_need() -> None:
    """Ready within a second: rich, structlog and nats are not paid for by those that do not use them."""
    code = "import sys, dimse_proxy.cli.config, dimse_proxy.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert {"rich", "structlog", "nats", "pydicom", "dotenv"}.isdisjoint(done.stdout.split())

"""`dimse-proxy operator`: what it says before it begins."""

import sys
from pathlib import Path

import pytest

from dimse_proxy.cli import operator as command
from dimse_proxy.errors import ConfigError

SHIPPED = Path(__file__).resolve().parents[3] / "dimse-config"


def problem(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], namespaces: tuple[str, ...] = (), everywhere: bool = False
) -> str:
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ConfigError) as raised:
        command.run(environ=environ, namespaces=namespaces, all_namespaces=everywhere, image="image", health_port=None)
    return str(raised.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kopf", None)
    monkeypatch.delitem(sys.modules, "dimse_proxy.kubernetes.operator", raising=False)
    assert "pip install 'dimse-proxy[kubernetes]'" in problem(monkeypatch, {})


def test_one_namespace_and_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "one of them is right" in problem(monkeypatch, {}, ("one",), True)


def test_without_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = str(tmp_path / "none")
    assert f"DIMSE_CONFIG_PATH={folder}: there is no such folder" in problem(monkeypatch, {"DIMSE_CONFIG_PATH": folder})


def test_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    said = problem(monkeypatch, {"DIMSE_CONFIG_PATH": str(SHIPPED)})
    assert said.startswith("There is no access to Kubernetes")


def test_the_folder_that_proxies_get(tmp_path: Path) -> None:
    files = command.config_files(SHIPPED)
    assert {"IMAGE_CUIDS", "IMAGE_TSUIDS", "QUERY_CUIDS"} <= files.keys()
    (tmp_path / "IMAGE_CUIDS").write_text("*\n" + "# much\n" * 200_000)
    with pytest.raises(ConfigError, match="do not fit"):
        command.config_files(tmp_path)

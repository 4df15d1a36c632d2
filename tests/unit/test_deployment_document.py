"""The page on deployment names what there is: variables, commands, files, figures of other pages."""

import re
from pathlib import Path

import pytest

from dimse_proxy import __version__
from dimse_proxy.cli.main import app
from dimse_proxy.config.settings import FIELD_OF, SECRETS, Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
OF_EARLIER_DEPLOYMENTS = {"DIMSE_ACTOR", "DIMSE_DEVICE"}


def test_variables_are_known() -> None:
    known = {*FIELD_OF, *(f"{name}_FILE" for name in SECRETS), *OF_EARLIER_DEPLOYMENTS}
    assert {name for name in re.findall(r"\bDIMSE_[A-Z_]+\b", PAGE) if name not in known} == set()


def test_commands_exist() -> None:
    commands = {command.name for command in app.registered_commands}
    assert set(re.findall(r"\bdimse-proxy ([a-z]+)\b", PAGE.replace("dicom-dimse-proxy", ""))) <= commands | {"config"}
    script = (ROOT / "deploy/bundle/dicom-dimse-proxy.sh").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \| [^|]+ \|$", PAGE, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`([a-z]+)`", row)}
    assert {"start", "stop", "status", "foreground", "doctor"} <= named
    for command in named:
        assert re.search(rf"\b{command}\b.*\)", script), command


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make ([a-z-]+)`", PAGE)):
        assert f"\n{target}:" in makefile, target


def test_files_of_the_version_are_named() -> None:
    assert f"dicom-dimse-proxy-{__version__}.tar" in PAGE
    assert f"dimse-proxy:{__version__}" in PAGE
    for path in re.findall(r"`((?:deploy|\.github)/[\w./-]+)`", PAGE):
        assert (ROOT / path).exists(), path


def test_figures_are_the_settings() -> None:
    settings = Settings()
    assert f"`DIMSE_PORT` ({settings.port})" in PAGE
    assert f"`DIMSE_HTTP_PORT` ({settings.http_port}), on {settings.http_host}" in PAGE
    assert f"{settings.max_associations} (`DIMSE_MAX_ASSOCIATIONS`)" in PAGE
    assert f"`DIMSE_WINDOW_SIZE` ({settings.window_size >> 20} MiB)" in PAGE


@pytest.mark.parametrize("page", ["configuration.md", "security.md", "resilience.md", "tunnel-protocol.md"])
def test_headings_that_are_linked_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    slugs = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for document in ("deployment.md", "conformance.md"):
        linked = re.findall(rf"\]\({re.escape(page)}#([\w-]+)\)", (ROOT / "docs" / document).read_text("utf-8"))
        assert set(linked) <= slugs


def test_what_is_deliberately_different_is_named() -> None:
    part = PAGE[PAGE.index("## Coming from an earlier deployment") :]
    assert "**Certificates of NATS servers are verified**" in part
    assert "**`DIMSE_TLS_ENABLED` covers the target too**" in part
    assert "DIMSE_TARGET_TLS_ENABLED=false" in part

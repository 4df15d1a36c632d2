"""The settings file of the bundle: every variable, as documented, and never older than the documentation."""

import re
from pathlib import Path

from tools import generate_env_file

from dimse_proxy.config.settings import FIELD_OF, Settings, load_settings
from dimse_proxy.config.shown import written

LINE = re.compile(r"^(#?)(DIMSE_\w+)=(.*)$", re.MULTILINE)


def lines() -> dict[str, tuple[bool, str]]:
    """Variable -> whether it is set, and the value that stands there."""
    return {
        name: (not sign, value) for sign, name, value in LINE.findall(generate_env_file.ENV_FILE.read_text("utf-8"))
    }


def test_it_is_what_the_documentation_makes() -> None:
    page = generate_env_file.PAGE.read_text(encoding="utf-8")
    assert generate_env_file.ENV_FILE.read_text(encoding="utf-8") == generate_env_file.env_file(page), (
        "run: make generate"
    )


def test_every_variable_stands_there_once_with_its_default() -> None:
    names = [name for _, name, _ in LINE.findall(generate_env_file.ENV_FILE.read_text("utf-8"))]
    assert sorted(names) == sorted(FIELD_OF)
    settings = Settings()
    for name, (_, value) in lines().items():
        default = written(getattr(settings, FIELD_OF[name]))
        assert value.removeprefix("./") == default.removeprefix("./"), name


def test_what_is_set_is_what_a_person_edits() -> None:
    assert {name for name, (is_set, _) in lines().items() if is_set} == generate_env_file.SET


def test_it_starts_a_proxy_once_it_has_servers(tmp_path: Path) -> None:
    text = generate_env_file.ENV_FILE.read_text("utf-8")
    env_file = tmp_path / "proxy.env"
    env_file.write_text(text.replace("\nDIMSE_NATS_URL=\n", "\nDIMSE_NATS_URL=nats.example.org\n"))
    loaded = load_settings({}, env_file)
    assert loaded.warnings == []
    assert loaded.settings.nats_servers == ("nats://nats.example.org:4222",)


def test_every_line_may_lose_its_sign(tmp_path: Path) -> None:
    """Whoever takes the # away from a line and leaves the rest has the default, and nothing that is wrong."""
    text = re.sub(r"^#(?=DIMSE_\w+=)", "", generate_env_file.ENV_FILE.read_text("utf-8"), flags=re.MULTILINE)
    env_file = tmp_path / "proxy.env"
    env_file.write_text(text.replace("\nDIMSE_NATS_URL=\n", "\nDIMSE_NATS_URL=nats.example.org\n"))
    loaded = load_settings({}, env_file)
    assert loaded.warnings == []


def test_secrets_say_that_they_may_come_from_a_file() -> None:
    text = generate_env_file.ENV_FILE.read_text("utf-8")
    for name in ("DIMSE_NATS_AUTH_TOKEN", "DIMSE_TUNNEL_KEY", "DIMSE_TLS_KEYSTORE_PASSWORD"):
        assert f"# Or: {name}_FILE=" in text

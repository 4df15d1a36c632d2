"""Where variables come from, which source wins, and what is said about unknown ones."""

from pathlib import Path

import pytest

from dimse_proxy.config.settings import LoadedSettings, load_settings
from dimse_proxy.errors import ConfigError

NATS = {"DIMSE_NATS_URL": "nats.example.org"}


def load_file(path: Path, content: str) -> LoadedSettings:
    path.write_bytes(content.encode())
    return load_settings(NATS, path)


def problems(environ: dict[str, str], env_file: Path | None = None) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_settings(NATS | environ, env_file)
    return list(raised.value.problems)


def test_an_env_file_as_docker_and_systemd_read_it(tmp_path: Path) -> None:
    loaded = load_file(
        tmp_path / "proxy.env",
        "# a comment\n"
        "\n"
        "DIMSE_AE=PACS\r\n"
        "export DIMSE_PORT=104\n"
        "DIMSE_TARGET_HOST='pacs.example.org'\n"
        'DIMSE_TARGET_AE="wor ks"  # behind the value\n'
        "DIMSE_NATS_AUTH_TOKEN='a$b#c${DIMSE_AE}'\n"
        "JAVA_OPTS=-Xmx1g\n",
    )
    settings = loaded.settings
    assert (settings.local_ae_titles, settings.port) == (("PACS",), 104)
    assert (settings.target_host, settings.target_ae) == ("pacs.example.org", "wor ks")
    assert settings.nats_auth_token is not None
    assert settings.nats_auth_token.get_secret_value() == "a$b#c${DIMSE_AE}"
    assert loaded.warnings == []


def test_origins_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "proxy.env"
    loaded = load_file(path, "# one\n\nDIMSE_AE=PACS\n\n\nDIMSE_PORT=104\n")
    assert str(loaded.origins["DIMSE_AE"]) == f"{path}:3"
    assert str(loaded.origins["DIMSE_PORT"]) == f"{path}:6"
    assert str(loaded.origins["DIMSE_NATS_URL"]) == "environment"
    assert str(loaded.origins["DIMSE_HOST"]) == "default"


def test_the_last_line_of_a_doubled_variable_counts(tmp_path: Path) -> None:
    loaded = load_file(tmp_path / "proxy.env", "DIMSE_PORT=104\nDIMSE_PORT=105\n")
    assert loaded.settings.port == 105


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    path = tmp_path / "proxy.env"
    path.write_text("DIMSE_PORT=1\nDIMSE_TARGET_PORT=1\nDIMSE_AE=FILE\n")
    environ = NATS | {"DIMSE_PORT": "2", "DIMSE_TARGET_PORT": "2"}
    loaded = load_settings(environ, path, {"DIMSE_PORT": "3"})
    assert (loaded.settings.port, loaded.settings.target_port) == (3, 2)
    assert loaded.settings.local_ae_titles == ("FILE",)


def test_an_empty_variable_of_the_environment_hides_the_one_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "proxy.env"
    path.write_text("DIMSE_TARGET_HOST=pacs\n")
    assert load_settings(NATS | {"DIMSE_TARGET_HOST": ""}, path).settings.target_host is None


def test_a_problem_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "proxy.env"
    path.write_text("\nDIMSE_PORT=70000\n")
    assert problems({}, path) == [f"DIMSE_PORT=70000 ({path}:2): a port is a number from 1 to 65535."]


def test_a_line_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "proxy.env"
    path.write_text("DIMSE_AE=PACS\nDIMSE_PORT 104\n")
    assert problems({}, path) == [f"Env file {path}:2: this is no NAME=VALUE line."]


def test_an_env_file_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "none.env"
    assert problems({}, path) == [f"Env file {path}: No such file or directory."]


def test_an_env_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "proxy.env"
    path.write_bytes(b"DIMSE_AE=\xff\xfe\n")
    assert problems({}, path) == [f"Env file {path}: its content is not UTF-8 text."]


@pytest.mark.parametrize("variable", ["NATS_AUTH_TOKEN", "TLS_KEYSTORE_PASSWORD", "TLS_TRUSTSTORE_PASSWORD"])
def test_a_secret_from_a_file(tmp_path: Path, variable: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b" hunter2 \r\n")
    loaded = load_settings(NATS | {f"DIMSE_{variable}_FILE": str(path)}, None)
    secret = getattr(loaded.settings, variable.lower())
    assert secret.get_secret_value() == " hunter2 "
    assert str(loaded.origins[f"DIMSE_{variable}"]) == f"{path}, named in environment"


def test_the_file_of_a_secret_may_be_named_in_the_env_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    loaded = load_file(tmp_path / "proxy.env", f"DIMSE_NATS_AUTH_TOKEN_FILE={secret}\n")
    assert loaded.settings.nats_auth_token is not None
    assert str(loaded.origins["DIMSE_NATS_AUTH_TOKEN"]) == f"{secret}, named in {tmp_path / 'proxy.env'}:1"


def test_a_secret_from_a_file_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert problems({"DIMSE_NATS_AUTH_TOKEN_FILE": str(path)}) == [
        f"DIMSE_NATS_AUTH_TOKEN_FILE={path} (environment): No such file or directory."
    ]


@pytest.mark.parametrize(("content", "reason"), [(b"\n", "holds nothing"), (b"\xff", "not UTF-8 text")])
def test_a_secret_from_a_file_that_holds_none(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    [sentence] = problems({"DIMSE_NATS_AUTH_TOKEN_FILE": str(path)})
    assert reason in sentence


def test_a_secret_and_its_file_are_one_too_many(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2")
    [sentence] = problems({"DIMSE_NATS_AUTH_TOKEN": "hunter3", "DIMSE_NATS_AUTH_TOKEN_FILE": str(path)})
    assert "both given" in sentence
    assert "hunter" not in sentence


def test_only_secrets_come_from_files() -> None:
    loaded = load_settings(NATS | {"DIMSE_PORT_FILE": "/etc/hostname"}, None)
    assert loaded.settings.port == 11112
    assert len(loaded.warnings) == 1


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DIMSE_NATS_URLS", "DIMSE_NATS_URL"),
        ("DIMSE_TARGET_HOSTNAME", "DIMSE_TARGET_HOST"),
        ("dimse_port", "DIMSE_PORT"),
        ("DIMSE_ARTIM_TIMEOUT", "DIMSE_ARTIM_TIMEOUTSECONDS"),
    ],
)
def test_an_unknown_variable_is_a_warning_with_the_nearest_name(name: str, nearest: str) -> None:
    loaded = load_settings(NATS | {name: "x"}, None)
    assert loaded.warnings == [
        f"{name} (environment) is unknown and has no effect; the nearest known name is {nearest}."
    ]


def test_pods_of_the_earlier_operator_start() -> None:
    loaded = load_settings(NATS | {"DIMSE_ACTOR": "x", "DIMSE_DEVICE": "y", "PATH": "/bin"}, None)
    assert [warning.split()[0] for warning in loaded.warnings] == ["DIMSE_ACTOR", "DIMSE_DEVICE"]

"""Settings that say who may do what, and how much of it."""

import pytest

from dimse_proxy.config.settings import Settings, load_settings, review_settings
from dimse_proxy.config.values import OPERATIONS
from dimse_proxy.dimse.command_set import CommandField


def loaded(**variables: str) -> Settings:
    names = {f"DIMSE_{name}": text for name, text in variables.items()}
    return load_settings({"DIMSE_NATS_URL": "nats.example.org", **names}, None).settings


def problems(**variables: str) -> list[str]:
    names = {f"DIMSE_{name}": text for name, text in variables.items()}
    return review_settings({"DIMSE_NATS_URL": "nats.example.org", **names}, None).problems


def test_operations_are_those_of_the_standard_that_can_be_refused() -> None:
    requests = {field.service for field in CommandField if not field.value & 0x8000}
    assert set(OPERATIONS) == requests - {"C-CANCEL"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*", ("*",)),
        ("c-echo, C-STORE", ("C-ECHO", "C-STORE")),
        ("*,!n-delete", ("*", "!N-DELETE")),
        ("C-FIND,!C-FIND", ("C-FIND", "!C-FIND")),
    ],
)
def test_operations_by_name(text: str, words: tuple[str, ...]) -> None:
    settings = loaded(ALLOWED_OPERATIONS_IN=text)
    assert settings.allowed_operations_in == words
    assert settings.allowed_operations_out == ("*",)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("C-STOR", "no DIMSE operation"),
        ("C-CANCEL", "no DIMSE operation"),
        ("!*", "no DIMSE operation"),
        ("!N-DELETE", "*,!N-DELETE is right"),
        (",", "one or more DIMSE operations"),
    ],
)
def test_operations_that_cannot_be(text: str, part: str) -> None:
    (sentence,) = problems(ALLOWED_OPERATIONS_OUT=text)
    assert part in sentence
    assert sentence.startswith("DIMSE_ALLOWED_OPERATIONS_OUT=")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAX_ASSOCIATION_RATE", "-1"),
        ("MAX_ASSOCIATION_RATE", "inf"),
        ("MAX_ASSOCIATIONS_PER_HOST", "-1"),
        ("MAX_ASSOCIATIONS_PER_CALLING_AE", "some"),
        ("MAX_UNASSOCIATED_CONNECTIONS", "1.5"),
        ("MAX_ASSOCIATE_LENGTH", "4095"),
        ("PROXY_PROTOCOL", "v2"),
        ("ALLOWED_HOSTS_IN", "everywhere"),
        ("ALLOWED_CALLING_AES_IN", "SEVENTEEN-LETTERS"),
    ],
)
def test_one_sentence_for_each_wrong_value(name: str, text: str) -> None:
    (sentence,) = problems(**{name: text})
    assert sentence.startswith(f"DIMSE_{name}={text} (environment): ")


def test_by_default_nothing_is_restricted_but_what_strangers_can_hold() -> None:
    settings = loaded()
    assert settings.max_association_rate == 0
    assert settings.max_associations_per_host == settings.max_associations_per_calling_ae == 0
    assert settings.max_unassociated_connections == 512
    assert settings.max_associate_length == 1 << 20
    assert not settings.proxy_protocol
    assert settings.config_path_in is None

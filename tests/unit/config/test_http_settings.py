import pytest

from dimse_proxy.config.settings import load_settings, review_settings

NATS = {"DIMSE_NATS_URL": "nats"}


@pytest.mark.parametrize("text", ["", "  ", "off", "OFF"])
def test_no_value_is_no_listener(text: str) -> None:
    assert load_settings(NATS | {"DIMSE_HTTP_PORT": text}, None).settings.http_port is None


def test_the_default_port_may_be_taken_and_one_that_was_asked_for_may_not() -> None:
    assert load_settings(NATS, None).settings.http_port == 8080
    assert load_settings(NATS, None).settings.is_http_optional
    assert not load_settings(NATS | {"DIMSE_HTTP_PORT": "8080"}, None).settings.is_http_optional


@pytest.mark.parametrize("text", ["0", "65536", "on", "-1"])
def test_ports_that_are_none(text: str) -> None:
    (problem,) = review_settings(NATS | {"DIMSE_HTTP_PORT": text}, None).problems
    assert "empty or off for none" in problem


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("proxy.example.org", "http://proxy.example.org:8080"),
    ],
)
def test_where_this_machine_finds_it(host: str, url: str) -> None:
    assert load_settings(NATS | {"DIMSE_HTTP_HOST": host}, None).settings.http_url == url
    assert load_settings(NATS | {"DIMSE_HTTP_PORT": ""}, None).settings.http_url is None


def test_it_is_not_that_of_dicom() -> None:
    (problem,) = review_settings(NATS | {"DIMSE_HTTP_PORT": "11112"}, None).problems
    assert "must differ from DIMSE_PORT" in problem
    assert not review_settings(NATS | {"DIMSE_PORT": "8080"}, None).problems

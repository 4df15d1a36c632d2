"""Settings of store and forward that are more than a number or a word."""

import pytest

from dimse_proxy.config.settings import load_settings
from dimse_proxy.config.shown import written
from dimse_proxy.errors import ConfigError

NATS = {"DIMSE_NATS_URL": "nats.example.org"}


@pytest.mark.parametrize(
    ("text", "north", "south"),
    [
        ("", "", ""),
        ("hub", "hub", "hub"),
        ("NORTH=leaf-n,SOUTH=leaf-s", "leaf-n", "leaf-s"),
        (" NORTH = leaf-n , hub,", "leaf-n", "hub"),
    ],
)
def test_a_domain_for_each_channel(text: str, north: str, south: str) -> None:
    settings = load_settings({**NATS, "DIMSE_QUEUE_DOMAIN_IN": text}, None).settings
    assert (settings.domain_in("NORTH"), settings.domain_in("SOUTH")) == (north, south)
    again = load_settings({**NATS, "DIMSE_QUEUE_DOMAIN_IN": written(settings.queue_domains_in)}, None).settings
    assert again.queue_domains_in == settings.queue_domains_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no.dots", "'no.dots' is neither"),
        ("NORTH=", "'NORTH=' is neither"),
        ("A B=leaf", "'A B=leaf' is neither"),
        ("=leaf", "'=leaf' is neither"),
        ("NORTH=one,NORTH=two", "channel NORTH has two domains"),
        ("one,two", "every other channel has two domains"),
    ],
)
def test_what_is_no_domain(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({**NATS, "DIMSE_QUEUE_DOMAIN_IN": text}, None)
    (problem,) = caught.value.problems
    assert expected in problem

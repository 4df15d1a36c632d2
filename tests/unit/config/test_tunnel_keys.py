"""What a tunnel key may be, and that no sentence repeats it."""

import base64

import pytest

from dimse_proxy.config.settings import load_settings, review_settings
from dimse_proxy.config.tunnel_keys import read_tunnel_keys

ONE, TWO = bytes(range(32)), bytes(range(100, 132))
BASE64 = base64.b64encode(ONE).decode()
URL_SAFE = base64.urlsafe_b64encode(bytes(range(224, 256))).decode()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (BASE64, (ONE,)),
        (BASE64.rstrip("="), (ONE,)),
        (f"{BASE64}\n", (ONE,)),
        (ONE.hex(), (ONE,)),
        (ONE.hex().upper(), (ONE,)),
        (URL_SAFE, (bytes(range(224, 256)),)),
        (f"{TWO.hex()},{BASE64}", (TWO, ONE)),
        (f" {BASE64} \r\n{TWO.hex()}\r\n", (ONE, TWO)),
        (f"{BASE64},{BASE64}", (ONE,)),
    ],
)
def test_keys_that_are_right(text: str, keys: tuple[bytes, ...]) -> None:
    assert read_tunnel_keys(text) == keys


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hunter2", "not 32 bytes"),
        ("correct horse battery staple correct horse", "holds 4 keys"),
        ("correct-horse-battery-staple", "not 32 bytes"),
        (base64.b64encode(ONE[:31]).decode(), "not 32 bytes"),
        (base64.b64encode(ONE + b"x").decode(), "not 32 bytes"),
        (ONE.hex()[:-1], "not 32 bytes"),
        (BASE64 + BASE64, "not 32 bytes"),
        ("\u20ac" * 44, "not 32 bytes"),
        ("A" * 43 + "=", "not random"),
        ("00" * 32, "not random"),
        (",", "holds 0 keys"),
        (f"{BASE64},{TWO.hex()},{URL_SAFE}", "holds 3 keys"),
    ],
)
def test_keys_that_are_wrong(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        read_tunnel_keys(text)
    for word in text.replace(",", " ").split():
        assert word not in str(raised.value)
    assert "openssl rand -base64 32" in str(raised.value)


def test_the_setting_gives_the_keys_and_hides_them() -> None:
    settings = load_settings({"DIMSE_NATS_URL": "n", "DIMSE_TUNNEL_KEY": f"{BASE64},{TWO.hex()}"}, None).settings
    assert settings.tunnel_keys == (ONE, TWO)
    assert BASE64 not in repr(settings)
    assert load_settings({"DIMSE_NATS_URL": "n"}, None).settings.tunnel_keys == ()


def test_a_wrong_key_is_a_problem_without_its_value() -> None:
    reviewed = review_settings({"DIMSE_NATS_URL": "n", "DIMSE_TUNNEL_KEY": "hunter2-hunter2"}, None)
    (problem,) = reviewed.problems
    assert problem.startswith("DIMSE_TUNNEL_KEY (environment): ")
    assert "hunter2" not in problem
